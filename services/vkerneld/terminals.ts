// Terminals whose caller may come back: a router between them went away, and neither the program nor they did.
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';

/** Programs that ended, and whose caller may not have heard of it. */
const ENDED_MAX = 100;
/** For so long a caller may be away. */
export const AWAY_MS = 20_000;
const NAME = /^[A-Za-z0-9-]{16,64}$/;

/** @typeParam T what a terminal is, which is the business of those that keep one here */
export class Terminals<T> {
  readonly #byName = new Map<string, T>();
  /** The oldest first. */
  readonly #ended = new Map<string, NodeJS.Timeout>();

  add(name: string, terminal: T): void {
    this.#byName.set(name, terminal);
  }

  /** @throws RpcError INVALID_ARGUMENT, RESOURCE_EXHAUSTED */
  expectNew(name: string): void {
    if (!NAME.test(name))
      throw new RpcError(Code.InvalidArgument, 'start.terminal: 16 to 64 of a-z A-Z 0-9 -');
    if (this.#byName.has(name)) throw new RpcError(Code.AlreadyExists, 'start.terminal is in use');
  }

  /** @throws RpcError NOT_FOUND */
  get(name: string): T {
    const terminal = this.#byName.get(name);
    if (terminal !== undefined) return terminal;
    throw new RpcError(
      Code.NotFound,
      'the program is not here any more: it did not start, has ended, or its supervisor was started anew; see: vkctl ps -a, and vkctl events',
    );
  }

  /** Its program ended: it stays a while, for a caller who has not heard of it. */
  ended(name: string): void {
    if (!this.#byName.has(name)) return;
    this.#ended.set(
      name,
      setTimeout(
        ownTurn({ timer: 'terminal' }, () => this.#forget(name)),
        AWAY_MS,
      ).unref(),
    );
    for (const [oldest] of this.#ended) {
      if (this.#ended.size <= ENDED_MAX) break;
      this.#forget(oldest);
    }
  }

  #forget(name: string): void {
    clearTimeout(this.#ended.get(name));
    this.#ended.delete(name);
    this.#byName.delete(name);
  }
}

/** For a caller that is not heard any more since another took its place. */
export const replaced = (): RpcError => new RpcError(Code.Aborted, 'the caller came back on another stream');
