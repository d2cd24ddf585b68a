// The directory alone: real replicas, NATS and streams, and holders that are simulated (directory/README.md).
import { withCluster } from './cluster.ts';
import { failover, LEASE_MS } from './directory/failover.ts';
import { type Place, placeOf } from './directory/holders.ts';
import { replicas } from './directory/replicas.ts';
import {
  QUICK_STANDING,
  STANDING,
  STANDING_LEASE_MS,
  type Standing,
  standing,
} from './directory/standing.ts';
import { throughput } from './directory/throughput.ts';
import { upgrade } from './directory/upgrade.ts';
import type { Part, Setting } from './part.ts';

/** Beside the cluster of the part itself, which has one. */
const MORE_REPLICAS = [2, 4];
const QUICK_MORE_REPLICAS = [2];

export const directory: Part = {
  title: 'Directory',
  nodes: () => 1,
  async run(setting) {
    const alone = await placeOf(setting.to);
    const { figures, table, measured } = await throughput(setting, alone);
    const shared = await upgrade(setting, alone);
    const counts = setting.quick ? QUICK_MORE_REPLICAS : MORE_REPLICAS;
    const loaded = await withReplicas(setting, counts, async (places) => {
      const cost = await replicas(setting, [alone, ...places]);
      const killed = await failover(setting, places[0]!);
      return {
        figures: [...figures, ...cost.figures, ...killed.figures],
        tables: [table, cost.table, killed.table, shared.table],
        measured: {
          throughput: measured,
          replicas: cost.measured,
          failover: killed.measured,
          upgrade: shared.measured,
        },
      };
    });
    const idle = await idling(setting);
    return {
      figures: [...loaded.figures, ...idle.figures],
      tables: [...loaded.tables, idle.table],
      measured: { ...loaded.measured, standing: idle.measured },
    };
  },
};

/** With no other cluster beside it: they would share the cores. */
async function idling(setting: Setting): Promise<Standing> {
  const { signal, progress, quick } = setting;
  const { replicas: directories } = quick ? QUICK_STANDING : STANDING;
  const options = { nodes: 1, directories, leaseMs: STANDING_LEASE_MS, suffix: '-idle', signal, progress };
  return await withCluster(options, async (to) => await standing(setting, await placeOf(to)));
}

/** A cluster for each of these numbers of replicas, side by side. */
async function withReplicas<T>(
  setting: Setting,
  counts: number[],
  use: (places: Place[]) => Promise<T>,
  places: Place[] = [],
): Promise<T> {
  const [count, ...rest] = counts;
  if (count === undefined) return await use(places);
  const { signal, progress } = setting;
  const options = { nodes: 1, directories: count, leaseMs: LEASE_MS, suffix: `-${count}`, signal, progress };
  return await withCluster(options, async (to) =>
    withReplicas(setting, rest, use, [...places, await placeOf(to)]),
  );
}
