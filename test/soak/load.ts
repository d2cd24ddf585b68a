// What is done to a cluster again and again: what people do, and what they should not.

import { ProgramRun } from '@odonata/client/program-run.ts';
import { identify, signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { type TestCluster, until } from '../cluster/cluster.ts';
import type { Program as ProgramInstance } from '../cluster/program.ts';

export interface Done {
  runs: number;
  floods: number;
  kills: number;
}

export interface LoadOptions {
  cluster: TestCluster;
  node: string;
  /** How many of each: 1 is some seconds. */
  size: number;
  /** Of output to a slow reader, each time. */
  floodBytes: number;
}

const SIDE_BY_SIDE = 4;
/** A module that has no memory, and one that is none. */
const NO_MEMORY = Uint8Array.from([
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
  ...[7, 10, 1, 6, 0x5f, 0x73, 0x74, 0x61, 0x72, 0x74, 0, 0, 10, 4, 1, 2, 0, 0x0b],
]);
const NO_MODULE = Buffer.from('#!/bin/sh\n');

/** One round of all of it. */
export async function load(options: LoadOptions, done: Done): Promise<void> {
  await manyRuns(options, done);
  await flood(options, done);
  await sleepersKilled(options, done);
  await badEnds(options, done);
  await sharedMemory(options, done);
}

async function manyRuns({ cluster, node, size }: LoadOptions, done: Done): Promise<void> {
  await sideBySide(10 * size, async () => {
    expectCode((await cluster.run(node, 'hello')).code, 0, 'hello');
    done.runs += 1;
  });
  for (const module of [NO_MEMORY, NO_MODULE]) {
    await sideBySide(3 * size, async () => {
      const { code, reason } = await new ProgramRun(
        cluster.connection,
        node,
        spec('odd'),
        module,
        {},
      ).exited();
      expectCode(code, module === NO_MEMORY ? 0 : 126, `a module of ${module.length} bytes: ${reason}`);
      done.runs += 1;
    });
  }
}

/** Output to a reader that is slow, and then goes away. */
async function flood({ cluster, node, size, floodBytes }: LoadOptions, done: Done): Promise<void> {
  const module = await cluster.moduleOf('misbehave');
  for (let i = 0; i < size; i++) {
    const abort = new AbortController();
    let bytes = 0;
    const onOutput = async ({ data }: { data: Uint8Array }): Promise<void> => {
      bytes += data.length;
      if (bytes > floodBytes) abort.abort();
      // Slow: behind everything that is under way here.
      await new Promise((resolve) => setTimeout(resolve, 1));
    };
    const about = { ...spec('misbehave'), args: ['flood'] };
    const run = new ProgramRun(cluster.connection, node, about, module, { onOutput, signal: abort.signal });
    await run.exited().catch(() => {}); // aborted
    if (bytes <= floodBytes) throw new Error(`a flood ended after ${bytes} bytes`);
    done.floods += 1;
  }
}

async function sleepersKilled({ cluster, node, size }: LoadOptions, done: Done): Promise<void> {
  const sleepers = await started(cluster, node, 8 * size, ['sleep', '600000'], 'default');
  const vkerneld = cluster.connection.vkerneld(node);
  await sideBySide(sleepers.length, async (i) => {
    await vkerneld.kill({ pid: await sleepers[i]!.pid, signal: 'SIGKILL' });
    expectCode((await sleepers[i]!.end()).code, 137, 'a sleeper');
    done.kills += 1;
  });
  // A virtual kernel with all that is in it.
  const doomed = await started(cluster, node, 3, ['sleep', '600000'], 'doomed');
  const { vkernels } = await vkerneld.listVkernels({});
  signalIdentity(identify(vkernels.find(({ name }) => name === 'doomed')!.hostPid)!, 'SIGKILL');
  for (const one of doomed)
    expectCode((await one.end()).code, 137, 'one in a virtual kernel that was killed');
  await until('the virtual kernel is gone', async () => {
    const { vkernels } = await vkerneld.listVkernels({});
    return vkernels.every(({ name }) => name !== 'doomed');
  });
  done.kills += doomed.length;
}

async function badEnds({ cluster, node, size }: LoadOptions, done: Done): Promise<void> {
  const ways: [string, string[], number][] = [
    ['misbehave', ['unreachable'], 134],
    ['misbehave', ['recursion'], 139],
    ['misbehave', ['hog', '32'], 0],
    ['missing-import', [], 126],
  ];
  await sideBySide(ways.length * size, async (i) => {
    const [guest, args, code] = ways[i % ways.length]!;
    expectCode((await cluster.run(node, guest, args)).code, code, `${guest} ${args.join(' ')}`);
    done.runs += 1;
  });
}

async function sharedMemory({ cluster, node, size }: LoadOptions, done: Done): Promise<void> {
  for (let i = 0; i < size; i++) {
    const name = `soak-${done.runs}`;
    await cluster.output(node, 'pattern', [name, '256', 'write', '5']);
    await cluster.output(node, 'pattern', [name, '256', 'check', '5']);
    await cluster.connection.dataspaces(node).remove({ name });
    done.runs += 2;
  }
}

const spec = (name: string) => ({ name, args: [], env: [], dirs: [], memoryBytes: 0n, vkernel: '' });

async function started(cluster: TestCluster, node: string, count: number, args: string[], vkernel: string) {
  const programs: ProgramInstance[] = [];
  await sideBySide(count, async () => {
    const program = await cluster.start(node, 'misbehave', args, { vkernel });
    await program.pid;
    programs.push(program);
  });
  return programs;
}

async function sideBySide(count: number, one: (i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await one(next++);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
}

function expectCode(code: number, expected: number, what: string): void {
  if (code !== expected) throw new Error(`${what}: exit code ${code}, not ${expected}`);
}
