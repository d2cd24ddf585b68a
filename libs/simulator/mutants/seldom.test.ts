// Each mutant that the simulator meets too seldom, in the few events in which it shows: what the shipped machine makes of them,
// and that the mutant makes something else of them.
import { create } from '@bufbuild/protobuf';
import type { LinesAction, LinesEvent } from '@odonata/coherency/node/lines/lines-messages.ts';
import { wholeDataspace } from '@odonata/coherency/page.ts';
import type { Replica } from '@odonata/coherency/replica/replica.ts';
import type { ReplicaAction } from '@odonata/coherency/replica/replica-messages.ts';
import { SHARD_MACHINES } from '@odonata/coherency/replica/shard/shard-leader.ts';
import {
  type HolderEvent,
  HolderEventSchema,
  LockMode,
  LockRequestSchema,
  LockResultSchema,
  RetiredSchema,
  ShardLedSchema,
  SyncStatus,
  WelcomeSchema,
} from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { type Machines, REAL_MACHINES } from '../world/machines.ts';
import { MUTANTS } from './all.ts';

const membership = (incarnation: bigint, life: bigint) => ({ incarnation, life });

/** What nodes say to a replica, and what is noted and said by it: the kinds of notes, and cases of words. */
class Talk {
  readonly replica: Replica;
  readonly said: string[] = [];

  constructor(machines: Machines) {
    const { directory, rebuild, leases, members, notes } = machines;
    this.replica = machines.replica({
      ...{ replica: 'A', incarnation: 1n, shards: 1, leaseMs: 3_000, nowMs: 0, noted: new Map() },
      dataspaces: { revision: 0n, byId: () => undefined },
      machines: {
        ...{ leases, members, notes },
        leader: (options) =>
          machines.leader({ ...options, machines: { ...SHARD_MACHINES, directory, rebuild } }),
      },
    });
  }

  did(actions: readonly ReplicaAction[]): void {
    for (const action of actions) {
      if (action.type === 'note') {
        this.said.push(`note ${action.what.about}`);
      } else if (action.type === 'send') {
        const { case: is, value } = action.event!;
        this.said.push(is === 'led' && value.report ? 'led, to report' : is!);
      }
    }
  }

  kept(note: number): void {
    this.did(this.replica.step({ type: 'noted', note, kept: true }, 0));
  }

  says(stream: number, event: HolderEvent['event'], epoch = 0n): void {
    this.did(this.replica.receive(stream, create(HolderEventSchema, { event, epoch }), 0));
  }

  hello(stream: number, node: string, incarnation: bigint): void {
    const about = { node, incarnation, transferAddress: `${node}:1`, sentMs: 0n };
    this.says(stream, create(HolderEventSchema, { event: { case: 'hello', value: about } }).event);
  }

  report(stream: number): void {
    const value = { shard: 0, epoch: 7n, last: true };
    this.says(stream, create(HolderEventSchema, { event: { case: 'report', value } }).event);
  }
}

/** A line to replica A, which leads both shards. */
function joined(machines: Machines) {
  const lines = machines.lines({ node: 'N', incarnation: 5n, shards: 2, transferAddress: 'N:1' }, undefined);
  const does = (event: LinesEvent): LinesAction[] => lines.step(event, 0);
  does({ type: 'replicas', addresses: ['A'] });
  does({ type: 'opened', replica: 'A', stream: 1 });
  const value = { epoch: 1n, holder: 1, life: 1n, replica: 'A', leaseMs: 1_000, shards: 2, sentMs: 0n };
  does({ type: 'heard', stream: 1, event: { case: 'welcome', value: create(WelcomeSchema, value) } });
  for (const shard of [0, 1]) {
    const led = create(ShardLedSchema, { shard, epoch: 7n });
    does({ type: 'heard', stream: 1, event: { case: 'led', value: led } });
  }
  return { lines, does };
}

/** By mutant: what comes of the events. */
const SCENES: Record<string, { play(machines: Machines): unknown; shipped: unknown }> = {
  'the store forgets the epoch': {
    play: (machines) => joined(machines).lines.epochOf(1n, 0),
    shipped: 7n,
  },
  'what was made under leaders that never served is lost': {
    play: (machines) => {
      const about = { shard: 0, epoch: 9n, report: true, life: 42n, lastEpoch: 5n };
      const value = create(ShardLedSchema, about);
      const actions = joined(machines).does({ type: 'heard', stream: 1, event: { case: 'led', value } });
      return actions.some((action) => action.type === 'led' && action.voided);
    },
    shipped: false,
  },
  'pages for who was let go': {
    play: (machines) => {
      const { lines, does } = joined(machines);
      for (const shard of [0, 1]) {
        does({ type: 'retire', shard });
        const value = create(RetiredSchema, { shard, epoch: 7n });
        does({ type: 'heard', stream: 1, event: { case: 'retired', value } });
      }
      return lines.acceptsFor(1n, 0, 7n, 1, 0);
    },
    shipped: false,
  },
  'what was read before a loss is believed': {
    play: ({ holder }) => {
      const machine = holder(wholeDataspace);
      const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };
      machine.step({ type: 'open', dataspace: 1n, pageCount: 1, whole: false });
      for (const version of [3, 5]) {
        machine.step({ type: 'want', run, mode: 'READ', neededPages: 1 });
        machine.step({ type: 'refuse', run, mode: 'READ', reason: 'LOST', version });
      }
      return machine.step({ type: 'stored', run, version: 2, lostVersion: 3 }).map(({ type }) => type);
    },
    shipped: ['ready'],
  },
  'comes back after its goodbye': {
    play: (machines) => {
      const { does } = joined(machines);
      does({ type: 'goodbye' });
      return does({ type: 'broke', stream: 1, reason: 'cut' })
        .map(({ type }) => type)
        .includes('connect');
    },
    shipped: false,
  },
  'a former leader lets it go': {
    play: ({ drain }) => {
      const machine = drain(
        {
          ...{ processesRun: () => false, ownedRuns: () => [], plainRuns: () => [] },
          ...{ retire: () => true, isConnected: () => true },
          isEpochOf: (_, epoch) => epoch === 4n,
        },
        1,
      );
      machine.step({ type: 'start', drainMs: 8_000 }, 0);
      machine.step({ type: 'others', others: ['a'] }, 0);
      return machine.step({ type: 'retired', shard: 0, epoch: 3n, remaining: [] }, 0);
    },
    shipped: [],
  },
  'a lock is granted to nobody': {
    play: ({ relay }) => {
      const machine = relay(1);
      const about = { dataspace: 1n, owner: 100n, begin: 0n, end: 9n, mode: LockMode.MODIFYING };
      const value = create(LockRequestSchema, about);
      machine.step({ type: 'asked', session: 7, request: 1n, event: { case: 'lock', value } }, 0);
      machine.step({ type: 'rejoined', shard: 0, newLeader: false }, 0);
      const answered = (status: SyncStatus) => {
        const event = {
          case: 'lockResult',
          value: create(LockResultSchema, { request: 1n, status }),
        } as const;
        return machine.step({ type: 'answered', event, shards: [0] }, 0);
      };
      answered(SyncStatus.TIMED_OUT);
      return answered(SyncStatus.OK).map((action) => (action.type === 'say' ? action.event?.case : action));
    },
    shipped: ['unlock'],
  },
  'a lock is granted to whoever asked for it when this replica led before': {
    play: (machines) => {
      const talk = new Talk(machines);
      const leads = (epoch: bigint, lastEpoch: bigint): void => {
        const led = { shard: 0, epoch, expected: new Map(), lastEpoch };
        talk.did(talk.replica.step({ type: 'lead', ...led }, 0));
      };
      const locks = (request: bigint, epoch: bigint): string[] => {
        talk.said.length = 0;
        const range = { dataspace: 9n, begin: request, end: request, mode: LockMode.EXCLUSIVE };
        const value = { ...range, request, owner: request };
        const { event } = create(HolderEventSchema, { event: { case: 'lock', value } });
        talk.says(1, event, epoch);
        return [...talk.said];
      };
      leads(7n, 0n);
      talk.kept(1);
      talk.hello(1, 'N', 11n);
      talk.kept(2);
      const first = locks(1n, 7n);
      talk.did(talk.replica.step({ type: 'leave', shard: 0 }, 0));
      leads(9n, 8n);
      talk.kept(3);
      // The last one is of a node that names no leader.
      return [first, locks(2n, 7n), locks(3n, 9n), locks(4n, 0n)];
    },
    shipped: [['lockResult'], [], ['lockResult'], ['lockResult']],
  },
  'another start of a node is believed': {
    play: (machines) => {
      const talk = new Talk(machines);
      const expected = new Map([['N', membership(11n, 5n)]]);
      talk.did(talk.replica.step({ type: 'lead', shard: 0, epoch: 7n, expected, lastEpoch: 4n }, 0));
      talk.hello(1, 'N', 12n);
      talk.kept(1);
      return talk.said;
    },
    shipped: ['note taken-in', 'welcome', 'led', 'note rebuilt'],
  },
  'whom a leader that never served gave a lease is not waited for': {
    play: (machines) => {
      const talk = new Talk(machines);
      const leased = new Map([['N', membership(11n, 5n)]]);
      const about = { shard: 0, epoch: 7n, expected: new Map(), leased, lastEpoch: 4n };
      talk.did(talk.replica.step({ type: 'lead', ...about }, 0));
      return talk.said;
    },
    shipped: [],
  },
  'a shard is served while a death is not noted': {
    play: (machines) => {
      const talk = new Talk(machines);
      const expected = new Map([
        ['N', membership(11n, 5n)],
        ['M', membership(22n, 6n)],
      ]);
      talk.did(talk.replica.step({ type: 'lead', shard: 0, epoch: 7n, expected, lastEpoch: 4n }, 0));
      talk.hello(1, 'N', 11n);
      talk.kept(1);
      talk.hello(2, 'M', 22n);
      talk.kept(2);
      talk.report(1);
      talk.says(1, create(HolderEventSchema, { event: { case: 'goodbye', value: {} } }).event);
      talk.report(2);
      return talk.said.slice(-1);
    },
    shipped: ['note dead'],
  },
  'notes of before somebody else led are believed': {
    play: ({ election }) => {
      const about = { replica: 'B', address: 'B:1', incarnation: 2n, standalone: false, shards: 1 };
      const machine = election({ ...about, leaseMs: 600 }, 0);
      const [beat] = machine.tick(0);
      machine.step({ type: 'beaten', beat: (beat as { beat: number }).beat, kept: true }, 1);
      const value = { replica: 'A', incarnation: 1n };
      machine.step({ type: 'shard', shard: 0, revision: 7, value }, 1);
      const read = machine.step({ type: 'watched' }, 2).find(({ type }) => type === 'read');
      machine.step({ type: 'shard', shard: 0, revision: 8, value: { ...value, to: 'B', epoch: 7n } }, 3);
      return machine.step({ type: 'members', read: (read as { read: number }).read, members: new Map() }, 3);
    },
    shipped: [],
  },
};

test('each of them has its scene', () => {
  const seldom = MUTANTS.filter(({ seldom }) => seldom).map(({ name }) => name);
  expect(Object.keys(SCENES).sort()).toEqual(seldom.sort());
});

test.each(Object.entries(SCENES))('%s', (name, { play, shipped }) => {
  const { machines } = MUTANTS.find((mutant) => mutant.name === name)!;
  expect(play(REAL_MACHINES)).toEqual(shipped);
  expect(play({ ...REAL_MACHINES, ...machines })).not.toEqual(shipped);
});
