// What the run prints of a service.
import { round, verdictCells } from '../bench/figure.ts';
import { columns, type ResultTable } from '../bench/part.ts';
import type { ScaledService } from './scaled-service.ts';
import type { Row } from './sweep.ts';
import { type Judged, shareOf } from './verdict.ts';

export function serviceTable(service: ScaledService, judgedPatterns: Judged[]): ResultTable {
  const rows = judgedPatterns.flatMap(({ pattern, rows: measured, flat, even }) => [
    ...measured.map((row, i) => cells(row, i === 0 ? pattern : '')),
    verdictRow('dearest beside cheapest', 'us', round(flat.value), verdictCells(flat)),
    verdictRow('busiest replica beside an even share', 'share', round(even.value), verdictCells(even)),
  ]);
  const heads = columns(
    'LOAD',
    '>REPLICAS',
    '>A SECOND',
    '>p50 us',
    '>p99 us',
    '>CPU us',
    '>STANDING',
    '>BESIDE',
    '>A WAKE',
    '>SHARE',
    '>MiB',
    'TARGET',
    'VERDICT',
  );
  return {
    title: `${service.name}: the same operations over more replicas`,
    columns: heads,
    rows,
    notes: [
      ...service.notes,
      'CPU us: processor time of all replicas for an operation, all threads, without STANDING: what they use in that time anyway.',
      `BESIDE: processor time of ${service.beside ?? 'nobody else'} for an operation. A WAKE: operations between two sleeps of a replica.`,
      'SHARE: work of the busiest replica beside an even share. MiB: resident memory of a replica, after the load.',
      'Medians of rounds that go around among places with different numbers of replicas, side by side on this machine.',
    ],
  };
}

const cells = (row: Row, pattern: string): string[] => [
  ...[pattern, String(row.replicas), round(row.perS), round(row.p50Us), round(row.p99Us), round(row.cpuUs)],
  ...[round(row.standingUs), round(row.besideUs), row.perSleep === undefined ? '' : round(row.perSleep)],
  ...[round(shareOf(row)), round(row.residentMib), '', ''],
];

function verdictRow(what: string, column: 'us' | 'share', value: string, verdict: string[]): string[] {
  const before = column === 'us' ? 5 : 9;
  const row = [`  ${what}`, ...Array<string>(10).fill('')];
  row[before] = value;
  return [...row, ...verdict];
}

export const boundLines = (judgedPatterns: Judged[]): string =>
  judgedPatterns
    .map(({ pattern, bounds }) => `  ${pattern}\n${bounds.map((b) => `    ${b}`).join('\n')}`)
    .join('\n');
