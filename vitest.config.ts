import { relative } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that start clusters take longest, those of libraries least: so none of the workers is left with a long one in the end. */
const LONG_FIRST = ['test/', 'libs/simulator/', 'services/vkctl/', 'services/'];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const file = relative(import.meta.dirname, moduleId);
      const at = LONG_FIRST.findIndex((folder) => file.startsWith(folder));
      return at === -1 ? LONG_FIRST.length : at;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['libs/**/*.test.ts', 'services/**/*.test.ts', 'test/**/*.test.ts'],
    // Ends what hangs; what takes too long on a machine that is busy is no failure.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    // One more than the processors of the smallest machine: much of what is tested waits.
    maxWorkers: 3,
    sequence: { sequencer: LongFirst },
  },
});
