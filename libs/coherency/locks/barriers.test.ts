// What a leader answers those who come to a barrier, also a new one that hears of it by and by.
import { expect, test } from 'vitest';
import { type Arrival, Barriers, type BarrierWord, KEPT_MS, ORPHAN_MS } from './barriers.ts';

const arrival = (owner: bigint, generation: bigint, about: Partial<Arrival> = {}): Arrival => ({
  ...{ request: owner * 1_000n + generation, owner, dataspace: 1n, name: 7n, count: 3, generation },
  ...{ timeoutMs: -1, again: false },
  ...about,
});
const word = (owner: bigint, passed: bigint, about: Partial<BarrierWord> = {}): BarrierWord => ({
  ...{ owner, dataspace: 1n, name: 7n, passed, members: [1n, 2n, 3n], ended: false, broken: false },
  diedWaiting: false,
  ...about,
});

/** Who is told what. */
const told = (answers: ReturnType<Barriers['tick']>) =>
  answers.map(({ request, outcome }) => `${request / 1_000n} ${outcome}`).sort();

/** A barrier of 1, 2 and 3, each of a holder of its own, in which so many generations are over. */
function after(generations: number): Barriers {
  const barriers = new Barriers();
  for (let generation = 0n; generation < BigInt(generations); generation++)
    for (const owner of [1n, 2n, 3n]) barriers.arrive(Number(owner), arrival(owner, generation), 0);
  return barriers;
}

test('all pass when the last has come, and hear who the members are', () => {
  const barriers = new Barriers();
  expect(barriers.arrive(1, arrival(1n, 0n), 0)).toEqual([]);
  expect(barriers.arrive(2, arrival(2n, 0n), 0)).toEqual([]);
  const answers = barriers.arrive(3, arrival(3n, 0n), 0);
  expect(told(answers)).toEqual(['1 OK', '2 OK', '3 OK']);
  expect(answers[0]!.members).toEqual([1n, 2n, 3n]);
  expect(barriers.arrive(2, arrival(2n, 1n), 0)).toEqual([]);
});

test('one that comes twice is one; one whose answer was lost passes', () => {
  const barriers = after(1);
  barriers.arrive(1, arrival(1n, 1n), 0);
  expect(barriers.arrive(1, arrival(1n, 1n, { again: true }), 0)).toEqual([]);
  expect(told(barriers.arrive(2, arrival(2n, 0n, { again: true }), 0))).toEqual(['2 OK']);
});

test('the death of a member is told to those who wait, and to those who come later', () => {
  const barriers = after(4);
  barriers.arrive(1, arrival(1n, 4n), 0);
  expect(told(barriers.ownerGone(3n))).toEqual(['1 BROKEN']);
  expect(told(barriers.arrive(2, arrival(2n, 4n), 0))).toEqual(['2 BROKEN']);
});

test('so is that of one that waits in the first generation, and nobody else has come', () => {
  const barriers = new Barriers();
  barriers.arrive(1, arrival(1n, 0n), 0);
  expect(barriers.ownerGone(1n)).toEqual([]);
  expect(told(barriers.arrive(2, arrival(2n, 0n), 1))).toEqual(['2 BROKEN']);
});

test('members that end after the last generation leave nothing, and the name is free', () => {
  const barriers = after(2);
  for (const owner of [1n, 2n, 3n]) expect(barriers.ownerGone(owner)).toEqual([]);
  expect(barriers.count).toBe(0);
  for (const owner of [4n, 5n]) expect(barriers.arrive(1, arrival(owner, 0n), 0)).toEqual([]);
  expect(told(barriers.arrive(1, arrival(6n, 0n), 0))).toEqual(['4 OK', '5 OK', '6 OK']);
});

test('a stranger, another count, a generation that is over are refused', () => {
  const barriers = after(1);
  expect(told(barriers.arrive(1, arrival(4n, 0n), 0))).toEqual(['4 INVALID']);
  expect(told(barriers.arrive(1, arrival(4n, 1n), 0))).toEqual(['4 INVALID']);
  expect(told(barriers.arrive(1, arrival(1n, 1n, { count: 2 }), 0))).toEqual(['1 INVALID']);
  expect(told(new Barriers().arrive(1, arrival(1n, 0n, { count: 0 }), 0))).toEqual(['1 INVALID']);
});

test('who gives up has not come, and may come again', () => {
  const barriers = after(1);
  barriers.arrive(1, arrival(1n, 1n, { timeoutMs: 50 }), 0);
  expect(barriers.tick(49)).toEqual([]);
  expect(told(barriers.tick(50))).toEqual(['1 TIMED_OUT']);
  barriers.arrive(2, arrival(2n, 1n), 60);
  expect(barriers.arrive(3, arrival(3n, 1n), 60)).toEqual([]);
  expect(told(barriers.arrive(1, arrival(1n, 1n), 70))).toEqual(['1 OK', '2 OK', '3 OK']);
});

test('a new leader lets those pass whose generation is over by the word of another member', () => {
  const barriers = new Barriers();
  barriers.arrive(2, arrival(2n, 4n, { again: true }), 0);
  expect(told(barriers.hear(1, word(1n, 5n), 0))).toEqual(['2 OK']);
  expect(told(barriers.arrive(3, arrival(3n, 4n, { again: true }), 0))).toEqual(['3 OK']);
});

test('also of one that has ended since; what is of another run of the program counts for nothing', () => {
  const barriers = new Barriers();
  barriers.arrive(2, arrival(2n, 0n, { again: true }), 0);
  expect(barriers.hear(1, word(9n, 1n, { members: [7n, 8n, 9n], ended: true }), 0)).toEqual([]);
  expect(told(barriers.hear(1, word(1n, 1n, { ended: true }), 0))).toEqual(['2 OK']);
});

test('a member of whom a new leader hears nothing is dead', () => {
  const barriers = new Barriers();
  barriers.arrive(2, arrival(2n, 4n, { again: true }), 100);
  barriers.hear(1, word(1n, 4n), 100);
  expect(barriers.tick(99 + ORPHAN_MS)).toEqual([]);
  expect(told(barriers.tick(100 + ORPHAN_MS))).toEqual(['2 BROKEN']);
  expect(told(barriers.arrive(1, arrival(1n, 4n), 20_000))).toEqual(['1 BROKEN']);
});

test('a new leader hears that a barrier is broken', () => {
  const barriers = new Barriers();
  barriers.hear(1, word(1n, 0n, { broken: true }), 0);
  expect(told(barriers.arrive(2, arrival(2n, 0n), 0))).toEqual(['2 BROKEN']);
});

test('a new leader hears of a member that died while it waited, and nobody else had heard of it', () => {
  const dead = word(1n, 0n, { members: [], ended: true, diedWaiting: true });
  const first = new Barriers();
  first.arrive(2, arrival(2n, 0n, { again: true }), 0);
  expect(told(first.hear(1, dead, 0))).toEqual(['2 BROKEN']);
  expect(told(first.arrive(3, arrival(3n, 0n, { again: true }), 0))).toEqual(['3 BROKEN']);
  const last = new Barriers();
  expect(last.hear(1, dead, 0)).toEqual([]);
  expect(told(last.arrive(2, arrival(2n, 0n, { again: true }), 0))).toEqual(['2 BROKEN']);
  expect(told(last.arrive(3, arrival(3n, 0n), 0))).toEqual(['3 BROKEN']);
});

test('and of one that ended after it had heard that the barrier is broken; the name stays free', () => {
  const dead = word(1n, 0n, { members: [], ended: true, broken: true });
  const barriers = new Barriers();
  barriers.hear(1, dead, 0);
  expect(told(barriers.arrive(2, arrival(2n, 0n, { again: true }), 0))).toEqual(['2 BROKEN']);
  const free = new Barriers();
  free.hear(1, dead, 0);
  for (const owner of [4n, 5n]) expect(free.arrive(1, arrival(owner, 0n), 0)).toEqual([]);
  expect(told(free.arrive(1, arrival(6n, 0n), 0))).toEqual(['4 OK', '5 OK', '6 OK']);
});

test('who died waiting, and is not of those who passed, is of another run', () => {
  const barriers = new Barriers();
  barriers.hear(1, word(1n, 4n), 0);
  barriers.arrive(2, arrival(2n, 4n, { again: true }), 0);
  expect(barriers.hear(1, word(9n, 0n, { members: [], ended: true, diedWaiting: true }), 0)).toEqual([]);
});

test('a member whose node was taken for dead asks again for its answer, and hears then that another one has ended', () => {
  const barriers = after(1);
  barriers.ownerGone(1n);
  barriers.ownerGone(2n);
  barriers.holderGone(3, true);
  expect(told(barriers.arrive(4, arrival(3n, 0n, { again: true }), 1))).toEqual(['3 OK']);
  expect(told(barriers.arrive(4, arrival(3n, 1n), 2))).toEqual(['3 BROKEN']);
});

test('the name of such a barrier is free, and nothing of it stays', () => {
  const free = after(1);
  for (const holder of [1, 2, 3]) free.holderGone(holder, true);
  for (const owner of [4n, 5n]) expect(free.arrive(1, arrival(owner, 0n), 1)).toEqual([]);
  expect(told(free.arrive(1, arrival(6n, 0n), 1))).toEqual(['4 OK', '5 OK', '6 OK']);
  const kept = after(1);
  for (const holder of [1, 2, 3]) kept.holderGone(holder, true);
  expect(kept.count).toBe(1);
  kept.tick(KEPT_MS);
  expect(kept.count).toBe(0);
});

test('nothing stays of what is over', () => {
  const barriers = new Barriers();
  barriers.hear(1, word(1n, 9n, { ended: true }), 0);
  barriers.arrive(1, arrival(5n, 0n, { name: 8n }), 0);
  barriers.ownerGone(5n);
  expect(barriers.count).toBe(2);
  barriers.tick(KEPT_MS);
  expect(barriers.count).toBe(0);
});
