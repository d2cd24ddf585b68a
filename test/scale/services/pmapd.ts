// pmap managers: a node each. Real programs touch pages that are resident on their node and not mapped yet, so each
// access is a fault that pmapd serves by itself.

import type { Connection } from '@odonata/client/connection.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { withCluster } from '../../bench/cluster.ts';
import { within } from '../../bench/directory/holders.ts';
import { type RunningGuest, startGuest } from '../../bench/guest-run.ts';
import { freshName, loadOn } from '../../bench/shared-memory.ts';
import { clusterRecord, pidOf } from '../cluster-record.ts';
import { ProcessMeter } from '../process-meter.ts';
import type { Pattern, Place, Round, ScaledService, Setting } from '../scaled-service.ts';
import { inTurnOrAtOnce } from '../timed.ts';

/** Further apart than one fault maps, and in an order that does not look sequential. */
const STRIDE_PAGES = 19;
/** Of all nodes together. */
const FAULTS = 4800;
const QUICK_FAULTS = 240;

interface Paced extends Pattern {
  /** One node after another: the cores of this machine are not shared by them. */
  inTurn: boolean;
}

const PATTERNS: readonly Paced[] = [
  {
    name: 'faults, a program a node, node after node',
    operation: 'fault',
    warmUpsMost: 6,
    inTurn: true,
    cost: 'pmapdFaultUs',
  },
  { name: 'faults, a program a node, all at once', operation: 'fault', warmUpsMost: 2, inTurn: false },
];

interface TouchLine {
  raw: number[];
}

export const pmapd: ScaledService = {
  name: 'pmapd',
  patterns: PATTERNS,
  beside: 'virtual kernels',
  notes: [
    `Programs read pages of a dataspace that are on their node, ${STRIDE_PAGES} apart: each access is a fault that goes through the`,
    "virtual kernel's fault thread to pmapd and back as a mapping. p50 and p99 are as the program sees them.",
  ],
  async withPlace(setting, replicas, use) {
    const { signal, progress } = setting;
    const cluster = { nodes: replicas, suffix: `-pmapd${replicas}`, signal, progress };
    return await withCluster(cluster, async (to) => {
      const nodes = (await to.nodes()).map(({ name }) => name);
      const record = clusterRecord(to);
      const meter = new ProcessMeter({
        pids: new Map(nodes.map((node) => [node, pidOf(record, `${node}/pmapd`)])),
        beside: () => vkernelPids(to, nodes),
        work: () =>
          Promise.all(
            nodes.map(async (node) => {
              const { faults } = await to.pmapd(node).getNodeStats({});
              return Number(faults.node?.count ?? 0n);
            }),
          ),
      });
      const dataspace = freshName('scale');
      const pages = faultsOf(setting, replicas) * STRIDE_PAGES;
      for (const node of nodes)
        await loadOn({ ...setting, to }, node, `${dataspace}-${node}`, pages * PAGE_BYTES);
      return await use({
        replicas,
        meter,
        ready: (pattern) => ready({ ...setting, to }, nodes, dataspace, pages, pattern),
      } satisfies Place);
    });
  },
};

/** Of one node. */
const faultsOf = ({ quick }: Setting, replicas: number): number =>
  Math.floor((quick ? QUICK_FAULTS : FAULTS) / replicas);

export async function vkernelPids(to: Connection, nodes: readonly string[]): Promise<number[]> {
  const lists = await Promise.all(nodes.map((node) => to.vkerneld(node).listVkernels({})));
  return lists.flatMap(({ vkernels }) => vkernels.map(({ hostPid }) => hostPid));
}

async function ready(
  setting: Setting & { to: Connection },
  nodes: readonly string[],
  dataspace: string,
  pages: number,
  pattern: string,
): Promise<Round> {
  const { inTurn } = PATTERNS.find(({ name }) => name === pattern)!;
  const each = Math.floor(pages / STRIDE_PAGES);
  const guests: RunningGuest[] = [];
  for (const node of nodes) {
    const args = [
      `${dataspace}-${node}`,
      pages,
      'read',
      `stride=${STRIDE_PAGES}`,
      '--count',
      each,
      '--raw',
      '--wait',
    ];
    guests.push(await startGuest(setting, node, 'touch', args));
  }
  for (const guest of guests) await guest.line();
  return {
    run: async () => {
      const samplesNs: number[] = [];
      const touches = guests.map((guest) => async () => {
        await guest.go();
        samplesNs.push(...(await guest.line<TouchLine>()).raw);
      });
      await within({ signal: setting.signal, what: 'a round of faults' }, inTurnOrAtOnce(touches, inTurn));
      return samplesNs;
    },
    end: async () => {
      await Promise.all(guests.map((guest) => guest.end()));
    },
  };
}
