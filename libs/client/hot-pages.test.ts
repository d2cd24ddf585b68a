import { describe, expect, it } from 'vitest';
import { sharingOf, spansOf } from './hot-pages.ts';

/** @param at numbers of words */
function words(...at: number[]): Uint8Array {
  const bits = new Uint8Array(64);
  for (const word of at) bits[word >> 3]! |= 1 << (word & 7);
  return bits;
}
const reads = (pid: bigint, ...at: number[]) => ({
  node: 'node1',
  user: { pid, other: 0, write: false, words: words(...at) },
});
const writes = (pid: bigint, ...at: number[]) => ({
  node: 'node1',
  user: { pid, other: 0, write: true, words: words(...at) },
});

describe('sharing', () => {
  it.each([
    ['alone', [writes(1n, 0)]],
    ['alone', [writes(1n, 0), reads(1n, 0)]],
    ['reads', [reads(1n, 0), reads(2n, 0)]],
    ['true', [writes(1n, 0), writes(2n, 0)]],
    ['true', [writes(1n, 0, 511), reads(2n, 511)]],
    ['true', [reads(1n, 3), writes(2n, 3)]],
    ['false', [writes(1n, 0), writes(2n, 1)]],
    ['false', [writes(1n, 0), reads(2n, 511), reads(1n, 5)]],
    ['unknown', [writes(1n, 0), reads(2n)]],
    ['unknown', [writes(1n), writes(2n)]],
  ] as const)('is %s', (sharing, users) => {
    expect(sharingOf(users)).toBe(sharing);
    expect(sharingOf(users.toReversed())).toBe(sharing);
  });

  it('tells processes of others apart where it may', () => {
    const one = (node: string, other: number, word = 0) => ({
      node,
      user: { pid: 0n, other, write: true, words: words(word) },
    });
    expect(sharingOf([one('node1', 1), one('node1', 1)])).toBe('alone');
    expect(sharingOf([one('node1', 1), one('node1', 2)])).toBe('true');
    expect(sharingOf([one('node1', 1), one('node2', 1, 5)])).toBe('false');
  });

  it('is not known where others are told together', () => {
    const others = { node: 'node1', user: { pid: 0n, other: 0, write: true, words: words() } };
    expect(sharingOf([others])).toBe('unknown');
    expect(sharingOf([others, writes(1n, 0)])).toBe('unknown');
    expect(sharingOf([others, writes(1n, 0), reads(2n, 0)])).toBe('true');
  });
});

it('words are spans of bytes', () => {
  expect(spansOf(words())).toEqual([]);
  expect(spansOf(words(0, 1, 2, 9, 511))).toEqual([
    [0, 24],
    [72, 80],
    [4088, 4096],
  ]);
});
