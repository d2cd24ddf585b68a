// Limits, hostile neighbours, lives and drains, one router at a time. Graphs of many: libs/simulator/routes.
import { describe, expect, test } from 'vitest';
import {
  HOPS_MAX,
  LINKS_MAX,
  type LinkMessage,
  NAMES_MAX,
  ROUTES_MAX,
  type Statement,
} from './advertisement.ts';
import { RouteTable } from './route-table.ts';

const says = (router: number, more: Partial<Statement> = {}): Statement => ({
  ...{ router, name: `r${router}`, epoch: 1, sequence: 1, names: [`at-${router}`] },
  ...more,
});

type Told = Extract<LinkMessage<Statement>, { type: 'routes' }>['targets'][number];

/** Router 1 with links 2, 3, ... to routers of that number; each has told of itself. */
function table(...neighbours: number[]) {
  const made = new RouteTable(says(1), 0);
  for (const link of neighbours) {
    made.step({ type: 'linkUp', link, neighbour: link });
    tell(made, link, 1, [{ router: link, statement: says(link), routes: [{ path: [link], tie: 0 }] }], true);
  }
  return made;
}

const tell = (to: RouteTable<Statement>, link: number, serial: number, targets: Told[], all = false) =>
  to.step({ type: 'received', link, message: { type: 'routes', serial, all, more: false, targets } });

const far = (router: number, ...path: number[]): Told => ({
  ...{ router, statement: says(router), routes: [{ path: [...path, router], tie: 0 }] },
});

/** What a neighbour is told in one tick, by target: the ways. */
function toldTo(of: RouteTable<Statement>, link: number): Record<number, string[]> {
  const told: Record<number, string[]> = {};
  for (const action of of.step({ type: 'tick' })) {
    if (action.type !== 'send' || action.link !== link || action.message.type !== 'routes') continue;
    for (const { router, routes } of action.message.targets)
      told[router] = routes.map(({ path }) => path.join('-'));
  }
  return told;
}

describe('a neighbour that breaks a rule loses its link', () => {
  const long = Array.from({ length: HOPS_MAX }, (_, i) => 100 + i);
  test.each<[string, Told]>([
    ['a way that begins elsewhere', far(9, 3)],
    ['a way that ends elsewhere', { ...far(9, 2), routes: [{ path: [2, 8], tie: 0 }] }],
    ['a circle', far(9, 2, 5, 2)],
    ['too many hops', far(9, 2, ...long)],
    [
      'too many ways',
      { ...far(9, 2), routes: Array.from({ length: ROUTES_MAX + 1 }, () => ({ path: [2, 9], tie: 0 })) },
    ],
    ['no statement', { ...far(9, 2), statement: undefined }],
    ['the statement of another', { ...far(9, 2), statement: says(8) }],
    ['too many names', { ...far(9, 2), statement: says(9, { names: Array(NAMES_MAX + 1).fill('x') }) }],
  ])('%s', (_, told) => {
    const router = table(2, 3);
    expect(tell(router, 2, 2, [told])).toMatchObject([{ type: 'end', link: 2, why: 'hostile' }]);
    expect(router.ways(2)).toEqual([]);
    expect(router.ways(3)).toHaveLength(1);
  });
});

test('more links than there may be, and one to itself, are refused', () => {
  const router = table();
  for (let link = 0; link < LINKS_MAX; link++)
    expect(router.step({ type: 'linkUp', link, neighbour: 100 + link })).toEqual([]);
  expect(router.step({ type: 'linkUp', link: 999, neighbour: 999 })).toMatchObject([{ why: 'full' }]);
  expect(table().step({ type: 'linkUp', link: 5, neighbour: 1 })).toMatchObject([{ why: 'full' }]);
});

test('a way through this router is none, and nobody is told a way through themselves', () => {
  const router = table(2, 3);
  tell(router, 2, 2, [far(9, 2, 1, 3)]);
  expect(router.ways(9)).toEqual([]);
  tell(router, 2, 3, [far(9, 2, 3)]);
  expect(router.ways(9)).toHaveLength(1);
  expect(toldTo(router, 3)).not.toHaveProperty('9');
});

test('the longest way is used, and not told on', () => {
  const router = table(2, 3);
  const between = Array.from({ length: HOPS_MAX - 2 }, (_, i) => 100 + i);
  tell(router, 2, 2, [far(9, 2, ...between)]);
  expect(router.ways(9)[0]?.path).toHaveLength(HOPS_MAX);
  expect(toldTo(router, 3)).not.toHaveProperty('9');
});

test('a later life is believed, whatever is still told of the earlier one', () => {
  const router = table(2, 3);
  tell(router, 2, 2, [far(9, 2)]);
  tell(router, 3, 2, [{ ...far(10, 3), statement: says(10, { name: 'r9', epoch: 2 }) }]);
  expect(router.ways(9)).toEqual([]);
  expect(router.ways(10)).toHaveLength(1);
  // It was the last word of that life.
  tell(router, 3, 3, [{ router: 10, routes: [] }]);
  expect(router.ways(9)).toHaveLength(1);
});

test('who drains has no names, and leads nowhere', () => {
  const router = table(2, 3);
  expect(toldTo(router, 3)).toEqual({ 1: ['1'], 2: ['1-2'] });
  router.step({ type: 'stated', statement: says(1, { sequence: 2, names: [] }) });
  router.step({ type: 'drain' });
  expect(toldTo(router, 3)).toEqual({ 1: ['1'], 2: [] });
});

test('what was lost is asked for until it comes, and nothing of it is believed meanwhile', () => {
  const router = table(2);
  tell(router, 2, 3, [far(9, 2)]);
  const again = () =>
    router.step({ type: 'tick' }).filter((a) => a.type === 'send' && a.message.type === 'again');
  expect(again()).toHaveLength(1);
  expect(router.ways(9)).toEqual([]);
  router.step({ type: 'received', link: 2, message: { type: 'alive', serial: 3 } });
  expect(again()).toHaveLength(1);
  tell(router, 2, 4, [far(9, 2)], true);
  expect(again()).toEqual([]);
  expect(router.ways(9)).toHaveLength(1);
  expect(router.ways(2)).toEqual([]); // not in the whole of it
});
