// What is asked for without end is refused clearly, or waits; neighbours go on; and nothing is left of it.
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../cluster/cluster.ts';
import type { Program } from '../cluster/program.ts';
import { footprintOf } from '../fuzz/footprint.ts';
import { liveMemoryOf } from '../fuzz/live-memory.ts';
import { LONG } from '../long.ts';
import type { Machine } from './machine.ts';

const SPAWNS = LONG ? 10_000 : 120;
const RUNS = LONG ? 1_000 : 40;
const AT_ONCE = 4;
/** Memory goes back once a service has rested for half a minute. */
const SETTLED_MS = LONG ? 120_000 : 20_000;
/** Of what a collection leaves: code and maps that the first of anything makes. */
const HEAP_MIB = 6;
const RESIDENT_MIB = 64;
const THREADS_DESCRIPTORS = 40;

interface Look {
  readonly heapMib: number;
  readonly residentMib: number;
  readonly descriptors: number;
}

/** What a process has open, as the kernel calls it; without folders of other clusters, which it keeps from programs and lets go by and by. */
const openIn = (pid: number, cluster: string): string[] =>
  readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const open = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return /\/odonata-\d+-/.test(open) && !open.includes(cluster) ? [] : [`${fd} ${open}`];
    } catch {
      return [];
    }
  });

export function testBounds(machine: Machine): void {
  let neighbour: Program;
  let heard = 0;
  beforeAll(async () => {
    neighbour = await machine.start('node1', 'handle', 's');
    await neighbour.wrote(/ready/);
  });
  afterAll(() => neighbour.signal('SIGKILL'));

  /** Another program of the same virtual kernel answers. */
  const goesOn = async () => {
    await neighbour.signal('SIGUSR1');
    await neighbour.wrote(new RegExp(`USR1 ${++heard}`), 5_000);
  };

  const pids = async (): Promise<Map<string, number>> => {
    const { vkernels } = await machine.cluster.connection.vkerneld('node1').listVkernels({});
    const services = machine.cluster.record.services.map((each) => [each.name, each.process!.pid] as const);
    return new Map([
      ...services,
      ...vkernels
        .filter(({ name }) => name === 'default')
        .map(({ name, hostPid }) => [`virtual kernel ${name}`, hostPid] as const),
    ]);
  };
  const lookAt = async (): Promise<Map<string, Look>> => {
    const looks = new Map<string, Look>();
    for (const [name, pid] of await pids()) {
      const footprint = footprintOf(pid);
      // The inspector has descriptors of its own, and nats-server is none of Node's. The virtual kernel's sandbox lets nobody look.
      const isNode = name !== 'nats' && !name.startsWith('virtual kernel');
      const descriptors = openIn(pid, machine.cluster.cluster).length;
      looks.set(name, { heapMib: 0, ...footprint, descriptors, ...(isNode && (await liveMemoryOf(pid))) });
    }
    return looks;
  };
  const filesOf = () => {
    const { runtimeDir, stateDir, memoryDir } = machine.cluster.paths;
    return [runtimeDir, stateDir, memoryDir].flatMap((dir) =>
      readdirSync(dir, { recursive: true })
        // What NATS keeps of its streams, and when, is its own.
        .filter((name) => !String(name).startsWith('nats/'))
        .map((name) => `${dir}/${String(name)}`),
    );
  };
  /** Looks before and after; what is more is said. */
  const leavesAsItWas = async (what: string, during: (part: number) => Promise<void>) => {
    // What the first of them make is there to stay; the table of processes remembers a thousand that ended.
    await during(LONG ? 0.2 : 0.1);
    const [before, files] = [await lookAt(), filesOf().sort()];
    const opened = new Map(
      [...(await pids())].map(([name, pid]) => [name, openIn(pid, machine.cluster.cluster)]),
    );
    const beganMs = performance.now();
    await during(1);
    const tookMs = performance.now() - beganMs;
    let grown: string[] = [];
    const since = async () => {
      grown = [];
      for (const [name, now] of await lookAt()) {
        const was = before.get(name)!;
        const { heapMib, residentMib, descriptors } = now;
        if (heapMib - was.heapMib > HEAP_MIB || residentMib - was.residentMib > RESIDENT_MIB)
          grown.push(`${name}: memory ${JSON.stringify({ was, now })}`);
        // Threads that wait for programs have some; a leak is of as many as there were children or runs.
        if (descriptors <= was.descriptors + THREADS_DESCRIPTORS) continue;
        const more = openIn((await pids()).get(name)!, machine.cluster.cluster).filter(
          (each) => !opened.get(name)!.includes(each),
        );
        grown.push(`${name}: descriptors ${JSON.stringify({ was, now, more })}`);
      }
      return grown.length === 0;
    };
    await until(`all is as it was after ${what}`, since, SETTLED_MS).catch(() => {});
    expect(grown).toEqual([]);
    expect(filesOf().sort()).toEqual(files);
    if (!LONG) return;
    console.log(`${what}: ${Math.round(tookMs)} ms`);
    for (const [name, now] of await lookAt()) {
      const was = before.get(name)!;
      const mib = (of: Look) => `heap ${of.heapMib.toFixed(1)} resident ${of.residentMib.toFixed(0)} MiB`;
      console.log(
        `${name}: ${mib(was)}, ${was.descriptors} descriptors; then ${mib(now)}, ${now.descriptors} descriptors`,
      );
    }
  };

  test(
    `${SPAWNS} children one after another, and ${RUNS} short runs, leave memory, descriptors and folders as they were`,
    async () => {
      await leavesAsItWas(`${SPAWNS} children and ${RUNS} runs`, async (part) => {
        const count = SPAWNS * part;
        const loop = await machine.start('node1', 'loop', String(count));
        expect((await loop.end(LONG ? 3_000_000 : 60_000)).stdout.toString()).toBe(`${count} ended\n`);
        let left = RUNS * part;
        const some = async () => {
          for (; left > 0; left--)
            expect(
              await machine.cluster.run('node1', 'family', ['exit', '7'], { dirs: machine.dirs }),
            ).toMatchObject({
              code: 7,
            });
        };
        await Promise.all(Array.from({ length: AT_ONCE }, some));
      });
      await goesOn();
    },
    LONG ? 3_600_000 : 120_000,
  );

  test('10,000 pipes: as many as a program may have, then "Too many open files"; those of others go on', async () => {
    expect(await machine.output('node1', 'pipes', '10000')).toMatch(
      /^(Too many open files|No file descriptors available) at 5\d\d\n10000 one after another\n$/,
    );
    await goesOn();
  });

  test('descriptors that nobody closes end with who had them', async () => {
    const hostPid = (await pids()).get('virtual kernel default')!;
    await machine.output('node1', 'open', '/programs/family.wasm');
    const before = footprintOf(hostPid).descriptors;
    for (let i = 0; i < 3; i++)
      for (const path of ['/programs/family.wasm', '/dev/zero', '/tmp'])
        expect(await machine.output('node1', 'open', path)).toMatch(/ at 10\d\d\n$/);
    await until(
      'they are closed',
      () => footprintOf(hostPid).descriptors <= before + THREADS_DESCRIPTORS,
      10_000,
    );
    await goesOn();
  });

  test('whoever writes to one who never reads waits, and takes no memory', async () => {
    const writers = [await machine.start('node1', 'flood'), await machine.start('node1', 'flood')];
    for (const each of writers) await each.wrote(/ready/);
    const hostPid = (await pids()).get('virtual kernel default')!;
    const before = footprintOf(hostPid).residentMib;
    await sleep(1_000);
    expect(footprintOf(hostPid).residentMib - before).toBeLessThan(32);
    await goesOn();
    for (const each of writers) {
      await each.signal('SIGKILL');
      expect(await each.end()).toMatchObject({ signal: 'SIGKILL' });
    }
    expect((await machine.cluster.vkctl(['status'])).code).toBe(0);
  });
}
