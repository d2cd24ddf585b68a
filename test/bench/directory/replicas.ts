// What an acquire costs all replicas of the directory together, and how evenly it falls on them.
import { type Figure, judge, round, verdictCells } from '../figure.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { median } from '../samples.ts';
import { cpuUsOf, replicaCpuUs, sum } from './cpu.ts';
import type { Place } from './holders.ts';
import { HOLDERS, Load } from './load.ts';
import { DEPTH } from './throughput.ts';

const SPREAD_MOST = 1.15;
const ROWS = 16;
const QUICK_ROWS = 2;
const ROUNDS = 7;

interface Paced {
  name: string;
  /** Acquires of a holder that are under way at each replica. */
  depth: number;
  /** Rounds that are not counted, for each replica: all of them must have compiled what they run. */
  warmUps: number;
}

const PACES: Paced[] = [
  { name: `${DEPTH} under way at each replica`, depth: DEPTH, warmUps: 7 },
  { name: 'one under way at each replica', depth: 1, warmUps: 2 },
];

interface Round {
  cpuUsPerAcquire: number;
  /** Of the busiest replica, beside an even share. */
  busiest: number;
  acquiresPerS: number;
  /** Messages of an acquire between holders and replicas. */
  messages: number;
}

interface Row {
  pace: string;
  replicas: number;
  rounds: Round[];
}

export interface Replicas {
  figures: Figure[];
  table: ResultTable;
  measured: Record<string, unknown>;
}

/** @param places clusters that run side by side, with different numbers of replicas: rounds go around among them */
export async function replicas(setting: Setting, places: Place[]): Promise<Replicas> {
  const { quick, signal } = setting;
  const loads: { place: Place; load: Load }[] = [];
  try {
    for (const place of places)
      loads.push({ place, load: await Load.start(place, quick ? QUICK_ROWS : ROWS, signal) });
    const rows: Row[] = [];
    for (const pace of PACES) rows.push(...(await rounds(setting, loads, pace)));
    return result(rows, loads[0]!.load.acquires);
  } finally {
    for (const { load } of loads) await load.close();
  }
}

async function rounds(
  { progress, quick }: Setting,
  loads: { place: Place; load: Load }[],
  { name, depth, warmUps }: Paced,
): Promise<Row[]> {
  const rows = loads.map(({ place, load }) => {
    const count = place.directories.length;
    return { place, load, row: { pace: name, replicas: count, rounds: [] as Round[] } };
  });
  for (const { load, row } of rows) {
    progress(`replicas: ${name}, warming up ${row.replicas}`);
    for (let i = 0; i < (quick ? 1 : warmUps * row.replicas); i++)
      await load.take('write', depth * row.replicas);
  }
  for (let i = 0; i < (quick ? 1 : ROUNDS); i++) {
    progress(`replicas: ${name}, round ${i + 1}`);
    for (const { place, load, row } of rows) {
      const startMs = performance.now();
      const messages = load.messages;
      const cpuUs = await cpuUsOf(place.pids, () => load.take('write', depth * row.replicas));
      const wallS = (performance.now() - startMs) / 1e3;
      const each = replicaCpuUs(cpuUs);
      row.rounds.push({
        cpuUsPerAcquire: sum(each) / load.acquires,
        busiest: (Math.max(...each) * each.length) / sum(each),
        acquiresPerS: load.acquires / wallS,
        messages: (load.messages - messages) / load.acquires,
      });
    }
  }
  return rows.map(({ row }) => row);
}

function result(rows: Row[], acquires: number): Replicas {
  const medians = rows.map(({ pace, replicas: count, rounds: each }) => ({
    ...{ pace, replicas: count },
    cpuUsPerAcquire: median(each.map((one) => one.cpuUsPerAcquire)),
    busiest: median(each.map((one) => one.busiest)),
    acquiresPerS: median(each.map((one) => one.acquiresPerS)),
    messages: median(each.map((one) => one.messages)),
  }));
  const figures = PACES.map(({ name }) => {
    const costs = medians.filter(({ pace }) => pace === name).map((each) => each.cpuUsPerAcquire);
    const spread = Math.max(...costs) / Math.min(...costs);
    return judge(`directory: replicas, ${name}, dearest acquire beside cheapest`, spread, 'x', {
      most: SPREAD_MOST,
    });
  });
  return {
    figures,
    table: {
      title: `Directory: processor time of all replicas for an acquire, ${HOLDERS} holders, ${acquires} acquires a round`,
      columns: columns(
        'ACQUIRES',
        '>REPLICAS',
        '>us',
        '>MESSAGES',
        '>BUSIEST',
        '>A SECOND',
        '>SPREAD',
        'TARGET',
        'VERDICT',
      ),
      rows: medians.map(({ pace, replicas: count, cpuUsPerAcquire, busiest, acquiresPerS, messages }, i) => {
        const figure =
          medians[i + 1]?.pace === pace ? undefined : figures[PACES.findIndex((p) => p.name === pace)];
        return [
          ...[
            pace,
            String(count),
            round(cpuUsPerAcquire),
            round(messages),
            round(busiest),
            round(acquiresPerS),
          ],
          ...[figure === undefined ? '' : round(figure.value), ...verdictCells(figure)],
        ];
      }),
      notes: [
        'Acquires to write, as above. Medians of rounds that go around among clusters which run side by side.',
        'MESSAGES: of an acquire, between holders and replicas, both ways: events of one turn go together, as far as they come together.',
        'BUSIEST: the replica that used most, beside an even share. SPREAD: the dearest acquire beside the cheapest.',
        'A SECOND: all replicas and the holders share the cores of this machine, so it does not grow here.',
      ],
    },
    measured: { acquires, holders: HOLDERS, rows },
  };
}
