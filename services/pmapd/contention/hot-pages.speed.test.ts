// What it costs to count a fault that another node had to serve. Such a fault takes some hundred microseconds of processor time at the
// very least, so a microsecond or two is less than a hundredth.
import { expect, test } from 'vitest';
import { HotPages, PAGES_MAX } from './hot-pages.ts';

/** A hundredth of the quickest fault that another node serves. */
const BOUND_NS = 3_000;
const FAULTS = 20_000;

/** Of processor time; the least of some rounds, for others of this machine take time, too. */
function costNs(pageOf: (at: number) => number): number {
  const rounds = Array.from({ length: 5 }, () => {
    const hot = new HotPages(() => 0);
    const from = process.threadCpuUsage();
    for (let at = 0; at < FAULTS; at++)
      hot.record(7n, pageOf(at), {
        ...{ pid: BigInt(100_000 + (at % 4)), owner: 'alice', vkernel: 'default' },
        ...{ write: at % 2 === 0, offset: at % 4_096, waitedNs: 1_000 },
      });
    const { user, system } = process.threadCpuUsage(from);
    return ((user + system) * 1_000) / FAULTS;
  });
  return Math.min(...rounds);
}

test('a fault is counted in less than a hundredth of what the quickest one costs', () => {
  const few = costNs((at) => at % 8);
  const full = costNs((at) => at % PAGES_MAX);
  // Each page is a new one, and takes the place of the coldest of all.
  const worst = costNs((at) => at);
  console.log(
    `a counted fault: ${few.toFixed(0)} ns of few pages, ${full.toFixed(0)} of ${PAGES_MAX}, ${worst.toFixed(0)} where each is another page`,
  );
  expect(few).toBeLessThan(BOUND_NS);
  expect(full).toBeLessThan(BOUND_NS);
  expect(worst).toBeLessThan(BOUND_NS);
});
