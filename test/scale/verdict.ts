// Flat or not, even or not, and what bounds the service.
import { cpus } from 'node:os';
import { type Figure, judge, round } from '../bench/figure.ts';
import type { ScaledService } from './scaled-service.ts';
import type { Row } from './sweep.ts';

export const FLAT_MOST = 1.15;
export const SHARE_MOST = 1.3;
/** From here on something is in use all the time. */
const SATURATED = 0.9;
/** Below this share of what it was, fewer operations are joined. */
const FEWER_SHARE = 0.9;

export interface Judged {
  pattern: string;
  rows: Row[];
  flat: Figure;
  even: Figure;
  /** Sentences. */
  bounds: string[];
}

export function judged({ name, patterns, beside }: ScaledService, all: Row[]): Judged[] {
  return patterns.map(({ name: pattern, operation }) => {
    const rows = all.filter((row) => row.pattern === pattern);
    const costs = rows.map(({ cpuUs }) => cpuUs);
    const spread = Math.max(...costs) / Math.min(...costs);
    const share = Math.max(...rows.map(shareOf));
    const about = `${name}, ${pattern}`;
    return {
      ...{ pattern, rows },
      flat: judge(`${about}: dearest ${operation} beside cheapest`, spread, 'x', { most: FLAT_MOST }),
      even: judge(`${about}: busiest replica beside an even share`, share, 'x', { most: SHARE_MOST }),
      bounds: [boundOf(rows.at(-1)!, beside), ...costRise(rows)],
    };
  });
}

/** The work that the busiest replica did; its processor time where it does not count its work. */
export const shareOf = ({ workShare, cpuShare }: Row): number => workShare ?? cpuShare;

/** What keeps more operations a second from being done, with the most replicas. */
function boundOf({ replicas, cores }: Row, beside: string | undefined): string {
  const all = cpus().length;
  const parts = [`replicas ${round(cores.replicas)}`, `simulated neighbours ${round(cores.neighbours)}`];
  if (beside !== undefined) parts.splice(1, 0, `${beside} ${round(cores.beside)}`);
  const others = cores.machine - cores.replicas - cores.beside - cores.neighbours;
  parts.push(`others on this machine ${round(Math.max(0, others))}`);
  const who = `${round(cores.machine)} of ${all} cores in use (${parts.join(', ')})`;
  const at = `with ${replicas} replicas`;
  if (cores.machine >= SATURATED * all) return `Bound by this machine's cores ${at}: ${who}.`;
  if (cores.busiest >= SATURATED) return `Bound by the event loop of one replica ${at}: ${who}.`;
  if (cores.neighbours >= SATURATED) return `Bound by the simulated neighbours' one thread ${at}: ${who}.`;
  return `Bound by waiting ${at}: each operation waits for messages of the one before it; ${who}.`;
}

/** Where more replicas cost more for an operation: whether they join fewer operations. */
function costRise(rows: Row[]): string[] {
  const [first, last] = [rows[0]!, rows.at(-1)!];
  if (last.cpuUs <= first.cpuUs * FLAT_MOST) return [];
  const rise = `From ${first.replicas} to ${last.replicas} replicas it costs ${round(last.cpuUs - first.cpuUs)} us more`;
  if (first.perSleep === undefined || last.perSleep === undefined) return [`${rise}.`];
  const sleeps = `${round(first.perSleep)} to ${round(last.perSleep)}`;
  const why =
    last.perSleep < FEWER_SHARE * first.perSleep
      ? 'fewer operations share what a message and a wake-up cost'
      : 'it joins as many operations as before, so the cores that all share here make the difference';
  return [`${rise}: ${why} (operations between two sleeps of a replica: ${sleeps}).`];
}
