// What comes along with the page of a fault.
import { expect, test } from 'vitest';
import { DENSE_BLOCK_PAGES, DENSE_FAULTS } from '../readahead/dense-blocks.ts';
import { FakeNode } from '../testdata/fake-node.ts';

const AT_RANDOM = [3, 40, 17, 60, 29, 50, 11, 34];

/** How many pages were asked for along with those of faults at random in one block. @param frames of the node */
function broughtAlong(frames: number): number {
  const node = new FakeNode(4 * DENSE_BLOCK_PAGES);
  node.open(false);
  node.framesMax = frames;
  const entry = node.maps(true);
  let brought = 0;
  for (const page of AT_RANDOM) {
    const actions = node.step({ type: 'fault', entry, page, write: false, atNs: 0n });
    for (const action of actions)
      if (action.type === 'ahead')
        for (const { pageCount, neededPages } of action.wanted)
          if (neededPages === pageCount) brought += pageCount;
  }
  return brought;
}

test('the rest of a block that is read at random comes along, where nothing that is used leaves for it', () => {
  expect(AT_RANDOM.length).toBeGreaterThan(DENSE_FAULTS);
  expect(broughtAlong(1_000)).toBeGreaterThan(DENSE_BLOCK_PAGES / 2);
  expect(broughtAlong(AT_RANDOM.length)).toBe(0);
});
