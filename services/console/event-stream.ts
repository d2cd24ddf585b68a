// A stream to a browser (server-sent events), bounded: who does not read what it is sent is dropped, and comes again.
import type { ServerResponse } from 'node:http';

/** Two looks at the largest cluster. */
const WAITING_BYTES = 8 * 1024 * 1024;
const ALIVE_MS = 15_000;
/** What has waited so long is not being read. */
const SLOW_MS = 20_000;

export class EventStream {
  readonly #response: ServerResponse;
  readonly #alive: NodeJS.Timeout;
  #fullSinceMs: number | undefined;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.flushHeaders();
    this.#alive = setInterval(() => this.#write(':\n\n'), ALIVE_MS).unref();
    response.on('close', () => clearInterval(this.#alive));
  }

  get open(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded;
  }

  send(kind: string, value: unknown): void {
    this.#write(`event: ${kind}\ndata: ${JSON.stringify(value)}\n\n`);
  }

  end(): void {
    this.#response.end();
  }

  #write(text: string): void {
    if (!this.open) return;
    const nowMs = performance.now();
    const response = this.#response;
    if (!response.writableNeedDrain) this.#fullSinceMs = undefined;
    const isSlow = this.#fullSinceMs !== undefined && nowMs - this.#fullSinceMs > SLOW_MS;
    if (isSlow || response.writableLength + text.length > WAITING_BYTES) {
      response.destroy();
      return;
    }
    if (!response.write(text)) this.#fullSinceMs ??= nowMs;
  }
}
