// Listeners by name of one process, over a new start of the supervisor: that knows nothing of the lines of the last one. A thread that
// finds its line at an end asks here, and gets another one in its place.
import { delay } from '@odonata/rpc/backoff.ts';
import { close, duplicateAs } from '@odonata/userfault/libc.ts';
import type { Connected, ConnectionRequest } from './connections-asked.ts';
import { Errno } from './wasi/errno.ts';

/** How long a supervisor may be away. */
const AWAY_MS = 30_000;
const ASK_AGAIN_MS = 50;

export class NamedListening {
  /** By descriptor of the host. */
  readonly #requests = new Map<number, ConnectionRequest>();

  /** A descriptor that listens. */
  listens(host: number, request: ConnectionRequest): void {
    this.#requests.set(host, request);
  }

  /** The same descriptor has another line; an errno, or 0. */
  async again(
    host: number,
    ask: (request: ConnectionRequest) => Promise<Connected>,
    isOver: () => boolean,
  ): Promise<number> {
    const request = this.#requests.get(host);
    if (request === undefined) return Errno.connaborted;
    const endMs = performance.now() + AWAY_MS;
    while (!isOver() && performance.now() < endMs) {
      const answer = await ask(request);
      if ('fd' in answer) {
        if (!isOver()) duplicateAs(answer.fd, host);
        close(answer.fd);
        return Errno.success;
      }
      if (answer.errno !== Errno.again && answer.errno !== Errno.connaborted) break;
      await delay(ASK_AGAIN_MS);
    }
    return Errno.connaborted;
  }
}
