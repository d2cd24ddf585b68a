// Moves bytes between guest memory and descriptors: files by system calls on the memory itself, as far as its pages are there; the
// others, and all else, through a buffer that is not shared.

import { fstatSync, readSync, writeSync } from 'node:fs';
import { fitting } from '../home-growth.ts';
import { Fdflags } from './abi.ts';
import type { Descriptor, FileDescriptor, PositionedDescriptor } from './descriptor-table.ts';
import { Errno, hostCodeOf, WasiError } from './errno.ts';
import type { GuestSlice } from './guest-memory.ts';
import { hostCalls, TRANSFER } from './host-calls.ts';
import { writeDevice } from './mounts/devices.ts';
import { readFromDevice, readMounted, writeMounted } from './mounts/transfer.ts';
import { bounce, bounceBytes, gather, pieces, scatter, totalBytes } from './slices.ts';
import { readSocket, writeSocket } from './socket-calls.ts';
import { type System, sleep } from './system.ts';

/** More than that in one call takes a while, in which the thread cannot be ended. */
export const directBytesMax = 1 << 24;
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
  const wanted = totalBytes(slices);
  if (wanted === 0) return 0;
  for (const slice of slices) system.memory.expectWritable(slice.at, slice.length);
  switch (descriptor.kind) {
    case 'stream': {
      // Only standard input can be read; the others are there, but have nothing.
      if (descriptor.stream !== 0) throw new WasiError(Errno.badf);
      const bytes = system.streams.read(
        Math.min(wanted, bounceBytes),
        (descriptor.flags & Fdflags.nonblock) !== 0,
      );
      scatter(system, slices, bytes);
      return bytes.length;
    }
    case 'socket':
      return readSocket(system, descriptor, slices);
    case 'file':
      return inOrder(system, descriptor, offset, () => readFile(system, descriptor, slices, wanted, offset));
    case 'device':
      return readFromDevice(system, descriptor, slices);
    case 'mounted-file':
      return inOrder(system, descriptor, offset, () =>
        readMounted(system, descriptor, slices, wanted, offset),
      );
    case 'directory':
    case 'nowhere':
    case 'mounted-folder':
      throw new WasiError(Errno.isdir);
  }
}

/** Transfers of several threads at the position of one file come one after another. */
function inOrder(
  system: System,
  file: PositionedDescriptor,
  offset: bigint | undefined,
  transfer: () => number,
): number {
  if (offset !== undefined || (file.kind === 'file' && !file.seekable)) return transfer();
  const letGo = system.descriptors.holdPosition(file);
  try {
    return transfer();
  } finally {
    letGo();
  }
}

/** All of it, as far as the file goes: few programs read again what they have read whole everywhere else. */
function readFile(
  system: System,
  file: FileDescriptor,
  slices: readonly GuestSlice[],
  wanted: number,
  offset: bigint | undefined,
): number {
  let done = 0;
  const [only] = slices;
  const from = file.seekable ? Number(offset ?? file.positionBytes) : Number.NaN;
  if (from <= Number.MAX_SAFE_INTEGER && slices.length === 1 && wanted <= directBytesMax) {
    const n = moveItself(system, 'read', file, only!, from);
    if (n !== undefined) {
      if (offset === undefined) file.positionBytes = BigInt(from + n);
      if (n === wanted || n === 0) return n;
      done = n;
      slices = [{ at: only!.at + n, length: wanted - n }];
    }
  }
  for (const piece of pieces(slices)) {
    const length = totalBytes(piece);
    const at = file.seekable ? (offset === undefined ? file.positionBytes : offset + BigInt(done)) : null;
    let n: number;
    try {
      n = unlessBusy(file, () => readSync(file.host, bounce, 0, length, at));
    } catch (error) {
      // What was read is read; the error comes again with the next call.
      if (done === 0 || hostCodeOf(error) === undefined) throw error;
      return done;
    }
    scatter(system, piece, bounce.subarray(0, n));
    if (offset === undefined) file.positionBytes += BigInt(n);
    done += n;
    // A pipe or device gives what it has.
    if (n < length || done === wanted || !file.seekable) return done;
  }
  return done;
}

/**
 * What is left of a read that came short: at the end of the file, or at a page of the guest that is not there.
 * @returns the bytes read; 0 also where the host refuses, which it says again at the next read
 */
export function readRest(system: System, file: FileDescriptor, rest: GuestSlice, position: number): number {
  try {
    return readFile(system, file, [rest], rest.length, BigInt(position));
  } catch (error) {
    if (hostCodeOf(error) === undefined) throw error;
    return 0;
  }
}

/** The bytes moved, of a read 0 at the end; undefined where it goes by a copy. */
function moveItself(
  { memory, descriptors }: System,
  call: 'read' | 'write',
  file: FileDescriptor,
  { at, length }: GuestSlice,
  position: number,
): number | undefined {
  const calls = hostCalls(descriptors.limits, TRANSFER);
  if (calls !== undefined) {
    const moved = calls[call](file.host, memory.addressOf(at, length, calls.addressOf), length, position);
    return moved < 0 ? undefined : moved;
  }
  try {
    const bytes = memory.itself(at, length);
    if (call === 'read') return readSync(file.host, bytes, at, length, position);
    return writeSync(file.host, bytes, at, length, position);
  } catch (error) {
    if (mayGoByCopy(error)) return undefined;
    throw error;
  }
}

/** Somebody's page was in the way of a system call, or something else; a copy tells which. */
const mayGoByCopy = (error: unknown): boolean =>
  hostCodeOf(error) !== undefined || (error as NodeJS.ErrnoException).code === 'EFAULT';

/** Writes all, unless something fails on the way. Returns the bytes written. */
export function writeSlices(
  system: System,
  descriptor: Descriptor,
  slices: readonly GuestSlice[],
  offset: bigint | undefined,
): number {
  switch (descriptor.kind) {
    case 'stream': {
      if (descriptor.stream === 0) throw new WasiError(Errno.badf);
      for (const piece of pieces(slices)) system.streams.write(descriptor.stream, gather(system, piece));
      return totalBytes(slices);
    }
    case 'socket':
      return writeSocket(system, descriptor, slices);
    case 'file':
      return inOrder(system, descriptor, offset, () => writeFile(system, descriptor, slices, offset));
    case 'device': {
      const length = totalBytes(slices);
      for (const slice of slices) system.memory.expectReadable(slice.at, slice.length);
      return writeDevice(descriptor.device, length);
    }
    case 'mounted-file':
      return inOrder(system, descriptor, offset, () => writeMounted(system, descriptor, slices, offset));
    case 'directory':
    case 'nowhere':
    case 'mounted-folder':
      throw new WasiError(Errno.badf);
  }
}

function writeFile(
  system: System,
  file: FileDescriptor,
  slices: readonly GuestSlice[],
  offset: bigint | undefined,
): number {
  let done = 0;
  const [only] = slices;
  if (slices.length === 1 && only!.length <= directBytesMax && isLent(system, file, only!)) {
    const n = moveItself(system, 'write', file, only!, hostPosition(offset ?? file.positionBytes));
    if (n !== undefined) {
      if (offset === undefined) moveOn(file, n);
      if (n === only!.length) return n;
      done = n;
      slices = [{ at: only!.at + n, length: only!.length - n }];
    }
  }
  for (const piece of pieces(slices)) {
    const bytes = gather(system, piece);
    for (let from = 0; from < bytes.length; ) {
      const rest = bytes.subarray(from);
      let n: number;
      try {
        const at = file.seekable
          ? hostPosition(offset === undefined ? file.positionBytes : offset + BigInt(done))
          : null;
        n = growing(system, file, at, rest, (part) =>
          unlessBusy(file, () => writeSync(file.host, part, 0, part.length, at)),
        );
      } catch (error) {
        // As for a full disk: what is written counts, and the next write hears of it.
        if (done === 0 || (hostCodeOf(error) === undefined && !(error instanceof WasiError))) throw error;
        return done;
      }
      if (offset === undefined && file.seekable) moveOn(file, n);
      from += n;
      done += n;
    }
  }
  return done;
}

/** What is counted goes by pieces. */
const isLent = (
  { memory, descriptors: { limits } }: System,
  file: FileDescriptor,
  { at, length }: GuestSlice,
): boolean => file.seekable && memory.lends(at, length) && !(file.counted && limits?.countsHome);

/** What makes a file of the home longer is counted; as on a disk that is almost full, what there is room for is written. */
function growing(
  { descriptors: { limits } }: System,
  file: FileDescriptor,
  at: number | null,
  bytes: Uint8Array,
  write: (bytes: Uint8Array) => number,
): number {
  if (!file.counted || at === null || !limits?.countsHome) return write(bytes);
  const { size } = fstatSync(file.host, { bigint: true });
  const appends = (file.flags & Fdflags.append) !== 0;
  const { fits, grows } = fitting(limits, size, appends ? size : BigInt(at), bytes.length);
  return limits.growing(grows, () => write(bytes.subarray(0, fits)));
}

function moveOn(file: FileDescriptor, written: number): void {
  const appends = (file.flags & Fdflags.append) !== 0;
  file.positionBytes = appends
    ? fstatSync(file.host, { bigint: true }).size
    : file.positionBytes + BigInt(written);
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
