// Control groups of version 2: what is written where, in a folder that looks like one; and what the kernel says to it, on a real
// tree of version 2 in a mount namespace of the test, with the controllers that version 1 does not have here.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cgroupsThere, findCgroupHome, NodeCgroups, nameOf, removeCgroups } from './cgroup.ts';
import { enterClusterCgroup, removeClusterCgroup } from './cluster-cgroup.ts';

let root: string;
let sockets: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'odonata-cgroup-'));
  sockets = join(root, 'sockets');
  mkdirSync(sockets);
});
afterEach(() => rmSync(root, { recursive: true }));

/** A group as systemd delegates it. */
function group(path: string, controllers: string): string {
  const folder = join(root, path);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'cgroup.controllers'), `${controllers}\n`);
  writeFileSync(join(folder, 'cgroup.procs'), '');
  writeFileSync(join(folder, 'cgroup.subtree_control'), '');
  return folder;
}
const own = '0::/user.slice/odonata.scope\n';

it('removes what a node of before made from where it stood in another group than whoever clears up', () => {
  for (const path of ['memory', 'pids', 'cpu', 'cpu/odonata-0123456789ab-guests']) group(path, '');
  const place = { root, own: '3:cpu:/odonata-0123456789ab-services\n2:memory,pids:/\n', isRoot: true };
  const found = findCgroupHome(place);
  expect('home' in found && found.home.folders.get('cpu')).toBe(
    join(root, 'cpu/odonata-0123456789ab-guests'),
  );
  const name = nameOf(sockets);
  const [lodger, guests] = ['cpu/odonata-lodger-ab', 'cpu/odonata-0123456789ab-guests'];
  for (const parent of [lodger, `${guests}/odonata-lodger-ab`, guests, 'pids'])
    mkdirSync(join(root, parent, name, 'vk1'), { recursive: true });
  mkdirSync(join(root, lodger, 'odonata-of-another', 'vk1'), { recursive: true });
  removeCgroups(sockets, cgroupsThere(place));
  for (const parent of [lodger, `${guests}/odonata-lodger-ab`, guests, 'pids'])
    expect(existsSync(join(root, parent, name)), parent).toBe(false);
  expect(existsSync(join(root, guests, 'odonata-lodger-ab'))).toBe(false);
  expect(existsSync(join(root, lodger, 'odonata-of-another', 'vk1'))).toBe(true);
});

it('finds the group of its own, gives its controllers on, and bounds each virtual kernel there', () => {
  group('', 'cpuset cpu io memory pids');
  const folder = group('user.slice/odonata.scope', 'cpu memory pids');
  const found = findCgroupHome({ root, own, isRoot: false });
  expect(found).toMatchObject({ home: { version: 2, detail: 'version 2: memory, pids, cpu' } });
  if (!('home' in found)) return;
  expect(readFileSync(join(folder, 'cgroup.subtree_control'), 'utf8')).toBe('+memory +pids +cpu');

  const cgroups = new NodeCgroups(found.home, sockets);
  cgroups.enter('vk1', 4_711, { memoryBytes: 1 << 28, threads: 64 });
  const [parent] = JSON.parse(readFileSync(join(sockets, 'cgroups'), 'utf8')) as [string];
  expect(parent.startsWith(join(folder, 'odonata-'))).toBe(true);
  const said = (file: string) => readFileSync(join(parent, 'vk1', file), 'utf8');
  expect(readFileSync(join(parent, 'cgroup.subtree_control'), 'utf8')).toBe('+memory +pids +cpu');
  expect([said('cgroup.procs'), said('memory.max'), said('pids.max'), said('cpu.weight')]).toEqual([
    ...['4711', String(1 << 28), '64', '100'],
  ]);
  // Files of memory that are there count beside it; what else it has makes nothing larger, and it keeps that.
  const bounds = { memoryBytes: 1 << 28, moreBytes: 4_096, threads: 64 };
  writeFileSync(join(parent, 'vk1', 'memory.current'), `${1 << 29}\n`);
  writeFileSync(join(parent, 'vk1', 'memory.stat'), `anon 4096\nfile 8192\nshmem ${1 << 29}\n`);
  cgroups.bound('vk1', bounds);
  expect(said('memory.max')).toBe(String((1 << 29) + 4_096));
  writeFileSync(join(parent, 'vk1', 'memory.current'), `${2 ** 32}\n`);
  writeFileSync(join(parent, 'vk1', 'memory.stat'), `anon ${2 ** 32}\nfile 8192\nshmem 4096\n`);
  cgroups.bound('vk1', bounds);
  expect(said('memory.max')).toBe(String((1 << 29) + 4_096));
  writeFileSync(join(parent, 'vk1', 'memory.current'), '8192\n');
  cgroups.bound('vk1', bounds);
  expect(said('memory.max')).toBe(String(1 << 28));
  const events = 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 0\noom_group_kill 0\n';
  writeFileSync(join(parent, 'vk1', 'memory.events'), events);
  expect(cgroups.ranOut('vk1')).toBe(false);
  writeFileSync(join(parent, 'vk1', 'memory.events'), events.replace('oom_kill 0', 'oom_kill 1'));
  expect(cgroups.ranOut('vk1')).toBe(true);
});

it('of a group without all controllers it takes version 1, and where there is none says how to get one', () => {
  group('', 'cpu memory pids');
  group('user.slice/odonata.scope', 'memory pids');
  expect(findCgroupHome({ root, own, isRoot: false })).toMatchObject({ reason: /no control group of ours/ });
  const memory = `${group('memory', '')}/`;
  const both = findCgroupHome({ root, own: `4:memory:/\n${own}`, isRoot: false });
  expect(both).toMatchObject({ home: { version: 1, folders: new Map([['memory', memory]]) } });
});

it.runIf(process.getuid!() !== 0)('what is not delegated is not ours', () => {
  group('', 'cpu memory pids');
  chmodSync(group('user.slice/odonata.scope', 'cpu memory pids'), 0o555);
  expect(findCgroupHome({ root, own, isRoot: false })).toMatchObject({ reason: /is not delegated to us/ });
});

/** In a mount namespace: what is mounted there nobody else sees. The groups themselves all see, and are removed. */
const ON_A_TREE = `
  import { spawn } from 'node:child_process';
  import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
  const { findCgroupHome, NodeCgroups } = await import(MODULE);
  const name = 'odonata-test-' + process.pid;
  const top = TREE + '/' + name;
  const all = readFileSync(TREE + '/cgroup.controllers', 'utf8').trim().split(' ').filter(Boolean);
  const controllers = ['memory', 'pids', 'cpu'].every((each) => all.includes(each)) ? ['memory', 'pids', 'cpu'] : all.slice(0, 1);
  const groupOf = (pid) => /^0::(.*)$/m.exec(readFileSync('/proc/' + pid + '/cgroup', 'utf8'))[1];
  const before = groupOf('self');
  const given = readFileSync(TREE + '/cgroup.subtree_control', 'utf8').trim().split(' ');
  writeFileSync(TREE + '/cgroup.subtree_control', controllers.map((each) => '+' + each).join(' '));
  mkdirSync(top);
  writeFileSync(top + '/cgroup.procs', String(process.pid));
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  const place = { root: TREE, own: '0::/' + name, controllers };
  const root = findCgroupHome({ ...place, root: top, own: '0::/', isRoot: true });
  const busy = groupOf('self');
  const found = findCgroupHome({ ...place, isRoot: false });
  const aside = groupOf('self');
  const out = { controllers, root: root.reason, busy, found: found.reason ?? found.home.detail, aside };
  if (found.home) {
    const cgroups = new NodeCgroups(found.home, SOCKETS);
    cgroups.enter('vk1', child.pid, { memoryBytes: 1 << 28, threads: 64 });
    out.child = groupOf(child.pid);
    out.ranOut = cgroups.ranOut('vk1');
    const ended = new Promise((resolve) => child.once('exit', resolve));
    cgroups.remove('vk1');
    out.keptWhileIn = existsSync(TREE + out.child);
    child.kill('SIGKILL');
    await ended;
    await cgroups.close();
    out.left = existsSync(TREE + out.child);
  }
  child.kill('SIGKILL');
  writeFileSync(TREE + before + '/cgroup.procs', String(process.pid));
  for (const folder of [top + '/odonata-services', top]) try { rmdirSync(folder); } catch (error) { out.stuck = String(error); }
  const more = controllers.filter((each) => !given.includes(each));
  if (more.length > 0) writeFileSync(TREE + '/cgroup.subtree_control', more.map((each) => '-' + each).join(' '));
  console.log(JSON.stringify(out));`;

it.runIf(process.getuid!() === 0)(
  'the kernel takes it: a group that has processes is divided, and one that ended goes',
  () => {
    const tree = join(root, 'tree');
    mkdirSync(tree);
    const about = {
      MODULE: new URL('./cgroup.ts', import.meta.url).href,
      ...{ TREE: tree, SOCKETS: sockets },
    };
    const script = Object.entries(about).map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
    const command = `mount -t cgroup2 none '${tree}' && exec "$0" --input-type=module -e "$1"`;
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      ['-m', 'sh', '-c', command, process.execPath, `${ON_A_TREE}`.replace('\n', `\n${script.join('\n')}\n`)],
      { encoding: 'utf8', timeout: 30_000 },
    );
    if (status !== 0 && /mount/.test(stderr))
      return console.log(`skipped: no cgroup2 can be mounted: ${stderr.trim()}`);
    expect(stderr).toBe('');
    const said = JSON.parse(stdout);
    if (said.controllers.length === 0) return console.log('skipped: no controller is left for version 2');
    expect(said).toMatchObject({
      root: expect.stringMatching(/cannot be divided \(EBUSY\): processes are in it/),
      busy: expect.stringMatching(/\/odonata-test-\d+$/),
      found: `version 2: ${said.controllers.join(', ')}`,
      aside: expect.stringMatching(/\/odonata-test-\d+\/odonata-services$/),
      child: expect.stringMatching(/\/odonata-test-\d+\/odonata-[0-9a-f]{12}\/vk1$/),
      ...{ ranOut: false, keptWhileIn: true, left: false },
    });
    expect(said.stuck).toBeUndefined();
  },
);

it.each([
  ['of version 2', '0::/user.slice/odonata.scope\n', 'user.slice/odonata.scope', 'cpu.weight', '1000'],
  ['of version 1', '3:cpu:/ours\n0::/\n', 'cpu/ours', 'cpu.shares', '10240'],
])(
  'services of a cluster weigh more than its guests, whose groups are beside theirs: %s',
  async (_, mine, path, file, weight) => {
    const folder = group(path, 'cpu memory pids');
    const runtimeDir = join(root, 'run');
    mkdirSync(runtimeDir);
    expect(enterClusterCgroup(runtimeDir, { root, own: mine, isRoot: false, pid: 4_711 })).toBe(true);
    const top = readFileSync(join(runtimeDir, 'cgroup'), 'utf8');
    expect(top.startsWith(join(folder, 'odonata-'))).toBe(true);
    expect(readFileSync(join(`${top}-services`, file), 'utf8')).toBe(weight);
    expect(readFileSync(join(`${top}-services`, 'cgroup.procs'), 'utf8')).toBe('4711');
    // What a service finds.
    const within = mine.replace(
      /:\/(user.*|ours)$/m,
      `:${top.slice(root.length).replace(/^\/cpu/, '')}-services`,
    );
    for (const each of ['cgroup.procs', 'cgroup.controllers'])
      writeFileSync(join(`${top}-guests`, each), 'cpu memory pids\n');
    const found = findCgroupHome({ root, own: within, isRoot: false });
    expect('home' in found && found.home.folders.get('cpu')).toBe(`${top}-guests`);
    // A word that names something else is no reason to remove that.
    writeFileSync(join(runtimeDir, 'cgroup'), folder);
    await removeClusterCgroup(runtimeDir, { root, own: mine, isRoot: false });
    expect(existsSync(join(folder, 'cgroup.procs'))).toBe(true);
  },
);

it('without groups for processors that are ours there is none for a cluster', () => {
  const memory = group('memory', '');
  expect(enterClusterCgroup(root, { root, own: '4:memory:/\n0::/\n', isRoot: false })).toBe(false);
  expect(existsSync(join(memory, 'cgroup.procs'))).toBe(true);
});
