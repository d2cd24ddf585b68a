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
  await until('it is well', async () => (await first('one')).state === 'healthy');
  expect((await first('one')).node).toBe(node);

  // Its virtual kernel.
  const before = await first('one');
  process.kill(await vkernelOf('one'), 'SIGKILL');
  await until('it runs in another one', async () => {
    const now = await first('one');
    return now.pid !== before.pid && now.state === 'healthy';
  });

  // Its vkerneld: the next life of it adopts what runs.
  const adopted = await first('one');
  await cluster.kill(`${node}/vkerneld`);
  await until('vkerneld is back', async () => cluster.service(`${node}/vkerneld`).state === 'running');
  const seen = beats('one');
  await sleep(9_500); // longer than its virtual kernel would live without a lease
  expect((await first('one')).pid).toBe(adopted.pid);
  expect(beats('one')).toBeGreaterThan(seen + 100);
  expectOneByOne(livesIn('one'));
}, 60_000);

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
