// Several runs of one mapping, each of which goes on as if it were alone.
import { expect, test } from 'vitest';
import { upTo } from '../testdata/within.ts';
import { ReadaheadStreams } from './streams.ts';

/** A fault at a page, of which that many are then mapped. @returns how many pages are asked for */
function fault(streams: ReadaheadStreams, page: number): number {
  streams.access(page);
  const wanted = streams.wanted(page, upTo(1_000_000));
  streams.mapped(page, 1);
  return wanted.reduce((sum, { firstPage, pageCount }) => sum + (firstPage > page ? pageCount : 0), 0);
}

test('runs that are gone through in turn stay in order', () => {
  const streams = new ReadaheadStreams();
  const begins = [0, 100_000, 200_000];
  for (const begin of begins) for (let i = 0; i < 3; i++) fault(streams, begin + i);
  for (let i = 3; i < 20; i++)
    for (const begin of begins) {
      fault(streams, begin + i);
      expect(streams.sequential, `page ${begin + i}`).toBe(true);
    }
  expect(streams.mapPages).toBe(512);
});

test('what is known of a run is kept while faults come from elsewhere, of seven runs at most', () => {
  const streams = new ReadaheadStreams();
  for (let run = 0; run < 9; run++) for (let i = 0; i < 3; i++) fault(streams, run * 10_000 + i);
  fault(streams, 500_000);
  fault(streams, 8 * 10_000 + 3);
  expect(streams.sequential).toBe(true);
  fault(streams, 3);
  expect(streams.sequential).toBe(false);
});

test('random faults are of one reader', () => {
  const streams = new ReadaheadStreams();
  for (const page of [7_000, 90, 44_000, 3_300, 71_000, 15_000]) fault(streams, page);
  expect(streams.sequential).toBe(false);
  expect(fault(streams, 60_000)).toBe(0);
});

test('advice forgets the runs', () => {
  const streams = new ReadaheadStreams();
  for (const page of [0, 1, 2, 500]) fault(streams, page);
  streams.advise('random');
  fault(streams, 3);
  expect(streams.sequential).toBe(false);
});

/** A write fault at a page of others, which is mapped alone. @returns how many pages are needed, beside guesses */
function writeFault(streams: ReadaheadStreams, page: number): number {
  streams.access(page, false, true);
  const wanted = streams.wanted(page, upTo(1_000_000), true, true);
  streams.mapped(page, 1);
  return wanted.reduce((sum, { neededPages }) => sum + neededPages, 0);
}

test.each([2, 3, 8])(
  '%i runs that are written in turn from the beginning are runs after three writes of each',
  (runs) => {
    const streams = new ReadaheadStreams();
    const begins = Array.from({ length: runs }, (_, run) => run * 100_000);
    for (const begin of begins) expect(writeFault(streams, begin)).toBe(1);
    // What the last fault was of is no guess.
    for (const begin of begins.slice(0, -1)) expect(writeFault(streams, begin + 1)).toBe(1);
    expect(writeFault(streams, begins.at(-1)! + 1)).toBeGreaterThan(16);
    for (const begin of begins) expect(writeFault(streams, begin + 2)).toBeGreaterThan(16);
  },
);

test('a write at random that goes on once with one before needs its own page alone', () => {
  const streams = new ReadaheadStreams();
  for (const page of [7_000, 90, 44_000, 7_001, 3_300, 91, 500, 45_000])
    expect(writeFault(streams, page)).toBe(1);
  expect(streams.sequential).toBe(false);
});
