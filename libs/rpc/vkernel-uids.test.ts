// The uids of virtual kernels: derived, or chosen.
import { expect, test } from 'vitest';
import { isVkernelBase, isVkernelUid, VKERNELS_LIMIT, vkernelUids } from './vkernel-uids.ts';

const ALL = '0 0 4294967295';
const FEW = '0 100000 65536';

test('two nodes have different ones, and a container with few uids has some', () => {
  const ranges = ['/run/a/node1', '/run/a/node2'].map((dir) => vkernelUids(dir, 0, 0, ALL)!);
  expect(Math.abs(ranges[0]!.first - ranges[1]!.first)).toBeGreaterThanOrEqual(VKERNELS_LIMIT);
  expect(vkernelUids('/run/a/node1', 0, 0, FEW)!.first).toBeLessThan(65_000);
  expect(vkernelUids('/run/a/node1', 0, 1_000, ALL)).toBeUndefined();
});

test('those that somebody chose, where there are such; vkctl down knows them for what they are', () => {
  expect(vkernelUids('/run/a/node1', 2_000_000_000, 0, ALL)).toEqual({
    first: 2_000_000_000,
    count: VKERNELS_LIMIT,
  });
  expect(vkernelUids('/run/a/node1', 2_000_000_000, 0, FEW)).toBeUndefined();
  expect(isVkernelUid(2_000_000_000)).toBe(true);
  expect([1_000, 0, 65_534, 2_000_000_000, 40_000].map(isVkernelBase)).toEqual([
    false,
    false,
    false,
    true,
    true,
  ]);
});
