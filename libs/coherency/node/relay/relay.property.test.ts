// Whatever breaks, the directory holds in the end what the relay says that processes hold: no unlock is lost, and none
// that is said again undoes a later lock.
import { create } from '@bufbuild/protobuf';
import {
  LockRequestSchema,
  LockResultSchema,
  type SyncStatus,
  UnlockRequestSchema,
} from '@odonata/proto/coherency/v1/coherency';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LockMode } from '../../locks/lock-mode.ts';
import { type SyncAnswer, SyncDesk } from '../../locks/sync-desk.ts';
import { lockWire, outcomeWire } from '../../wire.ts';
import type { HolderEventInit } from '../lines/holder-wire.ts';
import { Relay } from './relay.ts';
import type { RelayEvent } from './relay-messages.ts';

const HOLDER = 1;
const OTHER = 2;
const OWNERS = [100n, 101n, 102n];
const DATASPACE = 1n;
const BYTES = 10;

type Op =
  | { op: 'lock'; owner: bigint; begin: number; bytes: number; mode: LockMode; timeoutMs: bigint }
  | { op: 'unlock'; owner: bigint; begin: number; bytes: number }
  | { op: 'gone'; owner: bigint }
  | { op: 'up' | 'down' | 'renew' | 'break' | 'same' | 'new' };

const owner = fc.constantFrom(...OWNERS);
const begin = fc.nat(BYTES - 1);
const bytes = fc.integer({ min: 1, max: 4 });
const mode = fc.constantFrom<LockMode>('SHARED', 'EXCLUSIVE', 'MODIFYING');
const timeoutMs = fc.constantFrom(-1n, -1n, 0n, 6n);
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ op: fc.constant('lock' as const), owner, begin, bytes, mode, timeoutMs }),
  },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('unlock' as const), owner, begin, bytes }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('gone' as const), owner }) },
  {
    weight: 14,
    arbitrary: fc.record({
      op: fc.constantFrom<'up' | 'down' | 'renew' | 'break' | 'same' | 'new'>(
        ...(['up', 'up', 'up', 'down', 'down', 'down', 'renew', 'break', 'same', 'same', 'new'] as const),
      ),
    }),
  },
);

/** A relay and a leader's desk, over a stream that breaks. */
class Cluster {
  readonly relay: Relay;
  readonly waiting = new Set<bigint>();
  private desk = new SyncDesk();
  private nowMs = 0;
  private joined = true;
  private up: HolderEventInit[] = [];
  private down: ({ renewed: number } | SyncAnswer)[] = [];
  private readonly ends = new Map<bigint, bigint>();
  private rebuilding = false;
  /** What a leader that rebuilds hears. */
  private parked: HolderEventInit[] = [];
  private readonly askedBy = new Map<bigint, bigint>();
  private request = 1n;

  constructor(relay: Relay) {
    this.relay = relay;
  }

  do(each: Op): void {
    // Pids are never used twice.
    const o =
      'owner' in each ? { ...each, owner: each.owner + 10n * (this.ends.get(each.owner) ?? 0n) } : each;
    if (each.op === 'gone') this.ends.set(each.owner, (this.ends.get(each.owner) ?? 0n) + 1n);
    this.nowMs++;
    this.answer(this.desk.tick(this.nowMs));
    switch (o.op) {
      case 'lock':
        this.lock(o);
        return;
      case 'unlock': {
        if (this.waiting.has(o.owner)) return;
        const about = { dataspace: DATASPACE, owner: o.owner, ...span(o) };
        const value = create(UnlockRequestSchema, about);
        this.step({ type: 'asked', session: 1, request: this.request++, event: { case: 'unlock', value } });
        return;
      }
      case 'gone':
        this.gone(o.owner);
        return;
      case 'up':
        this.hear(this.up.shift());
        return;
      case 'down':
        this.told(this.down.shift());
        return;
      case 'renew':
        if (this.joined) this.up.push({ case: 'renew', value: { sentMs: BigInt(this.nowMs) } });
        return;
      case 'break':
        this.break();
        return;
      case 'same':
      case 'new':
        this.break();
        this.join(o.op === 'new');
    }
  }

  private join(anew: boolean): void {
    this.joined = true;
    if (anew) {
      this.desk = new SyncDesk();
      this.rebuilding = true;
    }
    // A leader that has not heard its report is a new one still, and has nothing.
    this.parked = [];
    this.step({ type: 'rejoined', shard: 0, newLeader: this.rebuilding });
    if (this.rebuilding) this.up.push({ case: 'report', value: {} });
  }

  private lock(o: Extract<Op, { op: 'lock' }>): void {
    // A process that waits does nothing else.
    if (this.waiting.has(o.owner)) return;
    this.waiting.add(o.owner);
    const about = { dataspace: DATASPACE, owner: o.owner, ...span(o), timeoutMs: o.timeoutMs };
    const value = create(LockRequestSchema, { ...about, mode: lockWire.to(o.mode) });
    this.askedBy.set(this.request, o.owner);
    this.step({ type: 'asked', session: 1, request: this.request++, event: { case: 'lock', value } });
  }

  gone(who: bigint): void {
    this.waiting.delete(who);
    this.step({ type: 'owner-gone', owner: who });
  }

  private break(): void {
    this.joined = false;
    this.up = [];
    this.down = [];
  }

  private step(event: RelayEvent): void {
    for (const action of this.relay.step(event, this.nowMs)) {
      if (action.type === 'say' || action.type === 'say-all') {
        if (this.joined) this.up.push(action.event);
      } else if (action.type === 'answer' && action.event.event?.case === 'lock')
        this.waiting.delete(this.askedBy.get(action.event.request!)!);
      else if (action.type === 'lost') throw new Error('nobody else has anything');
    }
  }

  private hear(event: HolderEventInit | undefined): void {
    if (event?.case === 'renew') this.down.push({ renewed: Number(event.value.sentMs) });
    else if (event?.case === 'report') {
      this.rebuilding = false;
      for (const each of this.parked.splice(0)) this.hear(each);
    } else if (this.rebuilding && event !== undefined) this.parked.push(event);
    else if (event?.case === 'ownerGone') this.answer(this.desk.ownerGone(event.value.owner!));
    else if (event?.case === 'unlock') {
      const { dataspace, owner: by, begin: from, end, request } = create(UnlockRequestSchema, event.value);
      this.answer(this.desk.unlock(dataspace, by, from, end, request));
    } else if (event?.case === 'lock') {
      const { timeoutMs: patience, mode: wire, ...about } = create(LockRequestSchema, event.value);
      const ask = { ...about, mode: lockWire.from(wire), timeoutMs: Number(patience) };
      this.answer(this.desk.lock(HOLDER, ask, this.nowMs));
    }
  }

  private answer(answers: SyncAnswer[]): void {
    if (this.joined) this.down.push(...answers.filter(({ holder }) => holder === HOLDER));
  }

  private told(answer: { renewed: number } | SyncAnswer | undefined): void {
    if (answer === undefined) return;
    if ('renewed' in answer) this.step({ type: 'confirmed', shards: [0], sentMs: answer.renewed });
    else if (answer.type === 'lock') {
      const status = outcomeWire.to(answer.outcome) as SyncStatus;
      const value = create(LockResultSchema, { request: answer.request, status });
      this.step({ type: 'answered', event: { case: 'lockResult', value }, shards: [0] });
    }
  }

  settle(): void {
    this.do({ op: 'same' });
    const quiet = (): void => {
      for (let i = 0; this.up.length + this.down.length > 0; i++) {
        expect(i).toBeLessThan(10_000);
        this.do({ op: 'up' });
        this.do({ op: 'down' });
      }
    };
    quiet();
    for (const who of [...this.waiting]) this.gone(who);
    quiet();
  }

  /** Bytes that somebody holds, as the directory sees it. */
  heldThere(): number[] {
    return Array.from({ length: BYTES + 4 }, (_, i) => i).filter((byte) => {
      const [from, end] = [BigInt(byte), BigInt(byte)];
      const about = { request: 1n, dataspace: DATASPACE, owner: 999n, begin: from, end, timeoutMs: 0 };
      const ask = { ...about, mode: 'EXCLUSIVE' as const, reclaim: false };
      const answers = this.desk.lock(OTHER, ask, this.nowMs);
      answers.push(...this.desk.tick(this.nowMs + 1));
      this.desk.ownerGone(999n);
      return !answers.some((a) => a.type === 'lock' && a.holder === OTHER && a.outcome === 'OK');
    });
  }

  heldHere(): number[] {
    const ranges = this.relay.heldRanges();
    return Array.from({ length: BYTES + 4 }, (_, i) => i).filter((byte) =>
      ranges.some((range) => range.begin <= byte && range.end >= byte),
    );
  }
}

const span = (o: { begin: number; bytes: number }) => {
  return { begin: BigInt(o.begin), end: BigInt(o.begin + o.bytes - 1) };
};

const law = (relay: () => Relay) =>
  fc.property(fc.array(op, { maxLength: 60, size: 'max' }), (ops) => {
    const cluster = new Cluster(relay());
    for (const o of ops) cluster.do(o);
    cluster.settle();
    expect(cluster.heldThere()).toEqual(cluster.heldHere());
    expect(cluster.relay.underWayCount).toBe(0);
  });

test('an unlock is heard as often as it matters, whatever breaks', () => {
  fc.assert(
    law(() => new Relay(1)),
    { numRuns: 400 },
  );
});

/** With a seed that finds them soon. */
const MUTANTS: Record<string, [seed: number, () => Relay]> = {
  'says no unlock again': [
    2,
    () =>
      new (class extends Relay {
        override unlockAgain(): void {}
      })(1),
  ],
  'takes each answer for one to a later request': [
    9,
    () =>
      new (class extends Relay {
        override isBefore(): boolean {
          return true;
        }
      })(1),
  ],
};

test.each(Object.keys(MUTANTS))('a relay that %s is found', (name) => {
  const [seed, make] = MUTANTS[name]!;
  expect(fc.check(law(make), { numRuns: 5_000, endOnFailure: true, seed }).failed).toBe(true);
});
