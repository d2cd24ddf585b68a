// What a replica's shards are told, whatever becomes of its notes, streams and leases.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Directory } from '../directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '../directory/directory-messages.ts';
import { ackWire, modeWire, stateWire } from '../wire.ts';
import type { Dataspace } from './dataspaces.ts';
import type { Membership } from './members.ts';
import type { Note } from './note.ts';
import { NOTE_MS } from './notes.ts';
import { Replica } from './replica.ts';
import type { ReplicaAction } from './replica-messages.ts';
import { REPLICA_MACHINES } from './shard/replica-shards.ts';
import { SHARD_MACHINES, ShardLeader } from './shard/shard-leader.ts';

const LEASE_MS = 3_000;
const RUN = { dataspace: 1n, firstPage: 0, pageCount: 1 };
const NODES = ['N', 'M', 'L'] as const;
type Said = NonNullable<MessageInitShape<typeof HolderEventSchema>['event']>;

type Act =
  | { type: 'hello'; node: string; incarnation: bigint }
  | { type: 'close' | 'goodbye' | 'read' | 'write' | 'report' | 'renew' | 'received'; node: string }
  | { type: 'answer'; at: number; fate: 'kept' | 'refused' | 'kept, and said to be refused' }
  | { type: 'wait'; ms: number }
  | { type: 'lead'; after: boolean };

const node = fc.constantFrom(...NODES);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('hello' as const),
      node,
      incarnation: fc.constantFrom(11n, 11n, 11n, 12n),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constantFrom(
        'close',
        'goodbye',
        'read',
        'write',
        'write',
        'report',
        'report',
        'renew',
        'received',
      ),
      node,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constant('answer' as const),
      at: fc.nat(3),
      fate: fc.constantFrom('kept', 'kept', 'kept', 'kept', 'refused', 'kept, and said to be refused'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(20, 300, 700, 1_500) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lead' as const), after: fc.boolean() }) },
);

interface Asked {
  number: number;
  note: Note;
  atMs: number;
}

/** Looks at what the machine of pages is told. */
class Overheard extends Directory {
  private readonly heard: (event: DirectoryEvent) => void;

  constructor(heard: (event: DirectoryEvent) => void) {
    super({ home: false });
    this.heard = heard;
  }

  override step(event: DirectoryEvent): DirectoryAction[] {
    this.heard(event);
    return super.step(event);
  }
}

class Run {
  private readonly record: Dataspace = {
    id: 1n,
    sizeBytes: 4096n,
    creator: 'N',
    creatorIncarnation: 11n,
    durable: true,
  };
  /** What the store keeps of each node. */
  private readonly store = new Map<string, Membership>();
  private readonly asked: Asked[] = [];
  private readonly streams = new Map<string, number>();
  private readonly names = new Map<number, { node: string; incarnation: bigint; life: bigint }>();
  /** Holders whose death, asked for after it, was kept in time; with what is noted of reports. */
  private readonly deathsKept = new Set<string>();
  private readonly rebuiltKept = new Set<number>();
  private readonly dead = new Set<number>();
  private joined = new Set<number>();
  private leads = 0;
  private lastStream = 0;
  private nowMs = 0;
  private readonly replica: Replica;

  constructor(alone: boolean) {
    const { record } = this;
    this.replica = new Replica({
      ...{ replica: 'A', incarnation: 7n, shards: 1, leaseMs: LEASE_MS, alone, nowMs: 0 },
      dataspaces: { revision: 1n, byId: (id) => (id === record.id ? record : undefined) },
      machines: {
        ...REPLICA_MACHINES,
        leader: (options) => {
          this.joined = new Set();
          const lead = ++this.leads;
          const directory = () => new Overheard((event) => this.told(lead, event));
          return new ShardLeader({ ...options, machines: { ...SHARD_MACHINES, directory } });
        },
      },
    });
  }

  // Called in the middle of a step: what was known before it counts.
  private told(lead: number, event: DirectoryEvent): void {
    switch (event.type) {
      case 'join': {
        const { node, life } = this.replica.holders.get(event.holder)!;
        expect(this.store.get(node)?.life, 'who joins is noted').toBe(life);
        this.joined.add(event.holder);
        break;
      }
      case 'leave': {
        const about = this.names.get(event.holder)!;
        expect(this.joined.delete(event.holder), 'who leaves had joined').toBe(true);
        expect(this.deathsKept.has(`${about.node} ${about.life}`), 'a death is kept').toBe(true);
        break;
      }
      case 'acquire':
      case 'ack':
      case 'report':
        expect(this.joined.has(event.holder), `an ${event.type} is of one that joined`).toBe(true);
        break;
      case 'create':
        if (event.creatorLost)
          for (const holder of this.dead)
            if (this.joined.has(holder))
              expect(this.names.get(holder)).not.toMatchObject({ node: 'N', incarnation: 11n });
        break;
      case 'rebuilt':
        expect(this.rebuiltKept.has(lead), 'that reports are in is kept').toBe(true);
        break;
    }
  }

  act(each: Act): void {
    switch (each.type) {
      case 'hello': {
        const stream = ++this.lastStream;
        this.streams.set(each.node, stream);
        const about = { node: each.node, incarnation: each.incarnation, transferAddress: 'n:1', sentMs: 0n };
        this.says(each.node, { case: 'hello', value: about });
        break;
      }
      case 'close': {
        const stream = this.streams.get(each.node);
        if (stream !== undefined) this.did(this.replica.step({ type: 'closed', stream }, this.nowMs));
        break;
      }
      case 'goodbye':
        this.says(each.node, { case: 'goodbye', value: {} });
        break;
      case 'read':
      case 'write': {
        const mode = modeWire.to(each.type === 'read' ? 'READ' : 'WRITE');
        this.says(each.node, { case: 'acquire', value: { run: RUN, mode, neededPages: 1 } });
        break;
      }
      case 'received': {
        const version = BigInt(
          this.replica.led[0]?.directory.has(1n) ? this.replica.led[0].directory.inspect(1n, 0).version : 0,
        );
        const about = { run: RUN, version, epoch: BigInt(this.leads), ...ackWire.to('RECEIVED') };
        this.says(each.node, { case: 'ack', value: about });
        break;
      }
      case 'report': {
        const held = [{ run: RUN, state: stateWire.to('SLAVE'), version: 1n }];
        this.says(each.node, {
          case: 'report',
          value: { held, last: true, shard: 0, epoch: BigInt(this.leads) },
        });
        break;
      }
      case 'renew':
        this.says(each.node, { case: 'renew', value: { sentMs: 0n } });
        break;
      case 'answer':
        this.answer(each.at, each.fate);
        break;
      case 'wait':
        // No longer than a replica may pause.
        for (let ms = 0; ms < each.ms; ms += 500) {
          this.nowMs += Math.min(500, each.ms - ms);
          this.did(this.replica.tick(this.nowMs));
        }
        break;
      case 'lead': {
        const epoch = BigInt(this.leads + 1);
        const expected = each.after ? new Map(this.store) : new Map<string, Membership>();
        this.did(this.replica.step({ type: 'leave', shard: 0 }, this.nowMs));
        this.did(this.replica.step({ type: 'lead', shard: 0, epoch, expected, lastEpoch: 0n }, this.nowMs));
        break;
      }
    }
    this.look();
  }

  private answer(at: number, fate: Extract<Act, { type: 'answer' }>['fate']): void {
    const [each] = this.asked.splice(at % Math.max(1, this.asked.length), 1);
    if (each === undefined) return;
    const { note, number, atMs } = each;
    const kept = fate === 'kept';
    if (fate !== 'refused') {
      if (note.about === 'taken-in') this.store.set(note.node, note.membership);
      else if (note.about === 'dead') this.store.delete(note.node);
    }
    const inTime = this.replica['o'].alone === true || this.nowMs - atMs < NOTE_MS;
    if (kept && inTime && note.about === 'dead')
      for (const holder of this.dead) {
        const about = this.names.get(holder)!;
        if (about.node === note.node) this.deathsKept.add(`${about.node} ${about.life}`);
      }
    if (kept && inTime && note.about === 'rebuilt') this.rebuiltKept.add(this.leads);
    this.did(this.replica.step({ type: 'noted', note: number, kept }, this.nowMs));
  }

  private says(node: string, event: Said): void {
    const stream = this.streams.get(node);
    if (stream !== undefined)
      this.did(this.replica.receive(stream, create(HolderEventSchema, { event }), this.nowMs));
  }

  private did(actions: readonly ReplicaAction[]): void {
    this.look();
    for (const action of actions)
      if (action.type === 'note')
        this.asked.push({ number: action.note, note: action.what, atMs: this.nowMs });
  }

  private look(): void {
    const { holders } = this.replica;
    for (const { id, node, incarnation, life } of holders.all())
      this.names.set(id, { node, incarnation, life });
    for (const id of this.names.keys()) if (holders.get(id) === undefined) this.dead.add(id);
    expect(this.replica.pendingNotes, 'notes are bounded').toBeLessThan(20);
  }

  /** In peace all who are here are taken in, and the shard is served. */
  settle(): void {
    for (const each of NODES) this.act({ type: 'hello', node: each, incarnation: 11n });
    if (this.replica.led.length === 0) this.act({ type: 'lead', after: true });
    for (let i = 0; i < 400 && !this.isWell; i++) {
      this.act({ type: 'wait', ms: 20 });
      for (const each of NODES) {
        if (this.replica.holders.ofNode(each)?.stream === undefined)
          this.act({ type: 'hello', node: each, incarnation: 11n });
        this.act({ type: 'renew', node: each });
        this.act({ type: 'report', node: each });
      }
      while (this.asked.length > 0) this.act({ type: 'answer', at: 0, fate: 'kept' });
      if (this.replica.led.length === 0) this.act({ type: 'lead', after: true });
    }
    expect(this.isWell).toBe(true);
  }

  private get isWell(): boolean {
    const here = NODES.every((each) => this.replica.holders.ofNode(each)?.welcomed);
    return here && this.replica.led.length > 0 && !this.replica.isRebuilding;
  }
}

test('who joins is noted, whose death is kept leaves, and only who joined is heard; in peace the shard is served', () => {
  const property = (alone: boolean, acts: readonly Act[]): void => {
    const run = new Run(alone);
    run.act({ type: 'lead', after: false });
    for (const each of acts) run.act(each);
    run.settle();
  };
  fc.assert(fc.property(fc.boolean(), fc.array(act, { maxLength: 60 }), property), { numRuns: 300 });
});
