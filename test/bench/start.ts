// Start: from the request at the router to the program's first instruction, in a virtual kernel that runs; and what somebody waits
// for who types (typed.ts).
import { setTimeout as sleep } from 'node:timers/promises';
import { judge, round, verdictCells } from './figure.ts';
import { runGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { percentile } from './samples.ts';
import { typed } from './typed.ts';

/** From the shell, of `vkctl run` and of `vkctl up`. */
const RUN_MOST_MS = 120;
const UP_MOST_MS = 2_500;
const NODE = 'node1';
const STARTS = 30;
const QUICK_STARTS = 4;

/** Between two starts: none, and long enough for the vkernel to have the next thread ready. */
const PACES = [
  { name: 'with half a second between', pauseMs: 500, mostMs: 5 },
  { name: 'one after another', pauseMs: 0, mostMs: 50 },
];

interface Sample {
  /** To the program's first instruction. */
  firstMs: number;
  /** To the news of its exit, here. */
  exitMs: number;
}

export const start: Part = {
  title: 'Start: a small program in a running virtual kernel',
  nodes: () => 1,
  async run(setting) {
    await startOnce(setting); // The virtual kernel itself.
    const paces = [];
    for (const { name, pauseMs, mostMs } of PACES) {
      const samples = await startMany(setting, name, pauseMs);
      const first = samples.map((sample) => sample.firstMs);
      const exit = samples.map((sample) => sample.exitMs);
      const p50 = judge(`start, ${name}, p50`, percentile(first, 0.5), 'ms', { most: mostMs });
      paces.push({
        name,
        pauseMs,
        samples,
        p50,
        p99Ms: percentile(first, 0.99),
        exitP50Ms: percentile(exit, 0.5),
      });
    }
    const fromShell = await typed(setting);
    const run = judge('vkctl run from the shell', fromShell.runMs, 'ms', { most: RUN_MOST_MS });
    const up = judge('vkctl up of three nodes', fromShell.upMs, 'ms', { most: UP_MOST_MS });
    const rows = paces.map(({ name, samples, p50, p99Ms, exitP50Ms }) => [
      name,
      String(samples.length),
      round(p50.value),
      round(p99Ms),
      round(exitP50Ms),
      ...verdictCells(p50),
    ]);
    const heads = columns('STARTS', '>COUNT', '>p50 ms', '>p99 ms', '>EXIT p50 ms', 'TARGET', 'VERDICT');
    const notes = ['p50 and p99: to the first instruction. EXIT: until its exit code is back at the caller.'];
    const typedRows = [
      ['vkctl run', round(run.value), round(fromShell.runCpuMs), ...verdictCells(run)],
      ['the same program under node:wasi', round(fromShell.aloneMs), '', '', ''],
      ['vkctl up, 3 nodes', round(up.value), '', ...verdictCells(up)],
    ];
    return {
      figures: [...paces.map(({ p50 }) => p50), run, up],
      tables: [
        { title: start.title, columns: heads, rows, notes },
        {
          title: 'Start: what is typed, from the start of the command to its end',
          columns: columns('COMMAND', '>MEDIAN ms', '>OWN CPU ms', 'TARGET', 'VERDICT'),
          rows: typedRows,
          notes: [
            'OWN CPU: processor time of the command itself; the cluster is there, and its first program has run.',
          ],
        },
      ],
      measured: { fromShell, paces: paces.map(({ p50, ...rest }) => ({ ...rest, p50Ms: p50.value })) },
    };
  },
};

async function startMany(setting: Setting, name: string, pauseMs: number): Promise<Sample[]> {
  const count = setting.quick ? QUICK_STARTS : STARTS;
  const samples: Sample[] = [];
  for (let i = 0; i < count; i++) {
    setting.progress(`start ${i + 1} of ${count}, ${name}`);
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal: setting.signal });
    samples.push(await startOnce(setting));
  }
  return samples;
}

async function startOnce(setting: Setting): Promise<Sample> {
  const sent = realtimeMs();
  const sentMs = performance.now();
  const { realtime_ns } = await runGuest<{ realtime_ns: number }>(setting, NODE, 'hello', []);
  const exitMs = performance.now() - sentMs;
  return { firstMs: realtime_ns / 1e6 - sent, exitMs };
}

/**
 * The wall clock in whole milliseconds: a program's first look at it is no finer, so both ends lose the same on
 * average.
 */
const realtimeMs = (): number => Date.now();
