// Resident pages are listed in small turns, and a run that is longer than a turn is one.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { expect, test } from 'vitest';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import { LOOKED_AT_A_TURN, Look, listResident, residentOf } from './resident.ts';

/** A mapping of a dataspace; counts the pages that are looked at in each turn. */
function mapped(pages: number, absent: number[]) {
  const turns: number[] = [];
  const residentSpans = (first: number, count: number) => {
    turns[turns.length - 1]! += count;
    const spans: { firstPage: number; pageCount: number }[] = [];
    for (let from = first; from < first + count; ) {
      const to = Math.min(first + count, ...absent.filter((page) => page >= from));
      if (to > from) spans.push({ firstPage: from, pageCount: to - from });
      from = to + 1;
    }
    return spans;
  };
  const dataspace = { file: { residentSpans } } as unknown as SharedDataspace;
  const part = { address: 0, lengthBytes: pages * PAGE_BYTES, writable: true, offsetBytes: 0, dataspace };
  const find = () => {
    turns.push(0);
    return { residentRuns: (from: number) => residentOf(part, from, new Look()) };
  };
  return { find, turns };
}

test('a turn looks at so many pages, and runs are whole', async () => {
  const pages = 10 * LOOKED_AT_A_TURN + 7;
  const { find, turns } = mapped(pages, [3, LOOKED_AT_A_TURN, 5 * LOOKED_AT_A_TURN - 1]);
  const { runs, next } = await listResident(find, 0, 100);
  expect(next).toBeUndefined();
  expect(runs.map(({ firstPage, pages: count }) => [firstPage, count])).toEqual([
    [0, 3],
    [4, LOOKED_AT_A_TURN - 4],
    [LOOKED_AT_A_TURN + 1, 4 * LOOKED_AT_A_TURN - 2],
    [5 * LOOKED_AT_A_TURN, pages - 5 * LOOKED_AT_A_TURN],
  ]);
  expect(turns).toHaveLength(11);
  expect(Math.max(...turns)).toBe(LOOKED_AT_A_TURN);
});

test('page by page it is the same list', async () => {
  const { find } = mapped(3 * LOOKED_AT_A_TURN, [1, 2 * LOOKED_AT_A_TURN]);
  const all = (await listResident(find, 0, 100)).runs;
  const found: typeof all = [];
  for (let from: number | undefined = 0; from !== undefined; ) {
    const { runs, next } = await listResident(find, from, 1);
    found.push(...runs);
    from = next;
  }
  expect(found).toEqual(all);
});
