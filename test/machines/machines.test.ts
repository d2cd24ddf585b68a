// Three machines become a cluster by three commands, and go again.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAs, overTls } from '@odonata/bus/credential.ts';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { splitAddress } from '@odonata/rpc/address.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink } from '@odonata/rpc/syslink/endpoint.ts';
import { connect } from 'nats';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { buildPrograms } from '../../services/vkctl/cluster/programs.ts';
import { readRecord } from '../../services/vkctl/cluster/record.ts';
import { formatJoinToken, parseJoinToken } from '../../services/vkctl/door/join-token.ts';
import { buildGuest } from '../guests/build.ts';
import { addressOf, Machine } from './machine.ts';
import { OneAddress, PORT, whyNoNetwork } from './one-address.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 240_000 });

const folder = mkdtempSync(join(tmpdir(), 'odonata-machines-'));
const name = (letter: string): string => `door-${letter}-${process.pid}`;
const [one, two, three] = ['a', 'b', 'c'].map(
  (letter, at) =>
    new Machine({ folder, cluster: name(letter), address: at === 0 ? '127.0.0.1' : addressOf(at + 1) }),
) as [Machine, Machine, Machine];
const all = [one, two, three];
let router: { host: string; port: number };
let door: string;
let counter: string;

/** As the command says that is printed; where to listen is this machine's own. */
const joining = (machine: Machine, token: string, ...more: string[]): string[] => [
  ...['join', door, '--token', token, '--address', machine.address],
  ...['--node-memory', '64M', ...more],
];
const nodes = async (): Promise<{ name: string; state: string }[]> =>
  JSON.parse(await one.done('node', 'ls', '--json'));
const states = async () => Object.fromEntries((await nodes()).map((each) => [each.name, each.state]));
const token = async (...more: string[]): Promise<string> =>
  (await one.done('node', 'token', 'add', '-q', ...more)).trim();
const WAIT = { timeout: 30_000, interval: 300 };
/** Where the one instance of the one service runs. */
function instanceOf(services: string): string {
  const [{ instances }] = JSON.parse(services) as [{ instances: { node: string; state: string }[] }];
  const [instance] = instances.filter(({ state }) => state === 'healthy' || state === 'running');
  expect(instance?.node).toMatch(/^node/);
  return instance!.node;
}
/** What a node was told: folders, and the processes that virtual kernel `late` may have. */
async function heard(node: string): Promise<[folders: string[], processes: number[]]> {
  type Allowed = { node: string; path: string; away?: true };
  type Vkernel = { node: string; name: string; quota?: { processes: number } };
  const allowed = JSON.parse(await one.done('allow', '--json')) as Allowed[];
  const vkernels = JSON.parse(await one.done('vkernel', 'ls', '--json')) as Vkernel[];
  return [
    allowed.filter((each) => each.node === node && !each.away).map(({ path }) => path),
    vkernels
      .filter((each) => each.node === node && each.name === 'late')
      .map((each) => each.quota!.processes),
  ];
}
const recordOf = ({ home, cluster }: Machine) => readRecord(join(home, 'odonata', cluster, 'cluster.json'))!;

beforeAll(async () => {
  counter = await buildGuest('counter');
  // For who logs in: a node has those that are there when it starts.
  await buildPrograms();
  const up = ['up', '--address', '127.0.0.1:0', '--joins', '2', '--node-memory', '64M', '--json'];
  const { join: first, syslink } = JSON.parse(await one.done(...up)) as {
    join: { token: string; address: string };
    syslink: string;
  };
  router = splitAddress(syslink);
  door = first.address;
  // At the same time, by one token.
  const said = await Promise.all([two, three].map((each) => each.done(...joining(each, first.token))));
  expect(said.join('')).toMatch(/node\d has joined cluster/);
});
afterAll(async () => {
  for (const each of [three, two]) await each.vkctl('down', '--purge');
  await one.vkctl('down');
  const left = all.flatMap((each) => each.left().map((entry) => `${each.cluster}: ${entry}`));
  rmSync(folder, { recursive: true, force: true });
  expect(left.filter((entry) => !entry.includes('.contexts'))).toEqual([]);
});

it('is one cluster: a word that programs on all three add to', async () => {
  expect(await states()).toEqual({ node1: 'ready', node2: 'ready', node3: 'ready' });
  await Promise.all(
    [1, 2, 3].map((node) =>
      one.done('run', '--node', `node${node}`, counter, 'tally', 'atomic', '500', '--start', '3'),
    ),
  );
  expect(JSON.parse(await one.done('run', counter, 'tally', 'read'))).toMatchObject({ seen: 1500 });
  // Keys were made where they are, and nobody there is a person.
  const identities = readdirSync(join(two.home, 'odonata', two.cluster, 'identity')).sort();
  expect(identities.map((each) => each.replace(/\d$/, ''))).toEqual([
    'member',
    'pmapd-node',
    'vkerneld-node',
  ]);
  expect(await two.refused('ps')).toMatch(
    /nobody here has a certificate of that cluster. An admin makes one/,
  );
  // What the machine is told is checked again by the services: it may join, and no more.
  expect(await two.refused('join', '127.0.0.1', '--token', await token())).toMatch(
    /is node\d of cluster .* already/,
  );
});

it('a token that does not count is one line, and nothing is left', async () => {
  const before = await nodes();
  const other = new Machine({ folder, cluster: name('d'), address: addressOf(4) });
  const tried = (said: string, ...more: string[]) => other.refused(...joining(other, said, ...more));
  const good = await token('--ttl', '10m');
  const parsed = parseJoinToken(good)!;
  const used = await token('--ttl', '1s');
  await sleep(1_100);
  expect(await tried(used)).toMatch(/cannot join: the time of the token is over/);
  expect(await tried(good.slice(0, -3))).toMatch(/that is no token, or not all of one/);
  expect(await tried(formatJoinToken({ ...parsed, pin: '00'.repeat(32) }))).toMatch(
    /answers another cluster than the token is of/,
  );
  expect(await tried(formatJoinToken({ ...parsed, secret: 'A'.repeat(27) }))).toMatch(/knows no such token/);
  const elsewhere = formatJoinToken({ ...parsed, port: router.port });
  expect(await other.refused('join', '127.0.0.1', '--token', elsewhere)).toMatch(
    /cannot join|another cluster/,
  );
  // The port that is typed counts.
  expect(await other.refused('join', '127.0.0.1:1', '--token', good)).toMatch(
    /127.0.0.1:1 does not answer: .*The token says that the door is at port \d+: leave the port out/,
  );
  expect(await tried(good, '--name', 'node2')).toMatch(/--name node2: there is a node2 already/);
  expect(await tried(good, '--allow-dir', '/proc')).toMatch(/--allow-dir/);
  await one.done('node', 'token', 'rm', parsed.id);
  expect(await tried(good)).toMatch(/knows no such token/);
  expect([readdirSync(other.home), (await nodes()).map((each) => each.name)]).toEqual([
    [],
    before.map((each) => each.name),
  ]);
  expect(await one.refused('node', 'token', 'rm', parsed.id)).toMatch(/no token/);
});

it.skipIf(whyNoNetwork() !== undefined)('all that a person does goes through one address', async () => {
  const elsewhere = new Machine({ folder, cluster: name('e'), address: '127.0.0.1' });
  const file = join(elsewhere.home, 'alice.context');
  await one.done('user', 'add', 'alice', '--role', 'admin', '--syslink', `127.0.0.1:${PORT}`, '--out', file);
  const { ODONATA_CLUSTER: _, ...env } = elsewhere.env;
  const there = new OneAddress(join(folder, 'out.sock'), router, env);
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await there.vkctl(args);
    expect(code, `${args.join(' ')}: ${stderr}`).toBe(0);
    return stdout;
  };
  try {
    await done('context', 'add', file);
    expect(await done('whoami')).toContain('alice');
    const bytes = join(elsewhere.home, 'bytes');
    writeFileSync(bytes, 'x'.repeat(100_000));
    await done('ds', 'load', 'text', bytes);
    await done('ds', 'save', 'text', `${bytes}.back`);
    expect(readFileSync(`${bytes}.back`).equals(readFileSync(bytes))).toBe(true);
    expect(await done('run', '--node', 'node3', counter, 'far', 'atomic', '7')).toContain('"seen":7');
    expect(await done('login', '@', 'echo hello')).toBe('hello\n');
    await done('cp', bytes, 'node3/default:/tmp/bytes');
    const pid = (await done('run', '-d', '--node', 'node2', counter, 'far', 'atomic', '1')).trim();
    expect(await done('logs', pid)).toContain('"seen":8');
    const looks = 'status,ps -a,ds ls,events,node ls,vkernel ls,service ls,name ls,route ls'.split(',');
    // Two at a time: a busy machine takes seconds to start each, and a line gives up after five.
    const some = async (all: string[]) => {
      for (const words of all) expect(await done(...words.split(' ')), words).not.toBe('');
    };
    await Promise.all([some(looks.slice(0, 5)), some(looks.slice(5))]);
    // An admin lets others in, by a key that is made here.
    const bobs = join(elsewhere.home, 'bob.context');
    await done('user', 'add', 'bob', '--group', 'physics', '--out', bobs);
    const { syslink, key } = JSON.parse(readFileSync(bobs, 'utf8'));
    expect([syslink, key]).toEqual([`127.0.0.1:${PORT}`, expect.stringContaining('PRIVATE KEY')]);
    expect(await done('user', 'ls')).toMatch(/bob +user +physics/);
    await done('context', 'add', '--name', 'bobs', bobs);
    await done('context', 'use', 'bobs');
    expect(await done('whoami')).toContain('bob');
    const { stderr: no } = await there.vkctl(['user', 'add', 'mallory']);
    expect(no).toMatch(/user bob may not do this; admin may/);
    await done('context', 'use', one.cluster);
    expect((await there.vkctl(['user', 'add', 'bob', '--inherit', '--out', `${bobs}.2`])).stderr).toMatch(
      /user bob is in cluster .* already. For a new certificate/,
    );
    await done('user', 'rm', 'bob');
    expect(await done('user', 'ls')).toMatch(/bob .*removed/);
    expect(await done('events', '--kind', 'person-removed')).toMatch(/alice put user bob out/);
    // Typed where the cluster began it is one as well.
    expect(await one.done('events', '--kind', 'person-added')).toMatch(/let admin alice in/);
    expect(JSON.parse(await done('node', 'token', 'add', '--json'))).toMatchObject({ uses: 1 });
    const service = join(elsewhere.home, 'web.yaml');
    writeFileSync(service, `name: web\nprogram: ${counter}\ncommand: [far, read]\n`);
    await done('apply', '-f', service);
    expect(await done('service', 'ls')).toContain('web');
    await done('service', 'rm', 'web');
  } finally {
    there.close();
    await one.done('user', 'rm', 'alice');
  }
});

it('a node that is drained gives its pages away, and works again', async () => {
  await one.done('run', '--node', 'node3', counter, 'kept', 'atomic', '9');
  // A service that is there goes elsewhere.
  const service = join(one.home, 'spin.yaml');
  writeFileSync(service, `name: spin\nprogram: ${await buildGuest('misbehave')}\ncommand: [spin]\n`);
  await one.done('apply', '-f', service);
  const placed = () => vi.waitFor(async () => instanceOf(await one.done('service', 'ls', '--json')), WAIT);
  const before = await placed();
  await one.done('node', 'drain', before);
  await vi.waitFor(async () => expect(await placed()).not.toBe(before), WAIT);
  await one.done('node', 'resume', before);
  await one.done('service', 'rm', 'spin');
  await one.done('node', 'drain', 'node3');
  expect(await states()).toMatchObject({ node3: 'drained' });
  const happened = async (kind: string) =>
    (await one.vkctl('events', '--kind', kind, '--match', 'node3')).stdout;
  expect(await happened('node-drained')).toMatch(/admin \S+ had node3 hand over what it has, and rest/);
  expect(await happened('holder-left')).toMatch(/node3 left: it said goodbye/);
  expect(await one.done('node', 'drain', 'node3')).toMatch(/^node3 is drained already, and rests/);
  // That is no failure: nothing of it is missing.
  for (const look of ['ps', 'status', 'vkernel ls']) await one.done(...look.split(' '));
  expect(await one.refused('run', '--node', 'node3', counter, 'kept', 'read')).toMatch(
    /node3" was drained, and rests. It works again with: vkctl node resume node3/,
  );
  expect(JSON.parse(await one.done('run', '--node', 'node1', counter, 'kept', 'read'))).toMatchObject({
    seen: 9,
  });
  // What is said meanwhile it hears when it works again.
  expect(await one.done('allow', folder)).toMatch(
    /is allowed on node1, node2, and on node3 when that is back/,
  );
  expect(await one.done('vkernel', 'create', 'late', '--processes', '3')).toMatch(
    /late may have counts on node3 when that is back/,
  );
  await one.done('vkernel', 'set', 'late', '--node', 'node3', '--processes', '2');
  expect(JSON.parse(await one.done('allow', '--json'))).toContainEqual({
    ...{ node: 'node3', path: folder, readOnly: false, away: true },
  });
  await one.done('node', 'resume', 'node3');
  expect(JSON.parse(await one.done('run', '--node', 'node3', counter, 'kept', 'read'))).toMatchObject({
    seen: 9,
  });
  expect(await one.done('node', 'resume', 'node3')).toBe('node3 works already\n');
  await vi.waitFor(async () => expect(await heard('node3')).toEqual([[folder], [2]]), WAIT);
  expect(await one.refused('node', 'drain', 'node77')).toMatch(/no node "node77"; nodes: node1/);
});

it('down ends the node of a machine alone, with nothing lost, and up starts it again without a token', async () => {
  await one.done('run', '--node', 'node2', counter, 'mine', 'atomic', '5');
  const mine = recordOf(two).plan.member!.node;
  expect(await two.done('down')).toMatch(/is down on this machine; start it again with: vkctl up/);
  expect((await states())[mine]).toBe('away');
  expect(JSON.parse(await one.done('run', '--node', 'node1', counter, 'mine', 'read'))).toMatchObject({
    seen: 5,
  });
  expect(await two.done('up')).toMatch(/node\d of cluster .* is up/);
  expect((await states())[mine]).toBe('ready');
  // Killed with all that watched over it, it comes back as well.
  const { supervisor } = recordOf(two);
  process.kill(supervisor.pid, 'SIGKILL');
  await two.done('up');
  await vi.waitFor(async () => expect((await states())[mine]).toBe('ready'), {
    timeout: 10_000,
    interval: 300,
  });
});

it('a node that was taken out is in no more, whether it is up or down', async () => {
  const theirs = recordOf(three).plan.member!.node;
  await three.done('down');
  await one.done('node', 'rm', theirs);
  expect(Object.keys(await states())).not.toContain(theirs);
  expect(await three.refused('up', '--timeout', '10')).toMatch(/removed/);
  expect(await three.refused('status')).toMatch(
    /this machine was node\d of cluster .*, and was removed from it/,
  );
  // One that runs ends by itself.
  const mine = recordOf(two).plan.member!.node;
  const { supervisor } = recordOf(two);
  const copied = join(folder, 'copied');
  cpSync(join(two.home, 'odonata', two.cluster, 'identity'), copied, { recursive: true });
  const { nats } = recordOf(two).plan.member!;
  await one.done('node', 'rm', '--force', mine);
  await vi.waitFor(() => expect(existsSync(`/proc/${supervisor.pid}`)).toBe(false), {
    timeout: 20_000,
    interval: 200,
  });
  expect(await two.refused('up')).toMatch(/was removed from it/);
  // Whoever kept its keys comes in no more: not at a router, and not at NATS.
  const line = attachSyslink({
    ...{
      address: `${router.host}:${router.port}`,
      name: `${mine}/vkerneld`,
      kind: EndpointKind.VKERNEL,
      node: mine,
    },
    ...{ log: silentLog(), folder: new TlsFolder(join(copied, `vkerneld-${mine}`)) },
  });
  await expect(line.ready({ deadlineMs: 10_000 })).rejects.toThrow(/was revoked/);
  line.close();
  const theirNats = {
    ...overTls(join(copied, `pmapd-${mine}`, 'ca.crt')),
    ...connectAs(join(copied, `pmapd-${mine}`, 'nats')),
  };
  await expect(connect({ servers: nats, reconnect: false, timeout: 5_000, ...theirNats })).rejects.toThrow(
    /[Aa]uthorization/,
  );
  expect(await one.done('ps')).not.toContain(mine);
  // With a new token it may come again, when what is left is cleared.
  await two.done('down', '--purge');
  await two.done(...joining(two, await token()));
  // What was said before it came holds there, too.
  const { name: late } = recordOf(two).plan.nodes[0]!;
  await vi.waitFor(async () => expect(await heard(late)).toEqual([[folder], [3]]), WAIT);
  await one.done('disallow', folder);
  await one.done('vkernel', 'rm', 'late');
  await vi.waitFor(async () => expect(await heard(late)).toEqual([[], []]), WAIT);
  expect(await one.refused('node', 'rm', 'node1')).toMatch(/node1 is of the machine where the cluster began/);
});
