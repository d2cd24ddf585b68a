// Whatever comes in, in whatever order, and however late the clock is looked at: nothing is used after the lease of the
// stream on which its leader spoke, ends are told, lives that were not had are not believed.
import { create } from '@bufbuild/protobuf';
import {
  type DirectoryEventSchema,
  GrantSchema,
  PageState,
  RenewedSchema,
  ShardLedSchema,
  ShardLeftSchema,
  WelcomeSchema,
} from '@odonata/proto/coherency/v1/coherency';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { guardMs } from '../../lease.ts';
import { BLOCK_PAGES, shardOf } from '../../shard.ts';
import { Lines } from './lines.ts';
import type { LinesAction, LinesEvent } from './lines-messages.ts';

type Heard = Extract<LinesEvent, { type: 'heard' }>['event'];
export type DirectoryMessage = Parameters<typeof create<typeof DirectoryEventSchema>>[1];

const SHARDS = 2;
const LEASE_MS = 1_000;
const DATASPACE = 1n;
const OPTIONS = { node: 'N', incarnation: 1n, shards: SHARDS, transferAddress: 'N:1' };
/** By shard, a page of it. */
const PAGES = Array.from({ length: SHARDS }, (_, shard) => {
  let block = 0;
  while (shardOf(DATASPACE, block * BLOCK_PAGES, SHARDS) !== shard) block++;
  return block * BLOCK_PAGES;
});

type Op =
  | { op: 'tick' | 'time'; byMs: number }
  | { op: 'open' | 'break' | 'drop'; at: number }
  | { op: 'welcome'; at: number; anew: boolean }
  | { op: 'led'; at: number; shard: number; later: number; report: boolean; life: number; last: number }
  | { op: 'left'; at: number; shard: number }
  | { op: 'renewed'; at: number; agoMs: number; heldMs: number }
  | { op: 'grant'; at: number; shard: number; ago: number }
  | { op: 'word'; shard: number };

const at = fc.nat(1);
const shard = fc.nat(SHARDS - 1);
const is = <T extends string>(op: T) => fc.constant(op);
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constantFrom('tick' as const, 'time' as const),
      byMs: fc.constantFrom(1, 50, 300, 900, 1_500),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constantFrom('open' as const, 'break' as const, 'drop' as const), at }),
  },
  { weight: 5, arbitrary: fc.record({ op: is('welcome'), at, anew: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({
      ...{ op: is('led'), at, shard, later: fc.nat(1), report: fc.boolean() },
      ...{ life: fc.nat(4), last: fc.nat(3) },
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: is('left'), at, shard }) },
  {
    weight: 5,
    arbitrary: fc.record({
      op: is('renewed'),
      at,
      agoMs: fc.constantFrom(0, 10, 400, 1_000),
      heldMs: fc.constantFrom(0, 0, 0, 5_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ op: is('grant'), at, shard, ago: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ op: is('word'), shard }) },
);

/** A stream, as the replica at its other end sees it. */
interface Stream {
  number: number;
  at: number;
  helloMs: number;
  identity: string;
  life: bigint;
  /** Until when what is said on it permits anything. */
  untilMs: number;
  /** Shards that were said to be led. */
  led: Set<number>;
}

class World {
  readonly lines: Lines;
  private nowMs = 10_000;
  private streams: (Stream | undefined)[] = [undefined, undefined];
  private numbers = 0;
  private holder = 1;
  private lives = 0n;
  private readonly of: (Stream | undefined)[] = Array.from({ length: SHARDS });
  private readonly epochs = Array.from({ length: SHARDS }, () => 1n);
  private readonly had: { epoch: bigint; life: bigint }[][] = Array.from({ length: SHARDS }, () => []);
  private readonly identities = Array.from({ length: SHARDS }, () => '');
  private readonly knownEpochs = Array.from({ length: SHARDS }, () => 0n);
  /** What the node was told last. */
  private readonly suspended = Array.from({ length: SHARDS }, () => true);
  private toldDeadlineMs: number | undefined;
  private readonly holders = [0, 0];

  constructor(lines: Lines) {
    this.lines = lines;
    this.step({ type: 'replicas', addresses: ['0', '1'] });
  }

  do(o: Op): void {
    switch (o.op) {
      case 'time':
        this.nowMs += o.byMs;
        return;
      case 'tick':
        this.nowMs += o.byMs;
        this.check(undefined, () => this.lines.tick(this.nowMs));
        expect(this.lines.nextMs).toBeGreaterThan(this.nowMs);
        return;
      case 'open':
        this.open(o.at);
        return;
      case 'break':
        this.break(o.at);
        return;
      case 'drop':
        this.streams[o.at] = undefined;
        this.step({ type: 'replicas', addresses: [String(1 - o.at)] });
        this.step({ type: 'replicas', addresses: ['0', '1'] });
        return;
      case 'word': {
        const run = { dataspace: DATASPACE, firstPage: PAGES[o.shard]!, pageCount: 1 };
        const word = { type: 'acquire', run, mode: 'READ', needed: true } as const;
        const sent = this.step({ type: 'word', word });
        const speaks = this.streams.find((stream) => stream?.led.has(o.shard) && this.of[o.shard] === stream);
        expect(sent.flatMap((a) => (a.type === 'send' ? [a.stream] : []))).toEqual(
          speaks === undefined ? [] : [speaks.number],
        );
        return;
      }
      default:
        this.say(o);
    }
  }

  private open(where: number): void {
    this.break(where);
    const number = ++this.numbers;
    this.streams[where] = {
      ...{ number, at: where, helloMs: this.nowMs, identity: '', life: 0n },
      ...{ untilMs: Number.NEGATIVE_INFINITY, led: new Set() },
    };
    const sent = this.step({ type: 'opened', replica: String(where), stream: number });
    expect(sent.filter(({ type }) => type === 'send')).toMatchObject([{ event: { case: 'hello' } }]);
  }

  private break(where: number): void {
    const stream = this.streams[where];
    this.streams[where] = undefined;
    if (stream !== undefined) this.step({ type: 'broke', stream: stream.number, reason: 'cut' });
  }

  private say(o: Exclude<Op, { op: 'time' | 'tick' | 'open' | 'break' | 'drop' | 'word' }>): void {
    const stream = this.streams[o.at];
    if (stream === undefined) return;
    const hear = (event: Heard): LinesAction[] => this.step({ type: 'heard', stream: stream.number, event });
    if (o.op === 'welcome') {
      if (stream.identity === '') this.welcome(stream, o.anew, hear);
      return;
    }
    if (stream.identity === '') {
      // The welcome is the first word.
      const value = create(ShardLedSchema, { shard: 0, epoch: 100n });
      expect(hear({ case: 'led', value }).filter(({ type }) => type === 'led')).toEqual([]);
      return;
    }
    if (o.op === 'led') this.led(stream, o, hear);
    else if (o.op === 'left') {
      if (this.of[o.shard] === stream) stream.led.delete(o.shard);
      hear({ case: 'left', value: create(ShardLeftSchema, { shard: o.shard }) });
    } else if (o.op === 'renewed') {
      const sentMs = Math.max(stream.helloMs, this.nowMs - o.agoMs);
      const lastsMs = Math.max(LEASE_MS, o.heldMs);
      stream.untilMs = Math.max(stream.untilMs, sentMs + lastsMs - guardMs(lastsMs));
      hear({ case: 'renewed', value: create(RenewedSchema, { sentMs: BigInt(sentMs), heldMs: o.heldMs }) });
    } else {
      const epoch = this.epochs[o.shard]! - BigInt(o.ago);
      const run = { dataspace: DATASPACE, firstPage: PAGES[o.shard]!, pageCount: 1 };
      const value = create(GrantSchema, { run, state: PageState.SHARED, version: 1n, epoch });
      const leads = this.of[o.shard] === stream && stream.led.has(o.shard);
      const inOrder = leads && this.knownEpochs[o.shard] === epoch && this.usable(o.shard);
      expect(hear({ case: 'grant', value }).some(({ type }) => type === 'page')).toBe(inOrder);
    }
  }

  private welcome(stream: Stream, anew: boolean, hear: (event: Heard) => LinesAction[]): void {
    const last = this.holders[stream.at]!;
    const holder = anew || last === 0 ? this.holder++ : last;
    if (holder !== last) this.lives++;
    this.holders[stream.at] = holder;
    const epoch = BigInt(stream.at + 1);
    Object.assign(stream, { identity: `${epoch} ${holder}`, life: this.lives });
    stream.untilMs = stream.helloMs + LEASE_MS - guardMs(LEASE_MS);
    const about = { epoch, holder, life: this.lives, leaseMs: LEASE_MS, shards: SHARDS };
    hear({ case: 'welcome', value: create(WelcomeSchema, { ...about, sentMs: BigInt(stream.helloMs) }) });
  }

  private led(stream: Stream, o: Extract<Op, { op: 'led' }>, hear: (event: Heard) => LinesAction[]): void {
    const number = o.shard;
    const epoch = this.epochs[number]! + BigInt(o.later);
    this.epochs[number] = epoch;
    const life = BigInt(o.life);
    const lastEpoch = o.last === 0 ? 0n : epoch - BigInt(o.last);
    const value = create(ShardLedSchema, { shard: number, epoch, report: o.report, life, lastEpoch });
    const had = this.had[number]!;
    const wasLed = this.identities[number] !== '';
    const same =
      !o.report && this.knownEpochs[number] === epoch && this.identities[number] === stream.identity;
    const wasAlive = had.some((h) => h.life === life && (lastEpoch === 0n || h.epoch === lastEpoch));
    // It came after the last leader that served.
    const cameLater = lastEpoch !== 0n && had.length > 0 && had[0]!.epoch > lastEpoch;
    const believed = o.report && (wasAlive || cameLater);
    const voided = wasLed && !same && !believed;
    // In the order of the actions, the leader is another one before the node hears of it.
    this.of[number]?.led.delete(number);
    this.of[number] = stream;
    stream.led.add(number);
    const actions = hear({ case: 'led', value });
    expect(actions.filter(({ type }) => type === 'led')).toEqual([
      { type: 'led', shard: number, sameLeader: same, voided },
    ]);
    if (voided) had.length = 0;
    const before = had.findIndex((h) => h.epoch === epoch);
    if (before >= 0) had.splice(before, 1);
    // Who led between that one and this one is of no account any more, and who led before it neither.
    if (lastEpoch !== 0n) {
      const under = had.find((h) => h.epoch === lastEpoch) ?? had[0];
      had.splice(0, had.length, ...(under === undefined ? [] : [under]));
    }
    had.push({ epoch, life: stream.life });
    if (had.length > 8) had.splice(1, 1);
    this.identities[number] = stream.identity;
    this.knownEpochs[number] = epoch;
  }

  usable(number: number): boolean {
    return this.lines.usable(DATASPACE, PAGES[number]!, this.nowMs);
  }

  private step(event: LinesEvent): LinesAction[] {
    return this.check(event, () => this.lines.step(event, this.nowMs));
  }

  private check(event: LinesEvent | undefined, act: () => LinesAction[]): LinesAction[] {
    const untold = PAGES.flatMap((_, number) =>
      !this.usable(number) && !this.suspended[number] ? [number] : [],
    );
    const ends = this.lines.snapshot();
    const actions = act();
    // Ends are told before anything else is.
    const first = actions.filter(({ type }) => type !== 'log').slice(0, untold.length);
    expect(first).toEqual(
      untold.map((number) => {
        return { type: 'suspend', shard: number, lastEndMs: ends[number]!.lastEndMs };
      }),
    );
    for (const action of actions) {
      if (action.type === 'suspend') this.suspended[action.shard] = true;
      else if (action.type === 'resume') this.suspended[action.shard] = false;
      else if (action.type === 'led') this.suspended[action.shard] = !this.usable(action.shard);
      else if (action.type === 'deadline') this.toldDeadlineMs = action.deadlineMs;
      else if (action.type === 'send') {
        const stream = this.streams.find((each) => each?.number === action.stream);
        expect(stream).toBeDefined();
        if (stream?.identity === '') expect(action.event?.case).toBe('hello');
      }
    }
    for (const number of PAGES.keys()) this.checkShard(number, event);
    return actions;
  }

  private checkShard(number: number, event: LinesEvent | undefined): void {
    if (!this.usable(number)) return;
    expect(this.suspended[number], JSON.stringify(event?.type)).toBe(false);
    const { untilMs } = this.of[number]!;
    expect(this.nowMs).toBeLessThan(untilMs);
    expect(this.toldDeadlineMs).toBeLessThanOrEqual(untilMs + guardMs(LEASE_MS) / 2);
  }
}

const law = (make: () => Lines) =>
  fc.property(fc.array(op, { maxLength: 80, size: 'max' }), (ops) => {
    const world = new World(make());
    for (const o of ops) world.do(o);
  });

test('nothing is used after its lease, ends are told, lives that were not had are not believed', () => {
  fc.assert(
    law(() => new Lines(OPTIONS)),
    { numRuns: 1_000 },
  );
});

class Mutant extends Lines {
  constructor() {
    super(OPTIONS);
  }
}

const MUTANTS: Record<string, () => Lines> = {
  'let a new stream renew what a leader may have given up': () =>
    new (class extends Mutant {
      override unspoken(): void {}
    })(),
  'believe any life': () =>
    new (class extends Mutant {
      override isLifeOf(): boolean {
        return true;
      }
    })(),
  'take a leader of the same epoch for the same': () =>
    new (class extends Mutant {
      override isSameLeader(...[{ epoch }, , now]: Parameters<Lines['isSameLeader']>): boolean {
        return epoch === now;
      }
    })(),
  'tell no end': () =>
    new (class extends Mutant {
      override tellEnds(): void {}
    })(),
  'heed any epoch': () =>
    new (class extends Mutant {
      override isOfEpoch(): boolean {
        return true;
      }
    })(),
  'use what is not suspended': () =>
    new (class extends Mutant {
      override isUsable(...[{ suspended }]: Parameters<Lines['isUsable']>): boolean {
        return !suspended;
      }
    })(),
};

test.each(Object.keys(MUTANTS))('lines that %s are found', (name) => {
  const found = fc.check(law(MUTANTS[name]!), { numRuns: 5_000, endOnFailure: true });
  expect(found.failed).toBe(true);
});
