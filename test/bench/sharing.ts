// Sharing: a table that a reader on each of three nodes reads at random, while a writer on the first one changes records at
// a pace of its own. Beside what the readers read and how long the writer waits: what the changes moved.
import type { GetNodeStatsResponse } from '@odonata/proto/pmap/v1/pmap';
import { coldReads } from './cold-reads.ts';
import { type CpuTime, clusterProcesses, cpuBetween, cpuTimes } from './cpu-time.ts';
import { type Figure, judge, round, verdictCells } from './figure.ts';
import { foughtOver } from './fought-over.ts';
import { type RunningGuest, startGuest } from './guest-run.ts';
import { columns, type Part, type Setting } from './part.ts';
import { median } from './samples.ts';
import { freshName, removeDataspace } from './shared-memory.ts';

const NODES = ['node1', 'node2', 'node3'] as const;
const ROUNDS = 7;
const SECONDS = 4;
const QUICK_SECONDS = 1;
const WRITER_P99_MOST_US = 5_000;
/** A write at random takes its own page. */
const UPGRADE_PAGES_MOST = 1.1;
/** Of the rate that was asked for. */
const REACHED_LEAST = 0.97;

/** Writes a second, and the fewest reads a second of each node. */
const LOADS = [
  { rate: 0, readsLeast: undefined },
  { rate: 100, readsLeast: 15e6 },
  { rate: 1000, readsLeast: 5e6 },
] as const;
type Load = (typeof LOADS)[number];
/** A second, where nobody writes. */
const WAKES = 100;

interface Written {
  writes_per_s: number;
  p50_us: number;
  p99_us: number;
}

interface Read {
  reads_per_s: number;
  torn: number;
  old: number;
  checks: number;
}

interface Cores {
  vkernels: number;
  pmapds: number;
  cohd: number;
}

interface Run {
  /** Of a writer, or of one that only woke up. */
  written: Written;
  reads: Read[];
  invalidationsPerWrite: number;
  /** Of the writer's node: faults that another node had to permit. */
  upgradesPerWrite: number;
  /** At nodes without the writer, of which there are two. */
  invalidationsPerUpgrade: number;
  pagesPerFault: number;
  faultsPerWrite: number;
  /** Those that found their page on their node. */
  nearFaultsPerWrite: number;
  cores: Cores;
  /** Threads that were ready and had no core: how many at one time. */
  waited: Cores;
}

export const sharing: Part = {
  title: 'Sharing: a table that is read on three nodes, and written on the first',
  nodes: () => NODES.length,
  async run(setting) {
    const rounds = setting.quick ? 1 : ROUNDS;
    const runs = new Map<Load, Run[]>(LOADS.map((load) => [load, []]));
    if (!setting.quick) await play(setting, LOADS[2]);
    for (let i = 0; i < rounds; i++)
      for (const load of LOADS) {
        setting.progress(`${load.rate} writes a second, ${i + 1} of ${rounds}`);
        runs.get(load)!.push(await play(setting, load));
      }
    const fought = await foughtOver(setting);
    const cold = await coldReads(setting);
    const { figures, tables, measured } = present(runs);
    return {
      figures: [...figures, ...cold.figures, ...fought.figures],
      tables: [...tables, cold.table, fought.table],
      measured: { ...measured, cold: cold.measured, fought: fought.measured },
    };
  },
};

export async function play(setting: Setting, { rate }: Pick<Load, 'rate'>): Promise<Run> {
  const seconds = setting.quick ? QUICK_SECONDS : SECONDS;
  const [table, acks] = [freshName('table'), freshName('acks')];
  const start = (node: string, args: (string | number)[]) =>
    startGuest(setting, node, 'table', [table, acks, ...args, '--wait']);
  const readers: RunningGuest[] = [];
  for (const node of NODES) readers.push(await start(node, ['read', seconds]));
  const writes = rate > 0;
  // Where nobody writes, one that only wakes up as often: what a writer waits for a core, and for nothing else.
  const writer = await start(NODES[0], writes ? ['write', rate, seconds] : ['wake', WAKES, seconds]);
  const guests = [writer, ...readers];
  for (const guest of guests) await guest.line(); // It is ready.
  const processes = await clusterProcesses(setting.to);
  const before = await statistics(setting);
  const cpuBefore = cpuTimes(processes);
  for (const guest of guests) await guest.go();
  const written = await writer.line<Written>();
  const reads: Read[] = [];
  for (const reader of readers) reads.push(await reader.line<Read>());
  const cpu = cpuBetween(cpuBefore, cpuTimes(processes));
  for (const guest of guests) await guest.end();
  const after = await statistics(setting);
  for (const name of [table, acks]) await removeDataspace(setting, NODES[0], name);
  const grew = (of: (stats: GetNodeStatsResponse) => bigint, nodes: readonly number[]) =>
    Number(nodes.reduce((sum, i) => sum + of(after[i]!) - of(before[i]!), 0n));
  const count = Math.max(1, written.writes_per_s * seconds);
  const faults = grew((stats) => stats.faults.remote?.count ?? 0n, [1, 2]);
  const upgrades = grew(
    ({ faults: { upgrade, remote } }) => (upgrade?.count ?? 0n) + (remote?.count ?? 0n),
    [0],
  );
  const invalidations = grew((stats) => stats.invalidations, [1, 2]);
  return {
    written,
    reads,
    invalidationsPerWrite: invalidations / count / 2,
    upgradesPerWrite: upgrades / count,
    invalidationsPerUpgrade: invalidations / Math.max(1, upgrades) / 2,
    pagesPerFault: grew((stats) => stats.pagesIn, [1, 2]) / Math.max(1, faults),
    faultsPerWrite: faults / count / 2,
    nearFaultsPerWrite: grew((stats) => stats.faults.node?.count ?? 0n, [1, 2]) / count / 2,
    cores: coresOf(cpu, seconds, ({ usedUs }) => usedUs),
    waited: coresOf(cpu, seconds, ({ waitedUs }) => waitedUs),
  };
}

const statistics = ({ to }: Setting): Promise<GetNodeStatsResponse[]> =>
  Promise.all(NODES.map((node) => to.pmapd(node).getNodeStats({})));

function coresOf(cpu: ReadonlyMap<string, CpuTime>, seconds: number, us: (time: CpuTime) => number): Cores {
  const of = (wanted: (name: string) => boolean): number =>
    [...cpu].reduce((sum, [name, time]) => sum + (wanted(name) ? us(time) : 0), 0) / 1e6 / seconds;
  return {
    vkernels: of((name) => name.endsWith('/vkernel')),
    pmapds: of((name) => name.endsWith('/pmapd')),
    cohd: of((name) => name.startsWith('cohd')),
  };
}

function present(runs: ReadonlyMap<Load, Run[]>) {
  const figures: Figure[] = [];
  const rows: string[][] = [];
  const moved: string[][] = [];
  const costs: string[][] = [];
  for (const [{ rate, readsLeast }, each] of runs) {
    const of = (value: (run: Run) => number): number => median(each.map(value));
    const name = rate === 0 ? 'no writes' : `${rate} writes a second`;
    const add = (what: string, shown: string, figure?: Figure): void => {
      if (figure !== undefined) figures.push(figure);
      rows.push([name, what, shown, ...verdictCells(figure)]);
    };
    for (const [i, node] of NODES.entries()) {
      const millions = of(({ reads }) => reads[i]!.reads_per_s) / 1e6;
      const judged =
        readsLeast &&
        judge(`sharing, ${name}: reads on ${node}`, millions, 'M/s', { least: readsLeast / 1e6 });
      add(`millions of reads a second on ${node}`, round(millions), judged || undefined);
    }
    if (rate > 0) {
      const reached = of(({ written }) => written.writes_per_s) / rate;
      const p99Us = of(({ written }) => written.p99_us);
      add(
        'writes that were reached',
        reached.toFixed(3),
        judge(`sharing, ${name}: reached`, reached, 'x', { least: REACHED_LEAST }),
      );
      add(
        'a write, p99, us',
        round(p99Us),
        judge(`sharing, ${name}: p99 of a write`, p99Us, 'us', { most: WRITER_P99_MOST_US }),
      );
      const perUpgrade = of((run) => run.invalidationsPerUpgrade);
      add(
        'pages that an upgrade takes from a reader',
        round(perUpgrade),
        judge(`sharing, ${name}: pages of an upgrade`, perUpgrade, '', { most: UPGRADE_PAGES_MOST }),
      );
      moved.push([
        name,
        ...[
          of((run) => run.upgradesPerWrite),
          of((run) => run.invalidationsPerWrite),
          of((run) => run.faultsPerWrite),
          of((run) => run.nearFaultsPerWrite),
          of((run) => run.pagesPerFault),
        ].map(round),
      ]);
      const usPerWrite = (part: keyof Cores) =>
        of(({ cores, written }) => (1e6 * cores[part]) / Math.max(1, written.writes_per_s));
      const waits = ({ cores, waited }: Run) =>
        (waited.pmapds + waited.cohd) / Math.max(1e-6, cores.pmapds + cores.cohd);
      costs.push([
        name,
        round(of(({ written }) => written.p50_us)),
        ...[usPerWrite('pmapds'), usPerWrite('cohd'), of(waits)].map(round),
        ...[
          of(({ cores }) => cores.vkernels),
          of(({ cores }) => cores.pmapds),
          of(({ cores }) => cores.cohd),
        ].map(round),
      ]);
    }
    if (rate === 0) add(`who only wakes up: how late, p99, us`, round(of(({ written }) => written.p99_us)));
    const wrong = each.flatMap(({ reads }) => reads).reduce((sum, { torn, old }) => sum + torn + old, 0);
    add(
      'records that were torn or old',
      String(wrong),
      judge(`sharing, ${name}: torn or old`, wrong, '', { most: 0 }),
    );
  }
  return {
    figures,
    tables: [
      {
        title: `${sharing.title}: 100,000 records of 64 bytes`,
        columns: columns('LOAD', 'WHAT', '>VALUE', 'TARGET', 'VERDICT'),
        rows,
        notes: [
          'Medians of the rounds; all nodes share the cores of this machine. How late one that only wakes up gets a core among the readers bounds',
          'the p99 of a write from below: a writer wakes up about three times for each.',
        ],
      },
      {
        title: 'What a write moves',
        columns: columns('LOAD', '>UPGRADES', '>INVALIDATED', '>FAULTS', '>NEAR', '>PAGES A FAULT'),
        rows: moved,
        notes: [
          'UPGRADES, of the writer: faults for the right to write. The page of acknowledgements counts, too.',
          'INVALIDATED to PAGES A FAULT, a node without the writer: pages taken, far and near faults.',
        ],
      },
      {
        title: 'What a write costs',
        columns: columns(
          'LOAD',
          '>p50 us',
          '>us OF PMAPDS',
          '>us OF COHD',
          '>WAITED x USED',
          '>VKERNELS',
          '>PMAPDS',
          '>COHD',
        ),
        rows: costs,
        notes: [
          'WAITED: how long pmapds and cohd were ready and had no core, beside the time that they had one. VKERNELS to COHD: cores in use.',
        ],
      },
    ],
    measured: { runs: [...runs].map(([{ rate }, each]) => ({ rate, runs: each })) },
  };
}
