// Lost pages that begin anew with what the backing store keeps.
import { expect, test } from 'vitest';
import { Directory } from './directory.ts';
import type { DirectoryEvent } from './directory-messages.ts';
import { Holder } from './holder.ts';

const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };
const acquire = (holder: number, storedVersion?: number): DirectoryEvent => ({
  ...{ type: 'acquire', holder, run, mode: 'WRITE', neededPages: 1, alone: true, storedVersion },
});

/** A directory whose only page was written by holder 1, who died. */
function afterLoss(): Directory {
  const directory = new Directory({ home: false });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 4, creator: 0 });
  for (const holder of [1, 2, 3]) directory.step({ type: 'join', holder });
  directory.step(acquire(1));
  directory.step({ type: 'leave', holder: 1 });
  return directory;
}

test('the first who has the stored bytes gets the page, later than all that was; the next gets it from there', () => {
  const directory = afterLoss();
  expect(directory.step(acquire(2))).toMatchObject([{ type: 'refuse', reason: 'LOST' }]);
  const granted = directory.step(acquire(2, 7));
  expect(granted).toMatchObject([{ type: 'grant', holder: 2, state: 'MODIFIED', version: 8, stored: true }]);
  // Its grant was lost with its stream.
  expect(directory.step(acquire(2, 7))).toMatchObject([{ type: 'grant', version: 8, stored: true }]);
  expect(directory.step(acquire(3, 7))).toMatchObject([
    { type: 'recall', holder: 2, receiver: 3, version: 9 },
  ]);
});

test('the version grows also where the store is behind', () => {
  const directory = afterLoss();
  const { version } = directory.inspect(1n, 0);
  expect(directory.step(acquire(2, 0))).toMatchObject([{ version: version + 1, stored: true }]);
});

test('a holder asks with what it has at hand, asks again after a break, and takes it when it is granted', () => {
  const holder = new Holder();
  holder.step({ type: 'open', dataspace: 1n, pageCount: 4, whole: false });
  const asked = [{ type: 'acquire', run, mode: 'WRITE', needed: true, storedVersion: 7 }];
  expect(holder.step({ type: 'stored', run, version: 7 })).toEqual(asked);
  expect(holder.step({ type: 'rejoin', sameDirectory: true })).toEqual(asked);
  const about = { state: 'MODIFIED', version: 8, zero: false, restore: false, stored: true } as const;
  expect(holder.step({ type: 'grant', run, ...about })).toEqual([
    { type: 'install-stored', run },
    { type: 'ready', run },
  ]);
  expect([holder.state(1n, 0), holder.version(1n, 0)]).toEqual(['MODIFIED', 8]);
  expect(holder.step({ type: 'grant', run, ...about })).toEqual([{ type: 'ready', run }]);
});
