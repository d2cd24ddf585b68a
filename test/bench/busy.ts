// A busy machine: guests that yield nothing compute on every core. What a fault costs then beside the same on the quiet machine, in turn;
// how fairly the guests share the cores; and what is left to one beside programs of the host that do the same.
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { FaultResult } from './fault-result.ts';
import { play, type Scene, scenes } from './fault-scenes.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { type RunningGuest, startGuest } from './guest-run.ts';
import { columns, type Part, type PartResult, type ResultTable, type Setting } from './part.ts';
import { median } from './samples.ts';

const ROUNDS = 7;
const ACCESSES = 1000;
const QUICK_ACCESSES = 100;
const SCENES = ["from the node's pmapd", 'from another node, clean'];
const P50_MOST = 2;
/** Of the quiet p50. */
const P99_MOST = 10;
/** What the one that came round least has of the one that did most often. */
const FAIR_LEAST = 0.8;
/** Of a core, where a program of the host spins on each. */
const BESIDE_HOST_LEAST = 0.4;
/** Longer than a round of faults takes. */
const SPIN_MS = 60_000;
const SHARED_MS = 3_000;
const CORES = availableParallelism();

interface Beside {
  quiet: FaultResult[];
  busy: FaultResult[];
}

export const busy: Part = {
  title: 'A busy machine',
  nodes: () => 3,
  async run(setting) {
    const nodes = (await setting.to.nodes()).map(({ name }) => name);
    const rounds = setting.quick ? 1 : ROUNDS;
    const all = scenes(setting, { accesses: setting.quick ? QUICK_ACCESSES : ACCESSES }).filter(({ kind }) =>
      SCENES.includes(kind.name),
    );
    // What runs for the first times is not compiled.
    for (const scene of all)
      for (let i = 0; i < (setting.quick ? 0 : 3); i++) await play(setting, scene, nodes);
    const measured: [Scene, Beside][] = all.map((scene) => [scene, { quiet: [], busy: [] }]);
    for (let i = 1; i <= rounds; i++)
      for (const [scene, { quiet, busy }] of measured) {
        setting.progress(`${scene.kind.name}, ${i} of ${rounds}`);
        quiet.push(await play(setting, scene, nodes));
        busy.push(await whileSpinning(setting, nodes, () => play(setting, scene, nodes)));
      }
    return merge([presentFaults(measured), await shared(setting, rounds)]);
  },
};

/** As many guests as there are cores compute meanwhile, each in a virtual kernel of its own. */
async function whileSpinning<T>(setting: Setting, nodes: string[], use: () => Promise<T>): Promise<T> {
  const spins = await Promise.all(
    Array.from({ length: CORES }, (_, i) => spinning(setting, nodes[i % nodes.length]!, SPIN_MS)),
  );
  try {
    for (const each of spins) await each.go();
    return await use();
  } finally {
    await Promise.all(spins.map((each) => each.kill()));
  }
}

async function spinning(setting: Setting, node: string, ms: number, vkernel = 'busy'): Promise<RunningGuest> {
  const guest = await startGuest(setting, node, 'spin', [ms], vkernel);
  await guest.line();
  return guest;
}

function presentFaults(measured: [Scene, Beside][]): PartResult {
  const figures: Figure[] = [];
  const rows = measured.flatMap(([{ kind }, { quiet, busy }]) => {
    const of = (each: FaultResult[], value: 'p50Us' | 'p99Us'): number =>
      median(each.map(({ guest }) => guest[value]));
    const quietP50 = of(quiet, 'p50Us');
    return (['p50Us', 'p99Us'] as const).map((value) => {
      const ratio = of(busy, value) / quietP50;
      const most = value === 'p50Us' ? P50_MOST : P99_MOST;
      const name = `busy: a fault ${kind.name}, ${value.slice(0, 3)} beside the quiet p50`;
      const figure = judge(name, ratio, 'x', { most });
      figures.push(figure);
      const us = [of(quiet, value), of(busy, value)].map(round);
      return [kind.name, value.slice(0, 3), ...us, round(ratio), ...verdictCells(figure)];
    });
  });
  const heads = ['FAULT', 'OF', '>QUIET us', '>BUSY us', '>OF QUIET p50', 'TARGET', 'VERDICT'];
  const table: ResultTable = {
    title: `Faults where ${CORES} guests compute without end on ${CORES} cores, ${ROUNDS} rounds in turn with the quiet machine`,
    columns: columns(...heads),
    rows,
    notes: ['Medians of the rounds, of what the program saw.'],
  };
  return {
    figures,
    tables: [table],
    measured: { faults: measured.map(([{ kind }, each]) => ({ kind, ...each })) },
  };
}

/** Guests among themselves, and one beside programs of the host. */
async function shared(setting: Setting, rounds: number): Promise<PartResult> {
  const fair: number[] = [];
  const kept: number[] = [];
  for (let i = 1; i <= rounds; i++) {
    setting.progress(`guests share the cores, ${i} of ${rounds}`);
    const turns = await spinTogether(setting, 2 * CORES);
    fair.push(Math.min(...turns) / Math.max(...turns));
    const [alone] = await spinTogether(setting, 1);
    const [beside] = await besideHost(() => spinTogether(setting, 1));
    kept.push(beside! / alone!);
  }
  const figures = [
    judge(`busy: the slowest of ${2 * CORES} guests beside the fastest`, median(fair), 'x', {
      least: FAIR_LEAST,
    }),
    judge('busy: what a guest keeps of a core where programs of the host spin', median(kept), 'x', {
      least: BESIDE_HOST_LEAST,
    }),
  ];
  const rows = figures.map((figure, i) => {
    const each = [fair, kept][i]!;
    const range = `${round(Math.min(...each))} to ${round(Math.max(...each))}`;
    return [figure.name.replace('busy: ', ''), round(figure.value), range, ...verdictCells(figure)];
  });
  const heads = ['SHARE', '>MEDIAN', '>OF ROUNDS', 'TARGET', 'VERDICT'];
  const table = { title: 'Who shares the cores', columns: columns(...heads), rows, notes: [] };
  return { figures, tables: [table], measured: { fair, kept } };
}

/** In one virtual kernel. @returns how often each went round */
async function spinTogether(setting: Setting, count: number): Promise<number[]> {
  const ms = setting.quick ? SHARED_MS / 10 : SHARED_MS;
  const all = await Promise.all(Array.from({ length: count }, () => spinning(setting, 'node1', ms)));
  await Promise.all(all.map((each) => each.go()));
  const turns = await Promise.all(all.map((each) => each.line<{ turns: number }>()));
  await Promise.all(all.map((each) => each.end()));
  return turns.map((each) => each.turns);
}

/** A program of the host computes on each core, with the priority that any has. */
async function besideHost<T>(use: () => Promise<T>): Promise<T> {
  const spin = `const end = performance.now() + ${SPIN_MS}; while (performance.now() < end);`;
  const all: ChildProcess[] = Array.from({ length: CORES }, () =>
    spawn(process.execPath, ['-e', spin], { stdio: 'ignore', detached: true }),
  );
  try {
    return await use();
  } finally {
    for (const each of all) each.kill('SIGKILL');
  }
}

const merge = (parts: PartResult[]): PartResult => ({
  figures: parts.flatMap(({ figures }) => figures),
  tables: parts.flatMap(({ tables }) => tables),
  measured: Object.assign({}, ...parts.map(({ measured }) => measured)),
});
