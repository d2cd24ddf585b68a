// The machines that all peers share, against messages that keep all constraints and are made by chance otherwise: a
// replica of the directory hears holders, a node hears the directory and other nodes. Whatever they say, no assertion
// fails: that would end the process, for all. Millions go by in seconds here, where no socket is.
import { AssertionError } from 'node:assert';
import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { Lines } from '@odonata/coherency/node/lines/lines.ts';
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import { FakeNode, Values } from '@odonata/coherency/node/testdata/fake-node.ts';
import { Replica } from '@odonata/coherency/replica/replica.ts';
import type { ReplicaAction } from '@odonata/coherency/replica/replica-messages.ts';
import { runFromWire, stateWire } from '@odonata/coherency/wire.ts';
import {
  type DirectoryEvent,
  DirectoryEventSchema,
  type HolderEvent,
  HolderEventSchema,
  type Invalidate,
  InvalidateSchema,
} from '@odonata/proto/coherency/v1/coherency';
import { type DeliverRequest, DeliverRequestSchema } from '@odonata/proto/pmap/v1/pmap';
import { violationOf } from '@odonata/rpc/constraints/message.ts';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LONG } from '../long.ts';
import { Heard, HostileMessage } from './hostile-message.ts';
import { SEED } from './seed.ts';

const MESSAGES = LONG ? 1_000_000 : 20_000;
/** Of one replica, or node; the next ones hear another one. */
const LIFE = 500;
const DATASPACES = [1n, 2n, 3n];
const PAGES = 8;

function replica(heard: Heard) {
  const byId = (id: bigint) =>
    DATASPACES.includes(id)
      ? {
          ...{ id, sizeBytes: BigInt(PAGES * 4096), durable: id === 2n },
          ...{ creator: 'node1', creatorIncarnation: 11n },
        }
      : undefined;
  const about = { replica: 'A', incarnation: 1n, shards: 1, leaseMs: 3_000, nowMs: 0 };
  const machine = new Replica({ ...about, dataspaces: { revision: 3n, byId } });
  let nowMs = 0;
  const does = (actions: readonly ReplicaAction[]): void => {
    for (const action of actions) {
      if (action.type === 'note') does(machine.step({ type: 'noted', note: action.note, kept: true }, nowMs));
      if (action.type === 'send')
        heard.hear(DirectoryEventSchema, create(DirectoryEventSchema, action as never));
      if (action.type === 'fail' || action.type === 'end')
        does(machine.step({ type: 'closed', stream: action.stream }, nowMs));
    }
  };
  const says = (stream: number, event: HolderEvent) => does(machine.receive(stream, event, nowMs));
  does(machine.step({ type: 'lead', shard: 0, epoch: 5n, expected: new Map(), lastEpoch: 0n }, 0));
  const hello = (stream: number, node: string, incarnation: bigint): void => {
    const value = { node, incarnation, transferAddress: `${node}:1`, sentMs: 0n };
    says(stream, create(HolderEventSchema, { event: { case: 'hello', value } }));
    const report = { last: true, shard: 0, epoch: 5n };
    says(stream, create(HolderEventSchema, { event: { case: 'report', value: report } }));
  };
  hello(1, 'node1', 11n);
  hello(2, 'node2', 12n);
  let last = 2;
  return {
    says(event: HolderEvent, by: number): void {
      says(last - (by % 2), event);
      // Who was ended comes back on another stream.
      for (const [node, incarnation] of [
        ['node1', 11n],
        ['node2', 12n],
      ] as const)
        if (machine.holders.ofNode(node)?.stream === undefined) hello(++last, node, incarnation);
      nowMs += by % 7;
      if (by % 5 === 0) does(machine.tick(nowMs));
    },
  };
}

function node(heard: Heard) {
  const lines = new Lines({ node: 'node1', incarnation: 11n, shards: 1, transferAddress: 'node1:1' });
  const fake = new FakeNode(PAGES, { durable: true });
  fake.open(true);
  const mapping = fake.maps(true);
  let nowMs = 1;
  let stream = 0;
  const does = (actions: readonly { type: string }[]): void => {
    for (const action of actions as readonly NodeAction[]) {
      if (action.type === 'page') fake.step(action.event);
      else if (action.type === 'overheard') fake.step(action.event);
      else if (
        (action as { type: string }).type === 'connect' ||
        (action as { type: string }).type === 'close'
      )
        reopens = true;
    }
  };
  let reopens = false;
  const hears = (event: DirectoryEvent['event']) => does(lines.step({ type: 'heard', stream, event }, nowMs));
  const open = (): void => {
    reopens = false;
    stream++;
    does(lines.step({ type: 'opened', replica: 'a', stream }, nowMs));
    const welcome = { epoch: 1n, leaseMs: 3_000, holder: 1, life: 1n, shards: 1, replica: 'A' };
    const events = [
      { case: 'welcome' as const, value: { ...welcome, sentMs: BigInt(nowMs) } },
      { case: 'led' as const, value: { shard: 0, epoch: 5n, report: false, life: 1n } },
    ];
    for (const event of events) hears(create(DirectoryEventSchema, { event }).event);
  };
  does(lines.step({ type: 'replicas', addresses: ['a'] }, 0));
  open();
  return {
    hears(message: Message, by: number): void {
      nowMs += by % 3;
      const page = by % PAGES;
      if (by % 3 === 0)
        fake.step({ type: 'fault', entry: mapping, page, write: by % 2 === 0, atNs: 0n } as never);
      if (message.$typeName === InvalidateSchema.typeName)
        does(lines.step({ type: 'overheard', message: message as Invalidate }, nowMs));
      else if (message.$typeName === DeliverRequestSchema.typeName) arrives(message as DeliverRequest);
      else hears((message as DirectoryEvent).event);
      if (reopens) open();
    },
  };
  function arrives({ run: wire, state, version, zero, epoch, receiver }: DeliverRequest): void {
    const run = runFromWire(wire);
    if (!lines.acceptsFor(run.dataspace, run.firstPage, epoch, receiver, nowMs)) return;
    const data = { type: 'data', run, state: stateWire.from(state), version: Number(version), zero } as const;
    const pages = Math.min(run.pageCount, PAGES);
    fake.step({ type: 'arrive', data, bytes: new Values(Array(pages).fill(1)) } as never);
    heard.hear(DeliverRequestSchema, create(DeliverRequestSchema, { run: wire, version }));
  }
}

/** Known values, so that much of what is said is about something that is there. */
function beginning(): Heard {
  const heard = new Heard();
  for (const id of DATASPACES) heard.keep('dataspace', id);
  for (const value of [5n, 5n, 4n]) heard.keep('epoch', value);
  for (const value of [0, 1, 2, 7]) heard.keep('first_page', value);
  for (const value of [1, 2, 8]) heard.keep('page_count', value);
  for (const value of [0n, 1n, 2n, 3n]) heard.keep('version', value);
  for (const value of [1, 2]) heard.keep('receiver', value);
  heard.keep('shard', 0);
  for (const value of [1n, 2n, 3n]) heard.keep('owner', value);
  return heard;
}

type Schema =
  | typeof HolderEventSchema
  | typeof DirectoryEventSchema
  | typeof InvalidateSchema
  | typeof DeliverRequestSchema;
type Say = (message: Message, by: number) => void;

function fuzz(schemas: readonly Schema[], make: (heard: Heard) => Say): number {
  let said = 0;
  let slowest = { tookMs: 0, what: '' };
  for (let life = 0; life * LIFE < MESSAGES; life++) {
    const seed = (SEED + life) % 2 ** 31;
    const heard = beginning();
    const say = make(heard);
    const arbitrary = fc.oneof(...schemas.map((schema) => new HostileMessage(schema, heard)));
    const by = fc.sample(fc.nat(1_000), { seed, numRuns: LIFE });
    // Made one after the other: what is heard meanwhile goes into the next.
    let at = 0;
    fc.assert(
      fc.property(arbitrary, (message) => {
        const schema = schemas.find(({ typeName }) => typeName === message.$typeName)!;
        if (violationOf(schema, message) !== undefined) return;
        said++;
        const startMs = performance.now();
        try {
          say(fromBinary(schema, toBinary(schema as never, message as never)) as Message, by[at++ % LIFE]!);
        } catch (error) {
          // What ends the stream of whoever said it.
          if (error instanceof AssertionError || !(error instanceof RangeError))
            throw new Error(`seed=${seed} ${text(message)}`, { cause: error });
        }
        const tookMs = performance.now() - startMs;
        if (tookMs > slowest.tookMs) slowest = { tookMs, what: text(message) };
      }),
      { seed, numRuns: LIFE, endOnFailure: true },
    );
  }
  if (process.env.SHOW) console.log(slowest);
  // None may hold everybody up.
  expect(slowest.tookMs, slowest.what).toBeLessThan(1_000);
  return said;
}

const text = (message: Message) =>
  JSON.stringify(message, (_, value) => (typeof value === 'bigint' ? `${value}n` : value)).slice(0, 2_000);

it('a replica of the directory hears holders', { timeout: 1_800_000 }, () => {
  const said = fuzz([HolderEventSchema], (heard) => {
    const { says } = replica(heard);
    return (message, by) => says(message as HolderEvent, by);
  });
  expect(said).toBeGreaterThan(MESSAGES / 2);
});

it('a node hears the directory, its broadcasts, and other nodes', { timeout: 1_800_000 }, () => {
  const said = fuzz(
    [DirectoryEventSchema, InvalidateSchema, DeliverRequestSchema],
    (heard) => node(heard).hears,
  );
  expect(said).toBeGreaterThan(MESSAGES / 2);
});
