import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DRIFT_ONE_IN, guardMs, HOLD_MAX_MS, HolderLease, LeaseTable, renewEveryMs } from './lease.ts';

test('a holder stops before the directory takes away, whatever is late and however clocks drift', () => {
  const speed = fc.double({ min: 1 - 1 / DRIFT_ONE_IN, max: 1 + 1 / DRIFT_ONE_IN, noNaN: true });
  const renewals = fc.array(
    fc.record({
      ...{ afterMs: fc.nat(2_000), wayMs: fc.nat(5_000), heard: fc.boolean(), backMs: fc.nat(5_000) },
      heldMs: fc.constantFrom(0, 500, HOLD_MAX_MS),
    }),
  );
  const property = (
    leaseMs: number,
    holderSpeed: number,
    directorySpeed: number,
    all: Parameters<typeof run>[3],
  ) => run(leaseMs, holderSpeed, directorySpeed, all);
  fc.assert(fc.property(fc.integer({ min: 200, max: 60_000 }), speed, speed, renewals, property), {
    numRuns: 500,
  });
});

// True time passes; each side sees it at its own speed.
function run(
  leaseMs: number,
  holderSpeed: number,
  directorySpeed: number,
  renewals: { afterMs: number; wayMs: number; heard: boolean; backMs: number; heldMs: number }[],
): void {
  const lease = new HolderLease();
  const table = new LeaseTable(leaseMs);
  lease.begin(leaseMs, 0);
  table.heard(1, 0);
  let now = 0;
  for (const { afterMs, wayMs, heard, backMs, heldMs } of renewals) {
    now += afterMs;
    const sentMs = now * holderSpeed;
    // The directory hears nothing of a holder that it has buried, nor does the answer bring anything back.
    const heardAt = now + wayMs;
    if (!heard || table.dead(heardAt * directorySpeed).length > 0) continue;
    table.heard(1, heardAt * directorySpeed, heldMs);
    now = heardAt + backMs;
    lease.renewed(sentMs, heldMs);
    const holderStops = lease.endMs / holderSpeed;
    expect(table.dead(holderStops * directorySpeed)).toEqual([]);
  }
}

test.each([200, 300, 1_000, 3_000, 18_000])(
  'of a lease of %d ms one renewal may be lost, and the next one be late',
  (leaseMs) => {
    const leftMs = leaseMs - guardMs(leaseMs) - 2 * renewEveryMs(leaseMs);
    expect(leftMs).toBeGreaterThan(leaseMs / 5);
  },
);

test('no lease, a lease, its end', () => {
  const lease = new HolderLease();
  expect(lease.valid(0)).toBe(false);
  lease.renewed(0);
  expect(lease.valid(0)).toBe(false);
  lease.begin(3_000, 1_000);
  expect(lease.endMs).toBe(4_000 - guardMs(3_000));
  lease.renewed(2_000);
  lease.renewed(1_500);
  expect(lease.endMs).toBe(5_000 - guardMs(3_000));
  lease.end();
  expect(lease.valid(2_500)).toBe(false);
});
