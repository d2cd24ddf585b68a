// Compute: the same module under Odonata and under node:wasi, in pairs whose order alternates (A B, B A, A B, …), so
// that a machine that slows down or speeds up meanwhile treats both alike. Each run is the first one of its module: a
// virtual kernel that ran it before still has its optimised code, and would win by that.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../services/vkctl/failure.ts';
import { plural } from '../../services/vkctl/output.ts';
import { buildGuest } from '../guests/build.ts';
import { runAlone } from '../guests/run-alone.ts';
import { judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type Part, type PartResult, type Setting } from './part.ts';
import { geometricMean, median } from './samples.ts';

const RATIO_MOST = 1.05;
/** All of it by the optimising compiler from the start: so that what compiles when is a part of what is measured. */
const NO_BASELINE = ['--no-liftoff'];
/** This one has threads, and is compared with node's worker threads over a shared memory. */
const THREADS = 'threads';
const NODE_THREADS = join(import.meta.dirname, 'node-threads.ts');
const NODE = 'node1';
const PAIRS = 7;
/** What the vkernel starts ahead for the next program is under way after one ended. */
const SETTLE_MS = 300;

/** Scales at which a run takes about a second, and a moment, on the machine where they were chosen. */
const SCALES: Record<string, { whole: number; quick: number }> = {
  matmul: { whole: 640, quick: 128 },
  qsort: { whole: 900, quick: 100 },
  chase: { whole: 64, quick: 1 },
  crc32: { whole: 20, quick: 1 },
  hashtable: { whole: 4000, quick: 50 },
  alloc: { whole: 900, quick: 2 },
  fib: { whole: 42, quick: 27 },
  threads: { whole: 400, quick: 4 },
};

interface KernelLine {
  ns: number;
  checksum: string;
}

interface Pair {
  odonataNs: number;
  aloneNs: number;
  ratio: number;
}

interface KernelResult {
  kernel: string;
  scale: number;
  pairs: Pair[];
  odonataMs: number;
  aloneMs: number;
  /** The median of the pairs' ratios. */
  ratio: number;
  /** The fastest run beside the fastest: what a machine with other work disturbs least. */
  bestRatio: number;
}

export const compute: Part = {
  title: 'Compute: the same module under Odonata and under node:wasi --no-liftoff',
  nodes: () => 1,
  async run(setting) {
    const results: KernelResult[] = [];
    for (const kernel of Object.keys(SCALES)) results.push(await measure(setting, kernel));
    return present(results);
  },
};

async function measure(setting: Setting, kernel: string): Promise<KernelResult> {
  const { quick, signal, progress } = setting;
  const scale = SCALES[kernel]![quick ? 'quick' : 'whole'];
  const pairs: Pair[] = [];
  const count = quick ? 1 : PAIRS;
  for (let i = 0; i < count; i++) {
    progress(`${kernel}, pair ${i + 1} of ${count}`);
    const program = await freshProgram(setting, kernel, i);
    const lines: Partial<Record<'odonata' | 'alone', KernelLine>> = {};
    for (const where of i % 2 === 0 ? (['odonata', 'alone'] as const) : (['alone', 'odonata'] as const)) {
      await sleep(SETTLE_MS, undefined, { signal });
      lines[where] = await (where === 'odonata'
        ? runGuest<KernelLine>(setting, NODE, program, [scale])
        : alone(program, scale, { signal, threaded: kernel === THREADS }));
    }
    const { odonata, alone: alonely } = lines as Record<'odonata' | 'alone', KernelLine>;
    assert.equal(odonata.checksum, alonely.checksum, `${kernel}: not the same result`);
    pairs.push({ odonataNs: odonata.ns, aloneNs: alonely.ns, ratio: odonata.ns / alonely.ns });
  }
  return {
    kernel,
    scale,
    pairs,
    odonataMs: median(pairs.map((pair) => pair.odonataNs)) / 1e6,
    aloneMs: median(pairs.map((pair) => pair.aloneNs)) / 1e6,
    ratio: median(pairs.map((pair) => pair.ratio)),
    bestRatio:
      Math.min(...pairs.map((pair) => pair.odonataNs)) / Math.min(...pairs.map((pair) => pair.aloneNs)),
  };
}

async function alone(
  program: string,
  scale: number,
  { signal, threaded }: { signal: AbortSignal; threaded: boolean },
): Promise<KernelLine> {
  const options = { nodeFlags: NO_BASELINE, args: [String(scale)], signal };
  const host = threaded ? { host: NODE_THREADS } : {};
  const { code, stdout, stderr } = await runAlone(program, { ...options, ...host });
  if (code !== 0)
    throw new Failure(`${basename(program)} alone: exit code ${code}: ${stderr.toString().trim()}`);
  return JSON.parse(stdout.toString()) as KernelLine;
}

/** The module with a custom section of its own: its bytes are new to every cache of compiled code. */
async function freshProgram({ folder }: Setting, kernel: string, run: number): Promise<string> {
  const name = Buffer.from(`bench.${run}`);
  const section = Buffer.concat([Buffer.from([0, name.length + 1, name.length]), name]);
  const path = join(folder, `${kernel}-${run}.wasm`);
  await writeFile(path, Buffer.concat([await readFile(await buildGuest(kernel)), section]));
  return path;
}

function present(results: KernelResult[]): PartResult {
  const single = results.filter(({ kernel }) => kernel !== THREADS);
  const mean = judge(
    'compute, geometric mean of the kernels',
    geometricMean(single.map(({ ratio }) => ratio)),
    'x',
    { most: RATIO_MOST },
  );
  const threads = judge('compute, threads', results.find(({ kernel }) => kernel === THREADS)!.ratio, 'x', {
    most: RATIO_MOST,
  });
  const bestMean = geometricMean(single.map(({ bestRatio }) => bestRatio));
  const rows = results.map(({ kernel, scale, odonataMs, aloneMs, ratio, bestRatio, pairs }) => {
    const ratios = pairs.map((pair) => pair.ratio);
    const range = `${round(Math.min(...ratios))} to ${round(Math.max(...ratios))}`;
    return [
      kernel,
      String(scale),
      round(odonataMs),
      round(aloneMs),
      ratio.toFixed(3),
      range,
      bestRatio.toFixed(3),
      ...(kernel === THREADS ? verdictCells(threads) : ['', '']),
    ];
  });
  rows.push([
    'geometric mean',
    '',
    '',
    '',
    mean.value.toFixed(3),
    '',
    bestMean.toFixed(3),
    ...verdictCells(mean),
  ]);
  const heads = columns(
    'KERNEL',
    '>SCALE',
    '>ODONATA ms',
    '>NODE:WASI ms',
    '>RATIO',
    '>OF PAIRS',
    '>OF BEST',
    'TARGET',
    'VERDICT',
  );
  const notes = [
    'RATIO is the median of the ratios pair by pair; times are of the work alone, without the start.',
    "threads: two threads, beside two of node's worker threads over a shared WebAssembly.Memory; not in the mean.",
    'OF BEST: the fastest run beside the fastest, which a machine with other work disturbs least; not judged.',
  ];
  const title = `${compute.title}, ${plural(results[0]!.pairs.length, 'pair')} each`;
  return {
    figures: [mean, threads],
    tables: [{ title, columns: heads, rows, notes }],
    measured: { kernels: results, geometricMean: mean.value, bestGeometricMean: bestMean },
  };
}
