// What a directory gives of the neighbours of a page that is asked for: nothing that others use.
import { expect, test } from 'vitest';
import type { AccessMode, HolderId, PageRun } from '../page.ts';
import { Directory } from './directory.ts';
import type { DirectoryAction } from './directory-messages.ts';

const CREATOR = 1;
const READER = 2;
const WRITER = 3;

const run = (firstPage: number, pageCount = 1): PageRun => ({ dataspace: 1n, firstPage, pageCount });

function directory() {
  const machine = new Directory({ home: false });
  for (const holder of [CREATOR, READER, WRITER]) machine.step({ type: 'join', holder });
  machine.step({ type: 'create', dataspace: 1n, pageCount: 32, creator: CREATOR });
  const acquire = (holder: HolderId, mode: AccessMode, of: PageRun, neededPages: number): DirectoryAction[] =>
    machine.step({ type: 'acquire', holder, run: of, mode, neededPages, alone: false });
  /** Until the reader has a copy. */
  const read = (page: number): void => {
    acquire(READER, 'READ', run(page), 1);
    const { version } = machine.inspect(1n, page);
    machine.step({ type: 'ack', holder: READER, run: run(page), version, kind: 'RECEIVED' });
  };
  /** Until the writer has it alone. */
  const written = (page: number): void => {
    acquire(WRITER, 'WRITE', run(page), 1);
    machine.step({ type: 'ack', holder: WRITER, run: run(page), version: 1, kind: 'RECEIVED' });
  };
  return { machine, acquire, read, written };
}

test('a write takes no neighbours from those who read them, nor from a creator who may use all of them', () => {
  const { machine, acquire, read } = directory();
  read(5);
  const actions = acquire(WRITER, 'WRITE', run(4, 16), 1);
  expect(actions).toMatchObject([
    { type: 'recall', holder: CREATOR, receiver: WRITER, run: run(4) },
    { type: 'refuse', holder: WRITER, run: run(5, 15), reason: 'SKIPPED' },
  ]);
  expect(machine.inspect(1n, 5)).toMatchObject({ owner: CREATOR, sharers: [READER], busy: false });
});

test('who goes through pages in order asks for all of them, and gets them', () => {
  const { acquire, read } = directory();
  read(5);
  const actions = acquire(WRITER, 'WRITE', run(4, 4), 4);
  expect(actions.filter(({ type }) => type === 'refuse')).toEqual([]);
});

test('a read brings what its creator may use, but not what somebody writes', () => {
  const { machine, acquire, written } = directory();
  written(6);
  const actions = acquire(READER, 'READ', run(4, 4), 1);
  expect(actions.filter(({ type }) => type === 'refuse')).toMatchObject([{ run: run(6), reason: 'SKIPPED' }]);
  expect(machine.inspect(1n, 6)).toMatchObject({ owner: WRITER, exclusive: true, busy: false });
});
