// Circuits that outlive the way that they go, at the end that serves them: it waits for whoever opened them to come by another way.
// One that ended stays for a while, with what may not have arrived: else its caller would not hear how it ended.
import type { CircuitOpen } from '@odonata/proto/syslink/v1/syslink';
import { ownTurn } from '../bug.ts';
import type { RpcError } from '../error.ts';
import type { Circuit } from './circuit.ts';
import { REOPEN_MS } from './frame.ts';
import { noResumptions } from './resumptions.ts';

/** Its caller may know later than we that the way is gone. */
const WAIT_MS = REOPEN_MS + 5_000;
/** Of one caller: who breaks one way after another keeps no more waiting. */
const LOST_MAX = 256;
/** Of those that ended, all together. */
const ENDED_MAX = 1_024;
const ENDED_BYTES_MAX = 64 * 1024 * 1024;

interface Entry {
  readonly circuit: Circuit;
  /** Whoever is to come must be the same. */
  readonly owner: string;
  readonly caller: string;
  attempt: number;
  timer?: NodeJS.Timeout | undefined;
  endedBytes?: number;
}

export class LastingCircuits {
  readonly #entries = new Map<string, Entry>();
  /** Oldest first. */
  readonly #ended = new Map<string, Entry>();
  #endedBytes = 0;
  /** Their way is gone: how many, by caller. */
  readonly #lost = new Map<string, number>();
  #isClosed = false;
  readonly resumptions = noResumptions();

  add(open: CircuitOpen, circuit: Circuit): void {
    const token = tokenOf(open);
    if (this.#entries.has(token)) {
      circuit.doesNotLast();
      return;
    }
    const caller = `${open.caller?.role} ${open.caller?.name}`;
    const entry: Entry = { circuit, owner: ownerOf(open), caller, attempt: 0 };
    this.#entries.set(token, entry);
    circuit.onLost = (error: RpcError) => {
      if (circuit.over.fired) return;
      if (this.#isClosed || (this.#lost.get(caller) ?? 0) >= LOST_MAX) {
        this.resumptions.failed += 1;
        circuit.closed(error);
        return;
      }
      this.#count(caller, 1);
      entry.timer = after(() => {
        this.resumptions.failed += 1;
        circuit.closed(error);
      });
    };
  }

  /** The circuit that goes on by this; undefined: none, or it is of somebody else. */
  find(open: CircuitOpen): Circuit | undefined {
    const entry = this.#entries.get(tokenOf(open));
    const attempt = open.resumed?.attempt ?? 0;
    if (entry === undefined || entry.owner !== ownerOf(open) || attempt <= entry.attempt) return undefined;
    entry.attempt = attempt;
    this.resumptions.resumed += 1;
    if (entry.endedBytes === undefined) this.#found(entry);
    return entry.circuit;
  }

  /** What it was for has ended. */
  ended(open: CircuitOpen): void {
    const token = tokenOf(open);
    const entry = this.#entries.get(token);
    if (entry === undefined) return;
    this.#found(entry);
    if (!entry.circuit.isClosedByUs) {
      this.#entries.delete(token);
      return;
    }
    entry.endedBytes = entry.circuit.keptBytes;
    this.#endedBytes += entry.endedBytes;
    this.#ended.set(token, entry);
    entry.timer = after(() => this.#forget(token));
    while (this.#ended.size > ENDED_MAX || this.#endedBytes > ENDED_BYTES_MAX)
      this.#forget(this.#ended.keys().next().value!);
  }

  /** Nobody can come any more. */
  close(error: RpcError): void {
    this.#isClosed = true;
    for (const { circuit, timer } of [...this.#entries.values()]) {
      clearTimeout(timer);
      if (circuit.over.fired) continue;
      circuit.close(error);
      circuit.onClosed?.(error);
    }
  }

  /** It is lost no more. */
  #found(entry: Entry): void {
    if (entry.timer === undefined) return;
    clearTimeout(entry.timer);
    entry.timer = undefined;
    this.#count(entry.caller, -1);
  }

  #count(caller: string, more: number): void {
    const count = (this.#lost.get(caller) ?? 0) + more;
    if (count > 0) this.#lost.set(caller, count);
    else this.#lost.delete(caller);
  }

  #forget(token: string): void {
    const entry = this.#ended.get(token);
    if (entry === undefined) return;
    clearTimeout(entry.timer);
    this.#endedBytes -= entry.endedBytes!;
    this.#ended.delete(token);
    this.#entries.delete(token);
  }
}

const after = (what: () => void): NodeJS.Timeout =>
  setTimeout(ownTurn({ timer: 'lasting circuit' }, what), WAIT_MS).unref();

const tokenOf = ({ lasting }: CircuitOpen): string => Buffer.from(lasting).toString('base64');

/** The router says who it is, and which start of them. */
function ownerOf({ proto, caller, from }: CircuitOpen): string {
  return JSON.stringify([proto, caller?.role, caller?.name, from?.name, String(from?.session)]);
}
