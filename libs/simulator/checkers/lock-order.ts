// Locks: no two that conflict are used at once, and who asks later does not overtake.
//
// Used: from the answer that a process got until it gives the lock back, while its node may act (its lease lasts).
// Overtaken: of two requests that conflict, the directory answers the later one first.
import type { LockMode, LockOutcome } from '@odonata/coherency/range-lock.ts';
import type { LockAsk } from '../messages.ts';
import type { Process } from '../process.ts';
import { check } from '../violation.ts';
import type { World } from '../world.ts';

/** How often one request may be overtaken. */
const OVERTAKEN_MAX = 2;

interface Range {
  dataspace: bigint;
  owner: bigint;
  begin: bigint;
  end: bigint;
  mode: LockMode;
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
  private readonly world: World;
  private readonly used = new Map<bigint, { process: Process; range: Range }>();
  /** As the directory heard of them. */
  private waiting: Waiting[] = [];
  /** By shard, requests that were granted: one that is asked again, because the answer was lost, overtakes nobody. */
  private readonly answeredOnce: Set<string>[];

  constructor(world: World) {
    this.world = world;
    this.answeredOnce = Array.from({ length: world.layout.shards }, () => new Set());
  }

  // ---- as processes see it

  entered(process: Process, range: Range): void {
    this.used.set(process.pid, { process, range });
    this.granted++;
    this.still(process);
  }

  /** A process goes on under its lock. */
  still(process: Process): void {
    if (process.trusted) this.accessed(process);
  }

  /** A process got at a page: so it goes on under its lock, whatever it should know of that. */
  accessed(process: Process): void {
    const mine = this.used.get(process.pid);
    if (mine === undefined) return;
    for (const { process: other, range } of this.used.values()) {
      if (!conflict(mine.range, range) || !other.trusted) continue;
      check(
        false,
        'lock exclusion',
        this.world.layout.pageOf(range.dataspace, Number(range.begin) >> 2),
        () => {
          return `${process.name} holds ${describe(mine.range)} while ${other.name} holds ${describe(range)}`;
        },
      );
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
    this.waiting = this.waiting.filter((w) => this.world.layout.homeShardOf(w.dataspace) !== shard);
    this.answeredOnce[shard]!.clear();
  }

  private answeredAt(dataspace: bigint): Set<string> {
    return this.answeredOnce[this.world.layout.homeShardOf(dataspace)]!;
  }

  asked(ask: LockAsk): void {
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
    const { layout } = this.world;
    this.waiting = this.waiting.filter((w) => w.owner !== owner || layout.homeShardOf(w.dataspace) !== shard);
  }
}

function describe({ dataspace, begin, end, mode }: Range): string {
  return `${mode} [${begin}, ${end}] of dataspace ${dataspace}`;
}
