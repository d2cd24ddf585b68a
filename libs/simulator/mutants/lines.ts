// Lines of a node to the directory that do one thing wrong.
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import { ShardLeader } from '@odonata/coherency/replica/shard/shard-leader.ts';
import type { Mutant } from './mutant.ts';

class IgnoresEpochs extends Lines {
  protected override isOfEpoch(): boolean {
    return true;
  }

  protected override isSuperseded(): boolean {
    return false;
  }
}

class LeaderOfAnyEpoch extends ShardLeader {
  protected override isOfThisLeader(): boolean {
    return true;
  }
}

/** Takes what was said to it when it led before, though others have answered that since. */
class HeedsWhatIsOver extends ShardLeader {
  override isSaidToIt(): boolean {
    return true;
  }
}

class TakesAnyPages extends Lines {
  protected override isReceiver(): boolean {
    return true;
  }
}

/** What it saw of versions it has forgotten. */
class TakesPagesWhenLetGo extends Lines {
  protected override isLetGo(): boolean {
    return false;
  }
}

/** Reports what it had, though it was declared dead since. */
class BelievesEveryLife extends Lines {
  protected override isLifeOf(): boolean {
    return true;
  }
}

/** Goes on under a replica that may have given its shards up while nobody heard it. */
class TrustsSilentLeaders extends Lines {
  protected override unspoken(): void {}
}

/** Goes on for as long as a lease was held for who took its place, also where nobody holds it any more. */
class KeepsHolds extends Lines {
  protected override endHold(): void {}
}

/** Takes what it made under leaders that never served for lost with them. */
class LosesWhatItMade extends Lines {
  protected override isLater(): boolean {
    return false;
  }
}

/** Does not report to a leader that is a new one. */
class OneLeader extends Lines {
  protected override isSameLeader(): boolean {
    return true;
  }
}

export const LINE_MUTANTS: readonly Mutant[] = [
  {
    name: 'ignore the epoch',
    profile: 'failover',
    seed: 785_329_515,
    machines: {
      lines: (options, inherited) => new IgnoresEpochs(options, inherited),
      leader: (options) => new LeaderOfAnyEpoch(options),
    },
  },
  {
    name: 'a lock is granted to whoever asked for it when this replica led before',
    profile: 'faulty',
    seldom: true,
    machines: { leader: (options) => new HeedsWhatIsOver(options) },
  },
  {
    name: 'pages for who is no longer',
    profile: 'partition',
    seed: 3_637_954_954,
    machines: { lines: (options, inherited) => new TakesAnyPages(options, inherited) },
  },
  {
    name: 'what was made under leaders that never served is lost',
    profile: 'succession',
    seldom: true,
    machines: { lines: (options, inherited) => new LosesWhatItMade(options, inherited) },
  },
  {
    name: 'pages for who was let go',
    profile: 'succession',
    seldom: true,
    machines: { lines: (options, inherited) => new TakesPagesWhenLetGo(options, inherited) },
  },
  {
    name: 'a life that it did not have is believed',
    profile: 'succession',
    seed: 2_725_251_125,
    machines: { lines: (options, inherited) => new BelievesEveryLife(options, inherited) },
  },
  {
    name: 'a leader that was not heard is trusted',
    profile: 'succession',
    seed: 2_054_663_854,
    renewals: 6,
    machines: { lines: (options, inherited) => new TrustsSilentLeaders(options, inherited) },
  },
  {
    name: 'a lease that was held is used beyond the hold',
    profile: 'replacement',
    seed: 1_978_516_651,
    renewals: 6,
    few: 2,
    machines: { lines: (options, inherited) => new KeepsHolds(options, inherited) },
  },
  {
    name: 'a new leader is taken for the last one',
    profile: 'failover',
    machines: { lines: (options, inherited) => new OneLeader(options, inherited) },
  },
];
