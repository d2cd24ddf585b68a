// Nodes that leave in peace, with one thing wrong.
import { Directory } from '@odonata/coherency/directory.ts';
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

export const LEAVING_MUTANTS: readonly Mutant[] = [
  {
    name: 'let go with the only copy',
    profile: 'upgrade',
    machines: { directory: () => new LetsGo({ home: false }) },
  },
  {
    name: 'let go with pages that nobody asked for',
    profile: 'upgrade',
    seed: 504_748_224,
    machines: { directory: () => new ForgetsPlainPages({ home: false }) },
    duties: { fetchPlain: false },
  },
  {
    name: 'comes back after its goodbye',
    profile: 'upgrade',
    seed: 1_380_772_899,
    duties: { stayGone: false },
  },
  {
    name: 'reports what it may have been let go from',
    profile: 'upgrade',
    seed: 1_107_395_616,
    duties: { voidUnanswered: false },
  },
];
