import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { expect, test } from 'vitest';
import { MapEntry } from '../sessions/map-entry.ts';
import { pagesUnder } from './lock-pages.ts';

const at = (id: bigint, firstPage: number, pageCount: number, writable = true) =>
  new MapEntry({
    vmspace: {} as MapEntry['vmspace'],
    dataspace: { id } as MapEntry['dataspace'],
    ...{ address: 0n, firstPage, pageCount, writable },
  });
const bytes = (firstPage: number, pageCount: number) => ({
  begin: BigInt(firstPage * PAGE_BYTES) + 8n,
  end: BigInt((firstPage + pageCount) * PAGE_BYTES) - 8n,
});
const under = (
  locked: object,
  entries: MapEntry[],
  mode: 'SHARED' | 'EXCLUSIVE' | 'MODIFYING' = 'MODIFYING',
) =>
  pagesUnder({ owner: 1n, dataspace: 7n, begin: 0n, end: 0n, mode, ...locked }, entries).map(
    ({ entry: _, type: __, ...pages }) => pages,
  );

test('pages that a range reaches into, as far as the process maps them', () => {
  const entries = [at(7n, 0, 4), at(8n, 0, 100), at(7n, 6, 2)];
  expect(under(bytes(2, 5), entries)).toEqual([
    { firstPage: 2, pageCount: 2, mode: 'WRITE' },
    { firstPage: 6, pageCount: 1, mode: 'WRITE' },
  ]);
  expect(under({ begin: 4096n, end: 4096n }, entries)).toEqual([
    { firstPage: 1, pageCount: 1, mode: 'WRITE' },
  ]);
});

test('for reading under a shared lock, and where the mapping is read-only', () => {
  expect(under(bytes(0, 1), [at(7n, 0, 1)], 'SHARED')).toMatchObject([{ mode: 'READ' }]);
  expect(under(bytes(0, 1), [at(7n, 0, 1, false)])).toMatchObject([{ mode: 'READ' }]);
});

test('nothing for a long range, nor for one that is no bytes of the dataspace', () => {
  const entries = [at(7n, 0, 100)];
  expect(under(bytes(0, 64), entries)).toHaveLength(1);
  expect(under(bytes(0, 65), entries)).toEqual([]);
  expect(under({ begin: 2n ** 63n, end: 2n ** 63n + 9n }, entries)).toEqual([]);
});
