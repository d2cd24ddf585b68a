// Moves bytes between guest memory and descriptors, through a buffer that is not shared.

import { fstatSync, readSync, writeSync } from 'node:fs';
import { Fdflags } from './abi.ts';
import type { Descriptor, FileDescriptor } from './descriptor-table.ts';
import { Errno, hostCodeOf, WasiError } from './errno.ts';
import type { GuestSlice } from './guest-memory.ts';
import { type System, sleep } from './system.ts';

/** A transfer is cut to this; a program has to expect a short one. */
const transferBytesMax = 1 << 20;
const bounce = new Uint8Array(transferBytesMax);

/** How long to wait before a pipe or device is asked again: first, and at most. */
const retryFirstMs = 0.2;
const retryMaxMs = 20;

/** Reads at `offset`, or at the position when it is undefined. Returns the bytes read, 0 at the end. */
export function readSlices(
  system: System,
  descriptor: Descriptor,
  slices: readonly GuestSlice[],
  offset: bigint | undefined,
): number {
  const wanted = Math.min(totalBytes(slices), transferBytesMax);
  if (wanted === 0) return 0;
  for (const slice of slices) system.memory.expectWritable(slice.at, slice.length);
  let bytes: Uint8Array;
  switch (descriptor.kind) {
    case 'stream':
      // Only standard input can be read; the others are there, but have nothing.
      if (descriptor.stream !== 0) throw new WasiError(Errno.badf);
      bytes = system.streams.read(wanted, (descriptor.flags & Fdflags.nonblock) !== 0);
      break;
    case 'file': {
      const at = descriptor.seekable ? (offset ?? descriptor.positionBytes) : null;
      const n = unlessBusy(descriptor, () => readSync(descriptor.host, bounce, 0, wanted, at));
      if (offset === undefined) descriptor.positionBytes += BigInt(n);
      bytes = bounce.subarray(0, n);
      break;
    }
    case 'directory':
      throw new WasiError(Errno.isdir);
  }
  scatter(system, slices, bytes);
  return bytes.length;
}

/** Writes at `offset`, or at the position when it is undefined. Returns the bytes written. */
export function writeSlices(
  system: System,
  descriptor: Descriptor,
  slices: readonly GuestSlice[],
  offset: bigint | undefined,
): number {
  switch (descriptor.kind) {
    case 'stream': {
      if (descriptor.stream === 0) throw new WasiError(Errno.badf);
      const bytes = gather(system, slices);
      system.streams.write(descriptor.stream, bytes);
      return bytes.length;
    }
    case 'file': {
      const bytes = gather(system, slices);
      if (bytes.length === 0) return 0;
      const at = descriptor.seekable ? hostPosition(offset ?? descriptor.positionBytes) : null;
      const n = unlessBusy(descriptor, () => writeSync(descriptor.host, bytes, 0, bytes.length, at));
      if (offset === undefined && descriptor.seekable) {
        const appends = (descriptor.flags & Fdflags.append) !== 0;
        descriptor.positionBytes = appends
          ? fstatSync(descriptor.host, { bigint: true }).size
          : descriptor.positionBytes + BigInt(n);
      }
      return n;
    }
    case 'directory':
      throw new WasiError(Errno.badf);
  }
}

function totalBytes(slices: readonly GuestSlice[]): number {
  return slices.reduce((sum, slice) => sum + slice.length, 0);
}

function gather(system: System, slices: readonly GuestSlice[]): Uint8Array<ArrayBuffer> {
  let filled = 0;
  for (const slice of slices) {
    const length = Math.min(slice.length, transferBytesMax - filled);
    if (length === 0) break;
    bounce.set(system.memory.view(slice.at, length), filled);
    filled += length;
  }
  system.memory.expectRunning();
  return bounce.subarray(0, filled);
}

function scatter(system: System, slices: readonly GuestSlice[], bytes: Uint8Array): void {
  let done = 0;
  for (const slice of slices) {
    if (done === bytes.length) return;
    const length = Math.min(slice.length, bytes.length - done);
    system.memory.copyIn(slice.at, bytes.subarray(done, done + length));
    done += length;
  }
}

/** EFBIG above what node:fs takes. */
function hostPosition(bytes: bigint): number {
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new WasiError(Errno.fbig);
  return Number(bytes);
}

/** Host descriptors never block; where the program asked for one that does, we wait in a way that can be ended. */
function unlessBusy(file: FileDescriptor, transfer: () => number): number {
  for (let retryMs = retryFirstMs; ; retryMs = Math.min(retryMs * 2, retryMaxMs)) {
    try {
      return transfer();
    } catch (error) {
      if (hostCodeOf(error) !== 'EAGAIN' || file.flags & Fdflags.nonblock) throw error;
      sleep(retryMs);
    }
  }
}
