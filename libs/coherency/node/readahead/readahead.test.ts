import { expect, test } from 'vitest';
import { upTo } from '../testdata/within.ts';
import { Readahead } from './readahead.ts';

/** Reads pages in order; each fault maps so many as the readahead allows. Returns the pages asked for. */
function readRun(readahead: Readahead, first: number, count: number, endPage = 100_000): Set<number> {
  const asked = new Set<number>();
  for (let page = first; page < first + count; ) {
    readahead.access(page);
    for (const w of readahead.wanted(page, upTo(endPage)))
      for (let i = 0; i < w.pageCount; i++) asked.add(w.firstPage + i);
    const mapped = Math.min(readahead.mapPages, first + count - page);
    readahead.mapped(page, mapped);
    page += mapped;
  }
  return asked;
}

test('random access asks for the page, and speculates on up to 15 neighbours', () => {
  const readahead = new Readahead();
  readahead.access(500);
  expect(readahead.wanted(500, upTo(10_000))).toEqual([{ firstPage: 500, pageCount: 16, neededPages: 1 }]);
  readahead.access(90);
  expect(readahead.wanted(90, upTo(95))).toEqual([{ firstPage: 90, pageCount: 5, neededPages: 1 }]);
});

test('a page that comes back alone is asked for alone', () => {
  const readahead = new Readahead();
  readahead.access(7);
  readahead.access(7);
  expect(readahead.wanted(7, upTo(100))).toEqual([{ firstPage: 7, pageCount: 1, neededPages: 1 }]);
});

test('sequential access doubles the window up to 2 MiB, and asks ahead by whole blocks', () => {
  const readahead = new Readahead();
  const asked = readRun(readahead, 0, 2_000);
  expect(readahead.mapPages).toBe(512);
  for (let page = 0; page < 2_000; page++) expect(asked.has(page)).toBe(true);
  expect(Math.max(...asked)).toBeLessThan(2_000 + 3 * 512);
});

test('who reads in order by a few pages a fault asks ahead seldom, for runs of one leader each', () => {
  const readahead = new Readahead();
  readRun(readahead, 0, 4_096);
  const asked: number[] = [];
  for (let page = 4_096; page < 16_384; page += 64) {
    readahead.access(page);
    for (const { firstPage, pageCount } of readahead.wanted(page, upTo(100_000)))
      if (pageCount > 1) asked.push(firstPage, pageCount);
    readahead.mapped(page, 64);
  }
  // 192 faults, and a run of pages for each 512.
  expect(asked.length / 2).toBe(24);
  expect(asked.every((each) => each % 512 === 0)).toBe(true);
});

test('what there was no room for is asked for again at the next fault', () => {
  const readahead = new Readahead();
  readRun(readahead, 0, 4_096);
  const ahead = (page: number) => {
    readahead.access(page);
    const [, run] = readahead.wanted(page, upTo(100_000));
    readahead.mapped(page, 16);
    return run;
  };
  const first = ahead(4_096)!;
  readahead.cutShort(first.firstPage + 16, first.firstPage + first.pageCount);
  expect(ahead(4_112)).toMatchObject({ firstPage: first.firstPage + 16 });
});

test('who reads chunks does not get the pages between them', () => {
  const readahead = new Readahead();
  readRun(readahead, 0, 64);
  for (const chunk of [50, 20, 80]) {
    const asked = readRun(readahead, chunk * 1_000, 64);
    expect(asked.size).toBeLessThanOrEqual(64);
    for (let page = chunk * 1_000; page < chunk * 1_000 + 64; page++) expect(asked.has(page)).toBe(true);
  }
});

test('nothing past the end of the mapping is asked for', () => {
  const asked = readRun(new Readahead(), 0, 100, 100);
  expect(Math.max(...asked)).toBe(99);
});

test('neighbours are asked for as long as some are used', () => {
  const readahead = new Readahead();
  const asked = (page: number) => {
    readahead.access(page);
    return readahead.wanted(page, upTo(1_000_000))[0]!.pageCount;
  };
  const strays = Array.from({ length: 10 }, (_, i) => asked((i * 7919) % 100_003));
  expect(strays).toEqual([16, 16, 16, 16, 1, 1, 1, 1, 1, 1]);
  const many = Array.from({ length: 64 }, (_, i) => asked(200_000 + ((i * 7919) % 100_003)));
  expect(many.filter((count) => count === 16)).toHaveLength(2);
  const around = many.lastIndexOf(16);
  asked(200_000 + ((around * 7919) % 100_003) + 5);
  expect(asked(900_000)).toBe(16);
});

test('a write to a page that others read asks for that page, unless pages are written in order', () => {
  const random = new Readahead();
  random.access(500);
  expect(random.wanted(500, upTo(10_000), true)).toEqual([{ firstPage: 500, pageCount: 1, neededPages: 1 }]);
  const inOrder = new Readahead();
  inOrder.access(7);
  inOrder.mapped(7, 1);
  inOrder.access(8);
  expect(inOrder.wanted(8, upTo(10_000), true).length).toBe(2);
});

test('after a run, a random write to a page that others read still asks for that page', () => {
  const readahead = new Readahead();
  readRun(readahead, 0, 512);
  readahead.access(90_000);
  expect(readahead.wanted(90_000, upTo(100_000), true)).toEqual([
    { firstPage: 90_000, pageCount: 1, neededPages: 1 },
  ]);
});

test('who says that it reads at random gets what it touches; in order: a run from the first page on', () => {
  const ahead = new Readahead();
  const fault = (page: number) => {
    ahead.access(page);
    const wanted = ahead.wanted(page, upTo(10_000));
    ahead.mapped(page, 1);
    return wanted.reduce((sum, { pageCount }) => sum + pageCount, 0);
  };
  expect(fault(100)).toBeGreaterThan(1);
  ahead.advise('random');
  for (const page of [200, 201, 202, 203, 300]) expect(fault(page)).toBe(1);
  ahead.advise('sequential');
  expect(fault(400)).toBeGreaterThan(16);
  ahead.advise('normal');
  expect(fault(5_000)).toBeLessThanOrEqual(16);
});

/** One visit to a run whose pages go back and forth. @returns what is asked for at each fault, and how many faults there are */
function visit(readahead: Readahead, first: number, count: number): { asked: number[][]; faults: number } {
  const asked: number[][] = [];
  let faults = 0;
  for (let page = first; page < first + count; ) {
    readahead.access(page, true);
    faults++;
    for (const { firstPage, pageCount } of readahead.wanted(page, upTo(100_000)))
      asked.push([firstPage, pageCount]);
    const mapped = readahead.mapPages;
    readahead.mapped(page, mapped);
    page += mapped;
  }
  return { asked, faults };
}

test('where pages go back and forth, a run is looked at once, and then asked for as a whole', () => {
  const readahead = new Readahead();
  const looked = visit(readahead, 992, 6);
  expect(looked.faults).toBe(6);
  expect(Math.max(...looked.asked.map(([first, count]) => first! + count!))).toBeLessThanOrEqual(992 + 2 * 6);
  for (let i = 0; i < 5; i++) {
    expect(visit(readahead, 992, 6)).toEqual({ asked: [[992, 6]], faults: 1 });
    // Others do not change that.
    visit(readahead, 5_000 + i * 100, 2);
  }
  // It goes on: that is looked at, and known.
  visit(readahead, 992, 8);
  expect(visit(readahead, 992, 8)).toEqual({ asked: [[992, 8]], faults: 1 });
});

test('a known run that became shorter is seen to be', () => {
  const readahead = new Readahead();
  visit(readahead, 992, 20);
  let asked = 20;
  let visits = 0;
  for (; asked > 2 && visits < 100; visits++)
    asked = visit(readahead, 992, 2).asked.reduce((sum, [, count]) => sum + count!, 0);
  expect(visits).toBeLessThan(40);
});

test('a long run whose pages go back and forth goes in windows from its first page on, once that is known', () => {
  const readahead = new Readahead();
  visit(readahead, 1_000, 500);
  const again = visit(readahead, 1_000, 500);
  expect(again.faults).toBeLessThan(10);
});

test('for writing no more than 128 pages are asked for beyond those that are used', () => {
  const readahead = new Readahead();
  let most = 0;
  for (let page = 0; page < 2_000; ) {
    readahead.access(page);
    for (const { firstPage, pageCount } of readahead.wanted(page, upTo(100_000), false, true))
      most = Math.max(most, firstPage + pageCount - page);
    const mapped = Math.min(64, readahead.mapPages);
    readahead.mapped(page, mapped);
    page += mapped;
  }
  expect(most).toBe(128);
});

test('where pages go back and forth, what is read after what was written is a run of its own', () => {
  const readahead = new Readahead();
  const round = () =>
    [true, false].map((write, half) => {
      let asked = 0;
      let faults = 0;
      for (let page = 992 + half * 32, end = page + 32; page < end; ) {
        readahead.access(page, true, write);
        faults++;
        for (const { pageCount } of readahead.wanted(page, upTo(100_000), false, write)) asked += pageCount;
        readahead.mapped(page, readahead.mapPages);
        page += readahead.mapPages;
      }
      return { asked, faults };
    });
  round();
  for (let i = 0; i < 5; i++)
    expect(round()).toEqual([
      { asked: 32, faults: 1 },
      { asked: 32, faults: 1 },
    ]);
});
