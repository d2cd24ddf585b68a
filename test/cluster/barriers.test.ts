// Barriers of three nodes: nobody passes one before all have come, also where the leader of the directory is killed in the
// middle; a member that dies is told to all others.
import { homeShardOf } from '@odonata/coherency/shard.ts';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestCluster } from './cluster.ts';
import type { Program } from './program.ts';

vi.setConfig({ testTimeout: 120_000 });

const LEASE_MS = 4_000;
const GENERATIONS = 1_000;
const EOWNERDEAD = 62;
const EINVAL = 28;
const ETIMEDOUT = 73;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 3, directories: 3, leaseMs: LEASE_MS });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

const nodes = ['node1', 'node2', 'node3'];
const replicas = ['cohd1', 'cohd2', 'cohd3'];

const meet = (name: string, generations: number, ...options: string[]): Promise<Program[]> =>
  Promise.all(
    nodes.map((node, member) =>
      cluster.start(node, 'meet', [name, `${member}`, '3', `${generations}`, ...options]),
    ),
  );

async function ends(programs: Program[]): Promise<{ passed: number; wrong: number; errno: number }[]> {
  const all = await Promise.all(programs.map((program) => program.end(60_000)));
  for (const end of all) expect(end).toMatchObject({ stderr: '', reason: '' });
  return all.map(({ stdout }) => JSON.parse(stdout.toString().trim().split('\n').at(-1)!));
}

/** The replica that keeps the barriers of a dataspace. */
async function leaderOf(name: string): Promise<string> {
  const asked = { name, withoutUsage: true };
  const { dataspace } = await cluster.connection.cohd('cohd1').getDataspace(asked);
  const stats = await Promise.all(
    replicas.map((each) => cluster.connection.cohd(each).getDirectoryStats({})),
  );
  const shard = homeShardOf(dataspace!.id, 64);
  return replicas[stats.findIndex(({ shardsLed }) => shardsLed.some((led) => led === shard))]!;
}

test('1,000 generations, in the middle of which the leader is killed: nobody passes too early, nobody hangs', async () => {
  const programs = await meet('killed', GENERATIONS);
  await programs[0]!.wrote(/"met":101/);
  const leader = await leaderOf('killed');
  expect(programs[0]!.stdout).not.toContain('passed');
  await cluster.kill(leader);
  for (const end of await ends(programs))
    expect(end).toMatchObject({ passed: GENERATIONS, wrong: 0, errno: 0 });
  await cluster.well();
});

test('a member that is killed: the others hear EOWNERDEAD, and another name works', async () => {
  // Until that is done they have not met for the last time.
  const programs = await meet('dead', 50_000, '--blind');
  await cluster.vkctl(['kill', '-9', `${await programs[2]!.pid}`]);
  const [first, second] = await ends(programs.slice(0, 2));
  expect(await programs[2]!.end()).toMatchObject({ code: 137 });
  for (const end of [first, second]) expect(end).toMatchObject({ wrong: 0, errno: EOWNERDEAD });
  for (const end of await ends(await meet('dead', 3, '--name', '1')))
    expect(end).toMatchObject({ passed: 3, errno: 0 });
});

test('a member that ends early, and one that never comes', async () => {
  const short = await cluster.start('node1', 'meet', ['early', '0', '2', '5']);
  const long = await cluster.start('node2', 'meet', ['early', '1', '2', '9']);
  expect(await ends([short, long])).toMatchObject([
    { passed: 5, errno: 0 },
    { passed: 5, errno: EOWNERDEAD },
  ]);
  const alone = await cluster.start('node3', 'meet', ['alone', '0', '2', '1', '--timeout-ms', '100']);
  expect(await ends([alone])).toMatchObject([{ passed: 0, errno: ETIMEDOUT }]);
});

test('another count than the others is refused', async () => {
  const first = await cluster.start('node1', 'meet', ['counts', '0', '3', '1', '--timeout-ms', '2000']);
  const second = await cluster.start('node2', 'meet', ['counts', '1', '2', '1', '--timeout-ms', '2000']);
  const errnos = (await ends([first, second])).map(({ errno }) => errno);
  expect(errnos.sort()).toEqual([EINVAL, ETIMEDOUT]);
});
