// A sender and a receiver over lines that are slow, break, and spoil what they carry: whatever happens, each chunk is taken
// once, in order, and what the sender keeps is bounded.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Arrivals } from './arrivals.ts';
import { Outgoing, type Sent, STALLED_MS, WAITING_MAX_BYTES } from './outgoing.ts';
import { TransferWindow, WINDOW_FIRST_BYTES, WINDOW_MAX_BYTES, WINDOW_MIN_BYTES } from './transfer-window.ts';

const CHUNK = 256 * 1024;

/** One stream after the other between two machines; what is on a line is lost with it. */
class World {
  readonly outgoing = new Outgoing<number>();
  readonly arrivals = new Arrivals();
  readonly taken: number[] = [];
  readonly expected: number[] = [];
  sentAgain = 0;
  nowMs = 0;
  private line:
    | { there: Sent<number>[]; back: number[]; arrival?: ReturnType<Arrivals['begin']> }
    | undefined;

  send(chunk: number, bytes: number): void {
    if (this.outgoing.offer(chunk, bytes)) this.expected.push(chunk);
    this.pump();
  }

  open(): void {
    if (this.line !== undefined) return;
    this.line = { there: [], back: [] };
    this.outgoing.opened(this.nowMs);
    this.pump();
  }

  private pump(): void {
    for (let sent = this.outgoing.take(this.nowMs); sent; sent = this.outgoing.take(this.nowMs)) {
      if (sent.again) this.sentAgain++;
      this.line!.there.push(sent);
    }
    expect(this.outgoing.waitingBytes).toBeLessThanOrEqual(WAITING_MAX_BYTES);
    expect(this.outgoing.inFlightBytes).toBeLessThanOrEqual(WINDOW_MAX_BYTES + CHUNK);
  }

  /** The receiver takes one chunk. @param spoilt its checksum does not fit */
  arrive(spoilt: boolean): void {
    const line = this.line;
    const sent = line?.there.shift();
    if (line === undefined || sent === undefined) return;
    if (sent.first) line.arrival = this.arrivals.begin(7n, sent.sequence);
    const arrival = line.arrival!;
    const arrived = arrival.look(sent.sequence);
    expect(arrived).not.toBe('gap');
    if (spoilt) {
      this.answer(arrival.received);
      this.line = undefined;
      const gone = this.outgoing.cut(true);
      for (const chunk of gone) this.expected.splice(this.expected.indexOf(chunk), 1);
      return;
    }
    if (arrived === 'next') {
      this.taken.push(sent.chunk);
      arrival.took(sent.sequence);
    }
    line.back.push(arrival.received);
  }

  hear(): void {
    const received = this.line?.back.shift();
    if (received !== undefined) this.answer(received);
  }

  private answer(received: number): void {
    this.outgoing.answered(received, this.nowMs);
    this.pump();
  }

  cut(): void {
    if (this.line === undefined) return;
    this.line = undefined;
    expect(this.outgoing.cut(false)).toEqual([]);
  }

  finish(): void {
    for (let rounds = 0; !this.outgoing.isIdle; rounds++) {
      expect(rounds).toBeLessThan(10_000);
      this.open();
      this.arrive(false);
      this.hear();
    }
  }
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ does: fc.constant('send' as const), kib: fc.integer({ min: 0, max: 256 }) }),
  },
  { weight: 4, arbitrary: fc.constant({ does: 'arrive' as const }) },
  { weight: 4, arbitrary: fc.constant({ does: 'hear' as const }) },
  { weight: 1, arbitrary: fc.constant({ does: 'spoil' as const }) },
  { weight: 1, arbitrary: fc.constant({ does: 'cut' as const }) },
  { weight: 2, arbitrary: fc.constant({ does: 'open' as const }) },
);

test('each chunk is taken once, in order, over cuts and chunks that were spoilt', () => {
  let cuts = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 200, size: 'max' }), (steps) => {
      const world = new World();
      let next = 0;
      for (const each of steps) {
        world.nowMs++;
        if (each.does === 'send') world.send(next++, each.kib * 1024);
        else if (each.does === 'arrive') world.arrive(false);
        else if (each.does === 'spoil') world.arrive(true);
        else if (each.does === 'hear') world.hear();
        else if (each.does === 'cut') world.cut();
        else world.open();
        if (each.does === 'cut') cuts++;
      }
      world.finish();
      expect(world.taken).toEqual(world.expected);
    }),
    { numRuns: 300 },
  );
  expect(cuts).toBeGreaterThan(100);
});

test('a cut half-way costs what was not answered, and not what was', () => {
  const world = new World();
  world.open();
  for (let chunk = 0; chunk < 12; chunk++) world.send(chunk, 64 * 1024);
  for (let i = 0; i < 8; i++) world.arrive(false);
  for (let i = 0; i < 6; i++) world.hear();
  world.cut();
  world.finish();
  expect(world.taken).toEqual([...Array(12).keys()]);
  // Six were not answered; of these, two had arrived, which the answer to the first one says.
  expect(world.sentAgain).toBe(5);
});

test('who never answers costs a bounded part of memory, and is given up', () => {
  const outgoing = new Outgoing<number>();
  outgoing.opened(0);
  let dropped = 0;
  for (let i = 0; i < 1_000; i++) {
    if (!outgoing.offer(i, CHUNK)) dropped++;
    while (outgoing.take(0) !== undefined);
  }
  expect(outgoing.inFlightBytes).toBeLessThanOrEqual(WINDOW_FIRST_BYTES);
  expect(outgoing.waitingBytes).toBeLessThanOrEqual(WAITING_MAX_BYTES);
  expect(dropped).toBeGreaterThan(900);
  expect([outgoing.isStalled(STALLED_MS), outgoing.isStalled(STALLED_MS + 1)]).toEqual([false, true]);
  expect(outgoing.abandon()).toHaveLength(1_000 - dropped);
  expect(outgoing.isIdle).toBe(true);
});

test('a chunk that is refused three times is not sent again, and the next ones are', () => {
  const world = new World();
  world.open();
  for (const chunk of [1, 2, 3]) world.send(chunk, 4096);
  for (let i = 0; i < 3; i++) {
    world.arrive(true);
    world.open();
  }
  world.finish();
  expect(world.taken).toEqual([2, 3]);
});

test('a receiver that does not count is sent to all the same', () => {
  const outgoing = new Outgoing<number>();
  outgoing.opened(0);
  for (const chunk of [1, 2]) outgoing.offer(chunk, 4096);
  expect([outgoing.take(0)?.sequence, outgoing.take(0)?.sequence]).toEqual([1, 2]);
  expect(outgoing.answered(undefined, 1).map(({ chunk }) => chunk)).toEqual([1, 2]);
  outgoing.offer(3, 4096);
  expect(outgoing.take(1)).toMatchObject({ chunk: 3, sequence: 0 });
  expect(outgoing.isIdle).toBe(true);
});

test('an answer to what was never sent is an error of who answers', () => {
  expect(() => new Outgoing<number>().answered(1, 0)).toThrow('received: 1 of 0');
});

test('the window follows what the line carries', () => {
  const window = new TransferWindow();
  for (let i = 0; i < 10; i++) window.measured(2, true, i);
  expect(window.bytes).toBe(WINDOW_MAX_BYTES);
  for (let i = 0; i < 10; i++) window.measured(500, true, 10 + i);
  expect(window.bytes).toBe(WINDOW_MIN_BYTES);
  // Nothing more was to be sent: as it is.
  window.measured(2, false, 30);
  expect(window.bytes).toBe(WINDOW_MIN_BYTES);
  for (let i = 0; i < 10; i++) window.measured(2, true, 40 + i);
  window.cut();
  expect(window.bytes).toBe(WINDOW_FIRST_BYTES);
});
