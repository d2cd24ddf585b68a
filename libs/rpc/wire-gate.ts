import { fromServiceError } from './error.ts';
import type { Logger } from './log.ts';
import { agreeOnWire, isWireRefusal, type WireRange } from './wire-version.ts';

/** Who is refused comes back each second or so: its line is logged again only after this. */
const SAID_MS = 60_000;
const PEERS_MAX = 1_000;

/** Asks every peer of a service for a version of the wire that both speak, and logs those who have none. */
export class WireGate {
  readonly #us: string;
  readonly #log: Logger;
  readonly #now: () => number;
  /** When the line of a peer was logged. */
  readonly #said = new Map<string, number>();

  /** @param us what this service is: `cohd` */
  constructor(us: string, log: Logger, now: () => number = () => performance.now()) {
    this.#us = us;
    this.#log = log;
    this.#now = now;
  }

  /** @throws RpcError FAILED_PRECONDITION, see agreeOnWire */
  agree(them: string, wire: Partial<WireRange> | undefined): number {
    try {
      return agreeOnWire(them, wire, this.#us);
    } catch (error) {
      this.refused(them, error);
      throw error;
    }
  }

  /**
   * Logs a refusal that came from the other side, or one that this side made.
   * @returns its line; undefined: it is an error of another kind
   */
  refused(them: string, error: unknown): string | undefined {
    const refusal = fromServiceError(error);
    if (!isWireRefusal(refusal)) return undefined;
    const nowMs = this.#now();
    const saidMs = this.#said.get(them);
    if (saidMs === undefined || nowMs - saidMs >= SAID_MS) {
      this.#said.delete(them);
      if (this.#said.size >= PEERS_MAX) this.#said.delete(this.#said.keys().next().value!);
      this.#said.set(them, nowMs);
      this.#log.warn({ peer: them }, refusal.details);
    }
    return refusal.details;
  }
}
