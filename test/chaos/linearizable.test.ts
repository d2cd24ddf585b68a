import fc from 'fast-check';
import { expect, test } from 'vitest';
import { apply, check, initialState, type Operation } from './linearizable.ts';

const operation = (
  op: Operation['op'],
  a: number,
  result: number | undefined,
  beginNs: number,
  endNs: number,
  b = 0,
): Operation => ({
  op,
  a,
  b,
  result,
  beginNs,
  endNs: result === undefined ? Number.POSITIVE_INFINITY : endNs,
});

const verdict = (...operations: Operation[]) => check(operations).linearizable;

test('what one order explains, and what none does', () => {
  // The read overlaps the write: it may see either.
  expect(verdict(operation('write', 7, 0, 0, 10), operation('read', 0, 0, 5, 15))).toBe(true);
  expect(verdict(operation('write', 7, 0, 0, 10), operation('read', 0, 7, 5, 15))).toBe(true);
  // It begins after the end of the write: a stale read.
  expect(verdict(operation('write', 7, 0, 0, 10), operation('read', 0, 0, 11, 15))).toBe(false);
  // Two reads in a row that see the new value and then the old one.
  expect(
    verdict(
      operation('write', 7, 0, 0, 100),
      operation('read', 0, 7, 10, 20),
      operation('read', 0, 0, 30, 40),
    ),
  ).toBe(false);
  // A lost update.
  expect(verdict(operation('add', 1, 0, 0, 10), operation('add', 1, 0, 5, 15))).toBe(false);
  expect(
    verdict(
      operation('swap', 0, 0, 0, 10, 5),
      operation('swap', 0, 5, 11, 15, 6),
      operation('read', 0, 5, 16, 20),
    ),
  ).toBe(true);
});

test('an operation that never ended took effect, or did not', () => {
  expect(
    verdict(
      operation('write', 7, undefined, 0, 0),
      operation('read', 0, 0, 50, 60),
      operation('read', 0, 7, 70, 80),
    ),
  ).toBe(true);
  expect(
    verdict(
      operation('write', 7, undefined, 0, 0),
      operation('read', 0, 7, 50, 60),
      operation('read', 0, 0, 70, 80),
    ),
  ).toBe(false);
});

test('a queue gives each item once, in order', () => {
  const puts = [operation('put', 1, 1, 0, 1), operation('put', 2, 1, 2, 3)];
  expect(
    verdict(
      ...puts,
      operation('take', 0, 1, 4, 5),
      operation('take', 0, 2, 6, 7),
      operation('take', 0, 0, 8, 9),
    ),
  ).toBe(true);
  expect(verdict(...puts, operation('take', 0, 2, 4, 5))).toBe(false);
  expect(verdict(...puts, operation('take', 0, 1, 4, 5), operation('take', 0, 1, 6, 7))).toBe(false);
});

// Random histories of a real object are linearizable; with one result changed to what nobody wrote they are not.
test('every history of a real object passes, and none with an invented value', () => {
  const step = fc.record({
    kind: fc.nat(3),
    a: fc.integer({ min: 1, max: 9 }),
    before: fc.nat(30),
    after: fc.nat(30),
    open: fc.nat(19),
  });
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), fc.nat(), (steps, pick) => {
      let state = '0';
      const history = steps.map(({ kind, a, before, after, open }, i): Operation => {
        const op = (['read', 'write', 'swap', 'add'] as const)[kind]!;
        const at = (i + 1) * 10;
        const plain = operation(op, a, 0, at - before, at + after, 100 + i);
        const result = Number(state);
        state = apply(state, { ...plain, result })!;
        return open === 0
          ? { ...plain, result: undefined, endNs: Number.POSITIVE_INFINITY }
          : { ...plain, result };
      });
      expect(initialState(history)).toBe('0');
      expect(check(history).linearizable).toBe(true);
      const ended = history.filter(({ result }) => result !== undefined);
      const victim = ended[pick % Math.max(1, ended.length)];
      if (victim === undefined) return;
      victim.result = 4_000_000_000;
      expect(check(history).linearizable).toBe(false);
    }),
    { numRuns: 300 },
  );
});
