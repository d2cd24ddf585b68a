// What counts each time, and is told the first times in a minute: whoever makes many hides nobody else's.

const MINUTE_MS = 60_000;
/** Of one kind and one who does it, in a minute. */
const TOLD_OF_ONE = 3;
/** Of all, in a minute. */
const TOLD_MAX = 100;

export class FirstOfMinute {
  readonly #now: () => number;
  readonly #counts = new Map<string, number>();
  readonly #told = new Map<string, number>();
  #toldOfAll = 0;
  #sinceMs = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** All that came, by kind. */
  get counts(): [kind: string, count: number][] {
    return [...this.#counts];
  }

  /** @param kind one of a few words. @returns true where it is to be told */
  count(kind: string, who: string): boolean {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    const nowMs = this.#now();
    if (nowMs - this.#sinceMs > MINUTE_MS) {
      this.#sinceMs = nowMs;
      this.#told.clear();
      this.#toldOfAll = 0;
    }
    const key = `${kind} ${who}`;
    const told = this.#told.get(key) ?? 0;
    if (told >= TOLD_OF_ONE || this.#toldOfAll >= TOLD_MAX) return false;
    this.#told.set(key, told + 1);
    this.#toldOfAll++;
    return true;
  }
}
