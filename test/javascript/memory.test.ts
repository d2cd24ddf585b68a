// Dataspaces in a program of Node on a node of a cluster: coherent with guests, with locks, waits and wakes; whose they are; and
// what becomes of a program, or of its memory, when something dies.
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, Code, clientReason, connect, type OpenDataspace, RpcError } from '@odonata/client';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { identityIn } from '../cluster/identities.ts';
import { startNode } from './node-program.ts';

vi.setConfig({ testTimeout: 120_000 });

const PAGE = 4096;
const O_TMPFILE = 0o20200000;
const POISON = 0xdbdbdbdb | 0;
const node = 'node1';

let there: TestCluster;
let cluster: Cluster;
beforeAll(async () => {
  there = await TestCluster.up({ nodes: 2 });
  cluster = await connect({ cluster: there.cluster });
}, 150_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await there.down();
}, 90_000);

const codeOf = (promise: Promise<unknown>): Promise<Code | undefined> =>
  promise.then(
    () => Code.Ok,
    (error) => (error as RpcError).code,
  );
const words = async (of: OpenDataspace): Promise<Int32Array> => new Int32Array(await of.map());
const peeked = async (name: string, offset: number, count = 1, on = 'node2'): Promise<number[]> =>
  (await there.json<{ words: number[] }>(on, 'peek', [name, `${offset}`, `${count}`])).words;
/** Vmspaces of programs outside of virtual kernels on node1. */
const programSpaces = async () =>
  (await cluster.connection.pmapd(node).listVmspaces({ pageSize: 1000 })).vmspaces.filter(({ vkernel }) =>
    vkernel.includes(':'),
  );

test('what a guest of another node writes is read here, and the other way', async () => {
  await using text = await cluster.open('text', { sizeBytes: 4 * PAGE, node });
  const bytes = await text.map();
  expect(bytes).toBeInstanceOf(SharedArrayBuffer);
  expect([bytes.byteLength, text.sizeBytes, text.readOnly]).toEqual([65_536, 4 * PAGE, false]);
  const here = new Int32Array(bytes);
  for (const value of [1, 2, 3]) {
    await there.output('node2', 'peek', ['text', `${PAGE}`, '--write', `${value}`]);
    expect(here[PAGE / 4]).toBe(value);
    here[PAGE / 4] = value + 100;
    expect(await peeked('text', PAGE)).toEqual([value + 100]);
  }
  // Copies, for sockets and files.
  await text.write(2 * PAGE - 2, Buffer.from('hello'));
  expect(Buffer.from(await text.read(2 * PAGE - 2, 5)).toString()).toBe('hello');
  expect(await peeked('text', 2 * PAGE)).toEqual([Buffer.from('llo\0').readInt32LE()]);
  expect(await codeOf(text.read(4 * PAGE - 1, 2))).toBe(Code.OutOfRange);
  expect(await text.use((shared) => new Uint8Array(shared)[2 * PAGE])).toBe('l'.charCodeAt(0));
});

test('a page that is not there, handed to a file as it is, is EFAULT; a copy of it goes', async () => {
  await using cold = await cluster.open('cold', { sizeBytes: 4 * PAGE, node });
  const untouched = new Uint8Array(await cold.map(), 0, PAGE);
  const file = openSync('/dev/shm', O_TMPFILE | constants.O_RDWR);
  try {
    expect(() => writeSync(file, untouched)).toThrow('EFAULT');
    expect(writeSync(file, await cold.read(0, PAGE))).toBe(PAGE);
  } finally {
    closeSync(file);
  }
});

test('atomic additions of a guest and of this program at the same time: none is lost', async () => {
  await using tally = await cluster.open('tally', { sizeBytes: 4 * PAGE, node });
  const here = await words(tally);
  const guest = there.output('node2', 'counter', ['tally', 'atomic', '20000']);
  for (let i = 0; i < 20_000; i++) {
    Atomics.add(here, 0, 1);
    if (i % 1000 === 0) await sleep(1);
  }
  await guest;
  const { seen } = await there.json('node2', 'counter', ['tally', 'read']);
  expect([seen, here[0]]).toEqual([40_000, 40_000]);
});

test('a part of a dataspace: nothing is read or written past what is mapped, and what is no number is refused', async () => {
  await cluster.dataspaces.create('part', 8 * PAGE, { node });
  await using part = await cluster.open('part', { node, offset: PAGE, length: 2 * PAGE });
  await there.output('node2', 'peek', ['part', `${3 * PAGE}`, '--write', '5']);
  expect((await part.read()).length).toBe(2 * PAGE);
  expect(await codeOf(part.read(3 * PAGE, 4))).toBe(Code.OutOfRange);
  expect(await codeOf(part.read(0, 4))).toBe(Code.OutOfRange);
  expect(await codeOf(part.write(3 * PAGE - 1, Buffer.from('hi')))).toBe(Code.OutOfRange);
  expect(await codeOf(part.wait(3 * PAGE, 0, { timeoutMs: 1 }))).toBe(Code.OutOfRange);
  await part.write(3 * PAGE - 2, Buffer.from('hi'));
  expect(await peeked('part', 3 * PAGE - 4, 2)).toEqual([Buffer.from('\0\0hi').readInt32LE(), 5]);
  expect(await part.wait(PAGE, 0, { timeoutMs: 0.5 })).toBe('timed-out');
  const bad = [{ offset: -PAGE }, { length: -PAGE }, { offset: 0.5 }, { sizeBytes: Number.NaN }];
  for (const options of bad)
    expect(await codeOf(cluster.open('part', { node, ...options }))).toBe(Code.InvalidArgument);
  expect(await codeOf(part.lock({ timeoutMs: -1 }))).toBe(Code.InvalidArgument);
});

test('range locks: those of guests keep this program out, and its own keep out guests, until they are given back', async () => {
  await using locked = await cluster.open('locked', { sizeBytes: 1 << 20, node });
  const tried = async () =>
    JSON.parse(
      (await there.output('node2', 'rangelock', ['locked', '0', '4095', 'exclusive', '0'])).split('\n')[0]!,
    ).locked;
  {
    await using _held = await locked.lock({ offset: 100, length: 100 });
    expect(await tried()).toBe(false);
    // Who opens it once more is somebody else.
    await using again = await cluster.open('locked', { node });
    expect(await codeOf(again.lock({ timeoutMs: 0 }))).toBe(Code.DeadlineExceeded);
    await (await again.lock({ offset: 200, length: 100 })).release();
  }
  expect(await tried()).toBe(true);
  const holder = await there.start('node2', 'rangelock', [
    ...['locked', '0', '4095', 'exclusive', '-1', '--hold', '--dirty', '1', '--value', '9'],
  ]);
  await holder.wrote(/"dirty":1/);
  expect(await codeOf(locked.lock({ length: PAGE, timeoutMs: 100 }))).toBe(Code.DeadlineExceeded);
  await holder.signal('SIGKILL');
  await (await locked.lock({ length: PAGE })).release();
  expect((await words(locked))[0]).toBe(9);
});

test('what waits ends when it is closed, or breaks: nothing of it is pending', async () => {
  await using held = await cluster.open('ends', { sizeBytes: PAGE, node });
  await using _lock = await held.lock();
  const closed = await cluster.open('ends', { node });
  const pending = [closed.lock(), closed.wait(0, 0), closed.map()];
  const codes = Promise.all(pending.slice(0, 2).map(codeOf));
  await pending[2];
  await closed.close();
  expect(await codes).toEqual([Code.FailedPrecondition, Code.FailedPrecondition]);
  expect(await codeOf(closed.map())).toBe(Code.FailedPrecondition);
  // What it had was given back with it.
  const mine = await cluster.open('own', { sizeBytes: PAGE, node });
  const own = await mine.lock();
  await mine.close();
  await own.release();
});

test('wait and wake, with guests on both sides', async () => {
  await using word = await cluster.open('word', { sizeBytes: PAGE, node });
  const here = await words(word);
  const guest = await there.start('node2', 'futex', ['word', 'wait', '0', '-1']);
  await guest.wrote(/waiting/);
  await until('somebody is woken', async () => (await word.wake(0)) === 1);
  expect((await guest.end()).stdout.toString()).toContain('"errno":0,"value":0');
  Atomics.store(here, 0, 5);

  expect(await word.wait(0, 4)).toBe('not-equal');
  expect(await word.wait(0, 5, { timeoutMs: 50 })).toBe('timed-out');
  const abort = new AbortController();
  const given = word.wait(0, 5, { signal: abort.signal });
  abort.abort();
  expect(await codeOf(given)).toBe(Code.Cancelled);
  const waiting = word.wait(0, 5);
  await there.output('node2', 'futex', ['word', 'set', '6']);
  expect(['woken', 'not-equal']).toContain(await waiting);
  expect(here[0]).toBe(6);
});

test('only what is theirs: another user is refused, may read what they may read, and breaks their own mapping by a store', async () => {
  await cluster.dataspaces.load('mine', Buffer.alloc(2 * PAGE, 7));
  const { dir } = await identityIn(there.record.plan, 'user/alice');
  const { syslink } = there.record;
  await using alice = await connect({
    ...{ syslink, cluster: there.cluster, credential: { tlsDir: dir } },
  });
  expect(await codeOf(alice.open('mine', { node }))).toBe(Code.PermissionDenied);
  expect(await codeOf(alice.open('nothing', { node }))).toBe(Code.NotFound);
  await cluster.dataspaces.own('mine', { mode: 0o644 });
  await using theirs = await alice.open('mine', { node });
  expect(theirs.readOnly).toBe(true);
  expect((await theirs.read(0, 2)).join()).toBe('7,7');
  expect(await codeOf(theirs.write(0, Buffer.from('x')))).toBe(Code.PermissionDenied);
  expect(await codeOf(theirs.lock({ mode: 'EXCLUSIVE' }))).toBe(Code.PermissionDenied);
  const bytes = new Uint8Array(await theirs.map());
  const broke = once(theirs, 'error');
  bytes[PAGE] = 1;
  const [error] = (await broke) as [RpcError];
  expect(clientReason(error)).toMatchObject({
    reason: 'BROKEN_MAPPING',
    dataspace: 'mine',
    signal: 'SIGSEGV',
  });
  expect(error.code).toBe(Code.PermissionDenied);
  expect(await codeOf(theirs.read())).toBe(Code.PermissionDenied);
  await using own = await cluster.open('mine', { node });
  expect((await own.read(PAGE, 2)).join()).toBe('7,7');
});

test('a program that is killed leaves nothing: no vmspace, no lock, and what it wrote is there', async () => {
  await cluster.dataspaces.create('left', 16 * PAGE, { node });
  const program = startNode(
    `const left = await cluster.open('left', { node: 'node1' });
     await left.lock();
     new Int32Array(await left.map()).fill(77, 0, 16 * 1024);
     console.log('wrote');`,
    there,
  );
  await program.said('wrote');
  expect((await programSpaces()).length).toBe(1);
  program.child.kill('SIGKILL');
  await until('its vmspace is gone', async () => (await programSpaces()).length === 0);
  const { stdout } = await there.run('node2', 'rangelock', [
    'left',
    '0',
    '65535',
    'exclusive',
    '10000',
    '--size',
    '65536',
  ]);
  expect(JSON.parse(stdout.toString().split('\n')[0]!).locked).toBe(true);
  expect(await peeked('left', 15 * PAGE)).toEqual([77]);
});

test('a program that is stopped holds nobody up, and sees what was written meanwhile when it goes on', async () => {
  await cluster.dataspaces.create('stopped', PAGE, { node });
  const program = startNode(
    `const stopped = await cluster.open('stopped', { node: 'node1' });
     const words = new Int32Array(await stopped.map());
     words[0] = 1;
     console.log('wrote');
     setInterval(() => {
       if (words[0] !== 1) process.exit(words[0]);
     }, 5);`,
    there,
  );
  await program.said('wrote');
  program.child.kill('SIGSTOP');
  await there.output('node2', 'peek', ['stopped', '0', '--write', '42']);
  program.child.kill('SIGCONT');
  expect(await program.ended).toMatchObject({ code: 42, stderr: '' });
});

test('the pmap manager dies: what was mapped is broken and told so, and the program goes on', async () => {
  const quiet = startNode(
    `const gone = await cluster.open('gone', { sizeBytes: 4096, node: 'node1' });
     const words = new Int32Array(await gone.map());
     words[0] = 1;
     console.log('mapped');
     setInterval(() => words[0], 10);`,
    there,
  );
  await quiet.said('mapped');
  const gone = await cluster.open('gone', { node });
  const here = await words(gone);
  expect(here[0]).toBe(1);
  const broke = once(gone, 'error');
  await there.kill('node1/pmapd');
  const [error] = (await broke) as [RpcError];
  expect(error.code).toBe(Code.Unavailable);
  expect(here[0]).toBe(POISON);
  expect(await codeOf(gone.use(() => 1))).toBe(Code.Unavailable);
  // Nobody listened there: an error that nobody hears ends a program.
  const end = await quiet.ended;
  expect(end.code).toBe(1);
  expect(end.stderr).toContain('the mapping of dataspace gone broke: the pmap manager of its node went away');
  await gone.close();
  await there.well();
  await using after = await cluster.open('after', { sizeBytes: PAGE, node });
  (await words(after))[0] = 8;
  expect(await peeked('after', 0)).toEqual([8]);
});

test('a LOST page is an error and poison, never zeros', async () => {
  await using lost = await cluster.open('lost', { sizeBytes: 4 * PAGE, node: 'node1' });
  await using other = await cluster.open('other', { sizeBytes: PAGE, node: 'node1' });
  const here = await words(lost);
  const beside = await words(other);
  await there.output('node2', 'peek', ['lost', '0', '--write', '5']);
  await there.kill('node2/pmapd');
  await until('it is lost', async () => (await cluster.dataspaces.losses('lost')).length > 0);
  const broke = once(lost, 'error');
  const read = lost.use((bytes) => new Int32Array(bytes)[0]);
  expect(await codeOf(read)).not.toBe(Code.Ok);
  const [error] = (await broke) as [RpcError];
  expect(clientReason(error)).toMatchObject({
    reason: 'BROKEN_MAPPING',
    dataspace: 'lost',
    signal: 'SIGBUS',
  });
  expect([error.code, here[0]]).toEqual([Code.DataLoss, POISON]);
  // What breaks one leaves the others.
  beside[0] = 11;
  other.expectWhole();
  await there.well();
});

test('a program ends while another thread of it waits for a page, and while its pmap manager stands still', async () => {
  const { pid } = there.service('node1/pmapd').process!;
  await cluster.dataspaces.create('still', 4 * PAGE, { node: 'node2' });
  const program = startNode(
    `import { Worker } from 'node:worker_threads';
     const still = await cluster.open('still', { node: 'node1' });
     const bytes = await still.map();
     new Worker('const { workerData } = require("node:worker_threads"); workerData[8192]', {
       eval: true,
       workerData: new Uint8Array(bytes),
     });
     process.kill(${pid}, 'SIGSTOP');
     still.on('error', () => {});
     setTimeout(() => process.exit(7), 500);`,
    there,
  );
  try {
    expect(await program.ended).toMatchObject({ code: 7, stderr: '' });
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await until('its vmspace is gone', async () => (await programSpaces()).length === 0);
});

test('far from any node: the same by copies, and what cannot be had there is said', async () => {
  await using far = await cluster.open('far', { sizeBytes: 3 << 20, far: true });
  await using near = await cluster.open('far', { node });
  expect([far.isNear, near.isNear, far.sizeBytes, far.readOnly]).toEqual([false, true, 3 << 20, false]);
  const here = new Uint8Array(await near.map());
  here.fill(9, PAGE - 2, PAGE + 2);
  await far.write(PAGE - 1, Buffer.from('hi'));
  expect([...here.subarray(PAGE - 3, PAGE + 3)]).toEqual([0, 9, 0x68, 0x69, 9, 0]);
  here[PAGE] = 0x6f;
  expect(Buffer.from(await far.read(PAGE - 1, 2)).toString()).toBe('ho');
  // Over the pieces in which bytes go.
  const long = Buffer.alloc((2 << 20) + 77, 'odonata ');
  await far.write(12_345, long);
  expect(long.equals(await far.read(12_345, long.length))).toBe(true);
  expect(Buffer.from(await near.read(12_345, long.length)).equals(long)).toBe(true);
  expect((await far.read()).length).toBe(3 << 20);
  expect(await codeOf(far.write((3 << 20) - 1, Buffer.from('hi')))).toBe(Code.OutOfRange);
  expect(clientReason(await far.map().catch((error) => error))?.reason).toBe('NOT_ON_NODE');
  const past = { name: 'far', offset: BigInt(3 << 20), data: Buffer.from('x') };
  expect(await codeOf(cluster.connection.dataspaces(node).write(past))).toBe(Code.OutOfRange);
});

test('who is not on a node is told so', async () => {
  const error = await cluster.open('text', { node: 'node9' }).catch((refusal) => refusal);
  expect(clientReason(error)).toMatchObject({ reason: 'NOT_ON_NODE', node: 'node9' });
  expect(RpcError.is(error, Code.FailedPrecondition)).toBe(true);
});
