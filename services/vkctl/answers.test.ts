// What scripts get: --json of every command is what its schema says, --quiet is names, --watch one look after another.
// One cluster of one node for all.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { buildGuest } from '../../test/guests/build.ts';
import { signalIdentity } from './cluster/identity.ts';
import { clusterPaths } from './cluster/paths.ts';
import { readRecord } from './cluster/record.ts';
import { stopCluster } from './cluster/stop.ts';
import { leavesOf } from './help/walk.ts';
import { json } from './json.ts';
import { createProgram } from './program.ts';
import { ANSWERS, EVENT_LINE, WITHOUT } from './schema/commands.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const launcher = fileURLToPath(new URL('bin/vkctl.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'odonata-answers-'));
const cluster = `answers-${process.pid}`;
process.env.ODONATA_HOME = join(folder, 'home');
const env: NodeJS.ProcessEnv = { ...process.env, ODONATA_CLUSTER: cluster, NO_COLOR: '1' };
for (const name of ['ODONATA_SYSLINK', 'ODONATA_CONTEXT', 'COLUMNS']) delete env[name];
const file = join(folder, 'bytes');
/** Of a cluster that is not there. */
const policy = join(folder, 'west.yaml');
const context = join(folder, 'alice.context');
let spin: string;
let warm: string;
let first: { command: string };

/** Words of commands whose answer was held against its schema. */
const held = new Set<string>();

const child = (args: readonly string[], more: NodeJS.ProcessEnv = {}) =>
  spawn(process.execPath, [launcher, ...args], {
    env: { ...env, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });

async function vkctl(args: readonly string[], more?: NodeJS.ProcessEnv) {
  const started = child(args, more);
  const [[status], stdout, stderr] = await Promise.all([
    once(started, 'exit') as Promise<[number | null]>,
    text(started.stdout),
    text(started.stderr),
  ]);
  return { status, stdout, stderr };
}

/** Asks for JSON, and holds it against the schema. */
// biome-ignore lint/suspicious/noExplicitAny: what a schema has looked at
async function answer(words: string, ...args: string[]): Promise<any> {
  const { stdout, stderr } = await vkctl([...words.split(' '), ...args, '--json']);
  const { schema, lines } = ANSWERS[words]!;
  const documents = lines ? stdout.trimEnd().split('\n') : [stdout];
  const parsed = documents.map((document) => {
    expect(document, `${words}: ${stderr}`).not.toBe('');
    const { error, data } = schema.safeParse(JSON.parse(document));
    expect(error, `${words}: ${document}`).toBeUndefined();
    return data;
  });
  held.add(words);
  return lines ? parsed : parsed[0];
}

beforeAll(async () => {
  [spin, warm] = await Promise.all([buildGuest('misbehave'), buildGuest('warm')]);
  writeFileSync(file, 'x'.repeat(10_000));
  writeFileSync(policy, 'peers: [{ name: west, authority: ca.crt, address: "127.0.0.1:1" }]\n');
  first = (await answer('up', '--address', '127.0.0.1:0')).join;
  copyFileSync(join(process.env.ODONATA_HOME!, cluster, 'identity/ca/ca.crt'), join(folder, 'ca.crt'));
});

afterAll(async () => {
  await stopCluster(clusterPaths(cluster));
  rmSync(folder, { recursive: true });
});

test('every command that does something has --quiet, and --json with a schema', async () => {
  const leaves = leavesOf(await createProgram());
  const flagsOf = new Map(
    leaves.map(({ words, command }) => [words, command.options.map(({ long }) => long)]),
  );
  for (const [words, flags] of flagsOf) {
    expect(flags, words).toContain('--quiet');
    if (!WITHOUT.has(words)) expect(flags, words).toContain('--json');
  }
  const answering = [...flagsOf.keys()].filter((words) => !WITHOUT.has(words));
  expect(Object.keys(ANSWERS).sort()).toEqual(answering.sort());
});

test('numbers keep their digits, and a field its type', () => {
  const sizes = json({ sizeBytes: 2n ** 63n, pages: 5n, id: 5n, creatorIncarnation: 2n ** 60n }, 0);
  expect(sizes).toBe(
    '{"sizeBytes":9223372036854775808,"pages":5,"id":"5","creatorIncarnation":"1152921504606846976"}',
  );
});

test('each answer is what its schema says', async () => {
  const [made] = await Promise.all([
    answer('ds create', 'board', '1M'),
    answer('ds create', 'notes', '8K', '--durable'),
    answer('ds load', 'text', file),
    answer('doctor'),
    answer('whoami'),
    answer('user add', 'alice', '--out', context),
  ]);
  // Options after the program are its own.
  const ran = await vkctl(['run', '-d', '--json', spin, 'spin']);
  const started = ANSWERS.run!.schema.parse(JSON.parse(ran.stdout)) as { pid: number };
  expect(started).toMatchObject({ vkernel: 'default' });
  held.add('run');
  const pids = [String(started.pid)];
  const beside = await vkctl(['exec', '-d', '--json', pids[0]!, spin, 'exit', '0']);
  ANSWERS.exec!.schema.parse(JSON.parse(beside.stdout));
  held.add('exec');
  const [stat, all] = await Promise.all([
    answer('ds stat', 'board'),
    answer('ds ls'),
    answer('ds hot', 'board'),
    answer('ds sync', 'notes'),
    answer('ds accept-loss', 'text'),
    answer('ds save', 'text', join(folder, 'back')),
    answer('ds export', join(folder, 'backup.tar'), 'notes'),
    answer('ps', '-a'),
    answer('pmap flush', '--node', 'node1'),
    answer('vkernel create', 'web', '--memory', '64M'),
    answer('events'),
    answer('top', '--once', '-i', '0.5'),
    answer('status'),
    answer('route ls'),
    answer('name ls'),
    answer('gateway ls'),
    answer('gateway add', policy),
    answer('user ls'),
    answer('context add', context),
    answer('token', 'unix:/tmp/x.sock'),
  ]);
  await answer('gateway rm');
  const waiting = await vkctl(['run', '-d', warm, '--mib', '1', '--rounds', '1', '--poll']);
  await answer('snapshot take', waiting.stdout.trim(), 'warmed');
  await answer('snapshot ls');
  await answer('snapshot rm', 'warmed');
  // One thing looks the same, whoever tells of it.
  expect(stat).toEqual(made);
  expect(all.find(({ name }: { name: string }) => name === 'board')).toEqual(made);
  await Promise.all([
    answer('ds chmod', '640', 'board'),
    answer('context ls'),
    answer('kill', '-s', 'KILL', ...pids),
  ]);
  await Promise.all([
    answer('vkernel set', 'web', '--processes', '3'),
    answer('ds import', join(folder, 'backup.tar')),
    answer('vkernel halt', 'default'),
    answer('wait', ...pids),
    answer('ds chown', 'bob', 'text'),
    answer('context use', 'here'),
    answer('logs', ...pids),
  ]);
  await Promise.all([
    answer('ds rm', 'text', 'board'),
    answer('vkernel ls').then(() => answer('vkernel rm', 'web')),
    answer('context rm', cluster),
    answer('user rm', 'alice'),
  ]);
  await answer('restart', 'cohd');
});

test('console: one document with its address, then it goes on until it is ended', async () => {
  const serving = child(['console', '--listen', '127.0.0.1:0', '--json']);
  let document = '';
  for await (const line of createInterface({ input: serving.stdout })) {
    document += line;
    if (line === '}') break;
  }
  const { url } = ANSWERS.console!.schema.parse(JSON.parse(document)) as { url: string };
  held.add('console');
  expect((await fetch(url)).status).toBe(200);
  serving.kill('SIGTERM');
  expect(await once(serving, 'exit')).toEqual([0, null]);
  await expect(fetch(url)).rejects.toThrow();
});

test('run: standard output is the program’s, and save - the bytes’', async () => {
  for (const args of [
    ['run', '--json', spin],
    ['ds', 'save', 'notes', '-', '--json'],
  ])
    expect(await vkctl(args)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringContaining('--json'),
    });
});

test('so are those of services', async () => {
  const service = join(folder, 'beat.yaml');
  writeFileSync(
    service,
    JSON.stringify({ name: 'beat', program: await buildGuest('beat'), command: ['/tmp/beat'] }),
  );
  expect(await answer('apply', '-f', service)).toMatchObject([{ name: 'beat', outcome: 'created' }]);
  expect(await answer('service rollout', 'beat')).toMatchObject({ state: 'ready' });
  await Promise.all([
    answer('service ls'),
    answer('service logs', 'beat'),
    answer('service scale', 'beat', '1'),
  ]);
  await answer('service rm', 'beat');
});

test('--quiet: names alone of listings, nothing of what was done', async () => {
  const shown = async (...args: string[]) => {
    const { status, stdout, stderr } = await vkctl([...args, '-q']);
    expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: '' });
    return stdout;
  };
  expect(await shown('ds', 'load', 'again', file)).toBe('');
  const [ls, ps, status, , people] = await Promise.all([
    shown('ds', 'ls'),
    shown('ps'),
    shown('status'),
    shown('ds', 'sync', 'notes'),
    shown('user', 'ls'),
  ]);
  expect({ ls, ps, status, people }).toMatchObject({ ls: 'again\nnotes\n', ps: '', status: '' });
  expect(people).toMatch(/^\S+\nalice\n$/);
});

test('narrow terminals: no line of a table is wider, and each name stands whole', async () => {
  const shown = await Promise.all(
    ['60', '80'].flatMap((COLUMNS) =>
      [['status'], ['ds', 'ls']].map(async (args) => {
        const { stdout } = await vkctl(args, { COLUMNS });
        // The line above status's tables is none.
        const wide = stdout.split('\n').filter((line) => !line.startsWith('cluster "'));
        expect(Math.max(...wide.map(({ length }) => length)), stdout).toBeLessThanOrEqual(Number(COLUMNS));
        return stdout;
      }),
    ),
  );
  expect(shown[0]).toMatch(/^node1\/vkerneld +running/m);
});

test('--watch: a line of JSON a look, until nobody reads', async () => {
  const watching = child(['ds', 'ls', '--json', '--watch', '0.2']);
  const lines = createInterface({ input: watching.stdout });
  const seen: unknown[] = [];
  for await (const line of lines) {
    seen.push(ANSWERS['ds ls']!.schema.parse(JSON.parse(line)));
    if (seen.length === 2) break;
  }
  expect(seen).toHaveLength(2);
  watching.stdout.destroy();
  const [status] = (await once(watching, 'exit')) as [number];
  expect(status).toBe(0);
});

test('copies', async () => {
  const none = await vkctl(['cp', 'default:/tmp/none', '-']);
  expect(none).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /^vkctl: cp: node1\/default:\/tmp\/none: no such file or directory \(ENOENT\)\n$/,
    ),
  });
  for (const words of [
    ['cp', file, 'nobodys:/tmp/copy'],
    ['cp', 'node1/nobodys:/tmp/copy', '-'],
    ['exec', '--vkernel', 'nobodys', spin],
  ])
    expect(await vkctl(words)).toMatchObject({
      stderr: expect.stringMatching(
        /^vkctl: (\S+: )?no virtual kernel "nobodys" of yours is .*vkctl vkernel ls shows them.*\n$/,
      ),
    });
  expect((await vkctl(['vkernel', 'ls', '-q'])).stdout).not.toContain('nobodys');
  expect(await vkctl(['run', '--dir', '=/x:/x', spin])).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/--dir: "=\/x:\/x" is not a grant/),
  });
  expect(await answer('cp', file, 'default:/tmp/copy')).toMatchObject({ to: 'default:/tmp/copy' });
  // A folder there takes it under its name.
  await answer('cp', file, 'default:/tmp');
  expect((await vkctl(['cp', `default:/tmp/${basename(file)}`, '-'])).stdout).toBe(
    readFileSync(file, 'utf8'),
  );
  for (const words of [
    ['vkernel', 'create', 'theirs', '--user', '../r'],
    ['service', 'logs', 'web', '--user', 'A b'],
  ])
    expect(await vkctl(words)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^vkctl: option '--user <name>' .*Give the name of a person: .*\n/),
    });
  expect(await vkctl(['cp', import.meta.dirname, 'default:/tmp/copy'])).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(
      /^vkctl: cp: ".*" is a folder, and folders are not copied\. .*tar -c .*\n$/,
    ),
  });
  // Too much: what is full is said, and nothing is left of it; of what was there before, the beginning.
  expect(await vkctl(['vkernel', 'set', 'default', '--disk', '1M'])).toMatchObject({ status: 0 });
  const large = join(folder, 'large');
  writeFileSync(large, Buffer.alloc(2 << 20));
  const over = await vkctl(['cp', large, 'default:/tmp/large']);
  expect(over.stderr).toMatch(
    /^vkctl: cp: node1\/default:\/tmp\/large: no space left on device \(ENOSPC\): its \/tmp is full \(.*\), or .*; nothing of it is left there\. Empty a file there \(vkctl cp .*\n$/,
  );
  expect((await vkctl(['cp', 'default:/tmp/large', '-'])).stderr).toContain('ENOENT');
  const cut = await vkctl(['cp', large, 'default:/tmp/copy']);
  expect(cut.stderr).toContain('(ENOSPC): its /tmp is full');
  expect(cut.stderr).toContain('the file that was there is cut off');
  await answer('cp', file, 'default:/tmp/copy');
  expect(await vkctl(['vkernel', 'set', 'default', '--disk', '0'])).toMatchObject({ status: 0 });
});

test('allowed folders', async () => {
  expect(await answer('allow', import.meta.dirname)).toEqual([
    { node: 'node1', path: import.meta.dirname, readOnly: false },
  ]);
  expect(await answer('disallow', import.meta.dirname)).toHaveLength(1);
});

test('events -f: what comes, a line each, as far as it is asked for', async () => {
  const [following, others] = [
    child(['events', '-f', '--json', '--kind', 'holder-buried', '--severity', 'warning', '--node', 'node1']),
    child(['events', '-f', '--service', 'pmapd', '--service', 'vkerneld']),
  ];
  const saidOfOthers = text(others.stdout);
  try {
    const lines = createInterface({ input: following.stdout });
    const first = once(lines, 'line') as Promise<[string]>;
    const { process: pmapd } = readRecord(clusterPaths(cluster).clusterFile)!.services.find(
      ({ name }) => name === 'node1/pmapd',
    )!;
    expect(signalIdentity(pmapd!, 'SIGKILL')).toBe(true);
    const event = EVENT_LINE.parse(JSON.parse((await first)[0]));
    expect(event).toMatchObject({ service: 'cohd', kind: 'holder-buried', severity: 'warning' });
    const at = ['events', '-q', '--since', '1h', '--match', '^node1 '];
    expect((await vkctl(at)).stdout.split('\n')).toContain(event.text);
    expect((await vkctl([...at, '--severity', 'error'])).stdout).not.toContain(event.text);
  } finally {
    following.kill('SIGKILL');
    others.kill('SIGKILL');
  }
  expect(await saidOfOthers).not.toContain('holder-buried');
});

test('machines', async () => {
  const there = `${cluster}-b`;
  const [, , address, , token] = first.command.split(' ');
  const { id } = await answer('node token add', '--ttl', '10m');
  expect(await answer('node token ls')).toMatchObject([{ usesLeft: 1 }, { id }]);
  await answer('node token rm', id);
  try {
    const joined = await answer('join', address!, '--token', token!, '--address', '127.0.0.2', '-c', there);
    expect(joined).toMatchObject({ node: 'node2', of: cluster, cluster: there });
    await answer('node drain', 'node2');
    expect((await answer('node ls')).map((node: { state: string }) => node.state)).toEqual([
      'ready',
      'drained',
    ]);
    await answer('node resume', 'node2');
    await answer('node rm', 'node2', '--force');
  } finally {
    await vkctl(['down', '--purge', '-c', there]);
  }
});

test('all were asked', async () => {
  await answer('down');
  expect([...held].sort()).toEqual(Object.keys(ANSWERS).sort());
});
