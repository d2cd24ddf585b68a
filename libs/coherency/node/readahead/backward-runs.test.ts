// Pages that are gone through from the last one to the first.
import { expect, test } from 'vitest';
import { upTo } from '../testdata/within.ts';
import { ReadaheadStreams } from './streams.ts';

const END = 100_000;

interface Asked {
  faults: number;
  pages: Set<number>;
}

/** Goes down from `last` to `first`; each fault maps as many as it may, all of which are here. */
function goDown(
  streams: ReadaheadStreams,
  last: number,
  first: number,
  { contested = false, write = false, within = upTo(END) } = {},
): Asked {
  const asked: Asked = { faults: 0, pages: new Set() };
  for (let page = last; page >= first; ) {
    streams.access(page, contested, write);
    asked.faults++;
    for (const { firstPage, neededPages } of streams.wanted(page, within, write, write))
      for (let i = 0; i < neededPages; i++) asked.pages.add(firstPage + i);
    const before = Math.min(streams.mapBefore, page - first);
    streams.mapped(page, 1);
    if (before > 0) streams.mappedBefore(page, before);
    page -= 1 + before;
  }
  return asked;
}

test.each([false, true])('a run from the last page to the first takes few faults, written: %s', (write) => {
  const { faults, pages } = goDown(new ReadaheadStreams(), 5_000, 1_000, { write });
  expect(faults).toBeLessThan(45);
  for (let page = 1_000; page <= 5_000; page++) expect(pages.has(page)).toBe(true);
  // What is asked for beyond its end.
  expect(Math.min(...pages)).toBeGreaterThanOrEqual(1_000 - (write ? 1 : 3) * 128);
});

test('a run goes no further than the one before, until it does', () => {
  const streams = new ReadaheadStreams();
  goDown(streams, 1_000, 951);
  for (const last of [3_000, 5_000])
    expect(Math.min(...goDown(streams, last, last - 49).pages)).toBe(last - 49);
  const { faults, pages } = goDown(streams, 9_000, 7_000);
  expect(faults).toBeLessThan(30);
  expect(pages.size).toBeGreaterThan(2_000);
});

test('nothing before the first page of the mapping is asked for', () => {
  const within = { firstPage: 700, endPage: END };
  expect(Math.min(...goDown(new ReadaheadStreams(), 1_000, 700, { within }).pages)).toBe(700);
  expect(Math.min(...goDown(new ReadaheadStreams(), 300, 0).pages)).toBe(0);
});

test('a page before the last one is no run, until that is so once more', () => {
  const streams = new ReadaheadStreams();
  for (const page of [500, 499]) expect(goDown(streams, page, page, { write: true }).pages.size).toBe(1);
  expect(goDown(streams, 498, 498, { write: true }).pages.size).toBeGreaterThan(16);
  for (const page of [900, 899, 70, 3_000, 69])
    expect(goDown(streams, page, page, { write: true }).pages.size).toBe(1);
});

test('where pages go back and forth each is asked for alone', () => {
  const { faults, pages } = goDown(new ReadaheadStreams(), 500, 401, { contested: true, write: true });
  expect({ faults, pages: pages.size }).toEqual({ faults: 100, pages: 100 });
});

test('one goes down while another goes up: each is a run', () => {
  const streams = new ReadaheadStreams();
  let faults = 0;
  let [low, high] = [10_000, 20_000];
  while (low < high) {
    for (const page of [low, high]) {
      streams.access(page);
      faults++;
      streams.wanted(page, upTo(END));
      const pages = page === low ? streams.mapPages : 1;
      streams.mapped(page, pages);
      if (page === low) low += pages;
      else {
        streams.mappedBefore(page, streams.mapBefore);
        high -= 1 + streams.mapBefore;
      }
    }
  }
  expect(faults).toBeLessThan(200);
});

test('four of them are followed at once', () => {
  const streams = new ReadaheadStreams();
  const ends = [1_000, 11_000, 21_000, 31_000];
  for (let i = 0; i < 3; i++) for (const end of ends) goDown(streams, end - i, end - i);
  const faults = ends.map((end) => goDown(streams, end - 3, end - 503).faults);
  expect(Math.max(...faults)).toBeLessThan(12);
});

test('what there was no room for is asked for again', () => {
  const streams = new ReadaheadStreams();
  for (const page of [500, 499]) goDown(streams, page, page);
  streams.access(498);
  const [, nearest] = streams.wanted(498, upTo(END));
  streams.mapped(498, 1);
  streams.cutShort(nearest!.firstPage + 2, nearest!.firstPage + nearest!.pageCount);
  streams.access(497);
  const again = streams.wanted(497, upTo(END));
  expect(again.reduce((sum, { pageCount }) => sum + pageCount, 0)).toBeGreaterThan(16);
});

test('advice ends it', () => {
  const streams = new ReadaheadStreams();
  goDown(streams, 500, 480);
  streams.advise('random');
  expect(streams.mapBefore).toBe(0);
  expect(goDown(streams, 479, 470).faults).toBe(10);
});
