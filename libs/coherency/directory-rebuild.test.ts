import { expect, test } from 'vitest';
import { Directory } from './directory.ts';

const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };

function reported(): Directory {
  const directory = new Directory({ home: false });
  directory.step({ type: 'join', holder: 1 });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 1, creator: 1 });
  directory.step({ type: 'report', holder: 1, held: [{ run, state: 'MASTER', version: 4, kept: true }] });
  return directory;
}

test('what was sent on and never arrived is put back', () => {
  expect(reported().step({ type: 'rebuilt' })).toMatchObject([{ type: 'grant', holder: 1, restore: true }]);
});

test('it is lost where a holder died that may have got and changed it', () => {
  const directory = reported();
  expect(directory.step({ type: 'rebuilt', deaths: true })).toEqual([]);
  expect(directory.inspect(1n, 0)).toMatchObject({ owner: 0, lost: true });
});

test('who sent a page to a writer that died forgets it', () => {
  const directory = new Directory({ home: false });
  for (const holder of [1, 2]) directory.step({ type: 'join', holder });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 1, creator: 1 });
  directory.step({ type: 'acquire', holder: 2, run, mode: 'WRITE', neededPages: 1, alone: true });
  expect(directory.step({ type: 'leave', holder: 2 })).toMatchObject([
    { type: 'settled', holder: 1, version: 1 },
  ]);
});
