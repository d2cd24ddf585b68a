// Durable dataspaces: what was synced outlives the node that had it, and every process of the cluster; what the store
// cannot vouch for is an error, and what it did not acknowledge is not said to be stored.
import { connectAs } from '@odonata/bus/credential.ts';
import { connect } from 'nats';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { natsFileOf } from '../../services/vkctl/cluster/nats-users.ts';
import { TestCluster } from './cluster.ts';

vi.setConfig({ testTimeout: 300_000 });

const PAGES = 70;
const BYTES = PAGES * 4096;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

/** Each page begins with its number and the word. */
const text = (word: string): string =>
  Array.from({ length: PAGES }, (_, page) => `${page} ${word}`.padEnd(4096, '.')).join('');

async function vkctl(args: string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await cluster.vkctl(args, { stdin });
  if (code !== 0) throw new Error(`vkctl ${args.join(' ')}: ${code} ${stderr}`);
  return stdout;
}

async function make(name: string, word: string): Promise<void> {
  await vkctl(['ds', 'create', '--durable', name, `${BYTES}`, '--node', 'node1']);
  await vkctl(['ds', 'load', name, '-', '--node', 'node1'], text(word));
}

const save = (name: string, node: string) => vkctl(['ds', 'save', name, '-', '--node', node]);

test('the death of the node that held the pages: the last synced bytes come back, those never synced are lost', async () => {
  await make('notes', 'first');
  expect(await vkctl(['ds', 'sync', 'notes', '--node', 'node2'])).toBe(`notes: ${PAGES} pages stored\n`);
  await vkctl(['ds', 'load', 'notes', '-', '--node', 'node1'], text('later'));
  // From another node than the one where they are dirty, and a part only.
  await vkctl(['ds', 'sync', 'notes', '--range', '0+8K', '--node', 'node2']);
  await vkctl(['ds', 'load', 'notes', '-', '--node', 'node1'], text('never'));
  await make('unsynced', 'gone');
  expect(await vkctl(['ds', 'stat', 'notes'])).toMatch(/durable {4}70 pages stored\n/);

  await cluster.kill('node1/pmapd');
  await cluster.well();
  const saved = await save('notes', 'node2');
  expect(saved.slice(0, 8192)).toBe(text('later').slice(0, 8192));
  expect(saved.slice(8192)).toBe(text('first').slice(8192));
  await expect(save('unsynced', 'node2')).rejects.toThrow(
    /its only copy is gone, with its node or the gateway of another cluster, and it was never synced/,
  );
  // It is memory like any other again, and its next sync is newer than what is stored.
  await vkctl(['ds', 'load', 'notes', '-', '--node', 'node2'], text('again'));
  await vkctl(['ds', 'sync', 'notes', '--node', 'node1']);
  await cluster.kill('node2/pmapd');
  await cluster.well();
  expect(await save('notes', 'node1')).toBe(text('again'));
});

test('a program makes one, writes and syncs; its node dies, and a program elsewhere reads what was synced', async () => {
  const at = ['program', '4096'];
  const size = ['--size', '16384'];
  await cluster.output('node1', 'peek', [...at, ...size, '--durable', '--write', '17', '18', '--sync']);
  await cluster.output('node1', 'peek', [...at, '--write', '99']);
  await cluster.kill('node1/pmapd');
  await cluster.well();
  expect(await cluster.json('node2', 'peek', [...at, '2'])).toMatchObject({ words: [17, 18] });
  const volatile = await cluster.run('node2', 'peek', [
    'volatile-program',
    '0',
    ...size,
    '--write',
    '1',
    '--sync',
  ]);
  expect(volatile).toMatchObject({ code: 3, stderr: expect.stringMatching(/^sync: .* \(errno 10\)/) });
});

test('every process of the cluster dies at once: what was synced is read again', async () => {
  await make('kept', 'kept');
  await vkctl(['ds', 'sync', 'kept']);
  await cluster.withoutRestarts(async () => {
    for (const name of ['node1/pmapd', 'node2/pmapd', 'cohd', 'nats']) await cluster.kill(name);
  });
  await cluster.well();
  expect(await save('kept', 'node2')).toBe(text('kept'));
});

test('a page that was changed in the store is an error that says so, its neighbours are whole', async () => {
  await make('marred', 'whole');
  await vkctl(['ds', 'sync', 'marred']);
  const { id } = JSON.parse(await vkctl(['ds', 'stat', 'marred', '--json']));
  const subject = `odonata.${cluster.cluster}.pages.${id}.0`;
  const servers = `127.0.0.1:${cluster.record.plan.ports.nats}`;
  await expect(connect({ servers, reconnect: false })).rejects.toThrow(/Authorization|AUTHORIZATION/);
  const nats = await connect({ servers, ...connectAs(natsFileOf(cluster.record.plan, 'pmapd', 'node1')) });
  try {
    const manager = await nats.jetstreamManager();
    const stream = `odonata-${cluster.cluster}-pages`;
    const { data } = await manager.streams.getMessage(stream, { last_by_subj: subject });
    const changed = Uint8Array.from(data);
    // The last page of the chunk: 63.
    changed[changed.length - 1]! ^= 1;
    await nats.jetstream().publish(subject, changed);
  } finally {
    await nats.close();
  }
  expect(await vkctl(['ds', 'stat', 'marred'])).toMatch(/durable {4}69 pages stored, 1 CORRUPT\n/);
  await cluster.kill('node1/pmapd');
  await cluster.well();
  const read = (page: number) => cluster.run('node2', 'peek', ['marred', `${page * 4096}`]);
  expect(await read(62)).toMatchObject({ code: 0 });
  expect(await read(63)).toMatchObject({
    signal: 'SIGBUS',
    reason: expect.stringMatching(/page 63 of dataspace marred is corrupt in the backing store/),
  });
});

test('while NATS hangs a sync fails and says why; afterwards it stores', async () => {
  await make('waits', 'stored');
  await vkctl(['ds', 'sync', 'waits', '--range', '0+4K']);
  const nats = cluster.service('nats').process!;
  signalIdentity(nats, 'SIGSTOP');
  try {
    const end = await cluster.vkctl(['ds', 'sync', 'waits']);
    expect(end.code).not.toBe(0);
    expect(end.stderr).toMatch(/backing store does not answer/);
  } finally {
    signalIdentity(nats, 'SIGCONT');
  }
  await cluster.well();
  expect(await vkctl(['ds', 'sync', 'waits'])).toBe(`waits: ${PAGES} pages stored\n`);
  const plain = await cluster
    .vkctl(['ds', 'create', 'volatile', '4K'])
    .then(() => cluster.vkctl(['ds', 'sync', 'volatile']));
  expect(plain.code).not.toBe(0);
  expect(plain.stderr).toMatch(/has no backing store; make a durable one/);
});
