// Vmspaces made by hand: whose they are, what is refused and how, what is bounded, and what is told of them.
import { Advice, EventKind } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { collectGarbage, heapBytes } from '@odonata/rpc/heap.ts';
import { afterEach, expect, test } from 'vitest';
import { adoptChunks, chunksAhead } from './handmade/carry.ts';
import { HandmadeVmspaces } from './handmade/handmade-table.ts';
import { HANDMADE_ENTRIES_MAX } from './handmade/owner.ts';
import { OneNode, personIs } from './testdata/one-node.ts';

const PAGE = 4_096n;
const alice = personIs('alice');
const bob = personIs('bob');

let one: OneNode;
const start = (...about: ConstructorParameters<typeof OneNode>): OneNode => {
  one = new OneNode(...about);
  return one;
};
afterEach(() => one.close());

const refusal = async (call: () => unknown): Promise<{ code: Code | undefined; details: string }> => {
  try {
    await call();
    return { code: undefined, details: 'it was not refused' };
  } catch (error) {
    const { code, details } = error as RpcError;
    return { code, details };
  }
};

async function made(name = '', ctx = alice, idleMs = 0): Promise<bigint> {
  return (await one.calls.vmspaceCreate({ name, sizeBytes: 1n << 30n, idleMs } as never, ctx)).vmspace!;
}

const mmap = (vmspace: bigint, about: object = {}, ctx = alice) =>
  one.calls.vmspaceMmap(
    {
      ...{ vmspace, address: PAGE, lengthBytes: PAGE, dataspace: '', offsetBytes: 0n, writable: true },
      ...about,
    } as never,
    ctx,
  );

const pwrite = (vmspace: bigint, data: Uint8Array, address = PAGE) =>
  one.calls.vmspacePwrite({ vmspace, address, data } as never, alice);

const hits = () => one.node.events.all().filter(({ kind }) => kind === 'limit-hit');

test('one belongs to who made it, on whatever connection', async () => {
  const { calls } = start();
  const vmspace = await made('a');
  await mmap(vmspace);
  await pwrite(vmspace, new Uint8Array([1, 2]));
  const read = { vmspace, address: PAGE, length: 2 } as never;
  expect((await calls.vmspacePread(read, personIs('alice'))).data).toEqual(Buffer.from([1, 2]));
  for (const call of [
    () => calls.vmspacePread(read, bob),
    () => calls.vmspaceDestroy({ vmspace } as never, bob),
    () => mmap(vmspace, { address: 2n * PAGE }, bob),
    () => calls.listResidentPages({ vmspace, pageSize: 0, pageToken: '' } as never, bob),
    () =>
      calls
        .watchVmspace({ vmspace, kinds: [], backlog: 0, limit: 0n } as never, bob)
        [Symbol.asyncIterator]()
        .next(),
  ])
    expect(await refusal(call)).toEqual({
      code: Code.PermissionDenied,
      details: expect.stringContaining('belongs to alice'),
    });
  expect((await calls.listVmspaces({ pageSize: 0, pageToken: '' } as never, bob)).vmspaces).toEqual([]);
  // A name is its owner's.
  expect((await refusal(() => made('a'))).code).toBe(Code.AlreadyExists);
  await made('a', bob);
});

test('a dataspace is mapped with the rights of who maps it', async () => {
  start({}, (user) => user === 'alice');
  await one.dataspace('d');
  expect((await refusal(async () => mmap(await made('', bob), { dataspace: 'd' }, bob))).code).toBe(
    Code.PermissionDenied,
  );
  const vmspace = await made('', bob);
  await mmap(vmspace, { dataspace: 'd', writable: false }, bob);
  const write = { vmspace, address: PAGE, data: new Uint8Array(1) } as never;
  expect((await refusal(() => one.calls.vmspacePwrite(write, bob))).code).toBe(Code.PermissionDenied);
});

test('what a call waits for is in use, and is not changed under it', async () => {
  const { node, calls } = start();
  await one.dataspace('d');
  const vmspace = await made();
  await mmap(vmspace, { dataspace: 'd' });
  node.handmade.get(vmspace)!.busy = 1;
  const range = { vmspace, address: PAGE, lengthBytes: PAGE };
  for (const call of [
    () => calls.vmspaceDestroy({ vmspace } as never, alice),
    () => calls.vmspaceMunmap(range as never, alice),
    () => calls.vmspaceMcontrol({ ...range, advice: Advice.SETMAP, value: 0n } as never, alice),
  ])
    expect(await refusal(call)).toEqual({
      code: Code.FailedPrecondition,
      details: expect.stringContaining('in use'),
    });
  node.handmade.get(vmspace)!.busy = 0;
  await calls.vmspaceDestroy({ vmspace } as never, alice);
  expect((await refusal(() => calls.vmspaceMunmap(range as never, alice))).code).toBe(Code.NotFound);
});

test('each limit says who hit it and how to raise it, once as an answer and once as an event', async () => {
  start({ vmspaces: 2, vmspaceBytes: 8_192 } as never);
  const [first] = [await made(), await made()];
  const many = await refusal(() => made());
  expect(many).toEqual({
    code: Code.ResourceExhausted,
    details: expect.stringContaining('--vmspaces of pmapd'),
  });
  await made('', bob);
  await mmap(first!, { lengthBytes: 4n * PAGE });
  const memory = await refusal(() => pwrite(first!, new Uint8Array(12_288)));
  expect(memory).toEqual({
    code: Code.ResourceExhausted,
    details: expect.stringContaining('--vmspace-bytes'),
  });
  // All or nothing.
  expect(one.node.handmade.privatePages).toBe(0);
  await pwrite(first!, new Uint8Array(8_192));
  for (let i = 1; i < HANDMADE_ENTRIES_MAX; i++)
    await mmap(first!, { address: (10n + 2n * BigInt(i)) * PAGE });
  const entries = await refusal(() => mmap(first!, { address: 1n << 29n }));
  expect(entries.code).toBe(Code.ResourceExhausted);
  // A hole in the middle takes one more.
  const hole = { vmspace: first, address: 2n * PAGE, lengthBytes: PAGE } as never;
  expect((await refusal(() => one.calls.vmspaceMunmap(hole, alice))).code).toBe(Code.ResourceExhausted);
  expect(hits().map(({ subject }) => subject?.limit)).toEqual([
    'handmade-vmspaces',
    'handmade-memory',
    'handmade-entries',
    'handmade-entries',
  ]);
  expect(
    hits().every(({ subject, text }) => subject?.who === 'user:alice' && text?.startsWith('user:alice: ')),
  ).toBe(true);
});

test('who hits a limit again and again fills no log', async () => {
  start({ vmspaces: 1 } as never);
  await made();
  for (let i = 0; i < 50; i++) expect((await refusal(() => made())).code).toBe(Code.ResourceExhausted);
  expect(hits()).toHaveLength(3);
});

test('one that nobody uses ends; one that is watched, or waits for pages, does not', async () => {
  const { node, calls } = start();
  const [idle, watched, busy] = [
    await made('', alice, 1_000),
    await made('', alice, 1_000),
    await made('', alice, 1_000),
  ];
  const watch = calls
    .watchVmspace({ vmspace: watched, kinds: [], backlog: 0, limit: 0n } as never, alice)
    [Symbol.asyncIterator]();
  await watch.next();
  node.handmade.get(busy!)!.busy = 1;
  const { lastUsedMs } = node.handmade.get(idle!)!;
  node.handmade.look(lastUsedMs + 999);
  expect(node.handmade.count).toBe(3);
  node.handmade.look(lastUsedMs + 1_001);
  expect([...node.handmade.all()].map(({ id }) => id)).toEqual([watched, busy]);
  expect(node.events.all().map(({ kind }) => kind)).toContain('vmspace-idle');
  await watch.return?.(undefined);
  node.handmade.look(lastUsedMs + 9_000);
  expect([...node.handmade.all()].map(({ id }) => id)).toEqual([busy]);
});

test('a watch tells what it is asked for, and how much a slow reader lost', async () => {
  const { node, calls } = start();
  const vmspace = await made();
  await mmap(vmspace, { lengthBytes: 64n * PAGE });
  const about = { vmspace, kinds: [EventKind.FAULT], backlog: 4, limit: 0n } as never;
  const watch = calls.watchVmspace(about, alice)[Symbol.asyncIterator]();
  expect((await watch.next()).value).toEqual({});
  node.watches.tell(vmspace, { kind: EventKind.SIGNAL, name: 'SIGTERM' });
  for (let i = 0; i < 10; i++) await pwrite(vmspace, new Uint8Array([1]), PAGE * BigInt(1 + i));
  const seen = [];
  for (let i = 0; i < 4; i++) seen.push((await watch.next()).value);
  expect(seen.map(({ event }) => event.address)).toEqual([PAGE, 2n * PAGE, 3n * PAGE, 4n * PAGE]);
  await pwrite(vmspace, new Uint8Array([1]), 20n * PAGE);
  expect((await watch.next()).value).toMatchObject({
    droppedEvents: 6n,
    event: { address: 20n * PAGE, write: true },
  });
  expect(hits()).toMatchObject([{ subject: { limit: 'watch-backlog', who: 'user:alice' } }]);
  // The vmspace goes, and the stream ends.
  await calls.vmspaceDestroy({ vmspace } as never, alice);
  expect((await watch.next()).done).toBe(true);
  expect(node.watches.size).toBe(0);
});

test('watches are bounded, and whoever goes away makes room', async () => {
  const { node, calls } = start();
  const vmspace = await made();
  const follow = async (ctx = alice) => {
    const about = { vmspace, kinds: [], backlog: 0, limit: 0n } as never;
    const watch = calls.watchVmspace(about, ctx)[Symbol.asyncIterator]();
    await watch.next();
    return watch;
  };
  const all = [];
  for (let i = 0; i < 16; i++) all.push(await follow());
  expect((await refusal(() => follow())).code).toBe(Code.ResourceExhausted);
  await all[0]!.return?.(undefined);
  const gone = new AbortController();
  const last = await follow(personIs('alice', gone.signal));
  const waits = last.next();
  gone.abort();
  expect((await waits).done).toBe(true);
  expect(node.watches.size).toBe(15);
});

test('a list that goes on where it stopped misses nothing and says nothing twice', async () => {
  const { calls } = start();
  const vmspace = await made();
  await mmap(vmspace, { lengthBytes: 64n * PAGE });
  for (let page = 1n; page < 64n; page += 2n) await pwrite(vmspace, new Uint8Array([1]), page * PAGE);
  const seen: bigint[] = [];
  let pageToken = '';
  do {
    const answer = await calls.listResidentPages({ vmspace, pageSize: 5, pageToken } as never, alice);
    seen.push(...answer.runs!.map(({ address }) => address!));
    pageToken = answer.nextPageToken!;
  } while (pageToken !== '');
  expect(seen).toEqual(Array.from({ length: 32 }, (_, i) => BigInt(2 * i + 1) * PAGE));
});

const many = (count: number, about: object = {}, ctx = alice) =>
  one.calls.vmspaceCreateMany(
    { count, sizeBytes: 1n << 30n, idleMs: 0, entries: [], ...about } as never,
    ctx,
  );

const end = (firstVmspace: bigint, count: number, ctx = alice) =>
  one.calls.vmspaceDestroyMany({ firstVmspace, count } as never, ctx);

const privately = (page: bigint) => ({
  ...{
    address: page * PAGE,
    lengthBytes: PAGE,
    dataspace: '',
    offsetBytes: 0n,
    writable: true,
    stepBytes: 0n,
  },
});

test('many are made at once, each maps what it is told, and many end at once', async () => {
  start({ vmspaces: 8 });
  await one.dataspace('d');
  const shared = { ...privately(1n), dataspace: 'd', stepBytes: PAGE };
  const { firstVmspace: first } = await many(4, { entries: [privately(2n), shared] });
  for (let i = 0n; i < 4n; i++) {
    const page = { vmspace: first! + i, pageSize: 0, pageToken: '' } as never;
    const { entries } = await one.calls.listMapEntries(page, alice);
    expect(entries!.map(({ address, dataspace, offsetBytes }) => [address, dataspace, offsetBytes])).toEqual([
      [PAGE, 'd', i * PAGE],
      [2n * PAGE, '', 0n],
    ]);
    await pwrite(first! + i, Uint8Array.of(Number(i) + 1));
  }
  // What one wrote through its map entry is where the dataspace says.
  const whole = await made();
  await mmap(whole, { dataspace: 'd', lengthBytes: 4n * PAGE });
  for (let i = 0n; i < 4n; i++) {
    const read = { vmspace: whole, address: (1n + i) * PAGE, length: 1 } as never;
    expect((await one.calls.vmspacePread(read, alice)).data![0]).toBe(Number(i) + 1);
  }
  // All or none.
  expect((await refusal(() => many(4))).code).toBe(Code.ResourceExhausted);
  const past = { ...shared, offsetBytes: PAGE };
  expect((await refusal(() => many(4, { entries: [past] }, bob))).code).toBe(Code.OutOfRange);
  expect((await refusal(() => many(1, { entries: [shared, shared] }, bob))).code).toBe(Code.AlreadyExists);
  expect(one.node.handmade.count).toBe(5);
  const bobs = (await many(1, {}, bob)).firstVmspace!;
  expect((await refusal(() => end(first!, 10))).code).toBe(Code.PermissionDenied);
  one.node.handmade.get(first!)!.busy = 1;
  expect((await refusal(() => end(first!, 4))).code).toBe(Code.FailedPrecondition);
  one.node.handmade.get(first!)!.busy = 0;
  expect(one.node.handmade.count).toBe(6);
  await one.calls.vmspaceDestroy({ vmspace: first! + 1n } as never, alice);
  expect(await end(first!, 4)).toEqual({ count: 3 });
  expect([...one.node.handmade.all()].map(({ id }) => id)).toEqual([whole, bobs]);
});

test('20,000 with three map entries each take 300 bytes each at most, are listed in small turns, and give all back', async () => {
  const count = 20_000;
  start({ vmspaces: count, nodeVmspaces: count });
  await one.dataspace('d');
  const entries = [privately(1n), privately(3n), { ...privately(5n), dataspace: 'd' }];
  collectGarbage();
  const before = heapBytes();
  for (let made = 0; made < count; made += 4_000) await many(4_000, { entries });
  collectGarbage();
  expect((heapBytes() - before) / count).toBeLessThan(300);
  expect((await refusal(() => many(1, {}, bob))).details).toContain('--node-vmspaces of pmapd');
  let turns = 0;
  const turn = () => {
    turns++;
    turning = setImmediate(turn);
  };
  let turning = setImmediate(turn);
  const seen: bigint[] = [];
  for (let pageToken = ''; ; ) {
    const page = { pageSize: 1_000, pageToken } as never;
    const { vmspaces, nextPageToken } = await one.calls.listVmspaces(page, alice);
    seen.push(...vmspaces!.map(({ vmspace }) => vmspace!));
    pageToken = nextPageToken!;
    if (pageToken === '') break;
  }
  expect(seen).toEqual(Array.from({ length: count }, (_, i) => BigInt(i + 1)));
  // Nothing of it is bob's: all are looked at, and others get their turns.
  turns = 0;
  expect((await one.calls.listVmspaces({ pageSize: 1, pageToken: '' } as never, bob)).vmspaces).toEqual([]);
  expect(turns).toBeGreaterThanOrEqual(2);
  clearImmediate(turning);
  for (let first = 1n; first < count; first += 4_000n)
    expect(await end(first, 4_000)).toEqual({ count: 4_000 });
  collectGarbage();
  expect(heapBytes() - before).toBeLessThan(3 << 20);
});

test('rows that were damaged on their way are no rows; another layout is none that is understood', async () => {
  start();
  await made('a');
  const options = (one.node.handmade as unknown as { o: ConstructorParameters<typeof HandmadeVmspaces>[0] })
    .o;
  const next = new HandmadeVmspaces(options);
  const [part] = chunksAhead(one.node.handmade);
  const [chunk] = part!.chunks as { columns: Uint8Array }[];
  adoptChunks(next, { ...part, layout: 2 } as never);
  expect(next.count).toBe(0);
  adoptChunks(next, part as never);
  expect(next.count).toBe(1);
  chunk!.columns[77]! ^= 1;
  expect(() => adoptChunks(next, part as never)).toThrow('is damaged');
  expect(() =>
    adoptChunks(next, { ...part, chunks: [{ ...chunk, columns: Uint8Array.of(1) }] } as never),
  ).toThrow();
  next.letGo();
});

test('what was mapped of a dataspace that is removed while they are handed over is mapped no more', async () => {
  start();
  await one.dataspace('d');
  await one.dataspace('e');
  const entries = [privately(1n), { ...privately(2n), dataspace: 'd' }, { ...privately(3n), dataspace: 'e' }];
  const { firstVmspace: first } = await many(3, { entries });
  await pwrite(first!, Uint8Array.of(9));
  one.beginMove(1);
  await one.calls.vmspaceDestroy({ vmspace: first! + 1n } as never, alice);
  one.endMove((id) => one.node.memory.get(id)!.name !== 'd');
  const names = async (vmspace: bigint) => {
    const { entries: left } = await one.calls.listMapEntries(
      { vmspace, pageSize: 0, pageToken: '' } as never,
      alice,
    );
    return left!.map(({ address, dataspace }) => [address, dataspace]);
  };
  for (const vmspace of [first!, first! + 2n])
    expect(await names(vmspace)).toEqual([
      [PAGE, ''],
      [3n * PAGE, 'e'],
    ]);
  const read = { vmspace: first, address: PAGE, length: 1 } as never;
  expect((await one.calls.vmspacePread(read, alice)).data![0]).toBe(9);
  // It counts on: the limits are what they were.
  await mmap(first!, { address: 2n * PAGE });
  expect(one.node.handmade.entries).toBe(5);
  expect(await end(first!, 3)).toEqual({ count: 2 });
  expect([one.node.handmade.entries, one.node.handmade.privatePages]).toEqual([0, 0]);
});
