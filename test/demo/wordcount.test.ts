import { expect, test } from 'vitest';
import { compareTables, parseWorkerLine } from './wordcount.ts';

test('lines of a worker', () => {
  expect(parseWorkerLine('progress worker=1 phase=merge done=12 total=160')).toEqual({
    kind: 'progress',
    progress: { phase: 'merge', done: 12, total: 160 },
  });
  const done =
    'done worker=0 node=1 pid=100001 chunks=5 words=81 distinct=9 start_ms=3 count_ms=81 merge_ms=9 sent=7';
  expect(parseWorkerLine(done)).toMatchObject({
    kind: 'done',
    result: { chunks: 5, mergeMs: 9, sentBytes: 7 },
  });
  expect(parseWorkerLine('anything else')).toEqual({ kind: 'other' });
});

test('tables are equal to the byte, or the first differences are named', () => {
  const table = Buffer.from('a 1\nb\xff 2\n', 'latin1');
  expect(compareTables(table, Buffer.from(table))).toEqual({ words: 2, differences: [] });
  expect(compareTables(table, Buffer.from('a 1\nc 2\n')).differences).toEqual([
    '"b\xff": 2 in the cluster, 0 alone',
    '"c": 0 in the cluster, 2 alone',
  ]);
  // Two empty tables prove nothing.
  expect(compareTables(Buffer.alloc(0), Buffer.alloc(0)).differences).not.toEqual([]);
});
