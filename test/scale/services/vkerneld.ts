// Supervisors of virtual kernels: a node each. Programs are started and end, and processes are listed.

import type { Connection } from '@odonata/client/connection.ts';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { adminFolder } from '../../../services/vkctl/cluster/certificates.ts';
import { withCluster } from '../../bench/cluster.ts';
import { sum } from '../../bench/directory/cpu.ts';
import { within } from '../../bench/directory/holders.ts';
import { runGuest } from '../../bench/guest-run.ts';
import { addressOf, clusterRecord, pidOf } from '../cluster-record.ts';
import { ProcessMeter, residentBytes } from '../process-meter.ts';
import type { Meter, Pattern, Place, Round, ScaledService, Setting } from '../scaled-service.ts';
import { inTurnOrAtOnce, timedNs, together } from '../timed.ts';
import { vkernelPids } from './pmapd.ts';

interface Paced extends Pattern {
  kind: 'list' | 'start';
  /** One node after another: the cores of this machine are not shared by them. */
  inTurn: boolean;
}

const LISTS_UNDER_WAY = 16;
/** Processes of each node that a list shows. */
const ENDED = 10;
/** Of all nodes together. */
const OPERATIONS = { list: 2000, start: 24 };
const QUICK_OPERATIONS = { list: 400, start: 4 };

const LISTS = { kind: 'list', operation: 'list' } as const;
const STARTS = { kind: 'start', operation: 'start' } as const;
const PATTERNS: readonly Paced[] = [
  {
    ...{ ...LISTS, name: `lists of processes, ${LISTS_UNDER_WAY} under way, node after node` },
    ...{ warmUpsMost: 20, inTurn: true },
    cost: 'vkerneldListUs',
  },
  {
    ...{ ...LISTS, name: `lists of processes, ${LISTS_UNDER_WAY} under way at each node` },
    ...{ warmUpsMost: 2, inTurn: false },
  },
  {
    ...{ ...STARTS, name: 'starts of a program, node after node', warmUpsMost: 3, inTurn: true },
    ...{ cost: 'vkerneldStartUs', costBeside: 'vkernelStartUs' },
  },
  { ...STARTS, name: 'starts of a program, one at each node', warmUpsMost: 1, inTurn: false },
];

export const vkerneld: ScaledService = {
  name: 'vkerneld',
  patterns: PATTERNS,
  beside: 'virtual kernels',
  notes: [
    'A start: from the request at the router to the news of the exit of a small program; it costs the virtual kernel, which',
    'is a process of its own, most (BESIDE). Lists go to vkerneld by gRPC, a page of 10 processes each.',
  ],
  async withPlace(setting, replicas, use) {
    const { signal, progress } = setting;
    const cluster = { nodes: replicas, suffix: `-vkerneld${replicas}`, signal, progress };
    return await withCluster(cluster, async (to) => {
      const nodes = (await to.nodes()).map(({ name }) => name);
      const record = clusterRecord(to);
      const folder = adminFolder(record.plan);
      const clients = nodes.map((node) =>
        createClient(VkernelService, addressOf(record, `${node}/vkerneld`), { folder }),
      );
      try {
        const meter = new ProcessMeter({
          pids: new Map(nodes.map((node) => [node, pidOf(record, `${node}/vkerneld`)])),
          beside: () => vkernelPids(to, nodes),
          work: async () => nodes.map(() => undefined),
        });
        const place = await vkerneldPlace({ ...setting, to }, nodes, clients, meter);
        const moreCosts = async () => {
          const resident = (await vkernelPids(to, nodes)).map(residentBytes);
          return { vkernelMib: sum(resident) / resident.length / 2 ** 20 };
        };
        return await use({ ...place, moreCosts });
      } finally {
        for (const client of clients) client.close();
      }
    });
  },
};

/** @param clients of each node's vkerneld */
export async function vkerneldPlace(
  setting: Setting & { to: Connection },
  nodes: readonly string[],
  clients: readonly Client<typeof VkernelService>[],
  meter: Meter,
): Promise<Place> {
  // A virtual kernel and some ended processes each.
  for (const node of nodes) for (let i = 0; i < ENDED; i++) await runGuest(setting, node, 'hello', []);
  const ready = async (pattern: string): Promise<Round> => {
    const paced = PATTERNS.find(({ name }) => name === pattern)!;
    return { run: () => load(setting, paced, nodes, clients), end: async () => {} };
  };
  return { replicas: nodes.length, meter, ready };
}

async function load(
  setting: Setting & { to: Connection },
  { kind, inTurn }: Paced,
  nodes: readonly string[],
  clients: readonly Client<typeof VkernelService>[],
): Promise<number[]> {
  const { quick, signal } = setting;
  const each = Math.floor((quick ? QUICK_OPERATIONS : OPERATIONS)[kind] / nodes.length);
  const samplesNs: number[] = [];
  const timed = async (work: () => Promise<unknown>): Promise<void> => {
    samplesNs.push(await timedNs(work));
  };
  const atNodes = nodes.map((node, n) => async () => {
    if (kind === 'list')
      await together(each, LISTS_UNDER_WAY, () =>
        timed(() => clients[n]!.listProcesses({ pageSize: ENDED })),
      );
    else await together(each, 1, () => timed(() => runGuest(setting, node, 'hello', [])));
  });
  await within({ signal, what: `a round of ${kind}s` }, inTurnOrAtOnce(atNodes, inTurn));
  return samplesNs;
}
