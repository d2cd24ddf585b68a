// So much a second, and a second's worth at once. Pure: the time is told.

export class TokenBucket {
  #perSecond: number;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
    this.#atMs = nowMs;
  }

  set rate(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes them, whether they are there or not. @returns milliseconds until they are paid for */
  take(tokens: number, nowMs: number): number {
    this.#fill(nowMs);
    this.#tokens -= tokens;
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * 1_000) / this.#perSecond);
  }

  /** @returns false: they are not there, and none was taken */
  tryTake(tokens: number, nowMs: number): boolean {
    this.#fill(nowMs);
    if (this.#tokens < tokens) return false;
    this.#tokens -= tokens;
    return true;
  }

  #fill(nowMs: number): void {
    const more = (Math.max(0, nowMs - this.#atMs) * this.#perSecond) / 1_000;
    this.#tokens = Math.min(this.#perSecond, this.#tokens + more);
    this.#atMs = nowMs;
  }
}
