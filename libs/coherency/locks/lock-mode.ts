// The modes of a range lock, and which of them may be held on one byte by two owners:
//
//            SHARED  EXCLUSIVE  MODIFYING      SHARED: many readers. EXCLUSIVE: one owner who reads.
//  SHARED      yes      no         no          MODIFYING: one owner who writes.
//  EXCLUSIVE   no       no         no
//  MODIFYING   no       no         no
export type LockMode = 'SHARED' | 'EXCLUSIVE' | 'MODIFYING';

/** Bytes [begin, end], end inclusive, and whose they are or shall be. */
export interface LockRange {
  owner: bigint;
  begin: bigint;
  end: bigint;
  mode: LockMode;
}

export function modesConflict(a: LockMode, b: LockMode): boolean {
  return a !== 'SHARED' || b !== 'SHARED';
}

/** Math.max and Math.min for offsets, which have more bits than a number. */
export const laterOf = (a: bigint, b: bigint): bigint => {
  if (a > b) return a;
  return b;
};
export const earlierOf = (a: bigint, b: bigint): bigint => {
  if (a < b) return a;
  return b;
};
