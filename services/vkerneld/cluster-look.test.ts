// What /proc is told: of all nodes that answer, and of that what is the person's.
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { LookAt } from '@odonata/proto/vkernel/v1/vkernel';
import { createLog } from '@odonata/rpc/log.ts';
import { expect, test } from 'vitest';
import { ClusterLooks } from './cluster-look.ts';

const processOf = (pid: bigint, user: string, node: string) => ({ pid, user, node, vkernel: 'default' });
const byNode: Record<string, ReturnType<typeof processOf>[]> = {
  'node1/vkerneld': [processOf(100_001n, 'alice', 'node1'), processOf(100_002n, 'bob', 'node1')],
  'node2/vkerneld': [processOf(200_001n, 'alice', 'node2')],
};
const syslink = {
  listEndpoints: async () => [
    ...['node1', 'node2', 'node3'].map((node) => ({ name: `${node}/vkerneld`, kind: EndpointKind.VKERNEL })),
    ...['node1', 'node2'].map((node) => ({ name: `${node}/pmapd`, kind: EndpointKind.PMAP })),
  ],
  client: (_service: unknown, { name }: { name: string }) => ({
    listProcesses: async () => {
      if (name === 'node3/vkerneld') throw new Error('away');
      return { processes: byNode[name], nextPageToken: '' };
    },
    listVkernels: async () => ({
      vkernels: ['alice', 'bob'].map((user) => ({ name: 'default', user, node: name.split('/')[0] })),
    }),
    listVmspaces: async () => ({
      vmspaces: [
        { pid: 100_001n, vmspace: 1n },
        { pid: 100_002n, vmspace: 2n },
      ],
      nextPageToken: '',
    }),
    getNodeStats: async () => ({ node: name, nodeIndex: 1, vkernels: ['bob/default'] }),
  }),
};

async function look(at: LookAt, pid = 0n): Promise<Record<string, unknown>> {
  const told: { value: Record<string, unknown> }[] = [];
  const child = { key: 'alice/default', user: 'alice', send: (order: never) => told.push(order) };
  await new ClusterLooks(() => syslink as never, createLog('test', 'fatal')).serve(
    child as never,
    { number: 7, at, pid } as never,
  );
  expect(told).toHaveLength(1);
  expect(told[0]!.value.number).toBe(7);
  return told[0]!.value;
}

test('processes and virtual kernels are the person’s; a node that is away is left out', async () => {
  const { processes } = await look(LookAt.PROCESSES);
  expect((processes as { pid: bigint }[]).map(({ pid }) => pid)).toEqual([100_001n, 200_001n]);
  const { vkernels } = await look(LookAt.VKERNELS);
  expect((vkernels as { user: string }[]).map(({ user }) => user)).toEqual(['alice', 'alice', 'alice']);
});

test('memory of somebody else’s process is not there; whose virtual kernels a node has is not told', async () => {
  expect(await look(LookAt.MEMORY, 100_001n)).toMatchObject({ vmspaces: [{ vmspace: 1n }] });
  expect(await look(LookAt.MEMORY, 100_002n)).toEqual({ number: 7, errno: 44 });
  expect((await look(LookAt.NODES)).nodes).toMatchObject([{ vkernels: [] }, { vkernels: [] }]);
});
