// The directory of a node: the data is at home, recalls and invalidations only take access away.
import { expect, test } from 'vitest';
import type { AccessMode } from '../page.ts';
import { Directory } from './directory.ts';

const run = (firstPage: number, pageCount = 1) => ({ dataspace: 1n, firstPage, pageCount });

function node() {
  const directory = new Directory({ home: true });
  for (const holder of [1, 2, 3]) directory.step({ type: 'join', holder });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 64, creator: 0 });
  const acquire = (
    holder: number,
    mode: AccessMode,
    alone = false,
    firstPage = 0,
    pageCount = 1,
    neededPages = 1,
  ) => directory.step({ type: 'acquire', holder, run: run(firstPage, pageCount), mode, neededPages, alone });
  return { directory, acquire };
}

test('readers share at once; a writer gets the page when all have lost it', () => {
  const { directory, acquire } = node();
  expect(acquire(1, 'READ')).toMatchObject([{ type: 'grant', holder: 1, state: 'SHARED' }]);
  expect(acquire(2, 'READ')).toMatchObject([{ type: 'grant', holder: 2, state: 'SHARED' }]);
  expect(acquire(3, 'WRITE')).toMatchObject([{ type: 'invalidate', holders: [1, 2], except: 3, version: 1 }]);
  expect(directory.step({ type: 'ack', holder: 1, run: run(0), version: 1, kind: 'INVALIDATED' })).toEqual(
    [],
  );
  expect(
    directory.step({ type: 'ack', holder: 2, run: run(0), version: 1, kind: 'INVALIDATED' }),
  ).toMatchObject([{ type: 'grant', holder: 3, state: 'MODIFIED', version: 1 }]);
  expect(directory.inspect(1n, 0)).toMatchObject({ owner: 3, exclusive: true, sharers: [] });
});

test('a writer is only demoted by a reader', () => {
  const { directory, acquire } = node();
  acquire(1, 'WRITE');
  expect(acquire(2, 'READ')).toMatchObject([{ type: 'recall', holder: 1, receiver: 2, mode: 'READ' }]);
  const acked = directory.step({ type: 'ack', holder: 1, run: run(0), version: 1, kind: 'SENT' });
  expect(acked).toMatchObject([{ type: 'grant', holder: 2, state: 'SHARED' }]);
  expect(directory.inspect(1n, 0)).toMatchObject({ owner: 0, exclusive: false, sharers: [1, 2] });
});

test('a lone reader may get the page for writing where the node has it dirty', () => {
  const { acquire } = node();
  expect(acquire(1, 'READ', true)).toMatchObject([{ type: 'grant', holder: 1, state: 'EXCLUSIVE' }]);
});

test('speculative pages are joined to runs, and never taken from a writer', () => {
  const { acquire } = node();
  acquire(2, 'WRITE', false, 5);
  const actions = acquire(1, 'READ', false, 0, 16);
  expect(actions).toMatchObject([
    { type: 'grant', holder: 1, run: run(0, 5) },
    { type: 'refuse', holder: 1, run: run(5, 1), reason: 'SKIPPED' },
    { type: 'grant', holder: 1, run: run(6, 10) },
  ]);
});

test('what is released leaves the next one alone', () => {
  const { directory, acquire } = node();
  acquire(2, 'READ');
  expect(acquire(1, 'READ', true)).toMatchObject([{ state: 'SHARED' }]);
  directory.step({ type: 'release', holder: 2, run: run(0) });
  directory.step({ type: 'release', holder: 1, run: run(0) });
  expect(acquire(3, 'READ', true)).toMatchObject([{ type: 'grant', holder: 3, state: 'EXCLUSIVE' }]);
});

test('speculative pages are taken from nobody for writing', () => {
  const { acquire } = node();
  acquire(1, 'READ', false, 5);
  acquire(2, 'READ', false, 5);
  acquire(2, 'READ', false, 6);
  expect(acquire(1, 'WRITE', false, 0, 16)).toMatchObject([
    { type: 'grant', holder: 1, state: 'MODIFIED', run: run(0, 5) },
    { type: 'refuse', holder: 1, run: run(5, 2), reason: 'SKIPPED' },
    { type: 'grant', holder: 1, state: 'MODIFIED', run: run(7, 9) },
  ]);
});
