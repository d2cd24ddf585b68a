import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  byChunk,
  CHUNK_BYTES_MAX,
  CHUNK_PAGES,
  decodeChunk,
  encodeChunk,
  isIntact,
  mergePages,
  type Pages,
  type StoredPage,
  sealPage,
} from './chunk.ts';

const DATASPACE = 77n;
const page = (number: number, version: number, fill: number): [number, StoredPage] => [
  number,
  sealPage(DATASPACE, number, BigInt(version), new Uint8Array(PAGE_BYTES).fill(fill)),
];
const versions = (pages: Pages | undefined) =>
  pages &&
  Object.fromEntries([...pages].map(([number, { version, bytes }]) => [number, [version, bytes[9]]]));

test('what was encoded is decoded, whatever pages there are', () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 128, max: 191 }), { maxLength: CHUNK_PAGES });
  const property = fc.property(numbers, fc.bigInt({ min: 0n, max: 1n << 53n }), (list, version) => {
    const pages = new Map(
      list.map((n) => [n, sealPage(DATASPACE, n, version, new Uint8Array(PAGE_BYTES).fill(n))]),
    );
    const bytes = encodeChunk({ dataspace: DATASPACE, number: 2 }, pages);
    expect(bytes.length).toBeLessThanOrEqual(CHUNK_BYTES_MAX);
    const decoded = decodeChunk({ dataspace: DATASPACE, number: 2 }, bytes)!;
    expect([...decoded.keys()]).toEqual(list);
    for (const [n, stored] of decoded) {
      expect(isIntact(DATASPACE, n, stored)).toBe(true);
      expect(stored.bytes.every((byte) => byte === n)).toBe(true);
    }
  });
  fc.assert(property, { numRuns: 30 });
});

test('any byte that changes is found: the chunk is torn, or the page that it is in fails', () => {
  const id = { dataspace: DATASPACE, number: 0 };
  const bytes = encodeChunk(id, new Map([page(3, 1, 5), page(9, 2, 6)]));
  const position = fc.oneof(fc.nat(55), fc.nat(bytes.length - 1));
  const property = fc.property(position, fc.integer({ min: 1, max: 255 }), (at, flip) => {
    const wrong = Uint8Array.from(bytes);
    wrong[at]! ^= flip;
    const decoded = decodeChunk(id, wrong);
    const intact = [...(decoded ?? [])].filter(([n, stored]) => isIntact(DATASPACE, n, stored));
    expect(decoded === undefined || intact.length === 1).toBe(true);
  });
  fc.assert(property, { numRuns: 200 });
  expect(decodeChunk(id, bytes.subarray(0, bytes.length - 1))).toBeUndefined();
  expect(decodeChunk({ dataspace: DATASPACE, number: 1 }, bytes)).toBeUndefined();
  expect(decodeChunk({ dataspace: 78n, number: 0 }, bytes)).toBeUndefined();
});

test('the higher version stays, in whichever order the two come', () => {
  const early = new Map([page(1, 4, 40), page(2, 9, 90)]);
  const late = new Map([page(1, 5, 50), page(2, 8, 80), page(3, 1, 10)]);
  const wanted = { 1: [5n, 50], 2: [9n, 90], 3: [1n, 10] };
  expect(versions(mergePages(DATASPACE, early, late))).toEqual(wanted);
  expect(versions(mergePages(DATASPACE, late, early))).toEqual(wanted);
  expect(mergePages(DATASPACE, early, new Map([page(1, 3, 30)]))).toBeUndefined();
  expect(mergePages(DATASPACE, early, new Map([page(1, 4, 40)]))).toBeUndefined();
  expect(versions(mergePages(DATASPACE, early, new Map([page(1, 4, 41)])))).toMatchObject({ 1: [4n, 41] });
});

test('a page that fails stays failed beside others, and is replaced by any version of its own', () => {
  const wrong = { ...page(1, 9, 9)[1], checksum: 1 };
  const beside = mergePages(DATASPACE, new Map([[1, wrong]]), new Map([page(2, 1, 1)]))!;
  expect(isIntact(DATASPACE, 1, beside.get(1)!)).toBe(false);
  const mended = mergePages(DATASPACE, beside, new Map([page(1, 3, 30)]))!;
  expect(versions(mended)).toEqual({ 1: [3n, 30], 2: [1n, 1] });
});

test('pages are stored chunk by chunk', () => {
  const chunks = byChunk(new Map([page(0, 1, 1), page(63, 1, 1), page(64, 1, 1)]));
  expect([...chunks].map(([number, pages]) => [number, [...pages.keys()]])).toEqual([
    [0, [0, 63]],
    [1, [64]],
  ]);
});
