// What a service must give to be scaled by itself: places with a number of its replicas, a load, and a meter.
import type { Setting as ClusterSetting } from '../bench/part.ts';
import type { CostName, Costs } from './projection/costs.ts';

export const SERVICE_NAMES = ['cohd', 'pmapd', 'syslinkd', 'vkerneld'] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

export type Setting = Omit<ClusterSetting, 'to'>;

/** What a replica used and did. */
export interface Use {
  cpuUs: number;
  /** Operations by its own counter; undefined: it does not count these. */
  work: number | undefined;
  /** How often its main thread fell asleep: what it does between two sleeps shares their cost. */
  sleeps: number | undefined;
}

export interface Usage {
  replicas: Use[];
  /** Processor time of others that work for the operations. */
  besideUs: number;
}

/** Reads the replicas of one place. */
export interface Meter {
  during(work: () => Promise<void>): Promise<Usage>;
  /** Of each replica. */
  residentBytes(): Promise<number[]>;
}

/** Everything is ready; `run` does the operations. */
export interface Round {
  /** @returns ns of each operation */
  run(): Promise<number[]>;
  /** Ends what was made ready for it. */
  end(): Promise<void>;
}

/** So many replicas, with neighbours that are simulated. */
export interface Place {
  replicas: number;
  meter: Meter;
  ready(pattern: string): Promise<Round>;
  /** Costs that are no operation's; asked of the place with the fewest replicas. */
  moreCosts?(): Promise<Partial<Costs>>;
}

export interface Pattern {
  name: string;
  /** What is counted, in the singular. */
  operation: string;
  /** Rounds before the first that counts, at most, for each replica; fewer when their cost stays as it is. */
  warmUpsMost: number;
  /** What the projection takes of it: the replicas' time, and that of others. */
  cost?: CostName;
  costBeside?: CostName;
}

export interface ScaledService {
  name: ServiceName;
  patterns: readonly Pattern[];
  /** Whose time is BESIDE; undefined: nobody's. */
  beside: string | undefined;
  notes: readonly string[];
  withPlace<T>(setting: Setting, replicas: number, use: (place: Place) => Promise<T>): Promise<T>;
}
