import { LockMode, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import { expect, test } from 'vitest';
import type { HolderEventInit } from './directory-link.ts';
import type { PmapEventInit, Session } from './session.ts';
import { SyncRelay } from './sync-relay.ts';

const OWNER = 100n;

function start() {
  const said: HolderEventInit[] = [];
  const heard: PmapEventInit[] = [];
  const outlet = {
    home: (_: bigint, event: HolderEventInit) => said.push(event),
    all: () => {},
    lost: () => {},
  };
  const relay = new SyncRelay(outlet);
  const session = { holder: 1, send: (event: PmapEventInit) => heard.push(event) } as unknown as Session;
  const lock = (begin: bigint, end: bigint, mode = LockMode.MODIFYING) => {
    const value = {
      dataspace: 1n,
      begin,
      end,
      mode,
      owner: OWNER,
      timeoutMs: -1n,
      request: 0n,
      reclaim: false,
    };
    relay.relay(session, 5n, {
      case: 'lock',
      value: { $typeName: 'odonata.coherency.v1.LockRequest', ...value },
    });
    const { request } = said.at(-1)!.value as { request: bigint };
    const result = { $typeName: 'odonata.coherency.v1.LockResult' as const, request, status: SyncStatus.OK };
    relay.answer({ case: 'lockResult', value: result });
  };
  const unlock = (begin: bigint, end: bigint) => {
    const value = { dataspace: 1n, begin, end, owner: OWNER, request: 0n };
    const typed = { $typeName: 'odonata.coherency.v1.UnlockRequest' as const, ...value };
    relay.relay(session, 6n, { case: 'unlock', value: typed });
  };
  return { relay, said, heard, lock, unlock };
}

test('a new leader hears of the ranges as they are now, split and merged', () => {
  const { relay, said, lock, unlock } = start();
  lock(-10n, 99n, LockMode.SHARED);
  lock(20n, 29n);
  unlock(25n, 49n);
  said.length = 0;
  relay.rejoin(() => true, true);
  expect(said.map((e) => e?.value)).toMatchObject([
    { begin: -10n, end: 19n, mode: LockMode.SHARED, reclaim: true },
    { begin: 20n, end: 24n, mode: LockMode.MODIFYING, reclaim: true },
    { begin: 50n, end: 99n, mode: LockMode.SHARED, reclaim: true },
  ]);
  expect(relay.modifies(OWNER, 1n, 24n, 24n)).toBe(true);
  expect(relay.modifies(OWNER, 1n, 25n, 99n)).toBe(false);
  relay.ownerGone(OWNER);
  expect(relay.modifies(OWNER, 1n, 24n, 24n)).toBe(false);
});

test('an unlock is said again to the same leader until an answer to a later request shows that it was heard', () => {
  const { relay, said, lock, unlock } = start();
  lock(0n, 9n);
  unlock(0n, 4n);
  said.length = 0;
  relay.rejoin(() => true, false);
  expect(said).toMatchObject([{ case: 'unlock', value: { begin: 0n, end: 4n } }]);
  lock(20n, 29n);
  said.length = 0;
  relay.rejoin(() => true, false);
  expect(said).toEqual([]);
});

test('who is buried loses its locks, and only those who held some are named', () => {
  const { relay, lock, unlock } = start();
  lock(0n, 9n);
  expect(relay.voided((dataspace) => dataspace !== 1n)).toEqual(new Set());
  expect(relay.voided(() => true)).toEqual(new Set([OWNER]));
  lock(0n, 9n);
  unlock(0n, 9n);
  expect(relay.voided(() => true)).toEqual(new Set());
});

test('a fault asks about a process with 100,000 ranges, and a page costs less than 20 us', () => {
  const { relay, lock } = start();
  for (let i = 0n; i < 100_000n; i++) lock(i * 8192n, i * 8192n + 99n);
  const times = Array.from({ length: 1000 }, (_, i) => {
    const begin = BigInt(i * 97) * 4096n;
    const started = process.hrtime.bigint();
    const answer = relay.modifies(OWNER, 1n, begin, begin + 4095n);
    const ns = Number(process.hrtime.bigint() - started);
    expect(answer).toBe((i * 97) % 2 === 0);
    return ns;
  });
  expect(times.sort((a, b) => a - b)[500]!).toBeLessThan(20_000);
});
