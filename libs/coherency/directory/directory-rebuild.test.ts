import { expect, test } from 'vitest';
import { Directory } from './directory.ts';

const run = { dataspace: 1n, firstPage: 0, pageCount: 1 };

/** What holder 1 reports was sent on to holder 2, who is as given. */
function reported(receiver: { identity?: bigint; reborn?: boolean }): Directory {
  const directory = new Directory({ home: false });
  directory.step({ type: 'join', holder: 1, identity: 100n });
  if (receiver.identity !== undefined)
    directory.step({ type: 'join', holder: 2, identity: receiver.identity });
  directory.step({ type: 'create', dataspace: 1n, pageCount: 1, creator: 1 });
  const sentOn = { run, state: 'MASTER', version: 4, kept: true, keptFor: 200n } as const;
  directory.step({ type: 'report', holder: 1, held: [sentOn], voided: [] });
  if (receiver.reborn) directory.step({ type: 'report', holder: 2, held: [], voided: [], reborn: true });
  return directory;
}

test('what was sent on and never arrived is put back', () => {
  const directory = reported({ identity: 200n });
  expect(directory.step({ type: 'rebuilt' })).toMatchObject([{ type: 'grant', holder: 1, restore: true }]);
});

test.each([
  ['is not here', {}],
  ['is another than it was', { identity: 201n }],
  ['forgot what it had', { identity: 200n, reborn: true }],
])('it is lost where the receiver, who may have got and changed it, %s', (_, receiver) => {
  const directory = reported(receiver);
  expect(directory.step({ type: 'rebuilt' })).toEqual([]);
  expect(directory.inspect(1n, 0)).toMatchObject({ owner: 0, lost: true });
});

test('it is lost where somebody saw a version after the one of the receiver, who so had it and sent it on', () => {
  const directory = reported({ identity: 200n });
  const later = { run, state: 'INVALID', version: 6 } as const;
  directory.step({ type: 'report', holder: 2, held: [later], voided: [] });
  expect(directory.step({ type: 'rebuilt' })).toEqual([]);
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
