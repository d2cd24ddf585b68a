// The coherency directory: replicas that share the shards; holders are simulated (test/bench/directory).
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { createClient } from '@odonata/rpc/client.ts';
import { withCluster } from '../../bench/cluster.ts';
import { placeOf } from '../../bench/directory/holders.ts';
import { HOLDERS, Load } from '../../bench/directory/load.ts';
import { ProcessMeter } from '../process-meter.ts';
import type { Pattern, Place, ScaledService, Setting } from '../scaled-service.ts';
import { directoryCosts } from './directory-costs.ts';

/** Acquires of a holder that are under way. */
const DEPTH = 32;
const ROWS = 16;
const QUICK_ROWS = 2;

interface Paced extends Pattern {
  /** Acquires of each holder that are under way at each replica. */
  depth: (replicas: number) => number;
  /** One replica after another: the cores of this machine are not shared by them. */
  inTurn: boolean;
}

const MANY = HOLDERS * DEPTH;
const PATTERNS: readonly Paced[] = [
  {
    name: `acquires, ${MANY} under way, replica after replica`,
    ...{ operation: 'acquire', warmUpsMost: 40, depth: () => DEPTH, inTurn: true },
  },
  {
    name: `acquires, ${MANY} under way at each replica`,
    ...{ operation: 'acquire', warmUpsMost: 6, depth: () => DEPTH, inTurn: false },
  },
  {
    name: `acquires, ${MANY} under way in all`,
    ...{ operation: 'acquire', warmUpsMost: 3, inTurn: false },
    depth: (replicas) => Math.max(1, Math.round(DEPTH / replicas)),
  },
  {
    name: `acquires, ${HOLDERS} under way, replica after replica`,
    ...{ operation: 'acquire', warmUpsMost: 3, depth: () => 1, inTurn: true },
    cost: 'cohdAcquireUs',
  },
];

export const cohd: ScaledService = {
  name: 'cohd',
  patterns: PATTERNS,
  beside: 'NATS',
  notes: [
    `${HOLDERS} simulated holders take each other's pages; their programs walk through blocks of 2 MiB, so their acquires follow one`,
    'another at the leader of a block. An acquire is to write: acquire, recall, page, ack, settlement.',
  ],
  async withPlace(setting, replicas, use) {
    const { signal, progress } = setting;
    const cluster = { nodes: 1, directories: replicas, suffix: `-cohd${replicas}`, signal, progress };
    return await withCluster(cluster, async (to) => {
      const place = await placeOf(to);
      const folder = await place.replica?.('bench');
      const load = await Load.start(place, setting.quick ? QUICK_ROWS : ROWS, signal);
      const clients = place.directories.map((address) => createClient(DirectoryService, address, { folder }));
      try {
        const pids = new Map([...place.pids].filter(([name]) => name !== 'nats'));
        const meter = new ProcessMeter({
          pids,
          beside: async () => [place.pids.get('nats')!],
          work: () =>
            Promise.all(clients.map(async (client) => Number((await client.getDirectoryStats({})).acquires))),
        });
        return await use({
          ...cohdPlace(replicas, meter, load),
          moreCosts: () => directoryCosts(setting, place),
        });
      } finally {
        for (const client of clients) client.close();
        await load.close();
      }
    });
  },
};

export function cohdPlace(replicas: number, meter: Place['meter'], load: Load): Place {
  return {
    replicas,
    meter,
    ready: async (pattern) => {
      const { depth, inTurn } = PATTERNS.find(({ name }) => name === pattern)!;
      return { run: () => load.takeAtEach('write', depth(replicas), { inTurn }), end: async () => {} };
    },
  };
}

/** A load at replicas that run elsewhere. */
export const cohdLoad = (at: Parameters<typeof Load.start>[0], { quick, signal }: Setting): Promise<Load> =>
  Load.start(at, quick ? QUICK_ROWS : ROWS, signal);
