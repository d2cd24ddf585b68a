// How the backing store orders what is stored of one page: by the epoch of the shard's leader, then by the version of the
// copy, then by whether anybody can still write at that version. Later is greater.
//
// The epoch comes first because a leader that starts anew may not hear of a version: its owner died, or was paused with a
// sync under way. What the page gets next may have a version that is not above it.
import assert from 'node:assert/strict';
import type { PageState } from './page.ts';

/** Versions of one page under one leader. */
const VERSION_BITS = 39n;
/** Leaders of a shard. */
const EPOCH_BITS = 24n;

// A reader's copy is final: what the only writer of its version stored before is older. That one stores in order.
function isFinal(state: PageState): boolean {
  return state === 'SHARED' || state === 'SLAVE';
}

/** @param state of the copy that is stored, at its holder */
export function storedVersionOf(epoch: bigint, version: number, state: PageState): bigint {
  assert(epoch >= 0n && epoch >> EPOCH_BITS === 0n, `epoch ${epoch} is too large to be stored`);
  assert(
    version >= 0 && BigInt(version) >> VERSION_BITS === 0n,
    `version ${version} is too large to be stored`,
  );
  return (epoch << (VERSION_BITS + 1n)) | (BigInt(version) << 1n) | (isFinal(state) ? 1n : 0n);
}

/** The version of the copy that was stored. */
export function versionOfStored(stored: bigint): number {
  return Number((stored >> 1n) & ((1n << VERSION_BITS) - 1n));
}
