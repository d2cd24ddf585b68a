import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['libs/**/*.test.ts', 'services/**/*.test.ts', 'test/**/*.test.ts'],
    // Ends what hangs; what takes too long on a machine that is busy is no failure.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    // One more than the processors of the smallest machine: much of what is tested waits.
    maxWorkers: 3,
  },
});
