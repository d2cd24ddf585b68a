import { Code } from '@odonata/rpc/error.ts';
import { expect, test } from 'vitest';
import { foldersForChild, foldersOf } from './granted-folders.ts';

const on = (node: string) => ({ node, user: 'alice' });
const dir = (guestPath: string, node = '', hostPath = '/h') => ({
  hostPath,
  guestPath,
  readOnly: false,
  node,
});
const asked = (dirs: ReturnType<typeof dir>[], homeNode = '') => ({ dirs, homeNode, bare: false });

test('folders of its own node are as without a name of a node; a home elsewhere is one more', () => {
  const dirs = foldersOf(asked([dir('/a', 'node1'), dir('/b', 'node2'), dir('/c')], 'node3'), on('node1'));
  expect(dirs).toEqual([
    { hostPath: '/h', guestPath: '/a', readOnly: false },
    { hostPath: '/h', guestPath: '/b', readOnly: false, node: 'node2' },
    { hostPath: '/h', guestPath: '/c', readOnly: false },
    { hostPath: '', guestPath: '/home/alice', readOnly: false, node: 'node3', home: true },
  ]);
  expect(foldersOf(asked([], 'node1'), on('node1'))).toEqual([]);
  expect(foldersOf(asked([dir('/home/alice')], 'node2'), on('node1'))).toHaveLength(1);
});

test('a child has what its parent has, also a child of that child, back where it all is', () => {
  const parent = foldersOf(asked([dir('/a'), dir('/b', 'node2')]), on('node1'));
  const sent = foldersForChild(parent, 'node1', true);
  const child = foldersOf({ ...sent, bare: false, dirs: sent.dirs }, on('node2'));
  expect(child.map(({ guestPath, node, home }) => [guestPath, node, home])).toEqual([
    ['/a', 'node1', undefined],
    ['/b', undefined, undefined],
    ['/home/alice', 'node1', true],
  ]);
  const again = foldersForChild(child, 'node2', true);
  const back = foldersOf({ ...again, bare: false, dirs: again.dirs }, on('node1'));
  // The home is its node's own.
  expect(back.map(({ guestPath, node }) => [guestPath, node])).toEqual([
    ['/a', undefined],
    ['/b', 'node2'],
  ]);
  expect(again.homeNode).toBe('node1');
  expect(foldersOf({ ...sent, bare: true, dirs: sent.dirs }, on('node2'))).toHaveLength(2);
});

test('what would be hidden is refused', () => {
  for (const dirs of [
    [dir('/a'), dir('/a/b', 'node2')],
    [dir('.'), dir('/b', 'node2')],
    [dir('/', 'node2'), dir('/b', 'node2', '/i')],
    [dir('/b', 'node2', 'relative')],
  ])
    expect(() => foldersOf(asked(dirs), on('node1'))).toThrow(
      expect.objectContaining({ code: Code.InvalidArgument }),
    );
  expect(foldersOf(asked([dir('/a', 'node2'), dir('/a/b', 'node3')]), on('node1'))).toHaveLength(2);
});
