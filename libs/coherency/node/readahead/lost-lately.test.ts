// What a node read and lost to a writer elsewhere comes back with its next fault, as long as it is used.
import { expect, test } from 'vitest';
import { type Action, type FakeMapping, FakeNode, Values } from '../testdata/fake-node.ts';
import { LOST_LATELY_MAX, LostLately } from './lost-lately.ts';

const PAGES = 200;
const run = (firstPage: number, pageCount = 1) => ({ dataspace: 1n, firstPage, pageCount });

/** A node whose process reads pages that others write. */
class Reader {
  readonly node = new FakeNode(PAGES);
  readonly mapping: FakeMapping;
  private version = 1;

  constructor() {
    this.node.open(false);
    this.mapping = this.node.maps(true);
  }

  fault(page: number): Action[] {
    return this.node.step({ type: 'fault', entry: this.mapping, page, write: false, atNs: 0n });
  }

  /** As asked for. */
  arrive(page: number): void {
    const data = {
      type: 'data',
      run: run(page),
      state: 'SLAVE',
      version: this.version,
      zero: false,
    } as const;
    this.node.step({ type: 'arrive', data, bytes: new Values([page]) });
  }

  read(page: number): void {
    this.fault(page);
    this.arrive(page);
  }

  lose(page: number): void {
    this.node.step({ type: 'invalidate', run: run(page), version: ++this.version, anew: false });
  }

  /** The runs that the fault brings along. */
  along(actions: Action[]): string[] {
    return actions.flatMap((action) =>
      action.type === 'ahead' && action.wanted.every((each) => each.neededPages === each.pageCount)
        ? action.wanted.map(({ firstPage, pageCount }) => `${firstPage}+${pageCount}`)
        : [],
    );
  }

  askAhead(actions: Action[]): void {
    for (const action of actions) if (action.type === 'ahead') this.node.step(action);
  }
}

test('what was read and lost comes along with the next fault, once', () => {
  const reader = new Reader();
  for (const page of [10, 50, 51, 100]) reader.read(page);
  for (const page of [51, 50, 10]) reader.lose(page);
  expect(reader.along(reader.fault(150))).toEqual(['10+1', '50+2']);
  expect(reader.along(reader.fault(190))).toEqual([]);
});

test('the page of the fault itself is asked for once', () => {
  const reader = new Reader();
  for (const page of [10, 50]) reader.read(page);
  for (const page of [10, 50]) reader.lose(page);
  expect(reader.along(reader.fault(50))).toEqual(['10+1']);
});

test('what came along and was lost unused does not come along again, what was used does', () => {
  const reader = new Reader();
  for (const page of [10, 50]) reader.read(page);
  for (const page of [10, 50]) reader.lose(page);
  const actions = reader.fault(150);
  reader.askAhead(actions);
  for (const page of [150, 10, 50]) reader.arrive(page);
  // It is here: the node serves this one by itself.
  expect(reader.fault(50)).toMatchObject([{ type: 'resolved', place: 'node' }]);
  for (const page of [10, 50]) reader.lose(page);
  expect(reader.along(reader.fault(190))).toEqual(['50+1']);
});

test('what the node writes, and what it gives to a reader, does not come along', () => {
  const reader = new Reader();
  reader.read(10);
  reader.node.step({ type: 'fault', entry: reader.mapping, page: 10, write: true, atNs: 0n });
  reader.lose(10);
  expect(reader.along(reader.fault(150))).toEqual([]);
});

test('a bound holds, and the oldest go first', () => {
  const lately = new LostLately();
  for (let page = 0; page < 3 * LOST_LATELY_MAX; page++) lately.lost(page);
  lately.lost(2 * LOST_LATELY_MAX);
  expect(lately.size).toBe(LOST_LATELY_MAX);
  expect(lately.take(PAGES)).toEqual([{ firstPage: 2 * LOST_LATELY_MAX, pageCount: LOST_LATELY_MAX }]);
  expect(lately.size).toBe(0);
});
