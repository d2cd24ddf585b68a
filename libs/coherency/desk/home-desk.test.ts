// What a hostile cluster asks for, and what comes of it at home.
import { create } from '@bufbuild/protobuf';
import {
  type DeskAsk,
  DeskAskSchema,
  DirectoryEventSchema,
  LockMode,
  SyncStatus,
} from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import type { DeskAskInit } from './desk-wire.ts';
import { HomeDesk, type HomeDeskAction, OWNERS_MAX, SESSIONS_MAX, WAITING_MAX } from './home-desk.ts';
import { gatewayOwner } from './owners.ts';
import { ITEMS_MAX } from './sure-line.ts';

const FROM = { cluster: 'south', dataspace: 7n, node: 'node1' };
const LIFE = 1n;

function start(may: 'NOTHING' | 'READ' | 'WRITE' = 'WRITE') {
  let minted = 0n;
  const desk = new HomeDesk({ shards: 1, life: LIFE, mint: () => gatewayOwner(++minted) });
  let first = 1;
  const say = (
    asks: readonly DeskAskInit[],
    {
      from = FROM,
      session = 1n,
      at = first,
      nowMs = 0,
    }: { from?: typeof FROM; session?: bigint; at?: number; nowMs?: number } = {},
  ): HomeDeskAction[] => {
    const wire = asks.map((ask) => create(DeskAskSchema, { ask }).ask as DeskAsk['ask']);
    if (at === first) first += asks.length;
    const message = { session, home: 0n, first: at, asks: wire, taken: 0, sentMs: 1 };
    return desk.heard(from, message, { may, leftMs: 6_000, nowMs });
  };
  return { desk, say };
}

const lock = (request: bigint, owner = 5n, dataspace = 9n): DeskAskInit => ({
  case: 'lock',
  value: {
    ...{ request, owner, dataspace, begin: 0n, end: 9n },
    ...{ mode: LockMode.EXCLUSIVE, timeoutMs: -1n },
  },
});

const said = (actions: readonly HomeDeskAction[]) =>
  actions.flatMap((action) => (action.type === 'send' ? [] : [action.event]));
const answers = (actions: readonly HomeDeskAction[]) =>
  actions.flatMap((action) => (action.type === 'send' ? action.message.answers : []));

test('what it asks is of the dataspace that it is for, and of owners that are no processes here', () => {
  const { say } = start();
  const [asked] = said(say([lock(1n, 5n, 9n)]));
  expect(asked).toMatchObject({ case: 'lock', value: { dataspace: 7n, owner: gatewayOwner(1n) } });
});

test('it gives back nothing of others, and ends nobody', () => {
  const { say } = start();
  say([lock(1n)]);
  const others = { ...FROM, node: 'node2' };
  const unlock = { dataspace: 7n, begin: 0n, end: 9n };
  for (const owner of [5n, 100_001n, gatewayOwner(1n)])
    expect(
      said(
        say(
          [
            { case: 'unlock', value: { ...unlock, owner } },
            { case: 'ownerGone', value: { owner } },
            { case: 'cancelWait', value: { request: 1n } },
          ],
          { from: others, at: 1, session: owner },
        ),
      ),
    ).toEqual([]);
});

test('of what is not exported there is no session, and of what is to read waits alone', () => {
  const nothing = start('NOTHING');
  const refused = nothing.say([lock(1n)]);
  expect(said(refused)).toEqual([]);
  expect(refused).toMatchObject([{ type: 'send', message: { over: true } }]);
  const reads = start('READ');
  const heard = reads.say([
    lock(1n),
    { case: 'barrier', value: { request: 2n, owner: 5n, count: 2 } },
    { case: 'wake', value: { request: 3n, count: 1 } },
    { case: 'wait', value: { request: 4n, owner: 5n, timeoutMs: -1n } },
  ]);
  expect(said(heard)).toMatchObject([{ case: 'wait' }]);
  expect(answers(heard)).toMatchObject([
    { case: 'lockResult', value: { request: 1n, status: SyncStatus.EXHAUSTED } },
    { case: 'barrierResult', value: { request: 2n, status: SyncStatus.EXHAUSTED } },
    { case: 'wakeResult', value: { request: 3n, woken: 0 } },
  ]);
});

test('a flood of requests, of processes and of sessions is refused, and another cluster served', () => {
  for (const owners of [false, true]) {
    const { say } = start();
    let asked = 0;
    const most = Math.min(WAITING_MAX, OWNERS_MAX);
    for (let request = 1n; request <= most + ITEMS_MAX; request += BigInt(ITEMS_MAX)) {
      const asks = Array.from({ length: ITEMS_MAX }, (_, i) => request + BigInt(i));
      asked += said(say(asks.map((each) => lock(each, owners ? each : 5n)))).length;
    }
    expect(asked).toBe(most);
    expect(said(say([lock(1n)], { from: { ...FROM, cluster: 'west' }, at: 1 }))).toHaveLength(1);
  }
  const { desk, say } = start();
  for (let i = 0; i < SESSIONS_MAX + 10; i++)
    say([lock(1n)], { from: { ...FROM, node: `node${i}` }, at: 1, session: BigInt(i) });
  expect(desk.sessionCount).toBe(SESSIONS_MAX);
});

test('what a policy takes back is given to others when its node must know, and not before', () => {
  const { desk, say } = start();
  say([lock(1n)]);
  const value = { request: 1n, status: SyncStatus.OK };
  const { event } = create(DirectoryEventSchema, { event: { case: 'lockResult', value } });
  expect(answers(desk.line({ type: 'answered', event, shards: [0] }, 10))).toHaveLength(1);
  const told = desk.policyChanged(() => 'NOTHING', 1_000);
  expect(told).toMatchObject([{ type: 'send', message: { over: true } }]);
  // Renewed no more, whatever it says.
  expect(said(say([lock(2n)], { nowMs: 2_000 }))).toEqual([]);
  expect(said(desk.tick(5_990))).toEqual([]);
  expect(desk.nextMs).toBe(6_000);
  expect(said(desk.tick(6_000))).toMatchObject([{ case: 'ownerGone', value: { owner: gatewayOwner(1n) } }]);
  expect(desk.sessionCount).toBe(0);
});

test('a node that begins anew gives back what it had', () => {
  const { desk, say } = start();
  say([lock(1n)]);
  expect(said(say([lock(1n, 6n)], { at: 1, session: 2n }))).toMatchObject([
    { case: 'ownerGone', value: { owner: gatewayOwner(1n) } },
    { case: 'lock', value: { owner: gatewayOwner(2n) } },
  ]);
  // What comes late of before changes nothing.
  expect(say([lock(9n)], { at: 2, session: 1n })).toEqual([]);
  expect(desk.sessionCount).toBe(1);
});
