// fd_*: what is done with an open descriptor, but its directory listing and its times.
//
// The position of a file is kept here, not in the host: node:fs has no lseek(2), and reads and writes at a position.

import { constants, fdatasyncSync, fstatSync, fsyncSync, openSync } from 'node:fs';
import { setSizeCounted } from '../home-growth.ts';
import { Fdflags, Rights, storeFdstat, Whence } from './abi.ts';
import {
  type Descriptor,
  type DescriptorTable,
  type DeviceDescriptor,
  type FileDescriptor,
  isDirectory,
  isMounted,
  isOfHost,
  type PositionedDescriptor,
} from './descriptor-table.ts';
import { Errno, WasiError } from './errno.ts';
import { filetypeOf } from './file-stat.ts';
import { readSlices, writeSlices } from './file-transfer.ts';
import { guestSlices } from './guest-memory.ts';
import { descriptorPath } from './path-lookup.ts';
import { type Calls, mountedOf, type System } from './system.ts';

const positionMax = (1n << 63n) - 1n;
const adviceMax = 5;

export function fileCalls(system: System): Calls {
  const { memory, descriptors } = system;

  return {
    fd_close: (fd: number) => descriptors.close(fd),
    fd_renumber: (from: number, to: number) => descriptors.renumber(from, to),
    fd_read: (fd: number, slicesAt: number, count: number, readAt: number) => {
      memory.expectWritable(readAt, 4);
      const slices = guestSlices(memory, slicesAt, count);
      memory.setU32(readAt, readSlices(system, readable(descriptors, fd), slices, undefined));
    },
    fd_pread: (fd: number, slicesAt: number, count: number, offset: bigint, readAt: number) => {
      memory.expectWritable(readAt, 4);
      const slices = guestSlices(memory, slicesAt, count);
      const file = positioned(readable(descriptors, fd, Rights.fdSeek));
      memory.setU32(readAt, readSlices(system, file, slices, position(offset)));
    },
    fd_write: (fd: number, slicesAt: number, count: number, writtenAt: number) => {
      memory.expectWritable(writtenAt, 4);
      const slices = guestSlices(memory, slicesAt, count);
      memory.setU32(writtenAt, writeSlices(system, writable(descriptors, fd), slices, undefined));
    },
    fd_pwrite: (fd: number, slicesAt: number, count: number, offset: bigint, writtenAt: number) => {
      memory.expectWritable(writtenAt, 4);
      const slices = guestSlices(memory, slicesAt, count);
      const file = positioned(writable(descriptors, fd, Rights.fdSeek));
      memory.setU32(writtenAt, writeSlices(system, file, slices, position(offset)));
    },
    fd_seek: (fd: number, offset: bigint, whence: number, positionAt: number) => {
      memory.expectWritable(positionAt, 8);
      // Where it is may be asked with either right.
      const asks = whence === Whence.cur && offset === 0n;
      const lost = descriptors.get(fd).lost ?? 0n;
      if ((lost & Rights.fdSeek) !== 0n && !(asks && (lost & Rights.fdTell) === 0n))
        throw new WasiError(Errno.notcapable);
      const file = positioned(descriptors.get(fd));
      // As Linux has it: a device is always at its beginning.
      if (file.kind === 'device') return memory.setU64(positionAt, 0n);
      const letGo = descriptors.holdPosition(file);
      try {
        const target = targetOf(system, file, offset, whence);
        file.positionBytes = target;
        memory.setU64(positionAt, target);
      } finally {
        letGo();
      }
    },
    fd_tell: (fd: number, positionAt: number) => {
      const file = positioned(descriptors.get(fd, Rights.fdTell));
      memory.setU64(positionAt, file.kind === 'device' ? 0n : file.positionBytes);
    },
    fd_sync: (fd: number) => {
      const descriptor = descriptors.get(fd, Rights.fdSync);
      if (isMounted(descriptor)) mountedOf(system).ask({ op: 'sync', handle: descriptor.handle });
      if (isOfHost(descriptor) && descriptor.kind !== 'socket') fsyncSync(descriptor.host);
    },
    fd_datasync: (fd: number) => {
      const descriptor = descriptors.get(fd, Rights.fdDatasync);
      if (isMounted(descriptor)) mountedOf(system).ask({ op: 'sync', handle: descriptor.handle });
      if (isOfHost(descriptor) && descriptor.kind !== 'socket') fdatasyncSync(descriptor.host);
    },
    fd_advise: (fd: number, offset: bigint, length: bigint, advice: number) => {
      const descriptor = descriptors.get(fd, Rights.fdAdvise);
      if (advice > adviceMax || offset < 0n || length < 0n) throw new WasiError(Errno.inval);
      if (descriptor.kind === 'stream' || descriptor.kind === 'socket') throw new WasiError(Errno.spipe);
    },
    fd_allocate: (fd: number, offset: bigint, length: bigint) => {
      const file = seekable(writable(descriptors, fd, Rights.fdAllocate));
      const end = position(offset) + position(length);
      if (length === 0n) throw new WasiError(Errno.inval);
      if (file.kind === 'mounted-file') return mountedOf(system).allocate(file.handle, end);
      // The bytes count as there; the host finds blocks for them when they are written.
      if (fstatSync(file.host, { bigint: true }).size < end) setSize(descriptors, file, end);
    },
    fd_filestat_set_size: (fd: number, size: bigint) => {
      const descriptor = descriptors.get(fd, Rights.fdFilestatSetSize);
      if (descriptor.kind === 'mounted-file') {
        writable(descriptors, fd, Rights.fdFilestatSetSize);
        return mountedOf(system).setSize(descriptor.handle, position(size));
      }
      if (descriptor.kind !== 'file' || !descriptor.seekable) throw new WasiError(Errno.inval);
      writable(descriptors, fd, Rights.fdFilestatSetSize);
      setSize(descriptors, descriptor, position(size));
    },
    fd_fdstat_get: (fd: number, at: number) => {
      const descriptor = descriptors.get(fd);
      storeFdstat(memory, at, {
        filetype: filetypeOf(descriptor),
        flags: descriptor.flags,
        rights: descriptor.rights,
        inheriting: descriptor.inheriting,
      });
    },
    fd_fdstat_set_flags: (fd: number, flags: number) => {
      const descriptor = descriptors.get(fd, Rights.fdFdstatSetFlags);
      if ((flags & ~Fdflags.all) !== 0) throw new WasiError(Errno.inval);
      if (descriptor.kind === 'file') setFileFlags(descriptors, descriptor, flags);
      else descriptor.flags = flags;
    },
    fd_fdstat_set_rights: (fd: number, rights: bigint, inheriting: bigint) => {
      const descriptor = descriptors.get(fd);
      // Rights can only be given away.
      if ((rights & ~descriptor.rights) !== 0n || (inheriting & ~descriptor.inheriting) !== 0n) {
        throw new WasiError(Errno.notcapable);
      }
      descriptor.lost = (descriptor.lost ?? 0n) | (descriptor.rights & ~rights);
      descriptor.lostInheriting = (descriptor.lostInheriting ?? 0n) | (descriptor.inheriting & ~inheriting);
      descriptor.rights = rights;
      if (descriptor.kind === 'file') descriptor.may = undefined;
      descriptor.inheriting = inheriting;
    },
  };
}

function setSize({ limits }: DescriptorTable, { host, counted }: FileDescriptor, size: bigint): void {
  setSizeCounted(counted ? limits : undefined, host, hostSize(size));
}

/** Where a seek leads to. */
function targetOf(system: System, file: PositionedDescriptor, offset: bigint, whence: number): bigint {
  let from: bigint;
  if (whence === Whence.set) from = 0n;
  else if (whence === Whence.cur) from = file.positionBytes;
  else if (whence === Whence.end) from = sizeOf(system, file);
  else throw new WasiError(Errno.inval);
  const target = from + offset;
  if (target < 0n) throw new WasiError(Errno.inval);
  if (target > positionMax) throw new WasiError(Errno.overflow);
  return target;
}

export const sizeOf = (system: System, file: PositionedDescriptor): bigint =>
  file.kind === 'file'
    ? fstatSync(file.host, { bigint: true }).size
    : mountedOf(system).stat(file.handle).size;

/** @param rights that it takes besides that to read: who may not read at all hears what POSIX says, EBADF */
function readable(descriptors: DescriptorTable, fd: number, rights = 0n): Descriptor {
  const descriptor = descriptors.get(fd, rights);
  if (isDirectory(descriptor)) throw new WasiError(Errno.isdir);
  if ((descriptor.rights & Rights.fdRead) === 0n) throw new WasiError(Errno.badf);
  return descriptor;
}

/** @param rights as with `readable` */
function writable(descriptors: DescriptorTable, fd: number, rights = 0n): Descriptor {
  const descriptor = descriptors.get(fd, rights);
  if (isDirectory(descriptor) || (descriptor.rights & Rights.fdWrite) === 0n) {
    throw new WasiError(Errno.badf);
  }
  return descriptor;
}

/** ESPIPE for what has no position, EBADF for a directory. */
function seekable(descriptor: Descriptor): PositionedDescriptor {
  if (isDirectory(descriptor)) throw new WasiError(Errno.badf);
  if (descriptor.kind === 'mounted-file') return descriptor;
  if (descriptor.kind !== 'file' || !descriptor.seekable) throw new WasiError(Errno.spipe);
  return descriptor;
}

/** As `seekable`; and a device, wherever one is. */
const positioned = (descriptor: Descriptor): PositionedDescriptor | DeviceDescriptor =>
  descriptor.kind === 'device' ? descriptor : seekable(descriptor);

/** A file offset or size: an unsigned number that has to fit in a signed one. */
function position(value: bigint): bigint {
  if (value < 0n) throw new WasiError(Errno.inval);
  return value;
}

/** EFBIG above what node:fs can say. */
function hostSize(bytes: bigint): number {
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw new WasiError(Errno.fbig);
  return Number(bytes);
}

/** Node has no fcntl(2): the file is opened again, for it is the host that must append atomically. */
function setFileFlags(descriptors: DescriptorTable, file: FileDescriptor, flags: number): void {
  const changed = (file.flags ^ flags) & ~Fdflags.nonblock;
  if (changed !== 0 && file.seekable) {
    const reads = (file.rights & Rights.fdRead) !== 0n;
    const writes = (file.rights & Rights.fdWrite) !== 0n;
    const host = openSync(descriptorPath(file.host), hostAccess(reads, writes) | hostFlags(flags));
    descriptors.replaceHost(file, host);
  }
  file.flags = flags;
}

export function hostAccess(reads: boolean, writes: boolean): number {
  if (writes) return reads ? constants.O_RDWR : constants.O_WRONLY;
  return constants.O_RDONLY;
}

/** The flags of open(2). Never a call that blocks: a thread that waits in the host cannot be ended. */
export function hostFlags(flags: number): number {
  let host = constants.O_NONBLOCK | constants.O_NOCTTY;
  if (flags & Fdflags.append) host |= constants.O_APPEND;
  if (flags & Fdflags.dsync) host |= constants.O_DSYNC;
  if (flags & (Fdflags.sync | Fdflags.rsync)) host |= constants.O_SYNC;
  return host;
}
