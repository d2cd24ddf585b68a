// A replica with the election of its leaders: what one says of the other goes from one to the other here, and what is left
// is for whoever carries it out.
import type { HolderEvent } from '@odonata/proto/coherency/v1/coherency';
import type { Election } from './election/election.ts';
import type { ElectionAction, ElectionEvent } from './election/election-messages.ts';
import type { Replica } from './replica.ts';
import type { ReplicaAction, ReplicaEvent, StreamId } from './replica-messages.ts';

type Word = ReplicaAction | ElectionAction;
/** Between the two. */
type Inner = 'stepDown' | 'lead' | 'leave' | 'mayLead' | 'noted';
export type ElectedReplicaAction = Exclude<Word, { type: Inner }>;

export class ElectedReplica {
  readonly replica: Replica;
  private elected: Election | undefined;

  /** Without an election it leads what it is told to. */
  constructor(replica: Replica) {
    this.replica = replica;
  }

  get election(): Election | undefined {
    return this.elected;
  }

  /** From now on it takes part. */
  enter(election: Election): void {
    this.elected = election;
  }

  get nextMs(): number {
    return Math.min(this.replica.nextMs, this.elected?.nextMs ?? Number.POSITIVE_INFINITY);
  }

  step(event: ReplicaEvent, nowMs: number): ElectedReplicaAction[] {
    return this.route(this.replica.step(event, nowMs), nowMs);
  }

  receive(stream: StreamId, event: HolderEvent, nowMs: number): ElectedReplicaAction[] {
    return this.route(this.replica.receive(stream, event, nowMs), nowMs);
  }

  elect(event: ElectionEvent, nowMs: number): ElectedReplicaAction[] {
    return this.route(this.elected?.step(event, nowMs) ?? [], nowMs);
  }

  tick(nowMs: number): ElectedReplicaAction[] {
    // Whether it may lead is known before it decides anything.
    const elected = this.route(this.elected?.tick(nowMs) ?? [], nowMs);
    if (nowMs < this.replica.nextMs) return elected;
    return [...elected, ...this.route(this.replica.tick(nowMs), nowMs)];
  }

  // In the order in which it was said: whoever answered at once would answer what is over a word later.
  private route(words: readonly Word[], nowMs: number): ElectedReplicaAction[] {
    // Nothing is allocated where all is for the outside, as on the way of a fault.
    if (!words.some(isInner)) return words as ElectedReplicaAction[];
    const out: ElectedReplicaAction[] = [];
    const queue = [...words];
    for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
      if (isInner(word)) queue.push(...this.passOn(word, nowMs));
      else out.push(word as ElectedReplicaAction);
    }
    return out;
  }

  private passOn(word: Word, nowMs: number): readonly Word[] {
    switch (word.type) {
      case 'stepDown':
        return this.elected?.step({ type: 'stepDown', shards: word.shards }, nowMs) ?? [];
      case 'note': {
        const { note, what } = word;
        if (what.about !== 'rebuilt') return [];
        if (this.elected === undefined) return this.replica.step({ type: 'noted', note, kept: true }, nowMs);
        return this.elected.step({ type: 'rebuilt', shard: what.shard, note }, nowMs);
      }
      case 'lead':
      case 'leave':
      case 'mayLead':
      case 'noted':
        return this.replica.step(word, nowMs);
      default:
        return [];
    }
  }
}

function isInner(word: Word): boolean {
  switch (word.type) {
    case 'stepDown':
    case 'lead':
    case 'leave':
    case 'mayLead':
    case 'noted':
      return true;
    case 'note':
      return word.what.about === 'rebuilt';
    default:
      return false;
  }
}
