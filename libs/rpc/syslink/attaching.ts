import type { Logger } from '../log.ts';
import type { Line } from './line.ts';

/** A router that does not answer within this is given up, and tried again. */
export const REGISTER_MS = 10_000;

/** What keeps an endpoint attached works with this. */
export interface Attaching {
  /** The addresses of the routers, each once. Rejects where they cannot be found. */
  readonly routers: () => Promise<readonly string[]>;
  /** They may change: they are looked up so often. 0: they stay. */
  readonly lookUpMs: number;
  /** Of a client that was sent away: when it chooses anew. */
  readonly spreadMs?: number;
  readonly log: Logger;
  readonly closing: AbortSignal;
  open(router: string, registerMs: number): Line;
  /** A registered line is for calls from now on, until it is over. */
  readonly adopt: (line: Line) => void;
  /** Each router was tried, and none took it. */
  readonly allFailed: () => void;
  /** The routers cannot be found. */
  readonly failed: (error: unknown) => undefined;
}
