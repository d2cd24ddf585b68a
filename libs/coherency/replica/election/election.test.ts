// Several elections on one simulated store: whoever sees what when, nobody leads a shard beside another one.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Election } from './election.ts';
import type { ShardValue } from './election-messages.ts';
import { LEASE_MS, type Members, Seats, SHARDS } from './testdata/seats.ts';

test('one replica takes all shards; a second gets its share, and loses it to the first when it goes', () => {
  const seats = new Seats();
  const a = seats.add('A');
  seats.run(200);
  expect(seats.counts()).toEqual([SHARDS]);
  const b = seats.add('B');
  seats.run(500);
  expect(seats.counts()).toEqual([3, 2]);
  seats.step(b, { type: 'close' });
  seats.run(200);
  expect([a.led.size, b.led.size]).toEqual([SHARDS, 0]);
});

test('a replica that is stopped is dead after a lease, and leads nothing when it wakes up', () => {
  const seats = new Seats();
  const a = seats.add('A');
  const b = seats.add('B');
  seats.run(800);
  expect(seats.counts()).toEqual([3, 2]);
  b.stoppedUntilMs = seats.nowMs + 3 * LEASE_MS;
  seats.run(LEASE_MS / 2);
  expect(a.led.size).toBe(3);
  seats.run(2 * LEASE_MS);
  expect(a.led.size).toBe(SHARDS);
  seats.run(2 * LEASE_MS);
  expect(seats.counts()).toEqual([3, 2]);
});

test('who steps down gives its shards to another one that lives, or to nobody', () => {
  const seats = new Seats();
  const a = seats.add('A');
  seats.run(200);
  const [epoch] = a.led.values();
  seats.step(a, { type: 'stepDown', shards: [0] });
  expect(a.led.has(0)).toBe(false);
  seats.run(200);
  // With a new epoch, by itself, as nobody else is there.
  expect(a.led.get(0)).toBeGreaterThan(epoch!);
  const b = seats.add('B');
  seats.run(800);
  const [shard] = a.led.keys();
  seats.step(a, { type: 'stepDown', shards: [shard!] });
  expect(seats.store.keys.get(shard!)?.value).toMatchObject({ replica: 'A', to: 'B' });
  seats.run(100);
  expect(b.led.has(shard!)).toBe(true);
});

test('of two that run beside each other, one alone, who came later goes', () => {
  const seats = new Seats();
  seats.add('A', { standalone: true });
  seats.run(200);
  seats.add('B');
  seats.run(400);
  expect(seats.conflicts[0]).toMatch(
    /^B: replica A at A:1 .* runs too, and A at A:1 was started with --standal/,
  );
});

test('of two of one name the earlier start goes, alone or not', () => {
  for (const standalone of [true, false]) {
    const seats = new Seats();
    const earlier = seats.add('A', { standalone });
    seats.run(200);
    const value = { address: 'A:2', incarnation: 10n ** 6n, standalone };
    seats.step(earlier, { type: 'peer', name: 'A', value });
    expect(seats.conflicts[0]).toBe(
      'A: replica A at A:2 was started later than this one, which ends: give each replica a name of its own (--replica)',
    );
  }
});

test('one that is alone leads on while the store is away', () => {
  const seats = new Seats();
  const a = seats.add('A', { standalone: true });
  seats.run(200);
  seats.isLost = () => true;
  seats.run(5 * LEASE_MS);
  expect([a.led.size, a.election.mayLead(seats.nowMs)]).toEqual([SHARDS, true]);
});

test('whoever cannot tell that it lives leads nothing after its lease, and calls nobody dead', () => {
  const seats = new Seats();
  const a = seats.add('A');
  seats.add('B');
  seats.run(800);
  seats.isLost = () => true;
  seats.run(2 * LEASE_MS);
  expect(seats.counts()).toEqual([0, 0]);
  seats.isLost = () => false;
  seats.run(100);
  expect([...a.election.live(seats.nowMs).keys()]).toEqual(['A', 'B']);
  seats.run(400);
  expect(seats.counts()).toEqual([3, 2]);
});

test('a replica that was seen to take a shard lives, though its heartbeat was not seen yet', () => {
  const b = electionOf('B', 2n);
  const [read] = b.step({ type: 'watched' }, 2);
  const value = { replica: 'A', incarnation: 3n };
  b.step({ type: 'shard', shard: 0, revision: 7, value }, 3);
  b.step({ type: 'members', read: (read as { read: number }).read, members: new Map() }, 4);
  const reads = (nowMs: number): number => {
    const actions = b.tick(nowMs);
    for (const action of actions)
      if (action.type === 'beat') b.step({ type: 'beaten', beat: action.beat, kept: true }, nowMs);
    return actions.filter(({ type }) => type === 'read').length;
  };
  expect([100, 200, 300, 400, 500, 600].map(reads)).toEqual([0, 0, 0, 0, 0, 0]);
  expect(reads(700)).toBe(1);
});

test('what was in a key at the first look is no sign of life', () => {
  const b = electionOf('B', 2n);
  b.step({ type: 'shard', shard: 0, revision: 7, value: { replica: 'A', incarnation: 3n } }, 1);
  expect(b.step({ type: 'watched' }, 2)).toMatchObject([{ type: 'read' }]);
});

test('after a time in which nothing was heard nobody is dead by that', () => {
  const b = electionOf('B', 2n);
  b.step({ type: 'peer', name: 'A', value: { address: 'A:1', incarnation: 1n, standalone: false } }, 2);
  const lives = (nowMs: number): boolean => b.live(nowMs).has('A');
  const [lost] = b.tick(LEASE_MS / 2);
  b.step({ type: 'beaten', beat: (lost as { beat: number }).beat, kept: false }, 5 * LEASE_MS);
  expect(lives(5 * LEASE_MS)).toBe(true);
  beat(b, 5 * LEASE_MS + 1);
  expect([lives(6 * LEASE_MS), lives(6 * LEASE_MS + 1)]).toEqual([true, false]);
});

/** One that may lead the only shard, and sees nobody else. */
function electionOf(replica: string, incarnation: bigint): Election {
  const about = { replica, incarnation, address: `${replica}:1`, standalone: false, shards: 1 };
  const election = new Election({ ...about, leaseMs: LEASE_MS }, 0);
  beat(election, 0);
  return election;
}

function beat(election: Election, nowMs: number): void {
  const sent = election.tick(nowMs).find(({ type }) => type === 'beat');
  election.step({ type: 'beaten', beat: (sent as { beat: number }).beat, kept: true }, nowMs);
}

describe('what a leader is told of the one before', () => {
  const members: Members = new Map([['A', new Map([['N', { incarnation: 11n, life: 5n }]])]]);
  const value = { address: 'B:1', incarnation: 2n, standalone: false };
  const key = { replica: 'A', incarnation: 1n };

  /** B, who has seen a key of shard 0, up to what it reads. */
  function reading(seen: ShardValue, revision = 7) {
    const b = new Election({ replica: 'B', ...value, shards: 1, leaseMs: LEASE_MS }, 0);
    const [beat] = b.tick(0);
    expect(beat).toMatchObject({ type: 'beat', value });
    b.step({ type: 'beaten', beat: (beat as { beat: number }).beat, kept: true }, 1);
    b.step({ type: 'shard', shard: 0, revision, value: seen }, 1);
    const read = b.step({ type: 'watched' }, 2).find(({ type }) => type === 'read');
    return { b, read: (read as { read: number }).read };
  }

  function taken({ b, read }: ReturnType<typeof reading>) {
    const [swap] = b.step({ type: 'members', read, members }, 3);
    expect(swap).toMatchObject({ type: 'swap', shard: 0, revision: 7 });
    const actions = b.step({ type: 'swapped', swap: (swap as { swap: number }).swap, revision: 9 }, 4);
    return { swap, lead: actions.find(({ type }) => type === 'lead') };
  }

  test('whom it had noted, and its epoch', () => {
    const { swap, lead } = taken(reading(key));
    expect(swap).toMatchObject({ value: { replica: 'B', before: { replica: 'A', epoch: 7n } } });
    expect(lead).toEqual({ type: 'lead', shard: 0, epoch: 9n, expected: members.get('A'), lastEpoch: 7n });
  });

  test('of the one that served it last, where a leader in between did not', () => {
    const before = { replica: 'A', epoch: 3n };
    const { lead } = taken(reading({ replica: 'C', incarnation: 5n, before }));
    expect(lead).toMatchObject({ expected: members.get('A'), lastEpoch: 3n });
  });

  test('the epoch at which it led, where it gave the shard up', () => {
    const { lead } = taken(reading({ ...key, to: 'B', epoch: 4n }));
    expect(lead).toMatchObject({ expected: members.get('A'), lastEpoch: 4n });
  });

  test('nothing, where somebody led while that was read', () => {
    const { b, read } = reading(key);
    b.step({ type: 'shard', shard: 0, revision: 8, value: { ...key, to: 'B', epoch: 7n } }, 3);
    expect(b.step({ type: 'members', read, members }, 3)).toEqual([]);
    // It reads again, and takes the shard then.
    expect(b.tick(200).map(({ type }) => type)).toContain('read');
  });

  test('it does not lead where another one has the shard when it hears that it was to', () => {
    const { b, read } = reading(key);
    const [swap] = b.step({ type: 'members', read, members }, 3);
    b.step({ type: 'shard', shard: 0, revision: 10, value: { replica: 'C', incarnation: 5n } }, 4);
    const actions = b.step({ type: 'swapped', swap: (swap as { swap: number }).swap, revision: 9 }, 5);
    expect(actions.filter(({ type }) => type === 'lead')).toEqual([]);
    expect(b.epochs.size).toBe(0);
  });

  test('nor where its lease ended meanwhile', () => {
    const { b, read } = reading(key);
    const [swap] = b.step({ type: 'members', read, members }, 3);
    const late = b.step(
      { type: 'swapped', swap: (swap as { swap: number }).swap, revision: 9 },
      3 * LEASE_MS,
    );
    expect(late.filter(({ type }) => type === 'lead')).toEqual([]);
  });

  test('that all reports are in is kept in the key, by the leader that has it', () => {
    const about = reading(key);
    taken(about);
    const [swap] = about.b.step({ type: 'rebuilt', shard: 0, note: 3 }, 5);
    expect(swap).toMatchObject({ type: 'swap', revision: 9, value: { replica: 'B', epoch: 9n } });
    expect((swap as { value: ShardValue }).value.before).toBeUndefined();
    const number = (swap as { swap: number }).swap;
    expect(about.b.step({ type: 'swapped', swap: number, revision: 10 }, 6)).toEqual([
      { type: 'noted', note: 3, kept: true },
    ]);
    // Once is enough.
    expect(about.b.step({ type: 'rebuilt', shard: 0, note: 4 }, 7)).toEqual([
      { type: 'noted', note: 4, kept: true },
    ]);
    about.b.step({ type: 'stepDown', shards: [0] }, 8);
    expect(about.b.step({ type: 'rebuilt', shard: 0, note: 5 }, 9)).toMatchObject([
      { type: 'noted', note: 5, kept: false },
    ]);
  });
});

test('whatever is late, lost or stopped, a shard has one leader at most; in peace all are led, and evenly', () => {
  const trouble = fc.record({
    forMs: fc.nat(400),
    delayMs: fc.nat(300),
    losesOneIn: fc.constantFrom(0, 0, 3, 1),
    stops: fc.option(fc.record({ seat: fc.nat(2), forMs: fc.nat(2 * LEASE_MS) })),
    down: fc.option(fc.record({ seat: fc.nat(2), shard: fc.nat(SHARDS - 1) })),
  });
  const property = (
    troubles: {
      forMs: number;
      delayMs: number;
      losesOneIn: number;
      stops: { seat: number; forMs: number } | null;
      down: { seat: number; shard: number } | null;
    }[],
    seed: number,
  ): void => {
    const random = randomly(seed);
    const seats = new Seats();
    for (const name of ['A', 'B', 'C']) seats.add(name);
    for (const { forMs, delayMs, losesOneIn, stops, down } of troubles) {
      seats.delayMs = () => 1 + (random() % (delayMs + 1));
      seats.isLost = () => losesOneIn > 0 && random() % losesOneIn === 0;
      if (stops !== null) seats.seats[stops.seat]!.stoppedUntilMs = seats.nowMs + stops.forMs;
      const stepper = down === null ? undefined : seats.seats[down.seat]!;
      if (stepper !== undefined && stepper.stoppedUntilMs <= seats.nowMs)
        seats.step(stepper, { type: 'stepDown', shards: [down!.shard] });
      seats.run(forMs);
    }
    seats.delayMs = () => 2;
    seats.isLost = () => false;
    seats.run(6 * LEASE_MS);
    expect(seats.counts().sort()).toEqual([1, 2, 2]);
  };
  fc.assert(fc.property(fc.array(trouble, { maxLength: 12 }), fc.nat(), property), { numRuns: 25 });
});

function randomly(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return state >> 4;
  };
}
