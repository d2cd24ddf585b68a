// What comes along with the page of a fault.
import { expect, test } from 'vitest';
import { DENSE_BLOCK_PAGES, DENSE_FAULTS } from '../readahead/dense-blocks.ts';
import { type FakeMapping, FakeNode } from '../testdata/fake-node.ts';

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

/** Faults from the last page to the first. @returns how many there were, and how far what is asked for goes */
function goDown(
  node: FakeNode,
  entry: FakeMapping,
  last: number,
  write = false,
): { faults: number; firstAsked: number } {
  let faults = 0;
  let firstAsked = last;
  for (let page = last; page >= 0; page--) {
    if (entry.table.has(page)) continue;
    faults++;
    for (const action of node.step({ type: 'fault', entry, page, write, atNs: 0n }))
      for (const { firstPage } of action.type === 'ahead' ? action.wanted : [])
        firstAsked = Math.min(firstAsked, firstPage);
  }
  return { faults, firstAsked };
}

test('who goes from the last page to the first has what is here mapped in runs', () => {
  for (const write of [false, true]) {
    const node = new FakeNode(1_000);
    node.open(true);
    const entry = node.maps(true);
    expect(goDown(node, entry, 900, write).faults).toBeLessThan(20);
    expect(entry.table.size).toBe(901);
  }
});

test('and asks for what is not, before it is there', () => {
  const node = new FakeNode(1_000);
  node.open(false);
  const entry = node.maps(false);
  for (const page of [900, 899]) node.step({ type: 'fault', entry, page, write: false, atNs: 0n });
  const asked = node
    .step({ type: 'fault', entry, page: 898, write: false, atNs: 0n })
    .flatMap((action) => (action.type === 'ahead' ? action.wanted : []));
  expect(Math.min(...asked.map(({ firstPage }) => firstPage))).toBeLessThan(898 - 16);
  expect(asked.every(({ firstPage, pageCount }) => firstPage + pageCount <= 899)).toBe(true);
});
