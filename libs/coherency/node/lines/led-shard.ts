// What a node knows of a shard's leader.
import type { ReplicaLine } from './replica-line.ts';

/** A life of this holder under a leader of a shard. */
export interface ShardLife {
  epoch: bigint;
  life: bigint;
}

/** Leaders that may fail, one after another, before they have heard all reports, where they do not say who led before. */
const LIVES_MAX = 8;

/** What was known of a shard's leader when another pmap manager of this node stopped, or of this one now. */
export interface LedShard {
  epoch: bigint;
  identity: string;
  /** Under the last leaders, since what is held now is held without a break; the newest last. */
  lives: readonly ShardLife[];
  /** Empty: the leader has given it up. */
  address: string;
  untilMs: number;
  lastEndMs: number;
  suspended: boolean;
}

/** A shard as a node sees it. */
export interface Shard extends LedShard {
  /** This node's number at the leader. */
  holder: number;
  /** To the leader, once it has said on its present stream that it leads. */
  line: ReplicaLine | undefined;
  /** A leader was asked to let this node go. */
  retires: boolean;
  /** One did: this node has forgotten which versions of pages it saw. For good, since it ends then. */
  letGo: boolean;
}

export function shardNeverLed(): LedShard {
  return {
    ...{ epoch: 0n, identity: '', lives: [], address: '' },
    ...{ untilMs: 0, lastEndMs: 0, suspended: true },
  };
}

/** The number of this node at a leader. @param identity the leader's start and that number */
export function holderOf(identity: string): number {
  return Number(identity.split(' ')[1] ?? 0);
}

/** Without the line; times are those of the leader's lease as of now. */
export function asLed({
  line,
  holder: _,
  retires: __,
  letGo: ___,
  epoch,
  identity,
  lives,
  address,
  suspended,
  ...left
}: Shard): LedShard {
  const { untilMs, lastEndMs } =
    line === undefined ? left : { untilMs: line.endMs, lastEndMs: line.lastEndMs };
  return { epoch, identity, lives, address, suspended, untilMs, lastEndMs };
}

/**
 * @param voided what was held before is not any more
 * @param lastEpoch of the last leader that served the shard, where the new one says so: those between the two gave nothing to anybody
 */
export function livesAfter(
  before: readonly ShardLife[],
  now: ShardLife,
  { voided, lastEpoch }: { voided: boolean; lastEpoch: bigint },
): ShardLife[] {
  if (voided) return [now];
  const others = before.filter(({ epoch }) => epoch !== now.epoch);
  const served = others.filter(({ epoch }) => epoch === lastEpoch);
  // The first one tells since when there is something to lose.
  const first = others.slice(0, 1);
  const lives = lastEpoch === 0n ? others : served.length > 0 ? served : first;
  return lives.length < LIVES_MAX ? [...lives, now] : [...first, ...lives.slice(2 - LIVES_MAX), now];
}
