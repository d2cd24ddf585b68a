// What comes along with the page of a fault.
import { expect, test } from 'vitest';
import { DENSE_BLOCK_PAGES, DENSE_FAULTS } from '../readahead/dense-blocks.ts';
import { FakeNode } from '../testdata/fake-node.ts';

const AT_RANDOM = [3, 40, 17, 60, 29, 50, 11, 34];

/** How many pages were asked for along with those of faults at random in one block. @param frames of the node */
function broughtAlong(frames: number): { guessed: number; needed: number } {
  const node = new FakeNode(4 * DENSE_BLOCK_PAGES);
  node.open(false);
  node.framesMax = frames;
  const entry = node.maps(true);
  const brought = { guessed: 0, needed: 0 };
  for (const page of AT_RANDOM)
    for (const action of node.step({ type: 'fault', entry, page, write: false, atNs: 0n }))
      for (const { pageCount, neededPages } of action.type === 'ahead' ? action.wanted : [])
        brought[neededPages === pageCount ? 'needed' : 'guessed'] += pageCount;
  return brought;
}

test('neighbours, and the rest of a block that is read at random, come along where nothing that is used leaves for them', () => {
  expect(AT_RANDOM.length).toBeGreaterThan(DENSE_FAULTS);
  const { guessed, needed } = broughtAlong(1_000);
  expect(guessed).toBeGreaterThan(AT_RANDOM.length);
  expect(needed).toBeGreaterThan(DENSE_BLOCK_PAGES / 2);
  expect(broughtAlong(AT_RANDOM.length)).toEqual({ guessed: 0, needed: 0 });
});
