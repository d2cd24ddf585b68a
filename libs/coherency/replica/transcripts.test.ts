// What a replica says and has noted, as conversations: testdata/*.txt. A line that starts with '>' is a command; the lines
// under it are what the shipped machine did. REWRITE=1 writes them anew, for a reader to review as a diff.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { HolderEventSchema } from '@odonata/proto/coherency/v1/coherency';
import type { PageState } from '../page.ts';
import { transcripts } from '../testdata/transcript.ts';
import { ackWire, modeWire, stateWire } from '../wire.ts';
import type { Dataspace } from './dataspaces.ts';
import type { Membership } from './members.ts';
import { Replica } from './replica.ts';
import type { ReplicaAction } from './replica-messages.ts';
import type { ShardLeader } from './shard/shard-leader.ts';

const DIR = join(import.meta.dirname, 'testdata');
const LEASE_MS = 3_000;
const RUN = { dataspace: 1n, firstPage: 0, pageCount: 1 };
const TRANSFER = 'n:1';

type Said = NonNullable<MessageInitShape<typeof HolderEventSchema>['event']>;

class Conversation {
  private replica = this.start([]);
  private readonly records: Dataspace[] = [];
  private readonly streams = new Map<string, number>();
  private readonly names = new Map<number, string>();
  private readonly epochs = new Map<number, bigint>();
  private lastStream = 0;
  private nowMs = 0;
  private lines: string[] = [];

  private start(words: string[]): Replica {
    const records = () => this.records;
    return new Replica({
      ...{ replica: 'A', incarnation: 1n, shards: 1, leaseMs: LEASE_MS, nowMs: 0 },
      dataspaces: {
        get revision() {
          return records().at(-1)?.id ?? 0n;
        },
        byId: (id) => records().find((record) => record.id === id),
      },
      alone: words.includes('alone'),
      noted: membersOf(words),
    });
  }

  /** Does one command; @returns what happened, a line an action. */
  command(words: string[]): string[] {
    this.lines = [];
    const [verb = '', a = '', b = ''] = words;
    switch (verb) {
      case 'replica':
        this.replica = this.start(words);
        break;
      case 'lead': {
        const after = words.indexOf('after');
        const lastEpoch = after < 0 ? 0n : BigInt(words[after + 1]!);
        this.epochs.set(0, BigInt(a));
        const about = { shard: 0, epoch: BigInt(a), expected: membersOf(words), lastEpoch };
        this.did(this.replica.step({ type: 'lead', ...about }, this.nowMs));
        break;
      }
      case 'leave':
        this.did(this.replica.step({ type: 'leave', shard: 0 }, this.nowMs));
        break;
      case 'until':
        this.did(this.replica.step({ type: 'mayLead', untilMs: Number(a) }, this.nowMs));
        break;
      case 'made': {
        const id = BigInt(this.records.length + 1);
        const creatorIncarnation = BigInt(b);
        this.records.push({ id, sizeBytes: 4096n, creator: a, creatorIncarnation, durable: false });
        break;
      }
      case 'hello': {
        const stream = ++this.lastStream;
        this.streams.set(a, stream);
        this.names.set(stream, a);
        const about = { node: a, incarnation: BigInt(b), transferAddress: TRANSFER, sentMs: 0n };
        this.says(a, { case: 'hello', value: about });
        break;
      }
      case 'close':
        this.did(this.replica.step({ type: 'closed', stream: this.streams.get(a)! }, this.nowMs));
        break;
      case 'renew':
        this.says(a, { case: 'renew', value: { sentMs: BigInt(this.nowMs), holdMs: Number(b) } });
        break;
      case 'dead': {
        const holder = this.replica.holders.ofNode(a)!.id;
        this.did(this.replica.step({ type: 'dead', holder, reason: 'it is gone' }, this.nowMs));
        break;
      }
      case 'goodbye':
        this.says(a, { case: 'goodbye', value: {} });
        break;
      case 'retire':
        this.says(a, { case: 'retire', value: { shard: 0, epoch: this.epochs.get(0)! } });
        break;
      case 'report':
        this.says(a, { case: 'report', value: this.reportOf(words.slice(2)) });
        break;
      case 'want': {
        const value = { run: RUN, mode: modeWire.to(b as 'READ'), neededPages: 1 };
        this.says(a, { case: 'acquire', value }, words[3] === 'to' ? BigInt(words[4]!) : 0n);
        break;
      }
      case 'wants-nothing':
        this.says(a, { case: 'acquire', value: { run: { ...RUN, pageCount: 0 }, mode: 1, neededPages: 1 } });
        break;
      case 'ack': {
        const about = { run: RUN, version: BigInt(words[3]!), epoch: this.epochs.get(0)! };
        this.says(a, { case: 'ack', value: { ...about, ...ackWire.to(b as 'SENT') } });
        break;
      }
      case 'lock': {
        const about = { request: BigInt(b), dataspace: 1n, owner: BigInt(b), begin: 0n, end: 7n };
        const reclaim = words[3] === 'reclaim';
        const leader = words[3] === 'to' ? BigInt(words[4]!) : 0n;
        this.says(a, { case: 'lock', value: { ...about, mode: 2, timeoutMs: -1n, reclaim } }, leader);
        break;
      }
      case 'kept':
      case 'refused': {
        const kept = verb === 'kept';
        this.did(this.replica.step({ type: 'noted', note: Number(a), kept }, this.nowMs));
        break;
      }
      case 'clock':
        this.nowMs = Number(a);
        break;
      case 'at':
        this.nowMs = Number(a);
        this.did(this.replica.tick(this.nowMs));
        break;
      case 'state':
        this.state();
        break;
      default:
        assert.fail(`no command ${verb}`);
    }
    return this.lines;
  }

  /** @param epoch of the leader that it is said to; 0: it names none */
  private says(node: string, event: Said, epoch = 0n): void {
    const message = create(HolderEventSchema, { event, epoch });
    this.did(this.replica.receive(this.streams.get(node)!, message, this.nowMs));
  }

  private reportOf(words: string[]) {
    const held = words
      .filter((word) => word.includes('@'))
      .map((word) => {
        const [state, version] = word.split('@') as [PageState, string];
        return { run: RUN, state: stateWire.to(state), version: BigInt(version) };
      });
    const voided = words.includes('voided') ? [1n] : [];
    return { held, voided, last: !words.includes('more'), shard: 0, epoch: this.epochs.get(0)! };
  }

  private did(actions: readonly ReplicaAction[]): void {
    for (const action of actions) {
      const line = this.lineOf(action);
      if (line !== undefined) this.lines.push(line);
    }
  }

  private lineOf(action: ReplicaAction): string | undefined {
    switch (action.type) {
      case 'send':
        return `to ${this.names.get(action.stream)}: ${action.event?.case} ${wordsOf(action.event?.value)}`.trimEnd();
      case 'end':
        return `ends the stream ${this.names.get(action.stream)}#${action.stream}`;
      case 'fail':
        return `fails the stream ${this.names.get(action.stream)}: ${action.code} ${action.text}`;
      case 'broadcast':
        return `to all: invalidate ${wordsOf(action.value)}`;
      case 'note': {
        const { what } = action;
        const about = what.about === 'rebuilt' ? `shard ${what.shard}` : what.node;
        let life = '';
        if (what.about === 'taken-in') {
          const { life: of, heldMs } = what.membership;
          life = ` life ${lifeOf(of)}${heldMs === undefined ? '' : `, held for ${heldMs} ms`}`;
        }
        return `note ${action.note}: ${what.about} ${about}${life}`;
      }
      case 'stepDown':
        return `steps down: ${action.reason}`;
      case 'event':
        return `event: ${action.text}`;
      case 'log':
        return action.level === 'warn' || action.level === 'error' ? `log: ${action.text}` : undefined;
    }
  }

  private state(): void {
    const holders = this.replica.holders.all().map(({ id, node, welcomed }) => {
      return `${id} ${node}${welcomed ? '' : ' (waits)'}`;
    });
    this.lines.push(`holders: ${holders.join(', ') || 'none'}`);
    for (const leader of this.replica.led) {
      const serves = leader.isRebuilding ? 'rebuilds' : 'serves';
      this.lines.push(`shard ${leader.shard} at ${leader.epoch} ${serves}${pageOf(leader)}`);
    }
  }
}

function pageOf({ directory }: ShardLeader): string {
  if (!directory.has(1n)) return '';
  const { owner, sharers, version, lost } = directory.inspect(1n, 0);
  return `: page owner ${owner} sharers [${sharers}] version ${version}${lost ? ' LOST' : ''}`;
}

/** N:incarnation/life, and for how long its lease is held. */
function membersOf(words: readonly string[]): Map<string, Membership> {
  const members = words.flatMap((word) => {
    const [, node, incarnation, life, heldMs] = /^(\w+):(\d+)\/(\d+)(?:\/(\d+))?$/.exec(word) ?? [];
    if (node === undefined) return [];
    const held = heldMs === undefined ? {} : { heldMs: Number(heldMs) };
    return [[node, { incarnation: BigInt(incarnation!), life: BigInt(life!), ...held }] as const];
  });
  return new Map(members);
}

const lifeOf = (life: bigint): string =>
  life >> 32n === 0n ? `${life}` : `${life >> 32n}.${life & 0xffff_ffffn}`;

function wordsOf(value: object | undefined): string {
  const { run: _, ...about } = value as Record<string, unknown>;
  return Object.entries(about)
    .filter(
      ([key, each]) =>
        each !== false &&
        each !== undefined &&
        !['receiverAddress', 'shards', 'replica', 'leaseMs', 'sentMs'].includes(key),
    )
    .map(([key, each]) => {
      if (key === 'life') return `life=${lifeOf(each as bigint)}`;
      if (key === 'state' || key === 'receiverState') return `${key}=${stateWire.from(each as number)}`;
      if (key === 'mode') return `mode=${modeWire.from(each as number)}`;
      if (key === 'remaining') return `remaining=${(each as object[]).length}`;
      return `${key}=${each}`;
    })
    .join(' ');
}

transcripts({ folder: DIR, atLeast: 12 }, () => {
  const conversation = new Conversation();
  return (words) => conversation.command(words);
});
