import { expect, test } from 'vitest';
import { asTree } from './ps.ts';

test('each process stands below its parent; whose parent is not shown begins a tree', () => {
  const processes = [
    { pid: 1_00001n, parent: 0n },
    { pid: 1_00002n, parent: 1n },
    { pid: 2_00001n, parent: 1_00001n },
    { pid: 2_00002n, parent: 9_00009n },
    { pid: 3_00001n, parent: 2_00001n },
  ];
  expect(asTree(processes).map(({ process, depth }) => `${process.pid} ${depth}`)).toEqual([
    '100001 0',
    '200001 1',
    '300001 2',
    '100002 0',
    '200002 0',
  ]);
});
