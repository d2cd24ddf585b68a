// Letters to the desk of a dataspace of another cluster go between nodes and the gateway that made it, and nowhere else; and whoever
// speaks for processes of others is refused.
import { create } from '@bufbuild/protobuf';
import { DeskLetterSchema } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import { gatewayOwner } from '../../desk/owners.ts';
import type { Dataspace, Dataspaces } from '../dataspaces.ts';
import { HolderTable } from '../holders.ts';
import { ReplicaOutbox } from '../outbox.ts';
import { expectOwn, passOn, refusalOf } from './desk-letters.ts';

const [BORROWS, LENDS] = ['gateway/g/borrows-3', 'gateway/g/lends-3'];

function start() {
  const out = new ReplicaOutbox();
  const holders = new HolderTable(out);
  const about = { sizeBytes: 4096n, durable: false };
  const made: Dataspace[] = [
    {
      ...about,
      ...{ id: 7n, name: 'board@north', creator: BORROWS, creatorIncarnation: 3n, mode: 0o666 },
    },
    { ...about, id: 8n, name: 'own', creator: 'alice', creatorIncarnation: 1n, mode: 0o604 },
  ];
  const dataspaces: Dataspaces = { revision: 1n, byId: (id) => made.find((each) => each.id === id) };
  const join = (node: string, incarnation = 1n) => {
    const entry = holders.add({ node, incarnation, life: 1n, noted: true, heldNoted: false });
    entry.welcomed = true;
    holders.attach(entry, entry.id, { transferAddress: '', helloMs: 0n });
    return entry;
  };
  const [alice, bob, maker, other] = [join('alice'), join('bob'), join(BORROWS, 3n), join(LENDS, 3n)];
  const pass = (from: typeof alice, node: string, dataspace = 7n) => {
    passOn(from, create(DeskLetterSchema, { dataspace, node, words: {} }), { holders, dataspaces });
    return out.take().map((action) => {
      if (action.type !== 'send' || action.event?.case !== 'desk') return 'something else';
      return `${action.stream} of ${action.event.value.node ?? ''}`;
    });
  };
  return { dataspaces, alice, bob, maker, other, pass };
}

test('from nodes to the gateway that made it, and from that to the node', () => {
  const { alice, bob, maker, pass } = start();
  expect(pass(alice, 'bob')).toEqual([`${maker.id} of alice`]);
  expect(pass(maker, 'bob')).toEqual([`${bob.id} of `]);
});

test('to and from nobody else, and of no other dataspace', () => {
  const { alice, maker, other, pass } = start();
  expect(pass(other, 'alice')).toEqual([]);
  expect(pass(maker, LENDS)).toEqual([]);
  expect(pass(maker, 'carol')).toEqual([]);
  for (const dataspace of [8n, 9n]) expect(pass(alice, '', dataspace)).toEqual([]);
});

test('nobody speaks for processes of others, and a gateway asks for what is for everybody', () => {
  const { dataspaces, alice, other } = start();
  const range = { begin: 0n, end: 9n, mode: 'EXCLUSIVE', timeoutMs: -1, reclaim: false } as const;
  const lock = (owner: bigint, dataspace = 8n) =>
    ({ type: 'lock', ask: { request: 1n, dataspace, owner, ...range } }) as const;
  expectOwn(alice, lock(5n));
  expectOwn(other, lock(gatewayOwner(5n)));
  expect(() => expectOwn(alice, lock(gatewayOwner(5n)))).toThrow(RangeError);
  expect(() => expectOwn(other, { type: 'ownerGone', owner: 5n })).toThrow(RangeError);
  expect(refusalOf(alice, lock(5n), dataspaces)).toBeUndefined();
  // Everybody may read it, and nobody write.
  expect(refusalOf(other, lock(gatewayOwner(5n)), dataspaces)).toMatchObject({ outcome: 'NOT_FOUND' });
  const wait = { request: 1n, dataspace: 8n, offset: 0n, owner: gatewayOwner(5n), timeoutMs: -1 };
  expect(refusalOf(other, { type: 'wait', ask: wait }, dataspaces)).toBeUndefined();
});
