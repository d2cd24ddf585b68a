// Emptying pmaps costs what there is to empty, whoever maps it how often, and ends when it has to.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Code } from '@odonata/rpc/error.ts';
import { afterEach, expect, test } from 'vitest';
import type { Vmspace } from '../sessions/vmspace.ts';
import { emptyRuns, FLUSHES_MAX, Flushes, flushPmaps, union } from './flush.ts';
import { OneNode } from './testdata/one-node.ts';

let one: OneNode;
afterEach(() => one?.close());

/** A vmspace of a virtual kernel that never answers. */
function mute(id: bigint, entries: object[], privateFrames = 0) {
  const told: unknown[] = [];
  const session = { send: (event: unknown) => told.push(event) };
  return { told, vmspace: { id, entries, session, peekFrames: () => privateFrames } as unknown as Vmspace };
}

test('runs that overlap or touch are one', () => {
  const run = (dataspace: bigint, firstPage: number, pageCount: number) => ({
    dataspace,
    firstPage,
    pageCount,
  });
  expect(
    union([run(2n, 0, 4), run(1n, 8, 2), run(1n, 0, 4), run(1n, 2, 1), run(1n, 3, 3), run(2n, 4, 1)]),
  ).toEqual([run(1n, 0, 6), run(1n, 8, 2), run(2n, 0, 5)]);
});

test('pages that are mapped again and again are emptied once, and keep their bytes', async () => {
  one = new OneNode();
  await one.dataspace('d');
  const dataspace = [...one.node.memory.all()][0]!;
  const bytes = Buffer.from(Array.from({ length: 4 * PAGE_BYTES }, (_, i) => i % 251));
  dataspace.file.write(0, bytes);
  const entries = Array.from({ length: 60_000 }, () => ({ dataspace, firstPage: 0, pageCount: 4 }));
  const [a, b] = [mute(1n, entries, 7), mute(2n, entries)];
  const begun = performance.now();
  expect(await flushPmaps(one.node, [a.vmspace, b.vmspace])).toEqual({
    ...{ vmspaces: 2, sharedPages: 4, privatePages: 7 },
  });
  expect(performance.now() - begun).toBeLessThan(5_000);
  expect(a.told).toEqual([{ event: { case: 'flush', value: { vmspace: 1n } } }]);
  expect(Buffer.from(dataspace.file.read(0, 4)).equals(bytes)).toBe(true);
});

test('it ends when whoever asked goes away, when the pmap manager stops, and when a dataspace goes', async () => {
  one = new OneNode();
  await one.dataspace('d');
  const many = Array.from({ length: 600 }, (_, i) => mute(BigInt(i), []).vmspace);
  const gone = AbortSignal.abort();
  await expect(flushPmaps(one.node, many, gone)).rejects.toMatchObject({ code: Code.Cancelled });
  const node = { memory: one.node.memory, isStopping: false };
  const flushing = flushPmaps(node, many);
  node.isStopping = true;
  await expect(flushing).rejects.toMatchObject({ code: Code.Unavailable });
  await expect(flushPmaps(node, [])).rejects.toMatchObject({ code: Code.Unavailable });
  const none = { dataspace: 999n, firstPage: 0, pageCount: 2 ** 40 };
  expect(await emptyRuns(one.node, [none])).toBe(0);
});

test('few at one time; those that end make room, also by an error', async () => {
  one = new OneNode();
  const flushes = new Flushes(one.node.limits);
  const { promise, reject } = Promise.withResolvers<void>();
  const waiting = Array.from({ length: FLUSHES_MAX }, () => flushes.run('user:alice', () => promise));
  const more = flushes.run('user:bob', async () => {});
  await expect(more).rejects.toMatchObject({ code: Code.ResourceExhausted });
  expect(one.node.events.all()).toMatchObject([
    { kind: 'limit-hit', subject: { limit: 'flushes', who: 'user:bob' } },
  ]);
  reject(new Error('gone'));
  await Promise.allSettled(waiting);
  expect(await flushes.run('user:bob', async () => 7)).toBe(7);
});
