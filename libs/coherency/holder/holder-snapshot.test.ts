// What was copied ahead, with what is new since then, is the same as all of it at once.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Holder } from './holder.ts';
import type { HolderEvent } from './holder-messages.ts';
import type { HolderSnapshot } from './holder-snapshot.ts';

const PAGES = 8;
const dataspace = fc.constantFrom(1n, 2n);
const run = fc.record({ dataspace, firstPage: fc.nat(PAGES - 1), pageCount: fc.integer({ min: 1, max: 3 }) });
const version = fc.integer({ min: 1, max: 4 });

const event: fc.Arbitrary<HolderEvent> = fc.oneof(
  fc.record({
    type: fc.constant('open' as const),
    dataspace,
    pageCount: fc.constant(PAGES),
    whole: fc.boolean(),
  }),
  fc.record({ type: fc.constant('remove' as const), dataspace }),
  fc.record({
    ...{ type: fc.constant('want' as const), run, neededPages: fc.constant(1) },
    mode: fc.constantFrom('READ' as const, 'WRITE' as const),
  }),
  fc.record({
    ...{ type: fc.constant('grant' as const), run, version, zero: fc.constant(true) },
    ...{ state: fc.constantFrom('SHARED' as const, 'MODIFIED' as const) },
    ...{ restore: fc.constant(false), stored: fc.constant(false) },
  }),
  fc.record({ type: fc.constant('invalidate' as const), run, version, anew: fc.constant(true) }),
  fc.record({ type: fc.constant('rejoin' as const), sameDirectory: fc.boolean() }),
  fc.record({ type: fc.constant('expire' as const) }),
);
const events = fc.array(event, { maxLength: 30 });

const sorted = ({ dataspaces, ...about }: HolderSnapshot) => ({
  ...about,
  dataspaces: [...dataspaces].sort((a, b) => Number(a.dataspace - b.dataspace)),
});

test('copied ahead, and then what is new', () => {
  fc.assert(
    fc.property(events, events, (before, after) => {
      const [holder, next] = [new Holder(), new Holder()];
      for (const each of before) holder.step(each);
      next.resume(holder.follow());
      for (const each of after) holder.step(each);
      next.resume(holder.changed());
      expect(sorted(next.snapshot())).toEqual(sorted(holder.snapshot()));
    }),
  );
});
