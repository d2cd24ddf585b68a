// What a virtual kernel without a stream has to hear is kept, and bounded.
import { expect, test } from 'vitest';
import type { SessionStream } from './session-stream.ts';
import { Teller, UNTOLD_MAX } from './teller.ts';

const lease = { event: { case: 'lease' as const, value: { deadlineNs: 1n } } };

function teller() {
  const full: string[] = [];
  const files = { dataspace: () => undefined, vmspace: () => undefined, image: () => undefined };
  return {
    full,
    teller: new Teller(
      files,
      () => {},
      (reason) => full.push(reason),
    ),
  };
}

test('as many as are kept are told in messages of a bounded length', () => {
  const one = teller();
  for (let i = 0; i < UNTOLD_MAX; i++) one.teller.send(lease);
  expect(one.teller.takeUnsent()).toHaveLength(UNTOLD_MAX);
  const written: number[] = [];
  const write = ({ events }: { events: unknown[] }) => written.push(events.length);
  one.teller.attach({ write } as unknown as SessionStream, lease);
  expect(written.reduce((sum, each) => sum + each, 0)).toBe(UNTOLD_MAX + 1);
  expect(Math.max(...written)).toBeLessThanOrEqual(16_384);
  expect(one.full).toEqual([]);
});

test('one more ends the session, with one line', () => {
  const one = teller();
  for (let i = 0; i < UNTOLD_MAX + 50_000; i++) one.teller.send(lease);
  expect(one.teller.takeUnsent()).toEqual([]);
  expect(one.full).toEqual([expect.stringContaining(`more than ${UNTOLD_MAX} events wait`)]);
});
