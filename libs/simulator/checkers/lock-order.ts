// Locks: no two that conflict are used at once, and who asks later does not overtake.
//
// Used: from the answer that a process got until it gives the lock back, while its node may act (its lease lasts).
// Overtaken: of two requests that conflict, the directory answers the later one first.
import type { LockMode, LockOutcome } from '@odonata/coherency/locks/range-lock.ts';
import type { LockAsk } from '@odonata/coherency/locks/sync-desk.ts';
import { check } from '../violation.ts';
import type { Layout } from '../world/layout.ts';

/** How often one request may be overtaken. */
const OVERTAKEN_MAX = 2;

interface Range {
  dataspace: bigint;
  owner: bigint;
  begin: bigint;
  end: bigint;
  mode: LockMode;
}

/** A process, as far as this looks at it. */
export interface LockingProcess {
  readonly name: string;
  readonly pid: bigint;
  /** It may go on under its locks. */
  readonly trusted: boolean;
}

interface Waiting extends Range {
  request: bigint;
  overtaken: number;
}

function conflict(a: Range, b: Range): boolean {
  if (a.owner === b.owner || a.dataspace !== b.dataspace) return false;
  if (a.begin > b.end || b.begin > a.end) return false;
  return a.mode !== 'SHARED' || b.mode !== 'SHARED';
}

export class LockChecker {
  granted = 0;
  private readonly layout: Layout;
  private readonly used = new Map<bigint, { process: LockingProcess; ranges: Range[] }>();
  /** As the directory heard of them. */
  private waiting: Waiting[] = [];
  /** By shard, requests that were granted: one that is asked again, because the answer was lost, overtakes nobody. */
  private readonly answeredOnce: Set<string>[];

  constructor(layout: Layout) {
    this.layout = layout;
    this.answeredOnce = Array.from({ length: layout.shards }, () => new Set());
  }

  // ---- as processes see it

  entered(process: LockingProcess, range: Range): void {
    const mine = this.used.get(process.pid) ?? { process, ranges: [] };
    this.used.set(process.pid, mine);
    mine.ranges.push(range);
    this.granted++;
    this.still(process);
  }

  /** A process goes on under its lock. */
  still(process: LockingProcess): void {
    if (process.trusted) this.accessed(process);
  }

  /** A process got at a page: so it goes on under its lock, whatever it should know of that. */
  accessed(process: LockingProcess): void {
    const mine = this.used.get(process.pid);
    if (mine === undefined) return;
    for (const { process: other, ranges } of this.used.values())
      for (const theirs of ranges)
        for (const range of mine.ranges) {
          if (!conflict(range, theirs) || !other.trusted) continue;
          const page = this.layout.pageOf(theirs.dataspace, Number(theirs.begin) >> 2);
          check(false, 'lock exclusion', page, () => {
            return `${process.name} holds ${describe(range)} while ${other.name} holds ${describe(theirs)}`;
          });
        }
  }

  left(pid: bigint): void {
    this.used.delete(pid);
  }

  ended(pid: bigint): void {
    this.used.delete(pid);
  }

  // ---- as the directory sees it

  /** What a directory of a shard that starts hears in which order says nothing of before. */
  newDirectory(shard: number): void {
    this.waiting = this.waiting.filter((w) => this.layout.homeShardOf(w.dataspace) !== shard);
    this.answeredOnce[shard]!.clear();
  }

  private answeredAt(dataspace: bigint): Set<string> {
    return this.answeredOnce[this.layout.homeShardOf(dataspace)]!;
  }

  asked(ask: Omit<LockAsk, 'reclaim'>): void {
    if (this.answeredAt(ask.dataspace).has(`${ask.owner} ${ask.request}`)) return;
    if (this.waiting.some((w) => w.request === ask.request && w.owner === ask.owner)) return;
    this.waiting.push({ ...ask, overtaken: 0 });
  }

  answered(dataspace: bigint, request: bigint, owner: bigint, outcome: LockOutcome): void {
    const at = this.waiting.findIndex(
      (w) => w.request === request && w.owner === owner && w.dataspace === dataspace,
    );
    if (at === -1) return;
    const [answered] = this.waiting.splice(at, 1);
    if (outcome !== 'OK' || answered === undefined) return;
    this.answeredAt(dataspace).add(`${owner} ${request}`);
    for (let i = 0; i < at; i++) {
      const earlier = this.waiting[i]!;
      if (!conflict(earlier, answered)) continue;
      earlier.overtaken++;
      check(earlier.overtaken <= OVERTAKEN_MAX, 'lock fairness', undefined, () => {
        return `process ${earlier.owner} waits for ${describe(earlier)} and is overtaken ${earlier.overtaken} times`;
      });
    }
  }

  ownerGone(owner: bigint, shard: number): void {
    const { layout } = this;
    this.waiting = this.waiting.filter((w) => w.owner !== owner || layout.homeShardOf(w.dataspace) !== shard);
  }
}

function describe({ dataspace, begin, end, mode }: Range): string {
  return `${mode} [${begin}, ${end}] of dataspace ${dataspace}`;
}
