// What waits for home of what the directory says of pages, and what is answered at once.
import { expect, test } from 'vitest';
import type { PageState } from '../page.ts';
import { type HeldWord, HeldWords } from './held-words.ts';

const run = { dataspace: 7n, firstPage: 0, pageCount: 2 };
const recall = (mode: 'READ' | 'WRITE', version: number): HeldWord => {
  const to = { receiver: 2, receiverIdentity: 2n, receiverState: 'MODIFIED' } as const;
  return { type: 'recall', run, mode, version, ...to };
};
const has = (state: PageState, version = 3) => ({ state: () => state, version: () => version });

test('is asked for as a run, and heeded as one', () => {
  const words = new HeldWords();
  expect(words.hear(recall('READ', 3), has('MODIFIED'))).toEqual({
    ...{ heed: [], answers: [], asked: [{ run, mode: 'READ' }] },
  });
  expect(words.serve(run)).toEqual([recall('READ', 3)]);
  expect(words.serve(run)).toEqual([]);
});

test('an invalidation is for a node that would write its own copy', () => {
  const words = new HeldWords();
  const word: HeldWord = { type: 'invalidate', run, version: 4, anew: false };
  expect(words.hear(word, has('MASTER')).asked).toEqual([{ run, mode: 'UPGRADE' }]);
  const first = { ...run, pageCount: 1 };
  expect(words.decline(first)).toEqual([{ run: first, version: 4, kind: 'DECLINED' }]);
  expect(words.serve(run)).toEqual([{ ...word, run: { ...first, firstPage: 1 } }]);
});

test('what was declined is not heeded later, however often it is said', () => {
  const words = new HeldWords();
  words.hear(recall('WRITE', 4), has('MODIFIED'));
  words.decline(run);
  const declined = [{ run, version: 4, kind: 'DECLINED' }];
  expect(words.hear(recall('WRITE', 4), has('MODIFIED'))).toEqual({ heed: [], asked: [], answers: declined });
  expect(words.serve(run)).toEqual([]);
  // Its own turn comes by a version of its own.
  expect(words.hear(recall('WRITE', 6), has('MODIFIED', 5)).asked).toEqual([{ run, mode: 'WRITE' }]);
  // To another leader versions are others.
  words.clear();
  expect(words.hear(recall('WRITE', 4), has('MODIFIED')).asked).toEqual([{ run, mode: 'WRITE' }]);
});

test('what was heeded, or is not here, is answered at once', () => {
  const words = new HeldWords();
  expect(words.hear(recall('WRITE', 3), has('MODIFIED')).heed).toEqual([recall('WRITE', 3)]);
  expect(words.hear(recall('WRITE', 4), has('INVALID')).heed).toEqual([recall('WRITE', 4)]);
});
