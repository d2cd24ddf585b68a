// Real parallel programs (test/guests/parallel) on one, two and three nodes, beside the same bytes alone under node:wasi: wall
// time, and the processor time of everything, guests and services, from the moment when the input is made on the first node.
import assert from 'node:assert/strict';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { GetNodeStatsResponse } from '@odonata/proto/pmap/v1/pmap';
import { Failure } from '../../services/vkctl/failure.ts';
import { buildGuest } from '../guests/build.ts';
import { runAlone } from '../guests/run-alone.ts';
import { clusterProcesses, cpuBetween, cpuTimes } from './cpu-time.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { type RunningGuest, startGuest } from './guest-run.ts';
import type { ProgramName } from './options.ts';
import { columns, type Part, type PartResult, type Setting } from './part.ts';
import { median } from './samples.ts';
import { freshName, removeDataspace } from './shared-memory.ts';

const NODES = ['node1', 'node2', 'node3'] as const;
const ROUNDS = 7;
/** All of it by the optimising compiler from the start, so that compilation is no part of the ratio. */
const NO_BASELINE = ['--no-liftoff'];

interface Program {
  name: string;
  guest: ProgramName;
  whole: readonly (string | number)[];
  quick: readonly (string | number)[];
  /** Processor time beside that of one alone. */
  cpuMost: number;
  /** Wall time on two nodes beside that of one alone. */
  wallMost?: number;
  /** Pages that such a team must move, of the whole size: its input lies where the first of them is; missing: nobody can say. */
  least?: (members: number) => number;
}

const pagesOf = (bytes: number): number => Math.ceil(bytes / PAGE_BYTES);
/** What others than the first one have of so many bytes. */
const othersShare = (bytes: number, members: number): number => (pagesOf(bytes) * (members - 1)) / members;
/** Rows that neighbours copy of each other: one on both sides of each border for each round, many at a time. */
const borders = (rowBytes: number, rounds: number, members: number): number =>
  rounds * 2 * (members - 1) * pagesOf(rowBytes);

const PROGRAMS: readonly Program[] = [
  {
    ...{ name: 'matrix 1536^2', guest: 'matrix', whole: [1536], quick: [128], cpuMost: 1.2, wallMost: 0.65 },
    least: (members) => (members - 1) * pagesOf(1536 ** 2 * 8) + othersShare(1536 ** 2 * 8, members),
  },
  { name: 'tsp', guest: 'tsp', whole: [19], quick: [13], cpuMost: 1.2, wallMost: 0.65 },
  {
    ...{ name: 'k-means 2 million', guest: 'kmeans', whole: [2_000_000, 20], quick: [20_000, 3] },
    ...{ cpuMost: 1.2, wallMost: 0.65 },
    least: (members) =>
      othersShare(2e6 * 32, members) + 20 * members * (members - 1) * pagesOf((48 / members) * 1152),
  },
  {
    ...{
      name: 'jacobi 4096^2 floats',
      guest: 'jacobi',
      whole: ['float', 4096, 100],
      quick: ['float', 256, 5],
    },
    ...{ cpuMost: 1.35, wallMost: 0.75 },
    least: (members) => othersShare(4096 ** 2 * 4, members) + borders(4096 * 4, 100, members),
  },
  {
    ...{ name: 'jacobi 1024^2 doubles', guest: 'jacobi', whole: ['double', 1024, 400] },
    ...{ quick: ['double', 128, 10], cpuMost: 2.2 },
    least: (members) => othersShare(1024 ** 2 * 8, members) + borders(1024 * 8, 400, members),
  },
  {
    ...{
      name: 'quicksort 16 million',
      guest: 'quicksort',
      whole: [16_000_000],
      quick: [300_000],
      cpuMost: 2,
    },
    least: (members) => othersShare(16e6 * 4, members),
  },
  {
    ...{ name: 'words of 128 MiB', guest: 'words', whole: [128], quick: [2], cpuMost: 2 },
    least: (members) => othersShare(128 * 2 ** 20, members),
  },
];

interface Line {
  checksum: string;
  wall_ns: number;
  cpu_ns: number;
}

export interface ParallelRun {
  /** 0: alone. */
  members: number;
  wallMs: number;
  cpuMs: number;
  /** Of virtual kernels alone. */
  guestsMs: number;
  faults: number;
  /** Writes to pages that others had, too. */
  upgrades: number;
  pages: number;
}

export const parallel: Part = {
  title: 'Parallel programs',
  nodes: () => NODES.length,
  async run(setting) {
    const rounds = setting.quick ? 1 : ROUNDS;
    const wanted = PROGRAMS.filter(({ guest }) => setting.programs?.includes(guest) ?? true);
    const runs = new Map<Program, ParallelRun[]>(wanted.map((program) => [program, []]));
    for (const [program, each] of runs)
      for (let i = 0; i < rounds; i++) {
        setting.progress(`${program.name}, ${i + 1} of ${rounds}`);
        each.push(...(await onceEach(setting, program)));
      }
    return present(runs, rounds, setting.quick);
  },
};

/** Alone, and as teams. @throws AssertionError where they do not compute the same */
async function onceEach(setting: Setting, program: Program): Promise<ParallelRun[]> {
  const { quick } = setting;
  const size = quick ? program.quick : program.whole;
  const { run, checksum } = await alone(setting, program.guest, size);
  const runs = [run];
  for (let members = 1; members <= NODES.length; members++) {
    const team = await together(setting, program.guest, size, members);
    assert.equal(team.checksum, checksum, `${program.name} on ${members} nodes: not the same result`);
    runs.push(team.run);
  }
  return runs;
}

interface Played {
  run: ParallelRun;
  checksum: bigint;
}

async function alone({ signal }: Setting, guest: string, size: Program['whole']): Promise<Played> {
  const args = ['-', '0', '1', ...size.map(String)];
  const { code, stdout, stderr } = await runAlone(await buildGuest(guest), {
    ...{ nodeFlags: NO_BASELINE, args, signal },
  });
  if (code !== 0) throw new Failure(`${guest} alone: exit code ${code}: ${stderr.toString().trim()}`);
  const line = JSON.parse(stdout.toString().trim().split('\n').at(-1)!) as Line;
  const cpuMs = line.cpu_ns / 1e6;
  const run = {
    members: 0,
    wallMs: line.wall_ns / 1e6,
    cpuMs,
    guestsMs: cpuMs,
    faults: 0,
    upgrades: 0,
    pages: 0,
  };
  return { run, checksum: BigInt(`0x${line.checksum}`) };
}

async function together(
  setting: Setting,
  guest: string,
  size: Program['whole'],
  members: number,
): Promise<Played> {
  const name = freshName(guest);
  const nodes = NODES.slice(0, members);
  const guests: RunningGuest[] = [];
  for (const [member, node] of nodes.entries())
    guests.push(await startGuest(setting, node, guest, [name, member, members, ...size]));
  for (const each of guests) await each.line(); // It is ready, and the input is made.
  const processes = await clusterProcesses(setting.to);
  const before = await statistics(setting);
  const cpuBefore = cpuTimes(processes);
  for (const each of guests) await each.go();
  const lines: Line[] = [];
  for (const each of guests) lines.push(await each.line<Line>());
  const cpu = cpuBetween(cpuBefore, cpuTimes(processes));
  const after = await statistics(setting);
  for (const each of guests) await each.end();
  await removeDataspace(setting, NODES[0], name);
  const grew = (of: (stats: GetNodeStatsResponse) => bigint): number =>
    after.reduce((sum, stats, i) => sum + Number(of(stats) - of(before[i]!)), 0);
  const cpuOf = (wanted: (name: string) => boolean): number =>
    [...cpu].reduce((sum, [process, { usedUs }]) => sum + (wanted(process) ? usedUs : 0), 0) / 1e3;
  const run = {
    members,
    wallMs: Math.max(...lines.map(({ wall_ns }) => wall_ns)) / 1e6,
    cpuMs: cpuOf(() => true),
    guestsMs: cpuOf((process) => process.endsWith('/vkernel')),
    faults: grew((stats) => stats.faults.remote?.count ?? 0n),
    upgrades: grew((stats) => stats.faults.upgrade?.count ?? 0n),
    pages: grew((stats) => stats.pagesIn),
  };
  const checksum = lines.reduce((sum, line) => sum + BigInt(`0x${line.checksum}`), 0n);
  return { run, checksum: BigInt.asUintN(64, checksum) };
}

const statistics = ({ to }: Setting): Promise<GetNodeStatsResponse[]> =>
  Promise.all(NODES.map((node) => to.pmapd(node).getNodeStats({})));

/** Of `--quick`. */
const smallName = ({ guest, quick }: Program): string => `${guest} ${quick.join(' ')}`;

function present(runs: ReadonlyMap<Program, ParallelRun[]>, rounds: number, quick: boolean): PartResult {
  const figures: Figure[] = [];
  const rows: string[][] = [];
  for (const [program, each] of runs) {
    const { cpuMost, wallMost, least } = program;
    const name = quick ? smallName(program) : program.name;
    const of = (members: number, value: (run: ParallelRun) => number): number =>
      median(each.filter((run) => run.members === members).map(value));
    const [wall, cpu] = [of(0, ({ wallMs }) => wallMs), of(0, ({ cpuMs }) => cpuMs)];
    rows.push([name, 'alone', round(wall), '', round(cpu), ...Array.from({ length: 8 }, () => '')]);
    for (let members = 1; members <= NODES.length; members++) {
      const wallRatio = of(members, ({ wallMs }) => wallMs) / wall;
      const cpuRatio = of(members, ({ cpuMs }) => cpuMs) / cpu;
      const where = members === 1 ? '1 node' : `${members} nodes`;
      // Targets are of the whole size.
      const figure = quick
        ? undefined
        : judge(`parallel, ${name}, ${where}: processor time`, cpuRatio, 'x', { most: cpuMost });
      if (figure !== undefined) figures.push(figure);
      rows.push([
        ...['', where, round(of(members, ({ wallMs }) => wallMs)), wallRatio.toFixed(2)],
        ...[of(members, ({ cpuMs }) => cpuMs), of(members, ({ guestsMs }) => guestsMs)].map(round),
        ...[of(members, ({ faults }) => faults), of(members, ({ upgrades }) => upgrades)].map(round),
        round(of(members, ({ pages }) => pages)),
        least === undefined || quick ? '' : round(least(members)),
        ...[cpuRatio.toFixed(2), ...verdictCells(figure)],
      ]);
      if (members === 2 && wallMost !== undefined && !quick)
        figures.push(judge(`parallel, ${name}, 2 nodes: wall time`, wallRatio, 'x', { most: wallMost }));
    }
  }
  return {
    figures,
    tables: [
      {
        title: `${parallel.title}, ${rounds === 1 ? 'one round' : `${rounds} rounds`}`,
        columns: columns(
          ...['PROGRAM', 'WHERE', '>WALL ms', '>x ALONE', '>CPU ms', '>OF GUESTS'],
          ...['>FAULTS', '>UPGRADES', '>PAGES', '>LEAST', '>CPU x ALONE', 'TARGET', 'VERDICT'],
        ),
        rows,
        notes: [
          'Alone: node:wasi --no-liftoff in private memory. CPU: of all processes of the cluster, from when the input is made on the first node.',
          'Results are the same to the last bit, wherever they were computed. FAULTS and PAGES came from other nodes; UPGRADES: writes to pages that others had, too.',
          ...(quick
            ? ['Small sizes, which no target is for.']
            : [
                'LEAST: pages that the program must move, the input to where it is worked on and what each round needs of others.',
              ]),
          'Wall times of more nodes than there are cores free say little.',
        ],
      },
    ],
    measured: {
      programs: [...runs].map(([program, runs]) => ({
        name: quick ? smallName(program) : program.name,
        runs,
      })),
    },
  };
}
