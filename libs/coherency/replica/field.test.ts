// A range of a dataspace in cells: what is told of each, and what it costs at most.
import { expect, test } from 'vitest';
import { Directory } from '../directory/directory.ts';
import { PAGE_BYTES } from '../page.ts';
import { fieldOf, fieldRange } from './field.ts';

const ID = 7n;
const [A, B] = [1, 2];
const PAGES = 4_096;
const record = { id: ID, sizeBytes: BigInt(PAGES * PAGE_BYTES) } as Parameters<typeof fieldOf>[0];

function replicaWith(use: (write: (holder: number, firstPage: number, pageCount: number) => void) => void) {
  const directory = new Directory({ home: true });
  directory.step({ type: 'join', holder: A });
  directory.step({ type: 'join', holder: B });
  directory.step({ type: 'create', dataspace: ID, pageCount: PAGES, creator: A, durable: false });
  use((holder, firstPage, pageCount) => {
    const run = { dataspace: ID, firstPage, pageCount };
    directory.step({ type: 'acquire', holder, run, mode: 'WRITE', neededPages: pageCount, alone: false });
  });
  const holders = { get: (id: number) => ({ node: id === A ? 'a' : 'b' }) };
  return { led: [{ directory, isRebuilding: false }], holders } as unknown as Parameters<typeof fieldOf>[1];
}

test('ranges are cut to what there is, and cells never more than asked for', () => {
  expect(fieldRange(record.sizeBytes, 0, 0, 16)).toEqual({
    firstPage: 0,
    pageCount: PAGES,
    pagesPerCell: 256,
    cells: 16,
  });
  expect(fieldRange(record.sizeBytes, 4_000, 500, 16)).toEqual({
    firstPage: 4_000,
    pageCount: 96,
    pagesPerCell: 6,
    cells: 16,
  });
  expect(fieldRange(record.sizeBytes, 9_999, 1, 16)).toMatchObject({ pageCount: 0, cells: 0 });
  expect(fieldRange(2n ** 60n, 0, 0, 4_096)).toMatchObject({ pagesPerCell: 2 ** 36, cells: 4_096 });
});

test('each page that somebody asked for is in the cell where it lies, of its owner; others are in no count', () => {
  const replica = replicaWith((write) => {
    write(B, 100, 312);
    write(A, 1_000, 10);
  });
  const { cells, sampled } = fieldOf(record, replica, fieldRange(record.sizeBytes, 0, 0, 16));
  const known = cells.map(({ exclusive, shared }) => exclusive + shared);
  expect(known).toEqual([156, 156, 0, 10, ...new Array<number>(12).fill(0)]);
  expect([...cells[1]!.owned.keys()].every((node) => node === 'a' || node === 'b')).toBe(true);
  expect(cells[3]!.owned).toEqual(new Map([['a', 10]]));
  expect(sampled).toBe(false);
});

test('of a cell with many runs the first are looked at, and that is said', () => {
  const replica = replicaWith((write) => {
    for (let page = 0; page < 1_024; page += 2) write(B, page, 1);
  });
  const whole = fieldOf(record, replica, fieldRange(record.sizeBytes, 0, 0, 4));
  expect(whole.sampled).toBe(true);
  expect(whole.cells[0]!.exclusive + whole.cells[0]!.shared).toBe(32);
  const near = fieldOf(record, replica, fieldRange(record.sizeBytes, 0, 64, 64));
  expect(near.sampled).toBe(false);
  expect(near.cells.filter(({ exclusive, shared }) => exclusive + shared === 1)).toHaveLength(32);
});
