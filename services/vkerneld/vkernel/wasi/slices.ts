// The bytes of a guest's slices, by way of a buffer that is not shared: no view of guest memory goes to a system call.

import type { GuestSlice } from './guest-memory.ts';
import type { System } from './system.ts';

/** What is copied at once. A transfer to or from a file takes as many of these as it needs. */
export const bounceBytes = 1 << 20;
export const bounce = new Uint8Array(bounceBytes);

/** The same bytes, in lists that fit the buffer. */
export function* pieces(slices: readonly GuestSlice[], pieceBytes = bounceBytes): Generator<GuestSlice[]> {
  let piece: GuestSlice[] = [];
  let room = pieceBytes;
  for (const { at, length } of slices) {
    for (let done = 0; done < length; ) {
      const part = Math.min(length - done, room);
      piece.push({ at: at + done, length: part });
      done += part;
      room -= part;
      if (room > 0) continue;
      yield piece;
      piece = [];
      room = pieceBytes;
    }
  }
  if (piece.length > 0) yield piece;
}

export function totalBytes(slices: readonly GuestSlice[]): number {
  let sum = 0;
  for (const { length } of slices) sum += length;
  return sum;
}

/** Of slices that fit the buffer. */
export function gather(system: System, slices: readonly GuestSlice[]): Uint8Array<ArrayBuffer> {
  let filled = 0;
  for (const slice of slices) {
    bounce.set(system.memory.view(slice.at, slice.length), filled);
    filled += slice.length;
  }
  system.memory.expectRunning();
  return bounce.subarray(0, filled);
}

export function scatter(system: System, slices: readonly GuestSlice[], bytes: Uint8Array): void {
  let done = 0;
  for (const slice of slices) {
    if (done === bytes.length) return;
    const length = Math.min(slice.length, bytes.length - done);
    system.memory.copyIn(slice.at, bytes.subarray(done, done + length));
    done += length;
  }
}
