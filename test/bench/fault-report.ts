// Faults as a table, each beside its target, and what the structure makes of them beside what the code does.
import { FEW_HOLDERS } from '@odonata/coherency/replica/shard/shard-leader.ts';
import { CPU_NOTES, cpuCells, cpuColumns } from './cpu-time.ts';
import type { Echo, EchoResult } from './echo.ts';
import type { FaultPlace, FaultResult } from './fault-result.ts';
import { type Figure, judge, round, type Target, verdictCells } from './figure.ts';
import { columns, type PartResult, type ResultTable } from './part.ts';
import type { Transport } from './raw-line.ts';

const RESIDENT_MOST_US = 10;
const FLAT_MOST = 1.5;
/** Of all processes, in us. */
const REMOTE_CPU_MOST_US = 250;
const UPGRADE_CPU_MOST_US = 350;
/** Of cohd, for one sharer more; a few more show it, one does not. */
const SHARER_CPU_MOST_US = 15;
const SHARERS_LEAST = 4;

/**
 * The way of a fault. `messages` go from one process to another, one after the other; an echo is two of them. With
 * each fault but a resident one, the guest wakes the fault thread, that one the vkernel's main thread, and pmapd in
 * the end the guest.
 */
interface Way {
  way: string;
  messages: number;
  echo: Transport;
  most?: number;
}

const WAYS: Record<FaultPlace, Way> = {
  vkernel: { way: 'fault thread', messages: 0, echo: 'unix' },
  node: { way: 'vkernel > pmapd', messages: 1, echo: 'unix', most: 1.5 },
  remote: { way: 'vkernel > pmapd > cohd > owner > pmapd', messages: 4, echo: 'tcp', most: 3.0 },
  upgrade: {
    way: 'vkernel > pmapd > cohd > nats > sharers > cohd > pmapd',
    messages: 6,
    echo: 'tcp',
    most: 4.0,
  },
};
/** So few are told on their streams. */
const FEW: Way = { ...WAYS.upgrade, way: 'vkernel > pmapd > cohd > sharers > cohd > pmapd', messages: 5 };

const wayOf = ({ place, sharers = 0 }: FaultResult): Way =>
  place === 'upgrade' && sharers <= FEW_HOLDERS ? FEW : WAYS[place];

interface Row {
  result: FaultResult;
  /** p50 in echoes. */
  echoes: number;
  /** p50 beside its messages at half an echo each; undefined: there are none. */
  timesStructure: number | undefined;
  figure: Figure;
}

export function presentFaults(results: FaultResult[], yardstick: EchoResult): PartResult {
  const rows = results.map((result) => rowOf(result, yardstick.echo));
  const flat = flatness(results);
  const used = results.map(cpuFigure);
  const sharer = sharerFigure(results);
  const figures = [...rows.map(({ figure }) => figure), flat, ...used, sharer].filter(
    (figure) => figure !== undefined,
  );
  const heads = columns(
    'FAULT',
    '>p50 us',
    '>p99 us',
    '>ECHOES',
    '>MESSAGES',
    '>x STRUCTURE',
    '>HANDLER p50/p99 us',
    'TARGET',
    'VERDICT',
  );
  const { echo } = yardstick;
  const cells = rows.map(({ result, echoes, timesStructure, figure }) => [
    result.name,
    round(result.guest.p50Us),
    round(result.guest.p99Us),
    round(echoes),
    String(wayOf(result).messages),
    timesStructure === undefined ? '' : round(timesStructure),
    result.handler ? `${round(result.handler.p50Us)}/${round(result.handler.p99Us)}` : '',
    ...verdictCells(figure),
  ]);
  if (flat) cells.push([flat.name, '', '', round(flat.value), '', '', '', ...verdictCells(flat)]);
  const echoCells = (['tcp', 'unix'] as const).map((transport) => [
    `raw grpc-js echo of 4 KiB, ${transport === 'tcp' ? 'TCP loopback' : 'unix socket'}`,
    round(echo[transport].p50Us),
    round(echo[transport].p99Us),
    ...['', '2', '', '', '', ''],
  ]);
  return {
    figures,
    tables: [
      {
        title: 'Faults: beside the echo of a page over plain grpc-js',
        columns: heads,
        rows: [...echoCells, ...cells],
        notes: [
          'p50 and p99: as the program sees them, but for the first three of ten. HANDLER: of all of them, from the reading of the fault to the',
          'waking of the program; what the program sees beyond that are two wake-ups of a core, so the target of the resident fault is the handler’s.',
          'ECHOES: p50 in echoes over the transport that it takes (unix for resident and pmapd, else TCP).',
          'MESSAGES: between processes, one after another. x STRUCTURE: p50 beside half an echo for each of them.',
          ...Object.entries(WAYS).map(([place, { way }]) => `${place}: ${way}`),
          `upgrade, ${FEW_HOLDERS} sharers at most: ${FEW.way}`,
        ],
      },
      cpuTable(results, used, sharer),
    ],
    measured: {
      echo: yardstick,
      rows: rows.map(({ result, echoes, timesStructure }) => ({
        ...result,
        messages: wayOf(result).messages,
        echoes,
        p99Echoes: result.guest.p99Us / echo[wayOf(result).echo].p99Us,
        timesStructure,
      })),
      flatness: flat?.value,
    },
  };
}

function rowOf(result: FaultResult, echo: Echo): Row {
  const { messages, echo: transport, most } = wayOf(result);
  const { p50Us } = result.guest;
  const echoes = p50Us / echo[transport].p50Us;
  const timesStructure = messages === 0 ? undefined : echoes / (messages / 2);
  const figure =
    most === undefined
      ? judge(`fault, ${result.name}, p50 in its handler`, result.handler?.p50Us ?? 0, 'us', {
          most: RESIDENT_MOST_US,
        })
      : judge(`fault, ${result.name}, p50 in echoes`, echoes, 'x', { most } satisfies Target);
  return { result, echoes, timesStructure, figure };
}

/** Where the time of a fault goes, and how much the machine's other work adds. */
function cpuTable(
  results: FaultResult[],
  used: readonly (Figure | undefined)[],
  sharer: Figure | undefined,
): ResultTable {
  const rows = results.map((result, i) => [
    result.name,
    ...cpuCells(result),
    (result.pagesMoved / (result.faults || result.accesses)).toFixed(1),
    ...verdictCells(used[i]),
  ]);
  if (sharer)
    rows.push([
      'for one sharer more',
      '',
      '',
      round(sharer.value),
      ...['', '', '', '', ''],
      ...verdictCells(sharer),
    ]);
  return {
    title: 'Faults: processor time for each, in us, by process',
    columns: columns('FAULT', ...cpuColumns(), '>PAGES MOVED', 'TARGET', 'VERDICT'),
    rows,
    notes: [...CPU_NOTES, 'TARGET: of the SUM; for one sharer more, of COHD.'],
  };
}

function cpuFigure({ name, place, sharers, cpuUs }: FaultResult): Figure | undefined {
  const sum = Object.values(cpuUs).reduce((total, part) => total + part, 0);
  const of = (most: number): Figure => judge(`fault, ${name}, processor time`, sum, 'us', { most });
  if (place === 'remote') return of(REMOTE_CPU_MOST_US);
  return place === 'upgrade' && sharers === 1 ? of(UPGRADE_CPU_MOST_US) : undefined;
}

function sharerFigure(results: readonly FaultResult[]): Figure | undefined {
  const upgrades = results.filter(({ place }) => place === 'upgrade');
  const [few, many] = [upgrades.at(0), upgrades.at(-1)];
  if (few === undefined || many === undefined) return undefined;
  const more = (many.sharers ?? 0) - (few.sharers ?? 0);
  if (more < SHARERS_LEAST) return undefined;
  const us = (many.cpuUs.cohd - few.cpuUs.cohd) / more;
  return judge('fault, write upgrade, processor time of cohd for one sharer more', us, 'us', {
    most: SHARER_CPU_MOST_US,
  });
}

/** The slowest upgrade beside the fastest. */
function flatness(results: FaultResult[]): Figure | undefined {
  const upgrades = results.filter(({ place }) => place === 'upgrade').map(({ guest }) => guest.p50Us);
  if (upgrades.length < 2) return undefined;
  const value = Math.max(...upgrades) / Math.min(...upgrades);
  return judge('fault, write upgrade, slowest beside fastest', value, 'x', { most: FLAT_MOST });
}

/** @param fresh first rounds, of nodes that have served nothing yet */
export function firstFaultsTable(fresh: readonly FaultResult[]): ResultTable {
  return {
    title: 'The first hundred faults of each kind, of a cluster that has just begun',
    columns: columns('FAULT', '>p50 us', '>p99 us'),
    rows: fresh.map(({ name, first }) => [name, round(first.p50Us), round(first.p99Us)]),
    notes: ['What runs for the first times is not compiled. Not judged.'],
  };
}
