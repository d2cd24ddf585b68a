// Acquires a second a core of cohd, beside raw messages a second a core of their server.
import { type Figure, judge, round, verdictCells } from '../figure.ts';
import { columns, type ResultTable, type Setting } from '../part.ts';
import { withRawServer } from '../raw-line.ts';
import { median } from '../samples.ts';
import { cpuUsOf, replicaCpuUs, sum } from './cpu.ts';
import type { Place } from './holders.ts';
import { HOLDERS, type Kind, Load } from './load.ts';
import { RawLoad, UNIT_BYTES } from './raw-load.ts';

const RATIO_LEAST = 0.5;
/** Acquires of a holder that are under way; one: nothing is joined. */
export const DEPTH = 32;
const ROWS = 16;
const QUICK_ROWS = 2;
const WARM_UPS = 3;
const ROUNDS = 7;

interface Paced {
  name: string;
  kind: Kind;
  depth: number;
}

const LOADS: Paced[] = [
  { name: `read, ${DEPTH} under way`, kind: 'read', depth: DEPTH },
  { name: `write, ${DEPTH} under way`, kind: 'write', depth: DEPTH },
  { name: 'write, one after another', kind: 'write', depth: 1 },
];

interface Round {
  acquiresPerCoreS: number;
  acquiresPerS: number;
  rawPerCoreS: number;
  rawPerS: number;
  rawJoinedPerCoreS: number;
}

export interface Throughput {
  figures: Figure[];
  table: ResultTable;
  measured: Record<string, unknown>;
}

export async function throughput(setting: Setting, place: Place): Promise<Throughput> {
  const { signal, quick } = setting;
  const load = await Load.start(place, quick ? QUICK_ROWS : ROWS, signal);
  try {
    return await withRawServer(setting, 'tcp', async ({ address, pid }) => {
      const raw = new RawLoad(address, HOLDERS, signal);
      try {
        const rows = [];
        for (const each of LOADS)
          rows.push({ ...each, rounds: await rounds(setting, place, load, raw, pid, each) });
        return result(rows, load.acquires);
      } finally {
        raw.close();
      }
    });
  } finally {
    await load.close();
  }
}

async function rounds(
  { progress, quick }: Setting,
  place: Place,
  load: Load,
  raw: RawLoad,
  rawPid: number,
  { name, kind, depth }: Paced,
): Promise<Round[]> {
  const rawPids = new Map([['raw', rawPid]]);
  const units = load.acquires / HOLDERS;
  const warmUps = quick ? 1 : WARM_UPS;
  const measured: Round[] = [];
  for (let i = -warmUps; i < (quick ? 1 : ROUNDS); i++) {
    progress(`throughput: ${name}, ${i < 0 ? 'warming up' : `round ${i + 1}`}`);
    const acquires = await timed(
      place.pids,
      () => load.take(kind, depth),
      (cpuUs) => sum(replicaCpuUs(cpuUs)),
    );
    if (kind === 'read') await load.own();
    const all = (cpuUs: ReadonlyMap<string, number>): number => sum([...cpuUs.values()]);
    const single = await timed(rawPids, () => raw.round(units, depth, false), all);
    const joined = await timed(rawPids, () => raw.round(units, depth, true), all);
    if (i < 0) continue;
    measured.push({
      acquiresPerCoreS: load.acquires / acquires.cpuS,
      acquiresPerS: load.acquires / acquires.wallS,
      rawPerCoreS: load.acquires / single.cpuS,
      rawPerS: load.acquires / single.wallS,
      rawJoinedPerCoreS: load.acquires / joined.cpuS,
    });
  }
  return measured;
}

async function timed(
  pids: ReadonlyMap<string, number>,
  work: () => Promise<void>,
  cpuOf: (cpuUs: ReadonlyMap<string, number>) => number,
): Promise<{ cpuS: number; wallS: number }> {
  const startMs = performance.now();
  const cpuUs = await cpuUsOf(pids, work);
  return { cpuS: cpuOf(cpuUs) / 1e6, wallS: (performance.now() - startMs) / 1e3 };
}

function result(rows: (Paced & { rounds: Round[] })[], acquires: number): Throughput {
  const judged = rows.map(({ name, kind, depth, rounds: each }) => {
    const of = (key: keyof Round): number => median(each.map((one) => one[key]));
    const ratio = median(each.map((one) => one.acquiresPerCoreS / one.rawPerCoreS));
    const figure = judge(`directory: acquires to ${name}, share of raw messages a core`, ratio, 'x', {
      least: RATIO_LEAST,
    });
    return { name, kind, depth, of, figure, rounds: each };
  });
  return {
    figures: judged.map(({ figure }) => figure),
    table: {
      title: `Directory: acquires a second a core of cohd, ${HOLDERS} holders, ${acquires} acquires a round, ${rows[0]!.rounds.length} rounds`,
      columns: columns(
        'ACQUIRES',
        '>A CORE',
        '>RAW',
        '>OF RAW',
        'TARGET',
        'VERDICT',
        '>RAW JOINED',
        '>A SECOND',
      ),
      rows: judged.map(({ name, of, figure }) => [
        name,
        round(of('acquiresPerCoreS')),
        round(of('rawPerCoreS')),
        round(figure.value),
        ...verdictCells(figure),
        round(of('rawJoinedPerCoreS')),
        round(of('acquiresPerS')),
      ]),
      notes: [
        'A CORE: by processor time of cohd, all threads. An acquire is of one page that another holder has: cohd gets an',
        'acquire and an ack, and sends a recall (and for a write a settlement). Events of one turn go as one message.',
        `RAW: messages of ${UNIT_BYTES} bytes a second a core of a plain grpc-js server that answers each with one, as many under`,
        'way over as many streams. RAW JOINED: units of that size, those of one turn as one message, as events are.',
        'Medians; OF RAW is the median of the ratios of neighbours in time. A SECOND: on this machine, with the holders.',
      ],
    },
    measured: {
      acquires,
      holders: HOLDERS,
      unitBytes: UNIT_BYTES,
      loads: judged.map(({ name, kind, depth, figure, rounds: each }) => ({
        ...{ name, kind, depth, ratio: figure.value },
        rounds: each,
      })),
    },
  };
}
