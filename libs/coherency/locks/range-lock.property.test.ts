// Whatever is asked, range-lock.ts answers as the naive model does, and holds the same bytes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LockMode } from './lock-mode.ts';
import { type LockAnswer, RangeLocks } from './range-lock.ts';
import { NaiveLocks } from './testdata/naive-locks.ts';

const OWNERS = [1n, 2n, 3n, 4n, 5n];

type Op =
  | { op: 'lock'; owner: bigint; begin: number; bytes: number; mode: LockMode; patienceMs: number }
  | { op: 'again'; which: number }
  | { op: 'unlock'; owner: bigint; begin: number; bytes: number }
  | { op: 'release'; owner: bigint }
  | { op: 'tick'; byMs: number };

const owner = fc.constantFrom(...OWNERS);
const begin = fc.integer({ min: -6, max: 6 });
const bytes = fc.integer({ min: 1, max: 7 });
const mode = fc.constantFrom<LockMode>('SHARED', 'SHARED', 'EXCLUSIVE', 'MODIFYING');
const patienceMs = fc.constantFrom(0, 5, 20, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ op: fc.constant('lock' as const), owner, begin, bytes, mode, patienceMs }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('again' as const), which: fc.nat(20) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant('unlock' as const), owner, begin, bytes }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('release' as const), owner }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('tick' as const), byMs: fc.nat(9) }) },
);

/** Does the same to both; `oneAtATime`: an owner that waits asks for nothing else, as a process does. */
function replay(ops: Op[], oneAtATime: boolean): Map<string, number> {
  const locks = new RangeLocks();
  const model = new NaiveLocks();
  const outcomes = new Map<string, number>();
  let nowMs = 0;
  let request = 0n;
  const asked: Parameters<RangeLocks['lock']>[0][] = [];
  const same = (real: LockAnswer[] | undefined, wanted: LockAnswer[] | undefined) => {
    expect(real).toEqual(wanted);
    for (const { outcome } of real ?? []) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  };
  const waits = (who: bigint) => oneAtATime && model.waiting.some((w) => w.owner === who);
  const span = (o: { begin: number; bytes: number }) =>
    [BigInt(o.begin), BigInt(o.begin + o.bytes - 1)] as const;
  for (const o of ops) {
    if (o.op === 'lock') {
      if (waits(o.owner)) continue;
      const [from, to] = span(o);
      const about = { owner: o.owner, begin: from, end: to, mode: o.mode };
      const ask = { request: ++request, ...about, deadlineMs: nowMs + o.patienceMs };
      asked.push(ask);
      same(locks.lock(ask, nowMs), model.lock(ask, nowMs));
    } else if (o.op === 'again') {
      const ask = asked[o.which];
      if (ask !== undefined && model.waiting.includes(ask))
        same(locks.lock(ask, nowMs), model.lock(ask, nowMs));
    } else if (o.op === 'unlock') {
      if (!waits(o.owner)) same(locks.unlock(o.owner, ...span(o)), model.unlock(o.owner, ...span(o)));
    } else if (o.op === 'release') same(locks.release(o.owner), model.release(o.owner));
    else {
      nowMs += o.byMs;
      same(locks.tick(nowMs), model.tick(nowMs));
    }
    for (const who of OWNERS) expect(locks.rangesOf(who)).toEqual(model.rangesOf(who));
    expect(locks.waitingCount).toBe(model.waiting.length);
    expect(locks.heldCount).toBe(OWNERS.reduce((sum, who) => sum + model.rangesOf(who).length, 0));
  }
  return outcomes;
}

test.each([true, false])('the same answers as the naive model, one request an owner: %s', (oneAtATime) => {
  const met = new Map<string, number>();
  const property = fc.property(fc.array(op, { minLength: 10, maxLength: 60 }), (ops) => {
    for (const [outcome, count] of replay(ops, oneAtATime)) met.set(outcome, (met.get(outcome) ?? 0) + count);
  });
  fc.assert(property, { numRuns: 400 });
  // The runs met every kind of answer often.
  for (const outcome of ['OK', 'TIMED_OUT', 'DEADLOCK']) expect(met.get(outcome) ?? 0).toBeGreaterThan(50);
});

test('a cycle is never left standing: whoever waits, waits for somebody who runs', () => {
  const property = fc.property(fc.array(op, { minLength: 20, maxLength: 60 }), (ops) => {
    const locks = new RangeLocks();
    const waiting = new Set<bigint>();
    let request = 0n;
    const hear = (answers: LockAnswer[]) => {
      for (const a of answers) waiting.delete(a.owner);
    };
    for (const o of ops) {
      if (o.op !== 'lock' || waiting.has(o.owner)) continue;
      waiting.add(o.owner);
      const about = {
        owner: o.owner,
        begin: BigInt(o.begin),
        end: BigInt(o.begin + o.bytes - 1),
        mode: o.mode,
      };
      hear(locks.lock({ request: ++request, ...about, deadlineMs: Number.POSITIVE_INFINITY }, 0));
    }
    // Those who run end one after the other; if all that waits is released by that, there was no cycle.
    for (let round = 0; round < OWNERS.length; round++)
      for (const who of OWNERS) if (!waiting.has(who)) hear(locks.release(who));
    expect([...waiting]).toEqual([]);
  });
  fc.assert(property, { numRuns: 400 });
});
