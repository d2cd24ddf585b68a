// The shortest way of the calls that programs make most: a clock, and a read or write of one buffer from a file of the host. What all
// calls have around them (asImports) and each check that knows of all that there may be take longer than the clock itself, and half as
// long as the read of a page. So these look whether all is as it mostly is, and else leave the call to the usual way, undone.
//
//   a clock         is there, and its result has a place
//   a transfer      of one buffer, neither empty nor long, where the guest may have it; of a file with a position, whose rights were looked
//                   at (MAY), which no other process and no other thread has; the thread has calls of the host by now
//
// A thread that must end waits at their beginning, as in all calls, and once more where memory of the guest was read.
import { Clockid, Fdflags, Rights } from './abi.ts';
import { monotonicNs, realtimeNs } from './clock.ts';
import type { FileDescriptor } from './descriptor-table.ts';
import { directBytesMax, readRest } from './file-transfer.ts';
import { ownHostCalls } from './host-calls.ts';
import type { GuestFunction, System } from './system.ts';

/** Bits of `may` of a file. A position that is given takes the right to seek. */
const MAY = { read: 1, write: 2, readAt: 4, writeAt: 8 } as const;

type Way = 'read' | 'write';
type Usual = Readonly<Record<string, GuestFunction>>;

function lookAt({ seekable, rights, lost = 0n }: FileDescriptor): number {
  if (!seekable) return 0;
  const reads = (rights & Rights.fdRead) === 0n ? 0 : MAY.read | MAY.readAt;
  const writes = (rights & Rights.fdWrite) === 0n ? 0 : MAY.write | MAY.writeAt;
  const atPosition = (lost & Rights.fdSeek) === 0n ? 0 : MAY.readAt | MAY.writeAt;
  return (reads | writes) & ~atPosition;
}

/** Such a file, where that may be done with it. */
function fileFor({ descriptors }: System, fd: number, bit: number): FileDescriptor | undefined {
  const file = descriptors.ownFile(fd >>> 0);
  if (file === undefined) return undefined;
  file.may ??= lookAt(file);
  return (file.may & bit) === 0 ? undefined : file;
}

/** What is written may have to be counted, goes to the end of the file, or lies where it can be taken away. */
const isPlainWrite = (
  { memory, descriptors: { limits } }: System,
  file: FileDescriptor,
  at: number,
  length: number,
): boolean =>
  (file.flags & Fdflags.append) === 0 && !(file.counted && limits?.countsHome) && memory.lends(at, length);

/** Writes all of the buffer, or reads all of it as far as the file goes. @returns how many bytes; undefined: as if nothing had been done */
function move(system: System, way: Way, file: FileDescriptor, entry: number, position: number) {
  const { memory } = system;
  const calls = ownHostCalls();
  if (calls === undefined || !(position >= 0 && position <= Number.MAX_SAFE_INTEGER)) return undefined;
  const slice = memory.sliceTo(way === 'read' ? 'write' : 'read', entry >>> 0);
  if (slice === undefined) return undefined;
  const { at, length } = slice;
  if (length === 0 || length > directBytesMax) return undefined;
  if (way === 'write' && !isPlainWrite(system, file, at, length)) return undefined;
  const address = memory.addressOf(at, length, calls.addressOf);
  const moved = calls[way](file.host, address, length, position);
  if (moved === length || (moved === 0 && way === 'read')) return moved;
  if (moved < 0 || way === 'write') return undefined;
  // It may have changed what said where to: so that is not read again.
  return moved + readRest(system, file, { at: at + moved, length: length - moved }, position + moved);
}

function clock(system: System, usual: GuestFunction): GuestFunction {
  const { memory } = system;
  return (which, precision, at) => {
    const { gate } = memory;
    const place = Number(at) >>> 0;
    if ((which !== Clockid.monotonic && which !== Clockid.realtime) || !memory.mayWrite(place, 8))
      return usual(which!, precision!, at!);
    gate?.hold();
    memory.expectRunning();
    memory.transfers?.tell('SYSCALL', 'clock_time_get');
    memory.setU64(place, which === Clockid.monotonic ? monotonicNs() : realtimeNs());
    gate?.release();
    gate?.deliver();
    return 0;
  };
}

/** A transfer at a position that is given. */
function transferAt(system: System, name: 'fd_pread' | 'fd_pwrite', usual: GuestFunction): GuestFunction {
  const { memory } = system;
  const way = name === 'fd_pread' ? 'read' : 'write';
  const bit = name === 'fd_pread' ? MAY.readAt : MAY.writeAt;
  return (fd, slicesAt, count, offset, movedAt) => {
    const { gate } = memory;
    gate?.hold();
    memory.expectRunning();
    const place = Number(movedAt) >>> 0;
    const file = count === 1 && memory.mayWrite(place, 4) ? fileFor(system, Number(fd), bit) : undefined;
    const moved = file && move(system, way, file, Number(slicesAt), Number(offset));
    if (moved !== undefined) {
      memory.transfers?.tell('SYSCALL', name);
      memory.setU32(place, moved);
    }
    gate?.release();
    if (moved === undefined) return usual(fd!, slicesAt!, count!, offset!, movedAt!);
    gate?.deliver();
    return 0;
  };
}

/** A transfer at the position of the file, which moves on. */
function transfer(system: System, name: 'fd_read' | 'fd_write', usual: GuestFunction): GuestFunction {
  const { memory } = system;
  const way = name === 'fd_read' ? 'read' : 'write';
  const bit = name === 'fd_read' ? MAY.read : MAY.write;
  return (fd, slicesAt, count, movedAt) => {
    const { gate } = memory;
    gate?.hold();
    memory.expectRunning();
    const place = Number(movedAt) >>> 0;
    const file = count === 1 && memory.mayWrite(place, 4) ? fileFor(system, Number(fd), bit) : undefined;
    const position = Number(file?.positionBytes);
    const moved = file && move(system, way, file, Number(slicesAt), position);
    if (file !== undefined && moved !== undefined) {
      memory.transfers?.tell('SYSCALL', name);
      file.positionBytes = BigInt(position + moved);
      memory.setU32(place, moved);
    }
    gate?.release();
    if (moved === undefined) return usual(fd!, slicesAt!, count!, movedAt!);
    gate?.deliver();
    return 0;
  };
}

/** Of the usual calls, each that has a shorter way. */
export function quickCalls(system: System, usual: Usual): Usual {
  return {
    ...usual,
    clock_time_get: clock(system, usual.clock_time_get!),
    fd_pread: transferAt(system, 'fd_pread', usual.fd_pread!),
    fd_pwrite: transferAt(system, 'fd_pwrite', usual.fd_pwrite!),
    fd_read: transfer(system, 'fd_read', usual.fd_read!),
    fd_write: transfer(system, 'fd_write', usual.fd_write!),
  };
}
