// Nodes that leave in peace, with one thing wrong.
import { Directory } from '@odonata/coherency/directory/directory.ts';
import { type DrainPorts, NodeDrain } from '@odonata/coherency/node/drain.ts';
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import type { Mutant } from './mutant.ts';

/** Lets a holder go whatever it has. */
class LetsGo extends Directory {
  override retire(holder: number): ReturnType<Directory['retire']> {
    return { remaining: [], actions: this.step({ type: 'leave', holder }) };
  }
}

/** Forgets the pages that nobody ever asked for. */
class ForgetsPlainPages extends Directory {
  override retire(holder: number): ReturnType<Directory['retire']> {
    return super.retire(holder, () => []);
  }
}

class LeavesPlainPages extends NodeDrain {
  constructor(ports: DrainPorts, shards: number) {
    super({ ...ports, plainRuns: () => [] }, shards);
  }
}

class ComesBack extends Lines {
  protected override sayGoodbye(): void {
    this.sendAll({ case: 'goodbye', value: {} });
  }
}

/** Reports what it may have been let go from. */
class TrustsWhatItHas extends NodeDrain {
  protected override ledAnew(): void {}
}

/** Takes what an earlier leader said for what the present one says. */
class BelievesFormerLeaders extends NodeDrain {
  protected override isAnswer(): boolean {
    return true;
  }
}

export const LEAVING_MUTANTS: readonly Mutant[] = [
  {
    name: 'let go with the only copy',
    profile: 'upgrade',
    machines: { directory: () => new LetsGo({ home: false }) },
  },
  {
    name: 'let go with pages that nobody asked for',
    profile: 'upgrade',
    seed: 2_989_213_953,
    ...{ nodes: 2, pages: 1, shards: 1 },
    machines: {
      directory: () => new ForgetsPlainPages({ home: false }),
      drain: (ports, shards) => new LeavesPlainPages(ports, shards),
    },
  },
  {
    name: 'comes back after its goodbye',
    seldom: true,
    profile: 'upgrade',
    machines: { lines: (options, inherited) => new ComesBack(options, inherited) },
  },
  {
    name: 'reports what it may have been let go from',
    profile: 'upgrade',
    seed: 1_204_025_741,
    ...{ nodes: 3, pages: 2, shards: 2 },
    machines: { drain: (ports, shards) => new TrustsWhatItHas(ports, shards) },
  },
  {
    name: 'a former leader lets it go',
    seldom: true,
    profile: 'upgrade',
    machines: { drain: (ports, shards) => new BelievesFormerLeaders(ports, shards) },
  },
];
