// How many snapshots are taken at one time, and who hears of one more.
import { ANYONE } from '@odonata/rpc/identity/identity.ts';
import { expect, test } from 'vitest';
import { type SnapshotPlace, Snapshots, UNDER_WAY_MAX } from './snapshots.ts';

test('one more than there may be is refused, counted and told', async () => {
  const told: string[] = [];
  const process = { pid: 7n, vkernel: 'root/default' };
  const place = {
    node: 'node1',
    table: { runningOfTheirs: () => process },
    vkernels: { find: () => ({ takesSnapshots: true }), send: () => {}, tell: () => {} },
    childrenOf: () => 0,
    limits: { count: (limit: string, who: string, text: string) => told.push(`${limit} ${who}: ${text}`) },
  } as unknown as SnapshotPlace;
  const snapshots = new Snapshots(place);
  const gone = new AbortController();
  const take = () => {
    const begin = { event: { case: 'begin', value: { pid: 7n, timeoutMs: 0 } } };
    const requests = (async function* () {
      yield begin;
    })();
    const ctx = { signal: gone.signal, caller: { ...ANYONE, name: 'alice' }, log: { info: () => {} } };
    return snapshots.take(requests as never, ctx as never).next();
  };
  const taken = Promise.allSettled(Array.from({ length: UNDER_WAY_MAX }, take));
  await expect(take()).rejects.toThrow(`${UNDER_WAY_MAX} snapshots are being taken on node1; try again soon`);
  expect(told).toEqual([expect.stringMatching(/^snapshots .*: 16 snapshots are being taken on node1/)]);
  gone.abort(new Error('gone'));
  for (const { status } of await taken) expect(status).toBe('rejected');
  await expect(take()).rejects.toThrow('gone');
});
