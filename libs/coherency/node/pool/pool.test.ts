// What becomes of pages that are to leave, and who is asked to take them.
import { expect, test } from 'vitest';
import type { PageState } from '../../page.ts';
import { isLodged, lodgedName, lodgerOf } from './lodged.ts';
import { roomForOthers } from './neighbours.ts';
import { NodePool, OFFER_PAGES_MAX, type PoolAction, WAITING_MAX } from './pool.ts';

const DATASPACE = 7n;
const states = new Map<number, PageState>();
const start = () => {
  states.clear();
  return new NodePool({ state: (_, page) => states.get(page) ?? 'MODIFIED' });
};
const leave = (pool: NodePool, pages: number[], nowMs = 0) =>
  pool.step({ type: 'leave', dataspace: DATASPACE, pages }, nowMs);
const two = (a: number, b: number) => ({
  type: 'neighbours' as const,
  neighbours: [
    { name: 'a', roomPages: a },
    { name: 'b', roomPages: b },
  ],
});
const pages = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const offered = (actions: PoolAction[]) =>
  actions.flatMap((action) => (action.type === 'offer' ? [[action.to, action.runs[0]!.pageCount]] : []));

test('who is there is asked for first; then whoever has most room is offered what is only here', () => {
  const pool = start();
  expect(leave(pool, pages(300))).toEqual([{ type: 'look' }]);
  // One at a time.
  expect(leave(pool, [300])).toEqual([]);
  expect(offered(pool.step(two(200, 400), 1))).toEqual([
    ['b', OFFER_PAGES_MAX],
    ['a', 45],
  ]);
  expect(pool.leavingPages).toBe(301);
});

test('a copy is spared, and offered only where it is here still when it is to leave once more', () => {
  const pool = start();
  pool.step(two(9, 9), 0);
  states.set(1, 'SLAVE').set(2, 'MASTER').set(3, 'INVALID');
  expect(leave(pool, [2, 1, 3])).toEqual([
    { type: 'spare', run: { dataspace: DATASPACE, firstPage: 1, pageCount: 2 } },
    { type: 'stay', dataspace: DATASPACE, pages: [2, 1, 3] },
  ]);
  pool.step({ type: 'gone', dataspace: DATASPACE, page: 1 }, 1);
  expect(offered(leave(pool, [2], 1))).toEqual([['a', 1]]);
  // It was gone: whoever has it again has a copy.
  expect(leave(pool, [1], 2).map(({ type }) => type)).toEqual(['spare', 'stay']);
});

test('who refused is left alone for a while, and what nobody takes stays', () => {
  const pool = start();
  pool.step(two(5, 0), 0);
  const [offer] = leave(pool, [1]);
  expect(offer).toMatchObject({ type: 'offer', to: 'a', offer: 1 });
  expect(pool.step({ type: 'refused', offer: 1 }, 1)).toEqual([
    { type: 'stay', dataspace: DATASPACE, pages: [1] },
  ]);
  expect(leave(pool, [1], 2)).toEqual([{ type: 'stay', dataspace: DATASPACE, pages: [1] }]);
  expect([pool.mayTake(2), pool.leavingPages]).toEqual([false, 0]);
  // A late answer changes nothing.
  expect(pool.step({ type: 'refused', offer: 1 }, 3)).toEqual([]);
  pool.step(two(5, 0), 3_000);
  expect(offered(leave(pool, [1], 3_000))).toEqual([['a', 1]]);
});

test('no more wait than may', () => {
  const pool = start();
  leave(pool, pages(WAITING_MAX));
  expect(leave(pool, [WAITING_MAX])).toEqual([{ type: 'stay', dataspace: DATASPACE, pages: [WAITING_MAX] }]);
});

test('a node that gives pages away takes none', () => {
  for (const freePages of pages(1_000)) {
    const room = roomForOthers({
      freePages,
      sharedRoomPages: Math.max(0, freePages - 250),
      totalPages: 1_000,
    });
    // Below an eighth it may begin to give them away.
    if (room > 0) expect(freePages - room).toBeGreaterThanOrEqual(250);
    if (freePages - 250 <= 125) expect(room).toBe(0);
  }
});

test('names of private memory', () => {
  const about = { node: 'node1', incarnation: 12n, vmspace: 3n };
  expect(lodgedName(about)).toBe('~node1/12/3');
  expect(lodgerOf('~node1/12/3')).toEqual(about);
  expect([isLodged('node1'), lodgerOf('~node1/x/3'), lodgerOf('node1')]).toEqual([
    false,
    undefined,
    undefined,
  ]);
});
