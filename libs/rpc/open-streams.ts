// The streams that a server serves, by who was let in: a call is asked for its certificate when it begins, and a stream may
// go on for days.

import { ownTurn } from './bug.ts';
import type { RpcError } from './error.ts';
import { unauthenticated } from './identity/caller-of-certificate.ts';
import type { Gate } from './identity/gate.ts';
import { type Caller, shownCaller } from './identity/identity.ts';
import type { Logger } from './log.ts';

const LOOK_MS = 1_000;

interface OpenStream {
  readonly caller: Caller;
  end(error: RpcError): void;
}

/** Ends those of whom came in by a certificate that was revoked since. */
export class OpenStreams {
  readonly #gate: Gate;
  readonly #log: Logger;
  readonly #open = new Set<OpenStream>();
  #timer: NodeJS.Timeout | undefined;
  #trouble: string | undefined;

  constructor(gate: Gate, log: Logger) {
    this.#gate = gate;
    this.#log = log;
  }

  /** From the first address that is served, until `rest`. */
  watch(): void {
    if (!this.#gate.isOpen)
      this.#timer ??= setInterval(
        ownTurn({ timer: 'open streams' }, () => this.#look()),
        LOOK_MS,
      ).unref();
  }

  rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** @returns to be called when it is over */
  add(stream: OpenStream): () => void {
    // Whoever comes by no certificate of their own, as a virtual kernel, has none to lose.
    if (stream.caller.serial === undefined) return () => {};
    this.#open.add(stream);
    return () => this.#open.delete(stream);
  }

  #look(): void {
    for (const stream of [...this.#open]) {
      const { caller } = stream;
      if (!this.#gate.isRevoked(caller)) continue;
      this.#open.delete(stream);
      ownTurn({ timer: 'revoked', caller: shownCaller(caller) }, () =>
        stream.end(unauthenticated(`the certificate of ${shownCaller(caller)} was revoked`)),
      )();
    }
    const { trouble } = this.#gate;
    if (trouble !== this.#trouble && trouble !== undefined)
      this.#log.warn(
        { reason: trouble },
        'files of the identity changed and are of no use; those before count',
      );
    this.#trouble = trouble;
  }
}
