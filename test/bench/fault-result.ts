// What is measured of one kind of fault.
import type { CpuByPart } from './cpu-time.ts';
import type { Latency } from './samples.ts';

export type FaultPlace = 'vkernel' | 'node' | 'remote' | 'upgrade';

/** What serves a fault, and over which way. */
export interface FaultKind {
  name: string;
  place: FaultPlace;
  sharers?: number;
}

/** Processor times are those of one fault. */
export interface FaultResult extends FaultKind, CpuByPart {
  node: string;
  accesses: number;
  /** Counted by the node meanwhile. */
  faults: number;
  pagesMoved: number;
  /** Processor time in us of the services of two nodes that have a part: the one of the faults, and the next; the directory, and NATS. */
  servicesUs: number;
  /** The first hundred, as the program saw them. */
  first: Latency;
  /** As the program saw it, without the cost of its clock. */
  guest: Latency;
  /** As the node saw it: from the handler's read of the fault to the waking of the program. */
  handler: { p50Us: number; p99Us: number } | undefined;
}
