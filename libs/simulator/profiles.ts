// Kinds of bad weather.
import type { Weather } from './world/network.ts';

export type ProfileName =
  | 'calm'
  | 'faulty'
  | 'partition'
  | 'failover'
  | 'succession'
  | 'upgrade'
  | 'replacement'
  | 'shortage';

export interface Profile {
  name: ProfileName;
  nodes: { min: number; max: number };
  pages: { min: number; max: number };
  shards: { min: number; max: number };
  weather: Weather;
  /** Mean time between two faults; 0: none. */
  faultEveryMs: number;
  /** How often each fault is chosen, in proportion. */
  faults: Readonly<Record<Fault, number>>;
}

export type Fault =
  | 'break stream'
  | 'break transfer'
  | 'cut one way'
  | 'isolate node'
  | 'cut directory'
  | 'pause pmap'
  | 'pause vkernel'
  | 'pause node'
  | 'pause directory'
  | 'crash pmap'
  | 'crash vkernel'
  | 'crash directory'
  | 'stop directory'
  | 'overlook directory'
  | 'pause cluster store'
  | 'damage store'
  | 'store away'
  | 'drain pmap'
  | 'replace pmap'
  | 'short of frames';

const NO_FAULTS: Record<Fault, number> = {
  'break stream': 0,
  'break transfer': 0,
  'cut one way': 0,
  'isolate node': 0,
  'cut directory': 0,
  'pause pmap': 0,
  'pause vkernel': 0,
  'pause node': 0,
  'pause directory': 0,
  'crash pmap': 0,
  'crash vkernel': 0,
  'crash directory': 0,
  'stop directory': 0,
  'overlook directory': 0,
  'pause cluster store': 0,
  'damage store': 0,
  'store away': 0,
  'drain pmap': 0,
  'replace pmap': 0,
  'short of frames': 0,
};

const nodes = { min: 2, max: 4 };
const pages = { min: 1, max: 6 };
const shards = { min: 2, max: 4 };
const rough: Weather = { lossOneIn: 4, repeatOneIn: 4, delayMs: 2, slowOneIn: 30, slowMs: 60 };

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  calm: {
    name: 'calm',
    nodes,
    pages,
    shards,
    weather: { lossOneIn: 0, repeatOneIn: 0, delayMs: 2, slowOneIn: 50, slowMs: 20 },
    faultEveryMs: 0,
    faults: NO_FAULTS,
  },
  faulty: {
    name: 'faulty',
    nodes,
    pages,
    shards,
    weather: rough,
    faultEveryMs: 60,
    faults: {
      'break stream': 6,
      'break transfer': 6,
      'cut one way': 3,
      'isolate node': 1,
      'cut directory': 1,
      'pause pmap': 3,
      'pause vkernel': 3,
      'pause node': 1,
      'pause directory': 2,
      'crash pmap': 1,
      'crash vkernel': 2,
      'crash directory': 1,
      'stop directory': 1,
      'overlook directory': 1,
      'pause cluster store': 0.5,
      'damage store': 2,
      'store away': 2,
      'drain pmap': 0,
      'replace pmap': 2,
      'short of frames': 0,
    },
  },
  partition: {
    name: 'partition',
    nodes,
    pages,
    shards,
    weather: rough,
    faultEveryMs: 80,
    faults: {
      ...NO_FAULTS,
      'break stream': 2,
      'break transfer': 2,
      'cut one way': 8,
      'isolate node': 3,
      'cut directory': 2,
      'pause pmap': 2,
      'pause node': 1,
      'store away': 2,
    },
  },
  failover: {
    name: 'failover',
    nodes,
    pages,
    shards,
    weather: { ...rough, lossOneIn: 8 },
    faultEveryMs: 80,
    faults: {
      ...NO_FAULTS,
      'break stream': 4,
      'break transfer': 4,
      'cut one way': 1,
      'cut directory': 3,
      'pause pmap': 1,
      'pause directory': 5,
      'crash pmap': 0.5,
      'crash directory': 5,
      'stop directory': 3,
      'overlook directory': 1,
      'pause cluster store': 0.5,
      'damage store': 0.5,
      'store away': 2,
    },
  },
  // Leaders follow one another faster than holders can hear of it.
  succession: {
    name: 'succession',
    nodes: { min: 2, max: 3 },
    pages: { min: 1, max: 3 },
    shards: { min: 1, max: 3 },
    weather: { ...rough, lossOneIn: 8 },
    faultEveryMs: 45,
    faults: {
      ...NO_FAULTS,
      'break stream': 2,
      'cut one way': 6,
      'cut directory': 1,
      'isolate node': 0.5,
      'pause pmap': 1,
      'pause directory': 3,
      'crash pmap': 2,
      'crash directory': 3,
      'stop directory': 6,
      'overlook directory': 3,
      'pause cluster store': 0.5,
      'drain pmap': 0.5,
      'replace pmap': 3,
    },
  },
  upgrade: {
    name: 'upgrade',
    nodes: { min: 3, max: 4 },
    pages,
    shards,
    weather: rough,
    faultEveryMs: 100,
    faults: {
      ...NO_FAULTS,
      'break stream': 3,
      'break transfer': 3,
      'cut one way': 1,
      'pause pmap': 1,
      'crash pmap': 0.2,
      'crash vkernel': 1,
      'crash directory': 1,
      'stop directory': 4,
      'overlook directory': 1,
      'pause cluster store': 0.5,
      'drain pmap': 8,
    },
  },
  replacement: {
    name: 'replacement',
    nodes,
    pages,
    shards,
    weather: rough,
    faultEveryMs: 80,
    faults: {
      ...NO_FAULTS,
      'break stream': 2,
      'break transfer': 2,
      'cut one way': 1,
      'pause pmap': 1,
      'pause vkernel': 1,
      'crash pmap': 0.2,
      'crash vkernel': 1,
      'crash directory': 1,
      'stop directory': 2,
      'overlook directory': 1,
      'pause cluster store': 0.5,
      'store away': 1,
      'replace pmap': 10,
    },
  },
  // Nodes give pages away all the time, and it goes wrong in every way.
  shortage: {
    name: 'shortage',
    nodes: { min: 3, max: 4 },
    pages,
    shards,
    weather: rough,
    faultEveryMs: 12,
    faults: {
      ...NO_FAULTS,
      'break stream': 2,
      'break transfer': 2,
      'cut one way': 0.5,
      'pause pmap': 0.5,
      'crash pmap': 0.3,
      'crash vkernel': 0.3,
      'crash directory': 0.3,
      'stop directory': 0.5,
      'drain pmap': 0.3,
      'replace pmap': 0.5,
      'short of frames': 40,
    },
  },
};
