// Replicas of the directory that do one thing wrong: with leases, deaths, notes and reports.
import { Directory } from '@odonata/coherency/directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory/directory-messages.ts';
import { Claims } from '@odonata/coherency/replica/election/claims.ts';
import { Election } from '@odonata/coherency/replica/election/election.ts';
import { Heartbeats } from '@odonata/coherency/replica/election/heartbeats.ts';
import type { HolderEntry } from '@odonata/coherency/replica/holders.ts';
import { Members } from '@odonata/coherency/replica/members.ts';
import { Replica } from '@odonata/coherency/replica/replica.ts';
import type { ReplicaAction } from '@odonata/coherency/replica/replica-messages.ts';
import {
  type RebuildOptions,
  type ReportEvent,
  ShardRebuild,
} from '@odonata/coherency/replica/shard/rebuild.ts';
import { ShardLeader } from '@odonata/coherency/replica/shard/shard-leader.ts';
import type { Machines } from '../world/machines.ts';
import type { Mutant } from './mutant.ts';

class LeadsForEver extends Replica {
  override mayLead(): boolean {
    return true;
  }
}

class ElectedForEver extends Election {
  override mayLead(): boolean {
    return true;
  }
}

/** Takes the death of a holder for known, though the next leader will not know of it. */
class NotesNoDeaths extends Replica {
  protected override noteDeath(
    node: string,
    waiting: Parameters<Replica['noteDeath']>[1],
    nowMs: number,
  ): void {
    if (waiting.type === 'bury') this['buried'](waiting.entry, nowMs);
    else super.noteDeath(node, waiting, nowMs);
  }
}

class WelcomesUnnoted extends Replica {
  protected override isTakenIn(): boolean {
    return true;
  }
}

/** Gives what a holder has to others while its lease lasts. */
class BuriesTheSilent extends Replica {
  override tick(nowMs: number): ReplicaAction[] {
    const silent = this.holders.all().filter((entry) => this.mayLead(nowMs) && this.isSilent(entry, nowMs));
    const buried = silent.flatMap(({ id: holder }) => {
      return this.step({ type: 'dead', holder, reason: 'it is silent' }, nowMs);
    });
    return [...buried, ...super.tick(nowMs)];
  }
}

class HoldsUnnoted extends Replica {
  protected override noteHold(hold: Parameters<Replica['noteHold']>[0], nowMs: number): void {
    this.held(hold, true, nowMs);
  }
}

class ForgetsHolds extends ShardRebuild {
  constructor({ expected, ...options }: RebuildOptions) {
    const unheld = [...expected].map(
      ([node, { incarnation, life }]) => [node, { incarnation, life }] as const,
    );
    super({ ...options, expected: new Map(unheld) });
  }
}

/** Takes who dies here for dead everywhere, though the lease of the last leader may last. */
class BuriesEarly extends ShardRebuild {
  protected override isAbsent({ node }: HolderEntry): void {
    this.absent(node);
  }
}

/** Does not know that who was buried cannot say what it had. */
class AsksNoNewcomer extends ShardRebuild {
  protected override reportOfNewcomer(entry: HolderEntry): ReportEvent {
    return { ...super.reportOfNewcomer(entry), reborn: false };
  }
}

class BelievesAnyStart extends ShardRebuild {
  protected override isBelieved(): boolean {
    return true;
  }
}

/** Forgets whom leaders that never served the shard gave a lease. */
class ForgetsLeased extends ShardRebuild {
  constructor(options: RebuildOptions) {
    super({ ...options, leased: undefined });
  }
}

/** Takes an earlier start of a node for the one that is waited for. */
class BelievesEarlierStarts extends ShardRebuild {
  protected override isInItsPlace(): boolean {
    return true;
  }
}

class ForgetsLostCreators extends ShardRebuild {
  override isWhole(): boolean {
    return true;
  }
}

class ServesUnnoted extends ShardLeader {
  protected override isServable(): boolean {
    return true;
  }
}

/** Does not wait until the deaths of its holders are noted. */
class ServesBesideTheDying extends ShardLeader {
  protected override isReported(): boolean {
    return this.rebuild.isComplete;
  }
}

/** Believes holders that cannot say what they had. */
class BelievesTheForgetful extends Directory {
  override step(event: DirectoryEvent): DirectoryAction[] {
    return super.step(event.type === 'report' ? { ...event, reborn: false } : event);
  }
}

/** Gives a node that was buried the life that it had. */
class OneLife extends Members {
  override takeIn(node: string, incarnation: bigint): ReturnType<Members['takeIn']> {
    return { ...super.takeIn(node, incarnation), life: 1n };
  }
}

class TakesFromTheLiving extends Claims {
  protected override mayTake(): boolean {
    return true;
  }
}

class BelievesOldNotes extends Claims {
  override isAsRead(): boolean {
    return true;
  }
}

/** Believes the notes of a leader that did not get to serve. */
class BelievesTheLastLeader extends Claims {
  override servedBy(key: Parameters<Claims['servedBy']>[0]): ReturnType<Claims['servedBy']> {
    const { before: _, ...value } = key.value;
    return super.servedBy({ ...key, value });
  }
}

const electionWith =
  (Type: typeof Claims): Machines['election'] =>
  (options, nowMs) => {
    const heartbeats = new Heartbeats(options);
    const claims = new Type(options.replica, options.shards, heartbeats);
    return new Election({ ...options, heartbeats, claims }, nowMs);
  };

export const REPLICA_MUTANTS: readonly Mutant[] = [
  {
    name: 'an old leader renews and buries',
    profile: 'succession',
    seed: 3_934_489_486,
    renewals: 6,
    ...{ nodes: 3, pages: 1, shards: 1 },
    machines: {
      replica: (options) => new LeadsForEver(options),
      election: (options, nowMs) => new ElectedForEver(options, nowMs),
    },
  },
  {
    name: 'a death is not noted',
    profile: 'failover',
    machines: { replica: (options) => new NotesNoDeaths(options) },
  },
  {
    name: 'taken in before that is noted',
    profile: 'succession',
    seed: 1_673_817_856,
    machines: { replica: (options) => new WelcomesUnnoted(options) },
  },
  {
    name: 'who is silent is buried while its lease lasts',
    profile: 'succession',
    seed: 3_994_126_355,
    machines: { replica: (options) => new BuriesTheSilent(options) },
  },
  {
    name: 'a lease is held before that is noted',
    profile: 'replacement',
    machines: { replica: (options) => new HoldsUnnoted(options) },
  },
  {
    name: 'the next leader does not hold a lease that is held',
    seed: 1_156_113_845,
    profile: 'replacement',
    machines: { rebuild: (options) => new ForgetsHolds(options) },
  },
  {
    name: 'who dies at a new leader is dead, though the lease of the last one lasts',
    profile: 'succession',
    seed: 3_335_891_974,
    renewals: 6,
    machines: { rebuild: (options) => new BuriesEarly(options) },
  },
  {
    name: 'what was sent to somebody who was buried since is put back',
    seed: 3_773_203_337,
    profile: 'failover',
    machines: { rebuild: (options) => new AsksNoNewcomer(options) },
  },
  {
    name: 'another start of a node is believed',
    seldom: true,
    profile: 'failover',
    machines: { rebuild: (options) => new BelievesAnyStart(options) },
  },
  {
    name: 'whom a leader that never served gave a lease is not waited for',
    seldom: true,
    profile: 'upgrade',
    machines: { rebuild: (options) => new ForgetsLeased(options) },
  },
  {
    name: 'an earlier start of a node stands for the one that is waited for',
    profile: 'succession',
    seed: 2_546_315_837,
    ...{ nodes: 2, pages: 1, shards: 1 },
    machines: { rebuild: (options) => new BelievesEarlierStarts(options) },
  },
  {
    name: 'what an earlier process noted, and comes late, counts',
    profile: 'failover',
    seed: 3_103_561_215,
    renewals: 6,
    ...{ nodes: 3, pages: 2, shards: 2 },
    duties: { fenceNotes: false },
  },
  {
    name: 'lost creators are forgotten',
    profile: 'failover',
    seed: 3_654_209_675,
    renewals: 6,
    machines: { rebuild: (options) => new ForgetsLostCreators(options) },
  },
  {
    name: 'a shard is served before that is noted',
    profile: 'failover',
    machines: { leader: (options) => new ServesUnnoted(options) },
  },
  {
    name: 'a shard is served while a death is not noted',
    seldom: true,
    profile: 'failover',
    machines: { leader: (options) => new ServesBesideTheDying(options) },
  },
  {
    name: 'forgetful holders are believed',
    profile: 'failover',
    seed: 980_079_141,
    machines: { directory: () => new BelievesTheForgetful({ home: false }) },
  },
  {
    name: 'who was buried has the life that it had',
    profile: 'succession',
    seed: 482_750_896,
    ...{ nodes: 2, pages: 1, shards: 1 },
    machines: { members: (start, before) => new OneLife(start, before) },
  },
  {
    name: 'a shard is taken from a replica that lives',
    profile: 'replacement',
    seed: 2_892_726_112,
    renewals: 6,
    machines: { election: electionWith(TakesFromTheLiving) },
  },
  {
    name: 'notes of before somebody else led are believed',
    seldom: true,
    profile: 'failover',
    machines: { election: electionWith(BelievesOldNotes) },
  },
  {
    name: 'notes of a leader that never served are believed',
    profile: 'failover',
    machines: { election: electionWith(BelievesTheLastLeader) },
  },
];
