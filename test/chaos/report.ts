// What a chaos run found.

import { plural } from '../../services/vkctl/output.ts';
import { table } from '../../services/vkctl/table.ts';
import { columns } from '../bench/part.ts';
import { check, type Operation } from './linearizable.ts';
import type { Fault } from './mischief.ts';

export interface Report {
  seed: number;
  minutes: number;
  /** False where links could not be cut: no root, no network namespace or no nft. */
  cuts: boolean;
  faults: Fault[];
  operations: number;
  /** Of operations: those that ended while things were broken. */
  amidFaults: number;
  /** Of operations: begun, and never ended. */
  open: number;
  objects: number;
  /** Objects whose history the search gave up. */
  undecided: string[];
  violations: string[];
  /** Nodes that did not go on when nothing was broken any more. */
  troubles: string[];
  longestStallMs: number;
  ends: Record<string, number>;
  /** Of dataspaces that were made while things broke: what became of them. */
  made: Record<string, number>;
  /** How logins ended. */
  logins: Record<string, number>;
  /** Pmaps that were emptied by chance, by the pmap managers that ran at the end. */
  pmapFlushes: number;
}

export function judge(found: {
  seed: number;
  minutes: number;
  cuts: boolean;
  faults: Fault[];
  amidFaults: number;
  ends: ReadonlyMap<string, number>;
  made: ReadonlyMap<string, number>;
  logins: ReadonlyMap<string, number>;
  pmapFlushes: number;
  /** Dataspaces that did not hold what was written, logins and services that were not as they have to be. */
  wrong: string[];
  troubles: string[];
  histories: ReadonlyMap<string, Operation[]>;
}): Report {
  const { histories, ends, made, logins, wrong, ...rest } = found;
  const all = [...histories.values()].flat();
  const report: Report = {
    ...rest,
    operations: all.length,
    open: all.filter(({ result }) => result === undefined).length,
    objects: histories.size,
    undecided: [],
    violations: wrong,
    longestStallMs: all.reduce((most, { beginNs, endNs }) => {
      return Number.isFinite(endNs) ? Math.max(most, (endNs - beginNs) / 1e6) : most;
    }, 0),
    ends: byCount(ends),
    made: byCount(made),
    logins: byCount(logins),
  };
  for (const [object, history] of histories) {
    const verdict = check(history);
    if (verdict.linearizable === undefined) report.undecided.push(object);
    if (verdict.linearizable === false)
      report.violations.push(
        `object ${object}, ${history.length} operations: no order explains ${said(verdict.stuckAt)}`,
      );
  }
  return report;
}

const byCount = (counts: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...counts].sort((x, y) => y[1] - x[1]));

const said = ({ op, a, b, result, beginNs, endNs }: Operation): string =>
  `${op}(${a}, ${b}) = ${result}, from ${beginNs} to ${endNs} ns`;

export function reportText(report: Report): string {
  const {
    seed,
    faults,
    operations,
    open,
    objects,
    violations,
    undecided,
    troubles,
    longestStallMs,
    ends,
    made,
    logins,
  } = report;
  const kinds = new Map<string, { count: number; ms: number }>();
  for (const { what, forMs } of faults) {
    const kind = kinds.get(what) ?? { count: 0, ms: 0 };
    kinds.set(what, { count: kind.count + 1, ms: kind.ms + forMs });
  }
  const rows = [...kinds]
    .sort()
    .map(([what, { count, ms }]) => [what, count, ms === 0 ? '' : (ms / 1e3).toFixed(1)]);
  const rowsOf = (counts: Record<string, number>) =>
    Object.entries(counts).map(([how, count]) => [how.slice(0, 100), count]);
  return [
    table(columns('FAULT', '>TIMES', '>SECONDS'), rows),
    table(columns('PROGRAMS ENDED', '>TIMES'), rowsOf(ends)),
    table(columns('DATASPACES MADE', '>TIMES'), rowsOf(made)),
    table(columns('LOGINS ENDED', '>TIMES'), rowsOf(logins)),
    ...violations.map((violation) => `VIOLATION: ${violation}`),
    ...undecided.map((object) => `undecided: the search for an order of object ${object} was given up`),
    ...troubles.map((trouble) => `DOES NOT GO ON: ${trouble}`),
    `seed ${seed}: ${plural(faults.length, 'fault')} injected${report.cuts ? '' : ' (links could not be cut here)'}, ` +
      `${operations} operations on ${objects} objects (${open} never ended), ${plural(report.pmapFlushes, 'pmap')} emptied by chance, ${plural(violations.length, 'violation')}, ` +
      `longest stall ${(longestStallMs / 1e3).toFixed(1)} s`,
  ].join('\n\n');
}
