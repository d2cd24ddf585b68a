// Identity: what it costs to ask everybody who they are. Clusters that ask and clusters that do not, side by side, over unix
// sockets as by `vkctl up` and over TCP as between machines; each round goes through all of them, one right after the
// other, so that whoever else works on this machine slows all of them alike.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { plural } from '../../services/vkctl/output.ts';
import { buildGuest } from '../guests/build.ts';
import { type ClusterOptions, withCluster } from './cluster.ts';
import { play, scenes } from './fault-scenes.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { columns, type Part, type PartResult, type Setting } from './part.ts';
import { median } from './samples.ts';
import { coldRead } from './sequential.ts';

const VKCTL = fileURLToPath(new URL('../../vkctl', import.meta.url));
const ROUNDS = 12;
const QUICK_ROUNDS = 1;
/** A path that runs for the first times is not compiled: so many rounds before are not counted. */
const WARM_UP_ROUNDS = 3;
const ACCESSES = 600;
const QUICK_ACCESSES = 100;
const MIB = 16;
const QUICK_MIB = 2;
const RUN_MS = 30_000;

const WHERE = { unix: 'unix sockets', tcp: 'TCP' } as const;
type Way = keyof typeof WHERE;
const WITH: Record<Way, string> = { unix: 'tokens', tcp: 'mutual TLS' };

/** A cluster that asks who one is, or one that does not. */
interface Side {
  way: Way;
  asks: boolean;
  setting: Setting;
}

type Kind = Pick<ClusterOptions, 'insecure' | 'overTcp'> & Omit<Side, 'setting'>;
/** Beside the cluster of the part itself, which is as by `vkctl up`. Both of a way are neighbours in time. */
const MORE: Kind[] = [
  { way: 'unix', asks: false, insecure: true },
  { way: 'tcp', asks: false, insecure: true, overTcp: true },
  { way: 'tcp', asks: true, overTcp: true },
];

interface Sample {
  value: number;
  /** Of all processes of the cluster, where it is known: that nearly holds on a busy machine, too. */
  cpuUs?: number;
}

/** What is measured, in what is less where it is better; with the most that it may cost, where there is a target. */
interface Measure {
  name: string;
  unit: 'us' | 'ms';
  most?: Record<Way, number>;
  of(setting: Setting): Promise<Sample>;
}

/** The samples of one measure by one way, round by round. */
interface Pair {
  measure: Measure;
  way: Way;
  without: Sample[];
  with: Sample[];
}

export const identity: Part = {
  title: 'Identity: with, beside without',
  nodes: (quick) => (quick ? 2 : 3),
  run: (setting) =>
    withMore(setting, MORE, [{ way: 'unix', asks: true, setting }], async (sides) => {
      const { quick, progress } = setting;
      const pairs = pairsOf(measures(setting));
      const warmUps = quick ? 0 : WARM_UP_ROUNDS;
      const rounds = quick ? QUICK_ROUNDS : ROUNDS;
      for (let i = 0; i < warmUps + rounds; i++) {
        const round = i < warmUps ? 'warming up' : `round ${i - warmUps + 1} of ${rounds}`;
        await playRound(pairs, i % 2 === 0 ? sides : sides.toReversed(), i >= warmUps, (what) =>
          progress(`${round}: ${what}`),
        );
      }
      return present(pairs);
    }),
};

/** A cluster of each of these kinds, side by side with those that there are. */
async function withMore<T>(
  setting: Setting,
  [kind, ...rest]: Kind[],
  sides: Side[],
  use: (sides: Side[]) => Promise<T>,
): Promise<T> {
  if (kind === undefined) return await use(sides);
  const { way, asks, ...options } = kind;
  const { quick, signal, progress } = setting;
  const more = {
    ...options,
    nodes: identity.nodes(quick),
    suffix: `-${sides.length}`,
    signal,
    progress,
  };
  return await withCluster(more, (to) =>
    withMore(setting, rest, [...sides, { way, asks, setting: { ...setting, to } }], use),
  );
}

function measures({ quick }: Setting): Measure[] {
  const fault =
    (kind: string) =>
    async (setting: Setting): Promise<Sample> => {
      const scene = scenes(setting, { accesses: quick ? QUICK_ACCESSES : ACCESSES }).find(
        ({ kind: { name } }) => name === kind,
      )!;
      const { guest, cpuUs } = await play(setting, scene, ['node1', 'node2']);
      return { value: guest.p50Us, cpuUs: Object.values(cpuUs).reduce((sum, each) => sum + each, 0) };
    };
  const mib = quick ? QUICK_MIB : MIB;
  const clean = 'from another node, clean';
  const upgrade = 'write upgrade, 1 sharer';
  return [
    { name: `fault, ${clean}, p50`, unit: 'us', most: { unix: 1.05, tcp: 1.15 }, of: fault(clean) },
    { name: `fault, ${upgrade}, p50`, unit: 'us', of: fault(upgrade) },
    {
      name: `cold read of ${mib} MiB`,
      unit: 'ms',
      of: async (setting) => ({ value: (mib / (await coldRead(setting, mib))) * 1000 }),
    },
    { name: 'vkctl run of a small program', unit: 'ms', of: runFromShell },
  ];
}

/** From the shell's start of vkctl to its end. @returns ms */
async function runFromShell({ to, signal }: Setting): Promise<Sample> {
  const hello = await buildGuest('hello');
  const startMs = performance.now();
  await promisify(execFile)(VKCTL, ['run', '-c', to.cluster, hello], { signal, timeout: RUN_MS });
  return { value: performance.now() - startMs };
}

const pairsOf = (all: Measure[]): Pair[] =>
  all.flatMap((measure) =>
    (['unix', 'tcp'] as const).map((way): Pair => ({ measure, way, without: [], with: [] })),
  );

async function playRound(
  pairs: Pair[],
  sides: Side[],
  counts: boolean,
  show: (what: string) => void,
): Promise<void> {
  for (const measure of new Set(pairs.map((pair) => pair.measure))) {
    for (const { way, asks, setting } of sides) {
      show(`${measure.name}, ${WHERE[way]}, ${asks ? 'with' : 'without'} identities`);
      const value = await measure.of(setting);
      const pair = pairs.find((each) => each.measure === measure && each.way === way)!;
      if (counts) pair[asks ? 'with' : 'without'].push(value);
    }
  }
}

/** Medians of the samples, and the median of the ratios of neighbours in time. */
interface Compared {
  without: number;
  with: number;
  ratio: number;
}

function compare(pair: Pair, of: (sample: Sample) => number): Compared {
  const without = pair.without.map(of);
  const samples = pair.with.map(of);
  const ratio = median(samples.map((value, i) => value / without[i]!));
  return { without: median(without), with: median(samples), ratio };
}

interface Row {
  pair: Pair;
  time: Compared;
  cpu: Compared | undefined;
  figure: Figure | undefined;
}

function rowOf(pair: Pair): Row {
  const { measure, way } = pair;
  const time = compare(pair, ({ value }) => value);
  const cpu = pair.with[0]?.cpuUs === undefined ? undefined : compare(pair, ({ cpuUs = 0 }) => cpuUs);
  const most = measure.most?.[way];
  const name = `identity by ${WITH[way]}, ${measure.name}`;
  return { pair, time, cpu, figure: most === undefined ? undefined : judge(name, time.ratio, 'x', { most }) };
}

function cellsOf({ pair: { measure, way }, time, cpu, figure }: Row): string[] {
  return [
    `${measure.name}, ${measure.unit}`,
    WHERE[way],
    round(time.without),
    round(time.with),
    WITH[way],
    time.ratio.toFixed(3),
    ...(cpu === undefined ? ['', ''] : [`${round(cpu.without)}/${round(cpu.with)}`, cpu.ratio.toFixed(3)]),
    ...verdictCells(figure),
  ];
}

function present(pairs: Pair[]): PartResult {
  const rows = pairs.map(rowOf);
  return {
    figures: rows.map(({ figure }) => figure).filter((figure): figure is Figure => figure !== undefined),
    tables: [
      {
        title: `${identity.title}, ${plural(pairs[0]!.with.length, 'round')}`,
        columns: columns(
          'WHAT',
          'OVER',
          '>WITHOUT',
          '>WITH',
          'BY',
          '>RATIO',
          '>CPU us',
          '>RATIO',
          'TARGET',
          'VERDICT',
        ),
        rows: rows.map(cellsOf),
        notes: [
          'Medians of the rounds; RATIO is the median of the ratios of neighbours in time. Over unix sockets as by vkctl up,',
          'with and without --insecure; over TCP as between machines. NATS is over TCP in all, with users where one is asked.',
          'CPU: processor time of all processes of the cluster for each access, without and with.',
        ],
      },
    ],
    measured: {
      rows: rows.map(({ pair: { measure, way, without, with: samples }, time, cpu }) => ({
        ...{ name: measure.name, unit: measure.unit, way, ratio: time.ratio, cpuRatio: cpu?.ratio },
        ...{ without, with: samples },
      })),
    },
  };
}
