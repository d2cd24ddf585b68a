// Where the processor time of a fault goes, by process: V8's samples of a round of each kind of fault, by whose code it is.
//
// A sample is of the clock and not of the processor: a system call that wakes another process, which then takes the core, counts for
// as long as that. One process is looked at in a round, and looking costs; so shares count, not sums: the table of processor times
// has those. Virtual kernels are behind their walls and cannot be looked at.
import { Inspector } from '../inspector.ts';
import { clusterProcesses } from './cpu-time.ts';
import { columns, type ResultTable, type Setting } from './part.ts';

const SAMPLE_US = 100;
const TOP = 12;

/** In the order of the table. */
const OWNERS = ['system', 'protobuf', 'grpc-js', 'nats', 'node', 'core', 'services', 'gc'] as const;
type Owner = (typeof OWNERS)[number];

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[];
  samples: number[];
  timeDeltas: number[];
}

export interface ProcessProfile {
  fault: string;
  /** `pmapd`, `cohd`, `other pmapd`. */
  process: string;
  /** In us a fault. */
  byOwner: Record<Owner, number>;
  top: { name: string; us: number }[];
}

/** What is done just before the accesses of a round, and just after them. */
export interface Around {
  before(): Promise<unknown>;
  after(): Promise<unknown>;
}

/** Processes that have a part in a fault, by what they are to it: those that can be looked into. @param order as below */
export const placesOf = ([node, other]: readonly string[]): Record<string, string> => ({
  ...{ pmapd: `${node}/pmapd`, cohd: 'cohd', 'other pmapd': `${other}/pmapd` },
});

/**
 * A round for each process that has a part in it.
 * @param order the node of the faults, then the others
 * @param play a round; it returns how many accesses that was
 */
export async function profileFaults(
  { to }: Setting,
  fault: string,
  order: string[],
  play: (around: Around) => Promise<number>,
): Promise<ProcessProfile[]> {
  const profiles: ProcessProfile[] = [];
  for (const [process, name] of Object.entries(placesOf(order))) {
    const pid = (await clusterProcesses(to)).get(name);
    if (pid === undefined) continue;
    const inspector = await Inspector.open(pid);
    try {
      await inspector.ask('Profiler.enable');
      await inspector.ask('Profiler.setSamplingInterval', { interval: SAMPLE_US });
      let profile: CpuProfile | undefined;
      const accesses = await play({
        before: () => inspector.ask('Profiler.start'),
        after: async () => {
          ({ profile } = await inspector.ask<{ profile: CpuProfile }>('Profiler.stop'));
        },
      });
      profiles.push({ fault, process, ...sharesOf(profile!, accesses) });
    } finally {
      await inspector.close();
    }
  }
  return profiles;
}

/** Without the time in which it had nothing to do. */
export function sharesOf(profile: CpuProfile, faults: number): Pick<ProcessProfile, 'byOwner' | 'top'> {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byOwner = Object.fromEntries(OWNERS.map((owner) => [owner, 0])) as Record<Owner, number>;
  const byFunction = new Map<string, number>();
  for (const [i, id] of profile.samples.entries()) {
    const { functionName, url } = frames.get(id)!;
    if (functionName === '(idle)') continue;
    const us = profile.timeDeltas[i]! / faults;
    byOwner[ownerOf(functionName, url)] += us;
    const name = `${functionName || '(anonymous)'} ${url.split('/').slice(-2).join('/')}`.trim();
    byFunction.set(name, (byFunction.get(name) ?? 0) + us);
  }
  const top = [...byFunction].sort(([, a], [, b]) => b - a).slice(0, TOP);
  return { byOwner, top: top.map(([name, us]) => ({ name, us })) };
}

function ownerOf(functionName: string, url: string): Owner {
  if (functionName === '(garbage collector)') return 'gc';
  if (url === '') return 'system';
  if (url.startsWith('node:')) return 'node';
  if (url.includes('/@bufbuild/')) return 'protobuf';
  if (url.includes('/@grpc/')) return 'grpc-js';
  if (url.includes('/node_modules/')) return url.includes('nats') ? 'nats' : 'node';
  return url.includes('/libs/coherency/') ? 'core' : 'services';
}

/** @param unit of what it is a profile of */
export function profileTables(profiles: ProcessProfile[], unit = 'fault'): ResultTable[] {
  const us = (value: number): string => value.toFixed(1);
  return [
    {
      title: `Where the time of a ${unit} goes: us of each process, by whose code it is`,
      columns: columns(
        unit.toUpperCase(),
        'PROCESS',
        ...OWNERS.map((owner) => `>${owner.toUpperCase()}`),
        '>SUM',
      ),
      rows: profiles.map(({ fault, process, byOwner }) => {
        const parts = OWNERS.map((owner) => byOwner[owner]);
        return [fault, process, ...[...parts, parts.reduce((sum, part) => sum + part, 0)].map(us)];
      }),
      notes: [
        'Samples by the clock: SYSTEM, which is native code and system calls, has the time in it in which a process that a call woke',
        'took the core. CORE: libs/coherency; SERVICES: the rest of ours. The sources run, not the bundle, and looking costs, too.',
      ],
    },
    {
      title: `The functions that take most, in us a ${unit}`,
      columns: columns(unit.toUpperCase(), 'PROCESS', '>US', 'FUNCTION'),
      rows: profiles.flatMap(({ fault, process, top }) =>
        top.map(({ name, us: each }) => [fault, process, us(each), name]),
      ),
      notes: [],
    },
  ];
}
