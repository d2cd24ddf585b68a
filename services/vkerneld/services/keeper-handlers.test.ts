// Whose services are: others may neither see nor change them. And what is refused.
import { create } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import { ApplyRequestSchema, RestartPolicy } from '@odonata/proto/service/v1/service';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { StoredRecord } from '@odonata/services/record.ts';
import { beforeEach, expect, test } from 'vitest';
import { keeperHandlers } from './keeper-handlers.ts';

const records = new Map<string, { revision: number; value: StoredRecord }>();
let revision = 0;
const store = {
  list: async () => ({
    revision,
    wanted: [],
    entries: [...records].map(([key, kept]) => ({ key, ...kept })),
  }),
  swap: async (key: string, expected: number, value: StoredRecord | undefined) => {
    if ((records.get(key)?.revision ?? 0) !== expected) throw new RpcError(Code.Aborted, 'another revision');
    records.set(key, { revision: ++revision, value: value! });
    return revision;
  },
  putPart: async () => {},
};
const handlers = keeperHandlers({
  store,
  changed: () => {},
  members: async () => ['node1', 'node2'],
}) as Required<ReturnType<typeof keeperHandlers>>;
const as = (name: string, role = Role.USER): CallContext => ({
  caller: { cluster: '', role, name, groups: [] },
  scope: role === Role.USER ? 'own' : 'all',
  signal: new AbortController().signal,
  ...{ requestId: '', peer: '', log: silentLog() },
});
const wanted = (name: string, dependsOn: string[] = []) =>
  create(ApplyRequestSchema, {
    name,
    spec: {
      program: { name: 'p', digest: 'a'.repeat(64), bytes: 1n },
      ...{ restart: RestartPolicy.ALWAYS, restartMax: 1, restartDelayMs: 100, restartDelayMaxMs: 100 },
      dependsOn: dependsOn.map((service) => ({ service, condition: 1 })),
    },
  });
const names = async (ctx: CallContext) =>
  (await handlers.listServices({ user: '', name: '' } as never, ctx)).services!.map(
    ({ name, user }) => `${user}/${name}`,
  );

beforeEach(() => records.clear());

test('each has services of their own; others neither see nor change them, an admin does', async () => {
  expect(await handlers.apply(wanted('web'), as('alice'))).toMatchObject({ created: true, changed: true });
  expect(await handlers.apply(wanted('web'), as('alice'))).toMatchObject({ created: false, changed: false });
  await handlers.apply(wanted('web'), as('bob'));
  expect(await names(as('bob'))).toEqual(['bob/web']);
  expect(await names(as('root', Role.ADMIN))).toEqual(['alice/web', 'bob/web']);
  const alices = { name: 'web', user: 'alice', replicas: 2 } as never;
  for (const method of ['scale', 'restart', 'remove'] as const)
    await expect(handlers[method](alices, as('bob'))).rejects.toThrow(
      /service web belongs to alice, not to user bob/,
    );
  await handlers.scale(alices, as('root', Role.ADMIN));
  const { services } = await handlers.listServices({ user: 'alice', name: 'web' } as never, as('alice'));
  expect(services![0]).toMatchObject({ replicas: 2 });
});

test('what is refused: services that wait for each other, names, one that is not there', async () => {
  await handlers.apply(wanted('a', ['b']), as('alice'));
  await handlers.apply(wanted('b', ['c']), as('alice'));
  await expect(handlers.apply(wanted('c', ['a']), as('alice'))).rejects.toThrow(
    'c would wait for itself: c -> a -> b -> c',
  );
  await expect(handlers.apply(wanted('-'), as('alice'))).rejects.toThrow(/use 1 to 24 of a-z 0-9 -/);
  await expect(handlers.remove({ name: 'x', user: '' } as never, as('alice'))).rejects.toThrow(
    /no service "x" of alice/,
  );
});

test('replicas that no node may take: how many, and why', async () => {
  const apply = async (replicas: number, maxPerNode: number, nodes: string[]) => {
    const request = wanted('web');
    Object.assign(request.spec!, { maxPerNode, nodes });
    const { unplaced } = await handlers.apply({ ...request, replicas }, as('alice'));
    const { services } = await handlers.listServices({ user: '', name: '' } as never, as('alice'));
    expect(services![0]!.unplaced).toEqual(unplaced);
    return unplaced;
  };
  expect(await apply(5, 1, ['node1', 'node9'])).toEqual({
    replicas: 4,
    why: 'of the 2 nodes named node9 is not in the cluster now, and at most 1 each (placement.max_replicas_per_node)',
  });
  expect(await apply(3, 1, [])).toEqual({
    replicas: 1,
    why: 'the cluster has 2 nodes, and at most 1 each (placement.max_replicas_per_node)',
  });
  expect(await apply(1, 0, ['node9'])).toEqual({
    replicas: 1,
    why: 'node9, the only node named, is not in the cluster now',
  });
  expect(await apply(3, 0, ['node1'])).toBeUndefined();
  // One that has a node is no trouble; nor one that waits for another service.
  records.set('i/alice/web/0', {
    revision: ++revision,
    value: {
      ...{
        kind: 'instance',
        owner: 'alice',
        service: 'web',
        replica: 0,
        node: 'node1',
        epoch: 1,
        generation: 1,
      },
      ...{ state: 'running', pid: '', lastPid: '', restarts: 0, code: 0, reason: '', moves: 0 },
    },
  });
  records.set('n/node1', {
    revision: ++revision,
    value: { kind: 'node', node: 'node1', epoch: 1, deposed: false, beat: 0 },
  });
  expect(await apply(2, 1, ['node1'])).toMatchObject({ replicas: 1 });
  expect(
    (await handlers.apply({ ...wanted('late', ['none']), replicas: 5 }, as('alice'))).unplaced,
  ).toBeUndefined();
});
