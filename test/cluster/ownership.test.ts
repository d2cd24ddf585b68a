// Two people in one cluster: whose dataspaces, processes, memory and locks are, by programs and by commands.
import { join } from 'node:path';
import { type Connection, connectTo } from '@odonata/client/connection.ts';
import { Code } from '@odonata/rpc/error.ts';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { isRouter } from '../../services/vkctl/cluster/record.ts';
import { buildGuest } from '../guests/build.ts';
import { TestCluster, until } from './cluster.ts';
import { type CommandEnd, startVkctl } from './command.ts';
import { identityIn } from './identities.ts';
import { type End, Program } from './program.ts';

vi.setConfig({ testTimeout: 120_000 });

const QUOTA = 5;
const [EACCES, EDQUOT, ETIMEDOUT] = [2, 19, 73];

/** Somebody with a certificate of the cluster's authority, who comes by one of its sockets. */
class Person {
  readonly name: string;
  readonly to: Connection;
  private readonly env: NodeJS.ProcessEnv;

  private constructor(name: string, to: Connection, env: NodeJS.ProcessEnv) {
    this.name = name;
    this.to = to;
    this.env = env;
  }

  static async of(name: string, ...groups: string[]): Promise<Person> {
    const { plan, services } = cluster.record;
    const [routers] = services.filter(isRouter).map(({ address, socket = address }) => socket);
    const identity = `user/${name}${groups.length > 0 ? `?groups=${groups.join('+')}` : ''}`;
    const folder = await identityIn(plan, identity);
    const to = await connectTo(plan.cluster, routers!, { folder });
    const env = { ...cluster.env, ODONATA_SYSLINK: routers!, ODONATA_TLS_DIR: folder.dir };
    return new Person(name, to, env);
  }

  vkctl(...args: string[]): Promise<CommandEnd> {
    return startVkctl(args, { env: this.env }).ended;
  }

  async start(node: string, guest: string, ...args: string[]): Promise<Program> {
    return new Program(this.to, node, { name: guest, args }, await cluster.moduleOf(guest));
  }

  async run(node: string, guest: string, ...args: string[]): Promise<End> {
    return await (await this.start(node, guest, ...args)).end();
  }

  async errnoOf(node: string, guest: string, ...args: string[]): Promise<number> {
    const { stdout, stderr, code } = await this.run(node, guest, ...args);
    if (code !== 0) throw new Error(`${guest} ${args.join(' ')} of ${this.name}: ${code} ${stderr}`);
    return JSON.parse(stdout.toString()).errno;
  }
}

let cluster: TestCluster;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2, userDataspaces: QUOTA });
  [alice, bob] = await Promise.all([Person.of('alice', 'physics'), Person.of('bob', 'physics')]);
}, 150_000);
afterAll(async () => {
  for (const each of [alice, bob]) each?.to.close();
  await cluster.down();
}, 90_000);

let contexts = 0;
const user = (command: 'add' | 'rm', ...args: string[]): Promise<CommandEnd> => {
  const out = ['--out', join(cluster.record.plan.stateDir, `context-${contexts++}`)];
  return cluster.vkctl(['user', command, ...args, ...(command === 'add' ? out : [])]);
};

const write = (who: Person, node: string, name: string, value: string): Promise<End> =>
  who.run(
    node,
    'rangelock',
    name,
    '0',
    '3',
    'modifying',
    '1000',
    '--dirty',
    '1',
    '--value',
    value,
    '--size',
    '16384',
  );

test('what a program makes is its person’s alone, on every node, until they let others in', async () => {
  expect(await write(alice, 'node1', 'notes', '77')).toMatchObject({ code: 0 });
  expect(await bob.errnoOf('node2', 'dataspace', 'notes', 'stat')).toBe(EACCES);
  expect(await bob.errnoOf('node1', 'dataspace', 'notes', 'open', '16384', '3')).toBe(EACCES);
  const says = 'vkctl: dataspace notes belongs to alice (mode 600); bob may not';
  const commands = [
    ['ds', 'stat', 'notes'],
    ['ds', 'save', 'notes', '-'],
    ['ds', 'rm', 'notes'],
    ['ds', 'chmod', '666', 'notes'],
    ['ds', 'load', 'notes', '/etc/hostname'],
  ];
  const ended = await Promise.all(commands.map((args) => bob.vkctl(...args)));
  for (const [i, { code, stderr }] of ended.entries())
    expect([code, stderr.slice(0, says.length)], `${commands[i]!.join(' ')}: ${stderr}`).toEqual([1, says]);
  expect((await bob.vkctl('ds', 'ls')).stdout).toBe('NAME  OWNER  MODE  SIZE  LOST  PAGES AT  MAPPED BY\n');
  expect((await cluster.vkctl(['ds', 'ls'])).stdout).toMatch(/^notes +alice +600 +16 KiB/m);

  const changed = await alice.vkctl('ds', 'chmod', '640', 'notes', '--group', 'physics');
  expect(changed).toMatchObject({ code: 0, stdout: 'notes: alice:physics, mode 640\n', stderr: '' });
  expect((await bob.vkctl('ds', 'ls')).stdout).toMatch(/^notes +alice:physics +640 +16 KiB/m);
  const loaded = await bob.run('node2', 'readonly', 'notes', 'load');
  expect(loaded.stdout.toString()).toBe('{"before":77}\n{"survived":true,"word":77}\n');
  const stored = await bob.run('node2', 'readonly', 'notes', 'store');
  expect(stored).toMatchObject({ signal: 'SIGSEGV', stdout: Buffer.from('{"before":77}\n') });
  const refused = await write(bob, 'node2', 'notes', '88');
  expect(refused.stderr).toBe(`mapping dataspace notes: Permission denied (errno ${EACCES})\n`);
  const saved = await bob.vkctl('ds', 'save', 'notes', '-');
  expect([saved.code, saved.stdout.charCodeAt(0)]).toEqual([0, 77]);
});

test('who may only read sees what others write, on its node and on another one', async () => {
  expect(await write(alice, 'node1', 'news', '1')).toMatchObject({ code: 0 });
  expect((await alice.vkctl('ds', 'chmod', '644', 'news')).code).toBe(0);
  const reader = await bob.start('node1', 'peek', 'news', '0', '--every-ms', '20');
  await reader.wrote(/"words":\[1\]/);
  for (const [node, value] of [
    ['node1', '2'],
    ['node2', '3'],
    ['node1', '4'],
  ] as const) {
    expect(await write(alice, node, 'news', value)).toMatchObject({ code: 0 });
    await reader.wrote(new RegExp(`"words":\\[${value}\\]`));
  }
  await reader.signal('SIGKILL');
  // Never one that was not there, nor an earlier one after a later one.
  const { stdout } = await reader.end();
  const words = [...stdout.toString().matchAll(/"words":\[(\d+)\]/g)].map(([, word]) => Number(word));
  expect(words).toEqual(words.toSorted((a, b) => a - b));
});

test('who may write it does; whose it is, an admin changes', async () => {
  const made = await alice.vkctl(
    'ds',
    'create',
    'board',
    '16K',
    '--mode',
    '660',
    '--group',
    'physics',
    '--json',
  );
  expect(JSON.parse(made.stdout)).toMatchObject({ owner: 'alice', group: 'physics', mode: '660' });
  expect(await write(bob, 'node2', 'board', '5')).toMatchObject({ code: 0 });
  expect((await bob.vkctl('ds', 'chown', 'bob', 'board')).stderr).toMatch(/belongs to alice \(mode 660/);
  expect((await alice.vkctl('ds', 'chown', 'bob', 'board')).stderr).toMatch(/only an admin gives/);
  expect(await cluster.vkctl(['ds', 'chown', 'bobby', 'board'])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^vkctl: [^\n]*nobody named bobby is in the cluster; let them in first[^\n]*\n$/,
    ),
  });
  expect(await user('add', 'bob', '--group', 'physics')).toMatchObject({ code: 0 });
  expect(await cluster.vkctl(['ds', 'chown', 'bob:', 'board'])).toMatchObject({
    code: 0,
    stdout: 'board: bob, mode 660\n',
  });
  expect(await alice.errnoOf('node1', 'dataspace', 'board', 'stat')).toBe(EACCES);
  expect(await bob.vkctl('ds', 'rm', 'board')).toMatchObject({ code: 0 });
});

test('a group that is given or taken counts for virtual kernels that run, and a name is not given again unseen', async () => {
  expect(await write(alice, 'node1', 'plan', '1')).toMatchObject({ code: 0 });
  await alice.vkctl('ds', 'chmod', '640', 'plan', '--group', 'physics');
  const opens = () => bob.errnoOf('node2', 'dataspace', 'plan', 'stat');
  const kernels = async () =>
    (await bob.to.vkerneld('node2').listVkernels({})).vkernels.map(({ hostPid }) => hostPid);
  expect(await opens()).toBe(0);
  const before = await kernels();
  const asleep = await bob.start('node2', 'misbehave', 'spin');
  const pid = await asleep.pid;
  expect(await user('rm', 'bob')).toMatchObject({ code: 0 });
  await until('a group is taken', async () => (await opens()) === EACCES, 15_000);
  expect(await user('add', 'bob')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(`an earlier bob left a process \\(${pid}\\), which would be theirs`),
  });
  expect(await user('add', 'bob', '--group', 'physics', '--inherit')).toMatchObject({ code: 0 });
  await until('a group is given', async () => (await opens()) === 0, 15_000);
  expect(await kernels()).toEqual(before);
  await asleep.signal('SIGKILL');
  await asleep.end();
  expect(await alice.vkctl('ds', 'rm', 'plan')).toMatchObject({ code: 0 });
});

test('programs, their memory and their locks are their person’s, also when another pmapd goes on', async () => {
  await alice.vkctl('ds', 'create', 'shared', '16K', '--mode', '666');
  const holder = await alice.start(
    'node1',
    'rangelock',
    'shared',
    '0',
    '9',
    'modifying',
    '1000',
    '--hold',
    '--size',
    '16384',
  );
  await holder.wrote(/"locked":true/);
  const pid = await holder.pid;
  const lock = ['rangelock', 'shared', '5', '5', 'modifying', '0', '--size', '16384'];
  const tried = async () => {
    const { stdout } = await bob.run('node1', lock[0]!, ...lock.slice(1));
    return JSON.parse(stdout.toString().split('\n')[0]!).errno;
  };
  const see = async (who: Person | { to: Connection }) => {
    const { vmspaces } = await who.to.pmapd('node1').listVmspaces({});
    return vmspaces.map((vmspace) => vmspace.pid);
  };
  const { vmspace } = (await alice.to.pmapd('node1').listVmspaces({})).vmspaces[0]!;
  const peek = { vmspace, offset: 0n, length: 16 };

  const look = async () => {
    expect(await tried()).toBe(ETIMEDOUT);
    expect(await see(alice)).toEqual([pid]);
    expect(await see(bob)).toEqual([]);
    expect(await see({ to: cluster.connection })).toEqual([pid]);
    expect((await alice.to.pmapd('node1').vmspacePread(peek)).data).toHaveLength(16);
    await expect(bob.to.pmapd('node1').vmspacePread(peek)).rejects.toMatchObject({
      code: Code.PermissionDenied,
      message: expect.stringMatching(/vmspace \d+ of node1 belongs to alice, not to user bob/),
    });
    await expect(
      bob.to.pmapd('node1').vmspacePwrite({ vmspace, offset: 0n, data: new Uint8Array(4) }),
    ).rejects.toMatchObject({ code: Code.PermissionDenied });
  };
  await look();
  const { restarts } = cluster.service('node1/pmapd');
  expect(await cluster.vkctl(['restart', 'node1/pmapd'])).toMatchObject({ code: 0 });
  expect(cluster.service('node1/pmapd').restarts).toBeGreaterThan(restarts);
  await look();
  // Of what is another's they hear what they hear of what is not there.
  for (const words of [['kill'], ['logs'], ['attach'], ['exec', '-d']])
    for (const which of [pid, Number(pid) + 5_000]) {
      const program = words[0] === 'exec' ? [await buildGuest('hello')] : [];
      const { code, stderr } = await bob.vkctl(...words, String(which), ...program);
      expect({ words, which, code, stderr }).toMatchObject({
        stderr: expect.stringContaining(`no process ${which} on node`),
      });
      expect(stderr).not.toContain('alice');
    }
  expect(await alice.vkctl('kill', '-9', String(pid))).toMatchObject({ code: 0 });
  await holder.end();
  await until('the lock is free', async () => (await tried()) === 0, 30_000);
});

test('a user owns so many dataspaces, and others theirs', async () => {
  const has = JSON.parse((await alice.vkctl('ds', 'ls', '--json')).stdout).filter(
    ({ owner }: { owner: string }) => owner === 'alice',
  ).length;
  for (let i = has; i < QUOTA; i++)
    expect(await alice.errnoOf('node1', 'dataspace', `more${i}`, 'open', '4096', '1')).toBe(0);
  expect(await alice.errnoOf('node2', 'dataspace', 'over', 'open', '4096', '1')).toBe(EDQUOT);
  expect((await alice.vkctl('ds', 'create', 'over', '4K')).stderr).toMatch(
    /^vkctl: alice owns 5 dataspaces, the most of one user: remove some/,
  );
  expect(await bob.errnoOf('node1', 'dataspace', 'bobs', 'open', '4096', '1')).toBe(0);
  expect(await alice.vkctl('ds', 'rm', `more${QUOTA - 1}`)).toMatchObject({ code: 0 });
  expect(await alice.errnoOf('node2', 'dataspace', 'over', 'open', '4096', '1')).toBe(0);
});
