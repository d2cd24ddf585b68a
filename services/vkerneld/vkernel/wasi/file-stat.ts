// fd_filestat_* and path_filestat_*: what is known about a file, and its times.

import { type BigIntStats, type Dirent, fstatSync, lstatSync } from 'node:fs';
import {
  type Filestat,
  Filetype,
  Fstflags,
  filestatBytes,
  Lookupflags,
  Rights,
  storeFilestat,
} from './abi.ts';
import { placeAt } from './above-grants.ts';
import { clockNs } from './clock.ts';
import {
  type Descriptor,
  type DescriptorTable,
  type DirectoryDescriptor,
  isMounted,
  isOfHost,
} from './descriptor-table.ts';
import { Errno, WasiError } from './errno.ts';
import { type FileTimes, setTimes } from './file-times.ts';
import { hidesNothing } from './hidden.ts';
import { hostCalls, isPlain } from './host-calls.ts';
import { descriptorNamed, inodeOfDevice } from './mounts/devices.ts';
import { descriptorBehind } from './mounts/open-place.ts';
import { descriptorPath, type PathLookup, withPath } from './path-lookup.ts';
import { type Calls, mountedOf, type System } from './system.ts';

export function statCalls(system: System): Calls {
  const { memory, descriptors } = system;
  return {
    fd_filestat_get: (fd: number, at: number) => {
      const descriptor = descriptors.get(fd, Rights.fdFilestatGet);
      storeFilestat(memory, at, statOf(system, descriptor));
    },
    fd_filestat_set_times: (fd: number, atimNs: bigint, mtimNs: bigint, flags: number) => {
      const times = fileTimes(atimNs, mtimNs, flags);
      const descriptor = descriptors.get(fd, Rights.fdFilestatSetTimes);
      if (isMounted(descriptor))
        return void mountedOf(system).ask({ op: 'set-times', handle: descriptor.handle, ...times });
      if (!isOfHost(descriptor) || descriptor.kind === 'socket') throw new WasiError(Errno.inval);
      if (descriptor.readOnly) throw new WasiError(Errno.rofs);
      setTimes(Buffer.from(descriptorPath(descriptor.host)), times, true);
    },
    path_filestat_get: (fd: number, flags: number, pathAt: number, pathLength: number, at: number) => {
      memory.expectWritable(at, filestatBytes);
      const path = memory.path(pathAt, pathLength);
      const place = placeAt(descriptors, fd, Rights.pathFilestatGet, path);
      if ('above' in place) return storeFilestat(memory, at, { ...noStat, filetype: Filetype.directory });
      if ('device' in place) return storeFilestat(memory, at, statOfDevice(system, place.device));
      if ('at' in place) return storeFilestat(memory, at, mountedOf(system).statPath(place, flags));
      const { directory, path: rest } = place;
      const follows = (flags & Lookupflags.symlinkFollow) !== 0;
      const found = statAtOnce(descriptors, directory, rest, follows);
      if (found !== undefined) return memory.copyIn(at, found);
      const stat = withPath(directory.host, rest, (lookup) => statAt(lookup, flags, rest));
      storeFilestat(memory, at, filestatOf(stat));
    },
    path_filestat_set_times: (
      fd: number,
      flags: number,
      pathAt: number,
      pathLength: number,
      atimNs: bigint,
      mtimNs: bigint,
      timeFlags: number,
    ) => {
      const path = memory.path(pathAt, pathLength);
      const times = fileTimes(atimNs, mtimNs, timeFlags);
      const place = placeAt(descriptors, fd, Rights.pathFilestatSetTimes, path);
      if ('at' in place) {
        const follow = (flags & Lookupflags.symlinkFollow) !== 0;
        return void mountedOf(system).ask({ op: 'set-times-path', ...place, follow, ...times });
      }
      if (!('directory' in place)) throw new WasiError('above' in place ? Errno.noent : Errno.rofs);
      const { directory, path: rest } = place;
      withPath(directory.host, rest, (lookup) => {
        statAt(lookup, flags, rest);
        if (directory.readOnly) throw new WasiError(Errno.rofs);
        setTimes(lookup.hostPath, times, lookup.isDirectoryItself);
      });
    },
  };
}

/** A record `filestat`; undefined: the path is to be walked, for an error at the latest. */
function statAtOnce(
  descriptors: DescriptorTable,
  directory: DirectoryDescriptor,
  path: string,
  follows: boolean,
): Uint8Array | undefined {
  if (!hidesNothing() || !isPlain(path)) return undefined;
  const calls = hostCalls(descriptors.limits);
  const filetype = calls?.statBelow(directory.host, path, descriptors.opened);
  if (filetype === undefined || (follows && filetype === Filetype.symbolicLink)) return undefined;
  return calls!.filestat(filetype);
}

/** Finds what a path names, through links at its end where the flags or a slash say so. */
export function statAt(lookup: PathLookup, flags: number, path: string): BigIntStats {
  const follow = (flags & Lookupflags.symlinkFollow) !== 0 || path.endsWith('/');
  for (;;) {
    const stat = lookup.isDirectoryItself
      ? fstatSync(lookup.directory, { bigint: true })
      : lstatSync(lookup.hostPath, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) throw new WasiError(Errno.noent);
    if (stat.isSymbolicLink() && follow && lookup.followLink()) continue;
    if (lookup.mustBeDirectory && !stat.isDirectory()) throw new WasiError(Errno.notdir);
    return stat;
  }
}

function statOf(system: System, descriptor: Descriptor): Filestat {
  if (isOfHost(descriptor)) return filestatOf(fstatSync(descriptor.host, { bigint: true }));
  if (isMounted(descriptor)) return mountedOf(system).stat(descriptor.handle);
  const ino = descriptor.kind === 'device' ? inodeOfDevice(descriptor.device) : 0n;
  return { ...noStat, ino, filetype: filetypeOf(descriptor) };
}

/** Of a name in /dev: a device, or what the descriptor is that it stands for. */
function statOfDevice(system: System, name: string): Filestat {
  const fd = descriptorNamed(name);
  if (fd === undefined) return { ...noStat, ino: inodeOfDevice(name), filetype: Filetype.characterDevice };
  return statOf(system, descriptorBehind(system.descriptors, fd));
}

/** Of what is no file of the host, but for its kind. */
const noStat: Omit<Filestat, 'filetype'> = {
  dev: 0n,
  ino: 0n,
  nlink: 1n,
  size: 0n,
  atimNs: 0n,
  mtimNs: 0n,
  ctimNs: 0n,
};

export function filestatOf(stat: BigIntStats): Filestat {
  return {
    dev: stat.dev,
    ino: stat.ino,
    filetype: statFiletype(stat),
    nlink: stat.nlink,
    size: stat.size,
    atimNs: stat.atimeNs,
    mtimNs: stat.mtimeNs,
    ctimNs: stat.ctimeNs,
  };
}

export function statFiletype(stat: BigIntStats | Dirent | Dirent<Buffer>): number {
  if (stat.isFile()) return Filetype.regularFile;
  if (stat.isDirectory()) return Filetype.directory;
  if (stat.isSymbolicLink()) return Filetype.symbolicLink;
  if (stat.isCharacterDevice()) return Filetype.characterDevice;
  if (stat.isBlockDevice()) return Filetype.blockDevice;
  if (stat.isSocket()) return Filetype.socketStream;
  return Filetype.unknown;
}

export function filetypeOf(descriptor: Descriptor): number {
  switch (descriptor.kind) {
    case 'stream':
      // A pipe has no type in WASI. A terminal is known by this one, and by rights without seek and tell.
      return descriptor.isTerminal ? Filetype.characterDevice : Filetype.unknown;
    case 'file':
      return descriptor.filetype;
    case 'socket':
      return Filetype.socketStream;
    case 'device':
      return Filetype.characterDevice;
    case 'mounted-file':
      return descriptor.filetype;
    case 'directory':
    case 'nowhere':
    case 'mounted-folder':
      return Filetype.directory;
  }
}

/** EINVAL when a time is to be set to both a value and now. */
function fileTimes(atimNs: bigint, mtimNs: bigint, flags: number): FileTimes {
  const nowNs = clockNs(0);
  return {
    atimNs: chosenTime(atimNs, flags & Fstflags.atim, flags & Fstflags.atimNow, nowNs),
    mtimNs: chosenTime(mtimNs, flags & Fstflags.mtim, flags & Fstflags.mtimNow, nowNs),
  };
}

function chosenTime(valueNs: bigint, set: number, setNow: number, nowNs: bigint): bigint | undefined {
  if (set && setNow) throw new WasiError(Errno.inval);
  if (set) return BigInt.asUintN(64, valueNs);
  return setNow ? nowNs : undefined;
}
