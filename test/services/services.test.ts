// Services on three real nodes: whatever is killed or cut off, what is wanted runs, and never twice. Each instance writes its number and
// the time to one file, so that the file says when which of them ran: all nodes are on this machine, and have one clock.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { TestCluster, until } from '../cluster/cluster.ts';
import { buildGuest } from '../guests/build.ts';

let cluster: TestCluster;
const folder = mkdtempSync(join(tmpdir(), 'odonata-services-'));
const data = join(folder, 'data');

beforeAll(async () => {
  mkdirSync(data);
  for (const guest of ['beat', 'probe']) copyFileSync(await buildGuest(guest), join(folder, `${guest}.wasm`));
  cluster = await TestCluster.up({ nodes: 3, leaseMs: 3_000, allowDirs: [folder] });
}, 150_000);
afterAll(async () => {
  await cluster.down();
  rmSync(folder, { recursive: true });
}, 90_000);

interface Shown {
  name: string;
  state: string;
  waitsFor: string[];
  instances: {
    replica: number;
    node: string;
    state: string;
    pid: number;
    restarts: number;
    moves: number;
    reason: string;
  }[];
}

function written(name: string, fields: Record<string, unknown>): string {
  const path = join(folder, `${name}.yaml`);
  const about = { name, program: './beat.wasm', volumes: ['./data:/data'], ...fields };
  writeFileSync(path, JSON.stringify({ restart: 'always', restart_delay: '100ms', ...about }));
  return path;
}
async function well(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await cluster.vkctl(words);
  if (code !== 0) throw new Error(`vkctl ${words.join(' ')}: ${stderr}`);
  return stdout;
}
const apply = (name: string, fields: Record<string, unknown>) => well('apply', '-f', written(name, fields));
async function shown(name: string): Promise<Shown> {
  const all: Shown[] = JSON.parse(await well('service', 'ls', '--json'));
  const found = all.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no service ${name}`);
  return found;
}
const first = async (name: string) => (await shown(name)).instances[0]!;
const state = async (name: string) => (await shown(name)).instances[0]?.state;
const rollout = (name: string) => well('service', 'rollout', name, '--timeout', '40s');

interface Life {
  id: string;
  beganMs: number;
  endedMs: number;
  version: string;
  counts: number[];
}
/** Of each number in a file, when it was seen first and last. */
function livesIn(file: string): Life[] {
  const lives = new Map<string, Life>();
  for (const line of readFileSync(join(data, file), 'utf8').trimEnd().split('\n')) {
    const [id = '', time = '', version = '', count = ''] = line.split(' ');
    const life = lives.get(id) ?? { id, beganMs: Number(time), endedMs: 0, version, counts: [] };
    life.endedMs = Number(time);
    life.counts.push(Number(count));
    lives.set(id, life);
  }
  return [...lives.values()].sort((a, b) => a.beganMs - b.beganMs);
}
const beats = (file: string): number => {
  try {
    return readFileSync(join(data, file), 'utf8').split('\n').length;
  } catch {
    return 0;
  }
};
/** No two at one time. @returns the gaps between them */
function expectOneByOne(lives: readonly Life[]): number[] {
  const gaps = lives.slice(1).map((life, at) => life.beganMs - lives[at]!.endedMs);
  expect(gaps.filter((gap) => gap <= 0)).toEqual([]);
  return gaps;
}
const vkernelOf = async (service: string): Promise<number> => {
  const all: { name: string; hostPid: number }[] = JSON.parse(await well('vkernel', 'ls', '--json'));
  return all.find(({ name, hostPid }) => name === `svc-${service}-0` && hostPid > 0)!.hostPid;
};

let adopted = 0;
let killedMs = 0;

test('a singleton runs on, once at a time, whatever dies: its guest, virtual kernel, vkerneld, node, and a node that is cut off', async () => {
  await apply('one', { command: ['/data/one'] });
  // Its memory outlives its node.
  await apply('kept', { command: ['/data/kept', 'count', 'kept'] });
  await rollout('one');
  await rollout('kept');

  // Its guest.
  const { pid, node } = await first('one');
  await well('kill', '--signal', 'KILL', String(pid));
  await until('it is started again', async () => (await first('one')).pid !== pid && beats('one') > 0);
  await until('it is well', async () => (await state('one')) === 'healthy');
  expect((await first('one')).node).toBe(node);

  // Its virtual kernel.
  const before = await first('one');
  process.kill(await vkernelOf('one'), 'SIGKILL');
  await until('it runs in another one', async () => {
    const now = await first('one');
    return now.pid !== before.pid && now.state === 'healthy';
  });

  // Its vkerneld: the next life of it adopts what runs.
  adopted = (await first('one')).pid;
  killedMs = Date.now();
  await cluster.kill(`${node}/vkerneld`);
  expectOneByOne(livesIn('one'));
}, 60_000);

test('a rollout goes on replica by replica, and stops at a release that fails; scale, dependencies, health', async () => {
  const release = (version: string, more: Record<string, unknown> = {}) =>
    apply('web', {
      ...{ command: [`/data/web`], environment: { VERSION: version }, restart: 'on-failure:1' },
      ...more,
    });
  await release('v1', {
    replicas: 3,
    listen_on: ['web'],
    depends_on: { db: { condition: 'service_healthy' } },
  });
  expect(await shown('web')).toMatchObject({ instances: [], waitsFor: ['db'] });
  // What it waits for is healthy once a file is there.
  await apply('db', {
    command: ['/data/db'],
    healthcheck: { test: ['./probe.wasm', '/data/ready'], interval: '1s', start_period: '1m' },
  });
  await until('db runs', async () => (await shown('db')).instances[0]?.state === 'running');
  expect((await shown('web')).instances).toEqual([]);
  writeFileSync(join(data, 'ready'), '');
  await rollout('web');
  const nodes = (await shown('web')).instances.map(({ node }) => node).sort();
  expect(nodes).toEqual(['node1', 'node2', 'node3']);
  // Whoever connects to the name gets one of them.
  const listening: { endpoint: string }[] = JSON.parse(await well('name', 'ls', '--json'));
  expect(listening.map(({ endpoint }) => endpoint).sort()).toEqual(nodes.map((node) => `${node}/vkerneld`));

  await release('v2');
  await rollout('web');
  const lives = livesIn('web');
  const replaced = lives.filter(({ version }) => version === 'v2');
  expect(replaced).toHaveLength(3);
  // One at a time: the next old one ends after the new one before it runs.
  const ends = lives.filter(({ version }) => version === 'v1').map(({ endedMs }) => endedMs);
  for (const [at, endedMs] of ends.sort((a, b) => a - b).entries())
    if (at > 0) expect(endedMs).toBeGreaterThan(replaced[at - 1]!.beganMs);

  await release('v3', { command: ['/data/web', '50', '9'] });
  const failed = await cluster.vkctl(['service', 'rollout', 'web', '--timeout', '30s']);
  expect(failed).toMatchObject({ code: 1 });
  expect(failed.stderr).toMatch(/service web: replica 0 failed: .*9/);
  const left = livesIn('web').filter(
    ({ version, endedMs }) => version === 'v2' && endedMs > Date.now() - 1_000,
  );
  expect(left).toHaveLength(2);

  // Why it fails is in what it wrote; and who waits for it says why.
  expect(await well('service', 'logs', 'web', '--replica', '0')).toContain('begins v3');
  await apply('after', { command: ['/data/after'], depends_on: ['web'] });
  const waits = await cluster.vkctl(['service', 'rollout', 'after', '--timeout', '500ms']);
  expect(waits).toMatchObject({ code: 1 });
  expect(waits.stderr).toMatch(/0 of 1 ready, waits for web \(replica 0 failed: .*9\)/);
  await well('service', 'rm', 'after');

  await release('v4', { replicas: 2 });
  await rollout('web');
  expect((await shown('web')).instances).toHaveLength(2);
  await well('service', 'scale', 'web', '1');
  await rollout('web');
  expect((await shown('web')).instances).toHaveLength(1);
  const logs = await well('service', 'logs', 'web');
  expect(logs).toBe('0 | begins v4\n');
  expect(await well('apply', '-f', join(folder, 'web.yaml'), '--json')).toContain('"changed"'); // its replicas

  // Nobody else makes a virtual kernel of that name, and a service that waits for itself is none.
  const taken = await cluster.vkctl(['run', '--vkernel', 'svc-web-9', join(folder, 'probe.wasm')]);
  expect(taken.stderr).toMatch(/virtual kernel svc-web-9 is that of a service, and does not run on node\d/);
  const circle = await cluster.vkctl(['apply', '-f', written('db', { depends_on: ['db'] })]);
  expect(circle.stderr).toMatch(/service db: depends_on: it would wait for itself: db -> db/);
}, 150_000);

test('replicas that no node may take: apply, rollout and ls say how many, and why', async () => {
  const why =
    '4 replicas have no node: of the 2 nodes named node9 is not in the cluster now, and at most 1 each (placement.max_replicas_per_node)';
  const placement = { nodes: ['node1', 'node9'], max_replicas_per_node: 1 };
  const path = written('many', { command: ['/data/many'], replicas: 5, placement });
  expect((await cluster.vkctl(['apply', '-f', path])).stderr).toBe(`vkctl: ${path}: service many: ${why}\n`);
  await until('one is ready', async () => (await state('many')) === 'healthy', 40_000);
  const rolled = await cluster.vkctl(['service', 'rollout', 'many', '--timeout', '500ms']);
  expect(rolled.stderr).toContain(`not ready in time: 1 of 5 ready, ${why}`);
  expect(await well('service', 'ls')).toContain(why);
  expect(await shown('many')).toMatchObject({ unplaced: { replicas: 4 } });
  await well('service', 'rm', 'many');
}, 60_000);

test('what the last life of one wrote that crashed is there while it rests; of too many services none is applied', async () => {
  await apply('crash', { command: ['/data/crash', '1', '9'], restart_delay: '20s' });
  await until('it rests', async () => (await state('crash')) === 'backoff');
  const logs = await cluster.vkctl(['service', 'logs', 'crash']);
  expect(logs.stdout).toMatch(/^0 \| begins/);
  expect(logs.stderr).toMatch(/crash\.0 ended before: .*9/);
  await well('service', 'rm', 'crash');
  const before = JSON.parse(await well('service', 'ls', '--json')).length as number;
  const many = Array.from({ length: 101 }, (_, at) => `name: m${at}\nprogram: ./beat.wasm\n`).join('---\n');
  writeFileSync(join(folder, 'many.yaml'), many);
  const { code, stderr } = await cluster.vkctl(['apply', '-f', join(folder, 'many.yaml')]);
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`101 more services are ${before + 101} of yours, and 100 are the most`),
  });
  expect(JSON.parse(await well('service', 'ls', '--json'))).toHaveLength(before);
}, 60_000);

test('what ran when its vkerneld was killed runs on: the next life of it adopted that', async () => {
  // Longer than its virtual kernel would live without a lease.
  await sleep(Math.max(0, killedMs + 9_500 - Date.now()));
  expect((await first('one')).pid).toBe(adopted);
  expect(livesIn('one').at(-1)!.endedMs).toBeGreaterThan(killedMs + 9_000);
}, 20_000);

test('a node that is cut off and not dead: its instance ends by itself before another node has it', async () => {
  const { node } = await first('one');
  const services = ['pmapd', 'vkerneld'].map((name) => cluster.service(`${node}/${name}`).process!);
  const lives = livesIn('one').length;
  const cutMs = Date.now();
  for (const each of services) signalIdentity(each, 'SIGSTOP');
  try {
    await until('it runs elsewhere', () => livesIn('one').length > lives, 40_000);
  } finally {
    for (const each of services) signalIdentity(each, 'SIGCONT');
  }
  const [last, now] = livesIn('one').slice(-2) as [Life, Life];
  console.log(
    `cut off: ran on for ${last.endedMs - cutMs} ms, elsewhere after ${now.beganMs - cutMs} ms, a gap of ${now.beganMs - last.endedMs} ms`,
  );
  expect(last.endedMs - cutMs).toBeGreaterThan(3_000);
  await until('the list says so', async () => (await first('one')).node !== node);
  expect(await first('one')).toMatchObject({ moves: 1 });
  await rollout('kept');
  // The node is back, and does not take up what it had.
  await sleep(1_500);
  expectOneByOne(livesIn('one'));
  expectOneByOne(livesIn('kept'));
  const kinds = JSON.parse(await well('events', '--json')) as { kind: string }[];
  expect(kinds.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['node-taken', 'instance-moved']));
}, 60_000);

test('a whole node that dies: what it had runs elsewhere, with its durable memory', async () => {
  const { node } = await first('kept');
  const counted = livesIn('kept').at(-1)!.counts.at(-1)!;
  const vkernel = await vkernelOf('kept');
  const elsewhere = async () => {
    const now = await first('kept');
    return (
      now.node !== node &&
      now.node !== '' &&
      now.state === 'healthy' &&
      livesIn('kept').at(-1)!.counts.length > 1
    );
  };
  await cluster.withoutRestarts(async () => {
    for (const name of ['vkerneld', 'pmapd'])
      signalIdentity(cluster.service(`${node}/${name}`).process!, 'SIGKILL');
    process.kill(vkernel, 'SIGKILL');
    await until('it runs on another node', elsewhere, 40_000);
  });
  expectOneByOne(livesIn('kept'));
  // What it synced before it wrote the line is there.
  expect(livesIn('kept').at(-1)!.counts[0]).toBeGreaterThan(counted);
  await well('service', 'rm', 'one', 'kept', 'web', 'db');
  expect(JSON.parse(await well('service', 'ls', '--json'))).toEqual([]);
}, 60_000);

test('every command of docs/services.md', async () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/services.md'), 'utf8');
  for (const [, name = '', text = ''] of page.matchAll(/```yaml (\S+)\n([\s\S]*?)```/g))
    writeFileSync(join(folder, name), text);
  copyFileSync(join(folder, 'beat.wasm'), join(folder, 'web.wasm'));
  const lines = /```sh\n([\s\S]*?)```/.exec(page)![1]!.trimEnd().split('\n');
  expect(lines.length).toBeGreaterThan(6);
  for (const line of lines) {
    const [, ...words] = line.replace(/ +#.*/, '').split(' ');
    await well(...words.map((word) => (word.endsWith('.yaml') ? join(folder, word) : word)));
  }
}, 60_000);
