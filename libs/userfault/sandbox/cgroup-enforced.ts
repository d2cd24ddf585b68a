// What the kernel does to virtual kernels in control groups of version 2 that exceed their bounds. A program of cgroup-kernel.test.ts:
// the tree is its own, whole, as the machine's or by delegation; it prints one line of JSON.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findCgroupHome, NodeCgroups } from './cgroup.ts';
import { enterClusterCgroup, removeClusterCgroup } from './cluster-cgroup.ts';

const MIB = 2 ** 20;
const WIDE = { memoryBytes: 256 * MIB, threads: 64 };
/** Begins when it is told to: a virtual kernel enters its group before it makes anything. */
const WAITS = 'read go; ';
const HOG = `${WAITS}exec "$0" -e 'const kept = []; for (;;) kept.push(Buffer.alloc(4 << 20, 1))'`;
const FORKS = `${WAITS}for i in $(seq 100); do sleep 20 & done`;
const LOOP = 'while :; do :; done';

const found = findCgroupHome();
if (!('home' in found)) throw new Error(found.reason);
const cgroups = new NodeCgroups(found.home, mkdtempSync(join(tmpdir(), 'odonata-enforced-')));
const children = new Map<string, ChildProcess>();

function start(vkernel: string, script: string, bounds = WIDE): ChildProcess {
  const child = spawn('sh', ['-c', script, process.execPath], { stdio: ['pipe', 'ignore', 'pipe'] });
  children.set(vkernel, child);
  cgroups.enter(vkernel, child.pid!, bounds);
  return child;
}
const groupOf = (vkernel: string): string =>
  /^0::(.*)$/m.exec(readFileSync(`/proc/${children.get(vkernel)!.pid}/cgroup`, 'utf8'))![1]!;
const said = (folder: string, file: string): string =>
  readFileSync(join('/sys/fs/cgroup', folder, file), 'utf8');
const usedUs = (folder: string): number => Number(/^usage_usec (\d+)$/m.exec(said(folder, 'cpu.stat'))![1]);

const neighbour = start('neighbour', `${WAITS}exec sleep 60`);
const hog = start('hog', HOG, { memoryBytes: 96 * MIB, threads: 64 });
hog.stdin!.write('\n');
const [, signal] = await once(hog, 'exit');
const out: Record<string, unknown> = {
  home: found.home.detail,
  memory: { signal, ranOut: cgroups.ranOut('hog'), neighbour: cgroups.ranOut('neighbour') },
};

const forks = start('forks', FORKS, { memoryBytes: 256 * MIB, threads: 16 });
const folder = groupOf('forks');
let error = '';
forks.stderr!.on('data', (chunk) => {
  error += chunk;
});
forks.stdin!.write('\n');
await once(forks, 'exit');
out.pids = {
  error: /fork/i.test(error),
  within: Number(said(folder, 'pids.current')) <= 16,
  refused: /^max [1-9]/m.test(said(folder, 'pids.events')),
};

const one = start('one', `${WAITS}${LOOP}`);
const eight = start('eight', `${WAITS}for i in 1 2 3 4 5 6 7 8; do { ${LOOP}; } & done; wait`);
const [ofOne, ofEight] = [groupOf('one'), groupOf('eight')];
for (const child of [one, eight]) child.stdin!.write('\n');
await sleep(500);
const before = [usedUs(ofOne), usedUs(ofEight)];
await sleep(3_000);
const [a, b] = [usedUs(ofOne) - before[0]!, usedUs(ofEight) - before[1]!];
out.cpu = { shareOfOne: Math.round((100 * a) / (a + b)) / 100 };
out.neighbour = neighbour.exitCode === null && neighbour.signalCode === null;

for (const vkernel of children.keys())
  for (const each of [groupOfLeft(vkernel)].flat()) process.kill(each, 'SIGKILL');
await cgroups.close();

// A service and a guest compute side by side.
const cluster = mkdtempSync(join(tmpdir(), 'odonata-cluster-'));
const entered = enterClusterCgroup(cluster);
const group = readFileSync('/proc/self/cgroup', 'utf8').match(/^0::(.*)$/m)![1]!;
const service = spawn('sh', ['-c', LOOP], { stdio: 'ignore' });
const within = findCgroupHome();
if (!('home' in within)) throw new Error(within.reason);
const ofGuests = new NodeCgroups(within.home, mkdtempSync(join(tmpdir(), 'odonata-guests-')));
const guest = spawn('sh', ['-c', `${WAITS}${LOOP}`], { stdio: ['pipe', 'ignore', 'ignore'] });
ofGuests.enter('guest', guest.pid!, WIDE);
guest.stdin!.write('\n');
await sleep(500);
const guests = group.replace(/-services$/, '-guests');
const [services0, guests0] = [usedUs(group), usedUs(guests)];
await sleep(3_000);
out.cluster = {
  entered,
  services: group.endsWith('-services'),
  shareOfGuests: shareOf(usedUs(guests) - guests0, usedUs(group) - services0),
};
for (const child of [service, guest]) {
  child.kill('SIGKILL');
  await once(child, 'exit');
}
await ofGuests.close();
await removeClusterCgroup(cluster);
Object.assign(out.cluster as object, {
  left: [group, guests].some((each) => existsSync(join('/sys/fs/cgroup', each))),
});
console.log(`ENFORCED ${JSON.stringify(out)}`);

function shareOf(one: number, other: number): number {
  return one / (one + other);
}

/** The processes that are in it still. */
function groupOfLeft(vkernel: string): number[] {
  const parent = join(folder, '..', vkernel);
  return said(parent, 'cgroup.procs').split('\n').filter(Boolean).map(Number);
}
