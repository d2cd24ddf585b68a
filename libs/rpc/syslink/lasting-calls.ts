// Circuits that outlive the way that they go, at the end that opened them: it looks for another way. Where there is none in time, or
// the other end does not remember, it ends with an error here, and there by itself.
import { randomBytes } from 'node:crypto';
import { Backoff, delay } from '../backoff.ts';
import { Code, RpcError } from '../error.ts';
import type { Circuit } from './circuit.ts';
import { REOPEN_MS } from './frame.ts';
import type { Line } from './line.ts';
import { type AddressInit, type CircuitInit, LASTING_BYTES, type Refusal } from './line-circuits.ts';
import type { Lines } from './lines.ts';

/** A router that stops is there no longer than that. */
const LEAVE_MS = 10 * 60_000;
/** What one way may take: its router may hang. */
const WAY_MS = 2_500;

/** Opens a circuit, which goes on over another router where its way breaks and the other end can do so. */
export function openLasting(lines: Lines, init: CircuitInit): Circuit {
  const lasting = randomBytes(LASTING_BYTES);
  const circuit = lines.line().openCircuit({ ...init, lasting }, ({ from, progress }) => {
    // By a name it is found at every router; which of those that have it, and which start of that, is settled by now.
    if (progress === undefined || from === undefined || from.name === '') {
      circuit.doesNotLast();
      return;
    }
    const to: AddressInit = { name: from.name, session: from.session };
    const ways = new OtherWays(lines, circuit, { ...init, to, lasting });
    circuit.onLost = (error) => void ways.look(error);
    circuit.onLeaving = () => void ways.leave();
  });
  return circuit;
}

class OtherWays {
  readonly #lines: Lines;
  readonly #circuit: Circuit;
  readonly #init: CircuitInit;
  #attempt = 0;
  /** Of these one at most has not found its way yet. */
  #looks = 0;

  constructor(lines: Lines, circuit: Circuit, init: CircuitInit) {
    this.#lines = lines;
    this.#circuit = circuit;
    this.#init = init;
  }

  /**
   * Goes elsewhere as soon as there is a line that stays; until then it goes on where it is, up to the end of that.
   */
  async leave(): Promise<void> {
    const { closing } = this.#lines;
    const backoff = new Backoff({ firstMs: 20, maxMs: 250 });
    for (const endMs = performance.now() + LEAVE_MS; performance.now() < endMs; ) {
      if (this.#circuit.over.fired || this.#looks > 0 || closing.aborted) return;
      if (this.#lines.all().some(({ leaving }) => !leaving)) {
        await this.look(new RpcError(Code.Unavailable, 'the router stops'));
        return;
      }
      await delay(backoff.nextDelayMs(), closing);
    }
  }

  /** Its way is gone, or is left. */
  async look(error: RpcError): Promise<void> {
    this.#looks += 1;
    try {
      await this.#look(error);
    } finally {
      this.#looks -= 1;
    }
  }

  async #look(error: RpcError): Promise<void> {
    const circuit = this.#circuit;
    const backoff = new Backoff({ firstMs: 20, maxMs: 1_000 });
    const endMs = performance.now() + REOPEN_MS;
    let refusal: Refusal = { error, again: true };
    while (!circuit.over.fired) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || !refusal.again || this.#lines.closing.aborted) {
        this.#lines.resumptions.failed += 1;
        circuit.closed(refusal.error);
        return;
      }
      const lines = this.#lines.all();
      const line = lines[this.#attempt % Math.max(1, lines.length)];
      if (line !== undefined) {
        const answer = await this.#goOn(line, Math.min(leftMs, WAY_MS));
        if (answer === undefined) {
          this.#lines.resumptions.resumed += 1;
          return;
        }
        refusal = answer;
      }
      await delay(backoff.nextDelayMs(), this.#lines.closing);
    }
  }

  async #goOn(line: Line, waitMs: number): Promise<Refusal | undefined> {
    this.#attempt += 1;
    try {
      return await line.reopen(this.#circuit, this.#init, this.#attempt, waitMs);
    } catch (error) {
      // It has too many circuits.
      return { error: error as RpcError, again: true };
    }
  }
}
