// Streams of bytes have no deadline, for nobody knows how long all of them take; but each of them has to move.
import { Code, RpcError } from '@odonata/rpc/error.ts';

/** Longer than any service waits for what it needs itself. */
const SILENT_MS = 120_000;

/** Aborts its signal when the far end has said nothing for too long, or with the caller's. */
export class Silence {
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #what: string;
  readonly #silentMs: number;
  #timer: NodeJS.Timeout | undefined;
  #over = false;
  #ended = false;

  /** @param what is waited for, for the error: `node1/pmapd saves "text"` */
  constructor(what: string, outer: AbortSignal | undefined, silentMs = SILENT_MS) {
    this.#what = what;
    this.#outer = outer;
    this.#silentMs = silentMs;
    if (outer?.aborted) this.#abort.abort();
    outer?.addEventListener('abort', this.#cancel, { once: true });
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** It moves: the time begins anew. */
  heard(): void {
    this.paused();
    // An input may yield once more after its load was given up.
    if (this.#ended) return;
    this.#timer = setTimeout(() => {
      this.#over = true;
      this.#abort.abort();
    }, this.#silentMs);
  }

  /** What is waited for now is ours. */
  paused(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    this.#ended = true;
    this.paused();
    this.#outer?.removeEventListener('abort', this.#cancel);
  }

  /** Of an error of the stream: DEADLINE_EXCEEDED where silence ended it. */
  errorOf(error: unknown): unknown {
    if (!this.#over) return error;
    const what = `${this.#what}: nothing moved for ${this.#silentMs / 1000} s`;
    return new RpcError(Code.DeadlineExceeded, what, { cause: error });
  }

  readonly #cancel = (): void => this.#abort.abort();
}
