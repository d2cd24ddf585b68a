// What a directory costs that nobody asks for anything: leases of all nodes at each replica, its heartbeats, its clock.
import { setTimeout as sleep } from 'node:timers/promises';
import { renewEveryMs } from '@odonata/coherency/lease.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { type Figure, judge, round, verdictCells } from '../figure.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { median } from '../samples.ts';
import { cpuUsOf, replicaCpuUs } from './cpu.ts';
import { Holders, type Place, within } from './holders.ts';

/** The default of cohd. */
export const STANDING_LEASE_MS = 3_000;
export const STANDING = { replicas: 4, nodes: 100 };
export const QUICK_STANDING = { replicas: 2, nodes: 10 };
/** Of a core, a replica. */
const CORE_SHARE_MOST = 0.01;
const ROUNDS = 7;
const ROUND_MS = 3_000;
const QUICK_ROUND_MS = 1_000;
/**
 * A replica stands for days, and has compiled what a renewal needs after its first minutes: here each node renews so often before a
 * round counts, which is that of five minutes; then what is compiled meanwhile is over.
 */
const WARM_UPS = 300;
const WARM_UP_EVERY_MS = 50;
const SETTLE_MS = 10_000;
const JOIN_MS = 120_000;

export interface Standing {
  figures: Figure[];
  table: ResultTable;
  measured: Record<string, unknown>;
}

interface Row {
  nodes: number;
  /** Of each round: the share of a core of each replica, and of NATS. */
  rounds: { replicas: number[]; nats: number }[];
}

/** @param place a cluster with the replicas, and the default lease */
export async function standing(setting: Setting, place: Place): Promise<Standing> {
  const { quick, signal, progress } = setting;
  const { nodes } = quick ? QUICK_STANDING : STANDING;
  const rows: Row[] = [];
  let shards = 0;
  for (const count of [0, nodes]) {
    progress(`standing cost: ${count} nodes`);
    // Nodes were not started in one moment: their renewals are spread over the time between two of one node.
    const spreadMs = renewEveryMs(STANDING_LEASE_MS);
    const joining = count === 0 ? undefined : Holders.join(place, count, { spreadMs });
    const holders =
      joining && (await within({ signal, what: 'joining the directory', ms: JOIN_MS }, joining));
    try {
      shards = holders?.shards ?? shards;
      if (!quick) await warmUp(setting, holders);
      rows.push({ nodes: count, rounds: await rounds(setting, place, count) });
    } finally {
      await holders?.close();
    }
  }
  return result(rows, place.directories.length, shards);
}

async function warmUp({ signal, progress }: Setting, holders: Holders | undefined): Promise<void> {
  for (let i = 0; holders !== undefined && i < WARM_UPS; i++) {
    progress(`standing cost: warming up, ${i} of ${WARM_UPS}`);
    const value = { sentMs: BigInt(Math.floor(monotonicMs())) };
    for (const { directories } of holders.all) directories.sendAll({ case: 'renew', value });
    await sleep(WARM_UP_EVERY_MS, undefined, { signal });
  }
  await sleep(SETTLE_MS, undefined, { signal });
}

async function rounds(
  { quick, signal, progress }: Setting,
  place: Place,
  nodes: number,
): Promise<Row['rounds']> {
  const measured: Row['rounds'] = [];
  for (let i = 0; i < (quick ? 1 : ROUNDS); i++) {
    progress(`standing cost: ${nodes} nodes, round ${i + 1}`);
    const startMs = performance.now();
    const ms = quick ? QUICK_ROUND_MS : ROUND_MS;
    const cpuUs = await cpuUsOf(place.pids, () => sleep(ms, undefined, { signal }));
    const wallUs = (performance.now() - startMs) * 1e3;
    const replicas = replicaCpuUs(cpuUs).map((us) => us / wallUs);
    measured.push({ replicas, nats: (cpuUs.get('nats') ?? 0) / wallUs });
  }
  return measured;
}

function result(rows: Row[], replicas: number, shards: number): Standing {
  const shares = rows.map(({ rounds: each }) => ({
    replica: median(each.flatMap((one) => one.replicas)),
    busiest: median(each.map((one) => Math.max(...one.replicas))),
    nats: median(each.map(({ nats }) => nats)),
  }));
  const idle = rows.at(-1)!.nodes;
  const name = `directory: ${idle} idle nodes, share of a core of each of ${replicas} replicas`;
  const figure = judge(name, shares.at(-1)!.replica * 100, '%', { most: CORE_SHARE_MOST * 100 });
  return {
    figures: [figure],
    table: {
      title: `Directory: an idle cluster, ${shards} shards, ${replicas} replicas, lease ${STANDING_LEASE_MS} ms, ${rows[0]!.rounds.length} rounds`,
      columns: columns('>NODES', '>% OF A CORE, A REPLICA', '>BUSIEST', '>NATS', 'TARGET', 'VERDICT'),
      rows: rows.map(({ nodes }, i) => [
        String(nodes + 1),
        ...[shares[i]!.replica, shares[i]!.busiest, shares[i]!.nats].map((share) => round(share * 100)),
        ...verdictCells(i === rows.length - 1 ? figure : undefined),
      ]),
      notes: [
        'Processor time of cohd, all threads, while nobody asks for anything: medians of rounds. One node is real, the others',
        `are simulated; each renews its lease ${Math.round(1000 / renewEveryMs(STANDING_LEASE_MS))} times a second at each replica. NATS: of its server, for all.`,
      ],
    },
    measured: { replicas, shards, leaseMs: STANDING_LEASE_MS, rows },
  };
}
