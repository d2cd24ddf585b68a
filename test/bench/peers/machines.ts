// Programs apart from their machine: the same kernels natively, under Odonata, under User Mode Linux and under WasmEdge; what a page
// fault of private memory costs, and the start of a process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Failure } from '../../../services/vkctl/failure.ts';
import { buildGuest } from '../../guests/build.ts';
import { guests } from '../../guests/catalogue.ts';
import { round } from '../figure.ts';
import { runGuest } from '../guest-run.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { geometricMean, median } from '../samples.ts';
import { versionOf } from './servers.ts';

const ROOT = join(import.meta.dirname, '../../..');
const MACHINE = join(import.meta.dirname, 'machine.c');
const NODE = 'node1';
const KERNELS: Record<string, { whole: number; quick: number }> = {
  matmul: { whole: 384, quick: 64 },
  crc32: { whole: 4, quick: 1 },
  hashtable: { whole: 1000, quick: 20 },
  fib: { whole: 38, quick: 24 },
};
const FAULTS = { whole: 16_384, quick: 1_024 };
const STARTS = { whole: 30, quick: 5 };
const ROUNDS = 7;
/** Of user mode, whose processes are this one's. */
const UML_MS = 180_000;
const PAGE_FAULT = 'page fault of private memory, us';
const START = 'a process, to its end, ms';

/** What was measured: ns of each kernel, of a page fault and of a process. */
type Measured = Record<string, number>;

interface Way {
  name: string;
  measure(): Promise<Measured>;
}

/** What a program prints of itself. */
interface Line {
  kernel?: string;
  what?: string;
  count?: number;
  ns: number;
}

export async function machines(setting: Setting, missing: string[]) {
  const size = setting.quick ? 'quick' : 'whole';
  const ways: Way[] = [];
  const own = join(setting.folder, 'machines');
  await mkdir(own, { recursive: true });
  const cc = versionOf('cc');
  if (cc === undefined) missing.push('a C compiler of this machine, for native programs and User Mode Linux');
  else {
    setting.progress('building native programs');
    await buildNative(setting, own);
    ways.push({
      name: 'native',
      measure: () => measureBy(own, (command) => run(setting, 'sh', ['-c', command]), size),
    });
  }
  ways.push({ name: 'Odonata', measure: () => inOdonata(setting, size) });
  const uml = versionOf('linux.uml');
  if (uml === undefined) missing.push('User Mode Linux (apt-get install user-mode-linux)');
  else if (cc !== undefined)
    ways.push({ name: 'User Mode Linux', measure: () => inUserMode(setting, own, size) });
  if (versionOf('wasmedge') === undefined) missing.push('WasmEdge (Debian 13: apt-get install wasmedge)');
  else ways.push({ name: 'WasmEdge', measure: () => inWasmEdge(setting, size) });
  const measured = ways.map(({ name }) => ({ name, rounds: [] as Measured[] }));
  for (let i = 0; i < (setting.quick ? 1 : ROUNDS); i++)
    for (const [which, { name, measure }] of ways.entries()) {
      setting.progress(`${name}, ${i + 1}`);
      try {
        measured[which]!.rounds.push(await measure());
      } catch (error) {
        setting.signal.throwIfAborted();
        // Of some processors its floating-point registers are larger than it knows: put_fp_registers.
        if (name !== 'User Mode Linux') throw error;
        missing.push(`User Mode Linux, which does not run on this processor (${(error as Error).message})`);
        ways.splice(which, 1);
        measured.splice(which, 1);
        break;
      }
    }
  return { tables: [tableOf(measured)], measured: { ways: measured } };
}

function tableOf(measured: { name: string; rounds: Measured[] }[]): ResultTable {
  const of = (name: string, what: string): number | undefined => {
    const values =
      measured.find((way) => way.name === name)?.rounds.flatMap((each) => each[what] ?? []) ?? [];
    return values.length > 0 ? Math.min(...values) : undefined;
  };
  const names = measured.map(({ name }) => name);
  const cells = (what: string, unitNs: number): string[] =>
    names.map((name) => {
      const ns = of(name, what);
      return ns === undefined ? '' : round(ns / unitNs);
    });
  const kernels = Object.keys(KERNELS);
  const means = names.map((name) => {
    const ratios = kernels.flatMap((kernel) => {
      const [own, native] = [of(name, kernel), of('native', kernel)];
      return own === undefined || native === undefined ? [] : [own / native];
    });
    return ratios.length === kernels.length ? round(geometricMean(ratios)) : '';
  });
  return {
    title: 'Programs apart from their machine',
    columns: columns('WHAT', ...names.map((name) => `>${name.toUpperCase()}`)),
    rows: [
      ...kernels.map((kernel) => [`${kernel}, ms`, ...cells(kernel, 1e6)]),
      ['kernels, of native, geometric mean', ...means],
      [PAGE_FAULT, ...cells(PAGE_FAULT, 1e3)],
      [START, ...cells(START, 1e6)],
    ],
    notes: [
      'The best of the rounds, which a busy machine disturbs least. Native and User Mode Linux: cc -O2, static; the others: the same sources as WebAssembly. A page fault is the first write of a',
      'page. A process, the median of a round: spawned by a program, to the end of waiting for it. WasmEdge is started by this process, and interprets.',
    ],
  };
}

async function buildNative(setting: Setting, own: string): Promise<void> {
  const build = (name: string, sources: readonly string[], includes: readonly string[]) => {
    const paths = sources.map((source) => join(ROOT, source));
    const folders = includes.map((folder) => `-I${join(ROOT, folder)}`);
    return run(setting, 'cc', [
      '-std=gnu11',
      '-O2',
      '-static',
      '-w',
      ...folders,
      ...paths,
      '-o',
      join(own, name),
    ]);
  };
  for (const kernel of Object.keys(KERNELS)) {
    const { sources, includes } = guests[kernel]!;
    await build(kernel, sources, includes);
  }
  await run(setting, 'cc', ['-O2', '-static', MACHINE, '-o', join(own, 'machine')]);
}

/** The programs of a folder, one a line. */
const commandsOf = (own: string, size: 'whole' | 'quick'): string[] => [
  `${own}/machine faults ${FAULTS[size]}`,
  `${own}/machine starts ${STARTS[size]}`,
  ...Object.entries(KERNELS).map(([kernel, scale]) => `${own}/${kernel} ${scale[size]}`),
];

async function measureBy(
  own: string,
  shell: (command: string) => Promise<string>,
  size: 'whole' | 'quick',
): Promise<Measured> {
  return measuredIn(await shell(commandsOf(own, size).join(' && ')), size);
}

function measuredIn(output: string, size: 'whole' | 'quick'): Measured {
  const measured: Measured = {};
  for (const [text] of output.matchAll(/\{"(?:kernel|what)".*\}/g)) {
    const { kernel, what, ns } = JSON.parse(text) as Line;
    if (kernel !== undefined) measured[kernel] = ns;
    else if (what === 'faults') measured[PAGE_FAULT] = ns / FAULTS[size];
    else measured[START] = ns / STARTS[size];
  }
  const expected = Object.keys(KERNELS).length + 2;
  if (Object.keys(measured).length !== expected)
    throw new Failure(
      `${Object.keys(measured).length} of ${expected} were measured: ${output.trim().split('\n').at(-1)}`,
    );
  return measured;
}

async function inOdonata(setting: Setting, size: 'whole' | 'quick'): Promise<Measured> {
  const measured: Measured = {};
  for (const [kernel, scale] of Object.entries(KERNELS))
    measured[kernel] = (await runGuest<Line>(setting, NODE, kernel, [scale[size]])).ns;
  const touched = await runGuest<{ clock_ns: number; access_ns: { mean: number } }>(setting, NODE, 'touch', [
    ...['-', FAULTS[size], 'write', 'seq'],
  ]);
  measured[PAGE_FAULT] = touched.access_ns.mean - touched.clock_ns;
  const { end_ns: ends } = await runGuest<{ end_ns: number[] }>(setting, NODE, 'relatives', [
    ...['spawn', STARTS[size], '-'],
  ]);
  measured[START] = median(ends);
  return measured;
}

/** A machine that has this one's files, to be read only, and whose first process is a shell. */
async function inUserMode(setting: Setting, own: string, size: 'whole' | 'quick'): Promise<Measured> {
  const init = join(own, 'init');
  await writeFile(init, `#!/bin/sh\n${commandsOf(own, size).join('\n')}\nexec ${own}/machine off\n`);
  await chmod(init, 0o755);
  const options = ['mem=600M', 'rootfstype=hostfs', 'ro', `init=${init}`, `uml_dir=${own}`, 'quiet'];
  const lines = ['con=null', 'con0=null,fd:1', 'ssl=null'];
  const output = await run(
    setting,
    'linux.uml',
    [...options, ...lines],
    { HOME: own, TMPDIR: '/dev/shm' },
    UML_MS,
  );
  return measuredIn(output, size);
}

async function inWasmEdge(setting: Setting, size: 'whole' | 'quick'): Promise<Measured> {
  const measured: Measured = {};
  const wasmedge = async (guest: string, ...args: (string | number)[]) =>
    await run(setting, 'wasmedge', ['--enable-threads', await buildGuest(guest), ...args.map(String)]);
  for (const [kernel, scale] of Object.entries(KERNELS))
    measured[kernel] = (JSON.parse(await wasmedge(kernel, scale[size])) as Line).ns;
  const begin = process.hrtime.bigint();
  for (let i = 0; i < STARTS.quick; i++) await wasmedge('fib', 1);
  measured[START] = Number(process.hrtime.bigint() - begin) / STARTS.quick;
  return measured;
}

/** A command in a process group of its own, which ends with it. @returns its standard output */
async function run(
  { signal }: Setting,
  command: string,
  args: readonly string[],
  environment: Record<string, string> = {},
  mostMs = UML_MS,
): Promise<string> {
  const child = spawn('timeout', ['-s', 'KILL', String(mostMs / 1000), command, ...args], {
    ...{ stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: { ...process.env, ...environment } },
  });
  const end = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      // All of them have ended.
    }
  };
  signal.addEventListener('abort', end, { once: true });
  try {
    const [output, complaint, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    signal.throwIfAborted();
    // User mode says how it ended by what it printed.
    if (code !== 0 && command !== 'linux.uml')
      throw new Failure(`${command}: exit code ${code}: ${complaint.trim()}`);
    return output;
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}
