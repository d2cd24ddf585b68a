// A pmap manager that is told to stop hands over what it has: nothing of shared memory is lost, and nobody waits long.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { TestCluster, until } from './cluster.ts';

vi.setConfig({ testTimeout: 300_000 });

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 3 });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

/** Tells a service to stop as an upgrade would; resolves when its next start runs. */
async function restart(name: string): Promise<void> {
  const { process: identity, restarts } = cluster.service(name);
  expect(signalIdentity(identity!, 'SIGTERM')).toBe(true);
  await until(`${name} runs again`, () => cluster.service(name).restarts === restarts + 1);
  await cluster.well();
}

interface Usage {
  lostPages: number;
  ownedPages: Record<string, number>;
}

async function usage(name: string): Promise<Usage> {
  const { stdout, code, stderr } = await cluster.vkctl(['ds', 'stat', name, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Usage;
}

/** What the directory says of holders that went: a node whose lease ended on a busy machine is no fault of the drain. */
const buried = (): string =>
  readFileSync(cluster.service('cohd').logFile, 'utf8')
    .split('\n')
    .filter((line) => line.includes('holder is gone'))
    .join('\n');

describe('a pmap manager that is told to stop', () => {
  test('loses no page that only it had, whoever made the dataspace', async () => {
    // Made and written there; made there and never written; made elsewhere and written there.
    await cluster.output('node1', 'pattern', ['mine', '300', 'write', '1']);
    const untouched = ['untouched', '4096', '--size', `${4 << 20}`];
    await cluster.output('node1', 'peek', untouched);
    await cluster.output('node2', 'pattern', ['theirs', '300', 'write', '2']);
    await cluster.output('node1', 'pattern', ['theirs', '300', 'write', '3']);
    expect((await usage('theirs')).ownedPages.node1).toBeGreaterThanOrEqual(300);
    await restart('node1/pmapd');
    for (const name of ['mine', 'theirs', 'untouched'])
      expect(await usage(name)).toMatchObject({ lostPages: 0 });
    expect(await cluster.json('node3', 'pattern', ['mine', '300', 'check', '1'])).toMatchObject({
      wrong_pages: 0,
    });
    expect(await cluster.json('node1', 'pattern', ['theirs', '300', 'check', '3'])).toMatchObject({
      wrong_pages: 0,
    });
    expect(await cluster.run('node2', 'peek', ['untouched', '4096'])).toMatchObject({ code: 0 });
  });

  test('under load: programs of other nodes see nothing of it, those of its own end with the reason', async () => {
    await cluster.output('node2', 'counter', ['rolling', 'read']);
    const own = await cluster.start('node1', 'counter', ['rolling', 'lock', '1000000']);
    const lines = await cluster.start('node3', 'peek', ['rolling', '0', '--every-ms', '5']);
    await lines.wrote(/\[[1-9]/);
    const counters = await Promise.all(
      ['node2', 'node3'].map((node) => cluster.start(node, 'counter', ['rolling', 'lock', '3000'])),
    );
    await restart('node1/pmapd');
    expect(await own.end()).toMatchObject({ code: 137, reason: expect.stringContaining('node1 stops') });
    for (const counter of counters)
      expect(await counter.end(), buried()).toMatchObject({ code: 0, stderr: '', reason: '' });
    expect((await usage('rolling')).lostPages).toBe(0);
    const { seen } = await cluster.json<{ seen: number }>('node1', 'counter', ['rolling', 'read']);
    // Two that counted to their end, and what the third had counted.
    expect(seen).toBeGreaterThanOrEqual(6000);
    await cluster.vkctl(['kill', '-KILL', `${await lines.pid}`]);
    await lines.end();
  });

  test('each node in turn: what was written first is still there', async () => {
    await cluster.output('node2', 'pattern', ['in-turn', '2000', 'write', '7']);
    for (const node of ['node2', 'node3', 'node1', 'node2']) await restart(`${node}/pmapd`);
    expect(await cluster.json('node3', 'pattern', ['in-turn', '2000', 'check', '7'])).toMatchObject({
      wrong_pages: 0,
    });
  });
});

test('a node that is alone says what it loses, and keeps what is durable', async () => {
  const alone = await TestCluster.up({ nodes: 1 });
  try {
    await alone.output('node1', 'peek', ['kept', '0', '--size', '8192', '--durable', '--write', '11', '12']);
    await alone.output('node1', 'peek', ['gone', '0', '--size', '8192', '--write', '13']);
    const { process: identity, restarts, logFile } = alone.service('node1/pmapd');
    signalIdentity(identity!, 'SIGTERM');
    await until('it runs again', () => alone.service('node1/pmapd').restarts === restarts + 1, 30_000);
    await alone.well();
    expect(readFileSync(logFile, 'utf8')).toMatch(/"pages":\d+.*pages that only this node has are lost/);
    expect(await alone.json('node1', 'peek', ['kept', '0', '2'])).toMatchObject({ words: [11, 12] });
    expect(await alone.run('node1', 'peek', ['gone', '0'])).toMatchObject({ code: 135, signal: 'SIGBUS' });
  } finally {
    await alone.down();
  }
});
