// Circuits that outlive the way that they go, at the end that opened them: it looks for another way. Where there is none in time, or
// the other end does not remember, it ends with an error here, and there by itself.
import { randomBytes } from 'node:crypto';
import { Backoff, delay } from '../backoff.ts';
import type { RpcError } from '../error.ts';
import type { Circuit } from './circuit.ts';
import { REOPEN_MS } from './frame.ts';
import type { Line } from './line.ts';
import { type AddressInit, type CircuitInit, LASTING_BYTES, type Refusal } from './line-circuits.ts';
import type { Lines } from './lines.ts';

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
  });
  return circuit;
}

class OtherWays {
  readonly #lines: Lines;
  readonly #circuit: Circuit;
  readonly #init: CircuitInit;
  #attempt = 0;

  constructor(lines: Lines, circuit: Circuit, init: CircuitInit) {
    this.#lines = lines;
    this.#circuit = circuit;
    this.#init = init;
  }

  async look(error: RpcError): Promise<void> {
    const circuit = this.#circuit;
    const backoff = new Backoff({ firstMs: 20, maxMs: 1_000 });
    const endMs = performance.now() + REOPEN_MS;
    let refusal: Refusal = { error, again: true };
    while (!circuit.over.fired) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || !refusal.again || this.#lines.closing.aborted) {
        circuit.closed(refusal.error);
        return;
      }
      const lines = this.#lines.all();
      const line = lines[this.#attempt % Math.max(1, lines.length)];
      if (line !== undefined) {
        const answer = await this.#goOn(line, Math.min(leftMs, WAY_MS));
        if (answer === undefined) return;
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
