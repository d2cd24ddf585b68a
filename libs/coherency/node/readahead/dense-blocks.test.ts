// Blocks that are read at random come whole after some faults, once; what goes back and forth stays where it is.
import { expect, test } from 'vitest';
import { type Action, FakeNode, Values } from '../testdata/fake-node.ts';
import { DENSE_BLOCK_PAGES, DENSE_BLOCKS_MAX, DENSE_FAULTS, DenseBlocks } from './dense-blocks.ts';

const BLOCKS = 3;
const run = (firstPage: number, pageCount = 1) => ({ dataspace: 1n, firstPage, pageCount });
/** Of a block, far from each other; the first faults of all ask for neighbours as well. */
const STRAY = [0, 40, 20, 60, 10, 50, 30, 5];

function reader() {
  const node = new FakeNode(BLOCKS * DENSE_BLOCK_PAGES);
  node.open(false);
  const entry = node.maps(true);
  let version = 1;
  return {
    node,
    fault(page: number, write = false): Action[] {
      const actions = node.step({ type: 'fault', entry, page, write, atNs: 0n });
      const data = {
        type: 'data',
        run: run(page),
        state: write ? 'EXCLUSIVE' : 'SLAVE',
        version,
        zero: false,
      } as const;
      node.step({ type: 'arrive', data, bytes: new Values([page]) });
      return actions;
    },
    lose: (page: number) =>
      node.step({ type: 'invalidate', run: run(page), version: ++version, anew: false }),
  };
}

/** What a fault asks for beside its page, and needs. */
const along = (actions: Action[]): number[] =>
  actions.flatMap((action) =>
    action.type === 'ahead' && action.wanted.every((each) => each.neededPages === each.pageCount)
      ? action.wanted.flatMap(({ firstPage, pageCount }) =>
          Array.from({ length: pageCount }, (_, i) => firstPage + i),
        )
      : [],
  );

test('after some faults at random the rest of a block is asked for, once', () => {
  const { fault } = reader();
  const pages = STRAY.slice(0, DENSE_FAULTS).map((page) => page + DENSE_BLOCK_PAGES);
  const asked = pages.map((page) => along(fault(page)));
  expect(asked.slice(0, -1)).toEqual(pages.slice(1).map(() => []));
  const rest = asked.at(-1)!;
  expect(rest.every((page) => page >= DENSE_BLOCK_PAGES && page < 2 * DENSE_BLOCK_PAGES)).toBe(true);
  expect(new Set([...pages, ...rest]).size).toBe(DENSE_BLOCK_PAGES);
  expect(STRAY.slice(DENSE_FAULTS).flatMap((page) => along(fault(page + DENSE_BLOCK_PAGES)))).toEqual([]);
});

test('nothing is asked for by writes', () => {
  const writer = reader();
  expect(STRAY.flatMap((page) => along(writer.fault(page, true)))).toEqual([]);
});

test('a table that is written anew comes by blocks again', () => {
  const { fault, lose } = reader();
  for (let time = 0; time < 3; time++) {
    const asked = STRAY.slice(0, DENSE_FAULTS).map((page) => along(fault(page)));
    expect(new Set(asked.at(-1)).size).toBeGreaterThan(DENSE_BLOCK_PAGES / 2);
    for (const page of STRAY.slice(0, DENSE_FAULTS)) lose(page);
  }
});

test('what was brought and lost unused makes the next time dearer', () => {
  const dense = new DenseBlocks();
  const faults = (): number => {
    for (let count = 1; ; count++) if (dense.fault(0)) return count;
  };
  expect(faults()).toBe(DENSE_FAULTS);
  for (let page = 0; page < DENSE_BLOCK_PAGES / 4; page++) dense.lostUnused(page);
  expect(faults()).toBe(DENSE_FAULTS);
  for (let page = 0; page < DENSE_BLOCK_PAGES; page++) dense.lostUnused(page);
  expect(faults()).toBe(4 * DENSE_FAULTS);
});

test('it remembers so many blocks', () => {
  const dense = new DenseBlocks();
  const all = (): number[] =>
    Array.from({ length: DENSE_BLOCKS_MAX + 1 }, (_, block) => block).filter((block) =>
      dense.fault(block * DENSE_BLOCK_PAGES),
    );
  for (let i = 1; i < DENSE_FAULTS; i++) expect(all()).toEqual([]);
  // The one that was touched longest ago is forgotten at each step.
  expect(all()).toEqual([]);
  for (let i = 0; i < DENSE_FAULTS; i++) dense.fault(0);
  expect(dense.fault(0)).toBe(false);
});
