// Bytes between guest memory and what is no descriptor of the host: devices, and files in mounts of the virtual kernel.

import { Fdflags } from '../abi.ts';
import type { DeviceDescriptor, MountedFileDescriptor } from '../descriptor-table.ts';
import { WasiError } from '../errno.ts';
import type { GuestSlice } from '../guest-memory.ts';
import { bounce, gather, pieces, scatter, totalBytes } from '../slices.ts';
import { mountedOf, type System } from '../system.ts';
import { readDevice } from './devices.ts';
import { transferBytesMax } from './mounted-files.ts';

export function readFromDevice(
  system: System,
  { device }: DeviceDescriptor,
  slices: readonly GuestSlice[],
): number {
  let done = 0;
  for (const piece of pieces(slices)) {
    const length = totalBytes(piece);
    const read = readDevice(device, bounce.subarray(0, length));
    scatter(system, piece, bounce.subarray(0, read));
    done += read;
    if (read < length) break;
  }
  return done;
}

/** All of it, as far as the file goes. */
export function readMounted(
  system: System,
  file: MountedFileDescriptor,
  slices: readonly GuestSlice[],
  wanted: number,
  offset: bigint | undefined,
): number {
  const begin = offset ?? file.positionBytes;
  let done = 0;
  for (const piece of pieces(slices, transferBytesMax)) {
    const length = totalBytes(piece);
    let bytes: Uint8Array;
    try {
      bytes = mountedOf(system).read(file.handle, begin + BigInt(done), length);
    } catch (error) {
      // What was read is read; the error comes again with the next call.
      if (done === 0 || !(error instanceof WasiError)) throw error;
      break;
    }
    scatter(system, piece, bytes);
    done += bytes.length;
    if (bytes.length < length || done === wanted) break;
  }
  if (offset === undefined) file.positionBytes = begin + BigInt(done);
  return done;
}

/** All of it, unless there is no room. */
export function writeMounted(
  system: System,
  file: MountedFileDescriptor,
  slices: readonly GuestSlice[],
  offset: bigint | undefined,
): number {
  const appends = (file.flags & Fdflags.append) !== 0;
  const begin = offset ?? file.positionBytes;
  let done = 0;
  for (const piece of pieces(slices, transferBytesMax)) {
    const bytes = gather(system, piece);
    try {
      const at = appends ? undefined : begin + BigInt(done);
      const { written, endBytes } = mountedOf(system).write(file.handle, at, bytes);
      done += written;
      if (offset === undefined) file.positionBytes = endBytes;
      if (written < bytes.length) break;
    } catch (error) {
      if (done === 0 || !(error instanceof WasiError)) throw error;
      break;
    }
  }
  return done;
}
