// Virtual kernels that nobody uses cost nothing: their OS process ends, and the next program makes them anew. Those that have
// something to lose stay. ODONATA_LONG: two hundred of them on one node, and what a parked one costs. And programs that wait cost
// next to nothing (docs/parked.md): a thousand of them with ODONATA_LONG.

import { readFileSync } from 'node:fs';
import { ProgramRun } from '@odonata/client/program-run.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { footprintOf } from '../fuzz/footprint.ts';
import { LONG } from '../long.ts';
import { TestCluster, until } from './cluster.ts';

const PARK_AFTER_MS = 3_000;
const MANY = LONG ? 200 : 0;
/** Beside what vkerneld takes with none: of each. */
const PARKED_BYTES = 1 << 20;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 1, parkAfterMs: PARK_AFTER_MS });
}, 150_000);
afterAll(() => cluster.down(), 90_000);

interface Shown {
  name: string;
  state: string;
  hostPid: number;
  parkedAt?: string;
}

async function shown(name: string): Promise<Shown | undefined> {
  const { stdout } = await cluster.vkctl(['vkernel', 'ls', '--json']);
  return (JSON.parse(stdout) as Shown[]).find((each) => each.name === name);
}

const parked = (name: string) =>
  until(`${name} is parked`, async () => (await shown(name))?.state === 'parked', 60_000);

const hello = (vkernel: string) => cluster.run('node1', 'hello', [], { vkernel });

test('one that nobody uses is parked and woken; one with a program or files in /tmp is not', async () => {
  const sleeper = await cluster.start('node1', 'futex', ['word', 'wait', '0', '-1'], { vkernel: 'busy' });
  await sleeper.wrote(/waiting/);
  await cluster.run('node1', 'files', ['write', '/tmp/kept', 'x'], { vkernel: 'keeper' });
  expect(await hello('idle')).toMatchObject({ code: 0 });
  await parked('idle');
  expect(await shown('idle')).toMatchObject({ hostPid: 0, parkedAt: expect.stringMatching(/^20/) });
  expect(await shown('busy')).toMatchObject({ state: 'running' });
  expect(await shown('keeper')).toMatchObject({ state: 'running' });
  const beganMs = performance.now();
  expect(await hello('idle')).toMatchObject({ code: 0 });
  const wokenMs = performance.now() - beganMs;
  const againMs = performance.now();
  await hello('idle');
  console.log(
    `a program in a parked virtual kernel took ${wokenMs.toFixed(0)} ms, the next one ${(performance.now() - againMs).toFixed(0)}`,
  );
  await cluster.run('node1', 'files', ['rm', '/tmp/kept'], { vkernel: 'keeper' });
  await parked('keeper');
  await cluster.vkctl(['kill', '-9', `${await sleeper.pid}`]);
  await parked('busy');
  expect(await cluster.vkctl(['vkernel', 'halt', 'busy'])).toMatchObject({ code: 0, stderr: '' });
  expect(await shown('busy')).toBeUndefined();
});

test('programs that come as it is being parked run', async () => {
  for (let i = 0; i < (LONG ? 6 : 2); i++) {
    await until('about to be parked', async () => (await shown('idle'))?.state !== 'running', 60_000);
    // Some come before its process ends, some meanwhile, some after.
    const ends = await Promise.all([0, 1, 2].map(() => hello('idle')));
    for (const end of ends) expect(end).toMatchObject({ code: 0, reason: '' });
  }
}, 120_000);

test.runIf(LONG)(
  `${MANY} that are parked cost at most 1 MiB each`,
  async () => {
    const residentBytes = () =>
      ['node1/vkerneld', 'node1/pmapd'].reduce(
        (sum, name) => sum + footprintOf(cluster.service(name).process!.pid).residentMib * 2 ** 20,
        0,
      );
    const before = residentBytes();
    for (let i = 0; i < MANY; i++) expect(await hello(`many-${i}`)).toMatchObject({ code: 0 });
    await parked(`many-${MANY - 1}`);
    const { stdout } = await cluster.vkctl(['vkernel', 'ls', '--json']);
    const states = (JSON.parse(stdout) as Shown[]).filter(({ state }) => state === 'parked');
    expect(states.length).toBeGreaterThanOrEqual(MANY);
    const each = (residentBytes() - before) / MANY;
    console.log(`a parked virtual kernel costs ${(each / 1024).toFixed(0)} KiB of vkerneld and pmapd`);
    expect(each).toBeLessThan(PARKED_BYTES);
  },
  600_000,
);

/** What programs touched of their memory: the memory files that their virtual kernel has mapped, as far as they are in its page tables. */
function touchedMib(hostPid: number): number {
  const [, kib = '0'] = /^RssShmem:\s+(\d+) kB/m.exec(readFileSync(`/proc/${hostPid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

const SLEEPERS = LONG ? 1_000 : 20;

test(`${SLEEPERS} programs that wait in one virtual kernel have no threads, and go on`, async () => {
  const module = await cluster.moduleOf('sleeper');
  const { connection } = cluster;
  const start = async (): Promise<bigint> => {
    const spec = { name: 'sleeper', args: ['sleep', '3600000'], vkernel: 'waits', detach: true };
    const run = new ProgramRun(connection, 'node1', spec, module, {});
    const { pid } = await run.started();
    return pid;
  };
  await cluster.run('node1', 'hello', [], { vkernel: 'waits' });
  const hostPid = (await shown('waits'))!.hostPid;
  const { pid: pmapd } = cluster.service('node1/pmapd').process!;
  const { pid: vkerneld } = cluster.service('node1/vkerneld').process!;
  const residentMib = () =>
    [hostPid, pmapd, vkerneld].reduce((sum, pid) => sum + footprintOf(pid).residentMib, 0);
  const before = residentMib();
  const touchedBefore = touchedMib(hostPid);
  const beganMs = performance.now();
  const pids: bigint[] = [];
  while (pids.length < SLEEPERS)
    pids.push(...(await Promise.all(Array.from({ length: Math.min(8, SLEEPERS - pids.length) }, start))));
  const startsMs = performance.now() - beganMs;
  interface Shown {
    pid: number;
    vkernel: string;
    threads: number;
    state: string;
  }
  const ps = async () => {
    const { stdout } = await cluster.vkctl(['ps', '--json']);
    return (JSON.parse(stdout) as Shown[]).filter(({ vkernel }) => vkernel === 'waits');
  };
  await until('all are parked', async () => (await ps()).every(({ threads }) => threads === 0), 60_000);
  const listed = performance.now();
  expect((await ps()).length).toBe(SLEEPERS);
  const psMs = performance.now() - listed;
  const all = residentMib() - before;
  const touched = touchedMib(hostPid) - touchedBefore;
  const each = (all - touched) / SLEEPERS;
  console.log(
    `${SLEEPERS} programs that wait: started in ${(startsMs / 1_000).toFixed(1)} s, ${(each * 1024).toFixed(0)} KiB each of its virtual kernel, vkerneld and pmapd beyond ${((touched / SLEEPERS) * 1024).toFixed(0)} KiB that it touched; vkctl ps ${psMs.toFixed(0)} ms`,
  );
  if (LONG) expect(each).toBeLessThan(1);
  await Promise.all(pids.slice(0, 4).map((pid) => cluster.vkctl(['kill', `${pid}`])));
  await until(
    'four are over',
    async () => (await ps()).filter(({ state }) => state === 'running').length === SLEEPERS - 4,
  );
  expect(await cluster.vkctl(['vkernel', 'halt', 'waits'])).toMatchObject({ code: 0 });
}, 600_000);
