// The machines of a node as conversations: testdata/*.txt. REWRITE=1 writes them anew.
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import {
  BarrierArrivalSchema,
  BarrierResultSchema,
  GrantSchema,
  LockMode,
  LockRequestSchema,
  LockResultSchema,
  PageState,
  RenewedSchema,
  ShardLedSchema,
  ShardLeftSchema,
  SyncStatus,
  UnlockRequestSchema,
  WaitRequestSchema,
  WaitResultSchema,
  WelcomeSchema,
} from '@odonata/proto/coherency/v1/coherency';
import { SyncSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import { describe } from 'vitest';
import { transcripts } from '../testdata/transcript.ts';
import type { HolderEventInit } from './lines/holder-wire.ts';
import { Lines } from './lines/lines.ts';
import type { LinesAction, LinesEvent } from './lines/lines-messages.ts';
import { Relay } from './relay/relay.ts';
import type { RelayAction, RelayEvent } from './relay/relay-messages.ts';

const of = (machine: string) => ({
  folder: join(import.meta.dirname, 'testdata'),
  isOf: (name: string) => name.startsWith(`${machine}-`),
  atLeast: 6,
});

/** A message in words: what is not zero in it. */
function words(about: object | undefined): string {
  return Object.entries(about ?? {})
    .filter(([key, value]) => key !== '$typeName' && value !== undefined && value !== false && value !== 0n)
    .map(([key, value]) => `${key}=${Array.isArray(value) ? `[${value.map(String)}]` : value}`)
    .join(' ');
}

const said = (event: HolderEventInit): string => `${event?.case} ${words(event?.value)}`.trimEnd();

describe('the relay', () => {
  transcripts(of('relay'), () => {
    let relay = new Relay(1);
    let nowMs = 0;
    let request = 0n;
    const line = (action: RelayAction): string => {
      if (action.type === 'say') return `to the leader: ${said(action.event)}`;
      if (action.type === 'say-all') return `to all: ${said(action.event)}`;
      if (action.type === 'lost') return `processes ${[...action.owners]} lost locks`;
      if (action.type === 'bring') return `bring ${words(action.locked)}`;
      const { event } = action.event;
      return `to the virtual kernel: ${event?.case} ${words({ of: action.event.request, ...event?.value })}`;
    };
    const step = (event: RelayEvent): string[] => relay.step(event, nowMs).map(line);
    const ask = (event: Extract<RelayEvent, { type: 'asked' }>['event']): string[] =>
      step({ type: 'asked', session: 7, request: ++request, event });
    return ([verb = '', a = '', b = '', c = '']) => {
      const span = { dataspace: 1n, owner: /^\d+$/.test(a) ? BigInt(a) : 0n };
      switch (verb) {
        case 'lock': {
          const about = { ...span, begin: BigInt(b), end: BigInt(c), mode: LockMode.MODIFYING };
          return ask({ case: 'lock', value: create(LockRequestSchema, about) });
        }
        case 'unlock': {
          const about = { ...span, begin: BigInt(b), end: BigInt(c) };
          return ask({ case: 'unlock', value: create(UnlockRequestSchema, about) });
        }
        case 'wait':
          return ask({ case: 'wait', value: create(WaitRequestSchema, span) });
        case 'come': {
          const about = { ...span, count: 3, generation: BigInt(b), timeoutMs: -1n };
          return ask({ case: 'barrier', value: create(BarrierArrivalSchema, about) });
        }
        case 'met': {
          const status = SyncStatus[b as keyof typeof SyncStatus];
          const value = create(BarrierResultSchema, { request: BigInt(a), status });
          return step({ type: 'answered', event: { case: 'barrierResult', value }, shards: [0] });
        }
        case 'withdraw': {
          const value = { $typeName: 'odonata.coherency.v1.CancelWait' as const, request: BigInt(a) };
          return ask({ case: 'cancelWait', value });
        }
        case 'locked':
        case 'waited': {
          const about = { request: BigInt(a), status: SyncStatus[b as keyof typeof SyncStatus] };
          const event =
            verb === 'locked'
              ? ({ case: 'lockResult', value: create(LockResultSchema, about) } as const)
              : ({ case: 'waitResult', value: create(WaitResultSchema, about) } as const);
          return step({ type: 'answered', event, shards: [c === 'elsewhere' ? 1 : 0] });
        }
        case 'at':
          nowMs = Number(a);
          return [];
        case 'renewed':
          return step({ type: 'confirmed', shards: [0], sentMs: Number(a) });
        case 'rejoin':
          return step({ type: 'rejoined', shard: 0, newLeader: a === 'new' });
        case 'voided':
          return step({ type: 'voided', shard: 0 });
        case 'gone':
          return step({ type: 'owner-gone', owner: BigInt(a) });
        case 'close':
          return step({ type: 'session-gone', session: 7 });
        case 'replace': {
          const snapshot = create(SyncSnapshotSchema, relay.snapshot([7]));
          relay = new Relay(1);
          relay.resume(snapshot, [7]);
          return [];
        }
        case 'held':
          return relay.heldRanges().map((range) => words(range));
        default:
          throw new Error(`no command: ${verb}`);
      }
    };
  });
});

describe('the lines', () => {
  transcripts(of('lines'), () => {
    const about = { node: 'N', incarnation: 5n, shards: 2, transferAddress: 'N:1', mapped: [1n] };
    let lines = new Lines(about);
    let nowMs = 0;
    let streams = 0;
    const helloMs = new Map<string, number>();
    const streamOf = new Map<string, number>();
    const line = (action: LinesAction): string => {
      if (action.type === 'send') {
        const [to] = [...streamOf].find(([, stream]) => stream === action.stream)!;
        const leader = action.epoch === 0n ? '' : ` for the leader of ${action.epoch}`;
        return `to ${to}: ${said(action.event)}${leader}`;
      }
      if (action.type === 'log') return `log: ${action.text} (${words(action.about)})`;
      if (action.type === 'page') return `page: ${action.event.type}`;
      const { type, ...rest } = action;
      return `${type} ${words(rest)}`.trimEnd();
    };
    const step = (event: LinesEvent): string[] => lines.step(event, nowMs).map(line);
    const hear = (from: string, event: Extract<LinesEvent, { type: 'heard' }>['event']): string[] =>
      step({ type: 'heard', stream: streamOf.get(from)!, event });
    return ([verb = '', a = '', b = '', c = '', d = '', e = '']) => {
      switch (verb) {
        case 'replicas':
          return step({ type: 'replicas', addresses: [a, b].filter((name) => name !== '') });
        case 'open':
          streamOf.set(a, ++streams);
          helloMs.set(a, nowMs);
          return step({ type: 'opened', replica: a, stream: streams });
        case 'welcome': {
          // A replica's start, the number there and the life; leases are of 1 s.
          const value = { epoch: BigInt(b), holder: Number(c), life: BigInt(d), replica: `cohd-${a}` };
          const more = { leaseMs: 1_000, shards: 2, sentMs: BigInt(helloMs.get(a)!) };
          return hear(a, { case: 'welcome', value: create(WelcomeSchema, { ...value, ...more }) });
        }
        case 'led': {
          const value = { shard: Number(b), epoch: BigInt(c) };
          const report = d === '' ? {} : { report: true, life: BigInt(d), lastEpoch: BigInt(e || 0) };
          return hear(a, { case: 'led', value: create(ShardLedSchema, { ...value, ...report }) });
        }
        case 'left':
          return hear(a, { case: 'left', value: create(ShardLeftSchema, { shard: Number(b) }) });
        case 'renewed': {
          const value = { sentMs: BigInt(b), heldMs: Number(c || 0) };
          return hear(a, { case: 'renewed', value: create(RenewedSchema, value) });
        }
        case 'grant': {
          const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };
          const value = { run, state: PageState.SHARED, version: 1n, epoch: BigInt(b) };
          return hear(a, { case: 'grant', value: create(GrantSchema, value) });
        }
        case 'break':
          return step({ type: 'broke', stream: streamOf.get(a)!, reason: 'cut' });
        case 'at':
          nowMs = Number(a);
          return [];
        case 'tick':
          nowMs = Number(a);
          return lines.tick(nowMs).map(line);
        case 'say':
          return step({ type: 'say', shard: Number(a), event: { case: 'unlock', value: {} } });
        case 'retire':
          return step({ type: 'retire', shard: Number(a) });
        case 'hold':
          return step({ type: 'hold', holdMs: Number(a) });
        case 'goodbye':
          return step({ type: 'goodbye' });
        case 'replace':
          lines = new Lines(about, lines.snapshot());
          return [];
        case 'shards':
          return lines.snapshot().map(({ epoch, suspended, untilMs }, shard) => {
            return `${shard}: ${words({ epoch, suspended, untilMs })}`;
          });
        default:
          throw new Error(`no command: ${verb}`);
      }
    };
  });
});
