// path_*: open, create, link, rename, remove; each beneath a directory that the program holds (see path-lookup.ts).

import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import {
  directoryRights,
  Fdflags,
  Filetype,
  fileRights,
  Lookupflags,
  Oflags,
  Rights,
  readingRights,
  streamRights,
  writesAsked,
  writingRights,
} from './abi.ts';
import { placeAt } from './above-grants.ts';
import type { Descriptor, DirectoryDescriptor } from './descriptor-table.ts';
import { aboveGrants } from './directory-calls.ts';
import { Errno, hostCodeOf, WasiError } from './errno.ts';
import { hostAccess, hostFlags } from './file-calls.ts';
import { statAt, statFiletype } from './file-stat.ts';
import { expectOfGrant, type PathLookup, withPath } from './path-lookup.ts';
import type { Calls, System } from './system.ts';

/** What the umask of the virtual kernel leaves of it. */
const newFileMode = 0o666;
const newDirectoryMode = 0o777;

interface OpenRequest {
  readonly follow: boolean;
  readonly oflags: number;
  readonly rights: bigint;
  readonly inheriting: bigint;
  readonly fdflags: number;
}

export function pathCalls(system: System): Calls {
  const { memory, descriptors } = system;

  /** A directory in which something is to be made or removed. */
  function changeable(fd: number, right: bigint): DirectoryDescriptor {
    const directory = descriptors.directory(fd, right);
    if (directory.readOnly) throw new WasiError(Errno.rofs);
    return directory;
  }

  return {
    path_open: (
      fd: number,
      lookupFlags: number,
      pathAt: number,
      pathLength: number,
      oflags: number,
      rights: bigint,
      inheriting: bigint,
      fdflags: number,
      openedAt: number,
    ) => {
      memory.expectWritable(openedAt, 4);
      const path = memory.path(pathAt, pathLength);
      const place = placeAt(descriptors, fd, rightsToOpen(oflags), path);
      descriptors.expectRoom();
      if ('above' in place) {
        // Nothing can be made there, nor written.
        if (oflags & (Oflags.creat | Oflags.trunc)) throw new WasiError(Errno.isdir);
        if (isEmptyName(path, oflags, inheriting)) throw new WasiError(Errno.noent);
        memory.setU32(openedAt, descriptors.add(aboveGrants(place.above)));
        return;
      }
      const { directory } = place;
      const follow = (lookupFlags & Lookupflags.symlinkFollow) !== 0 || path.endsWith('/');
      const request = { follow, oflags, rights, inheriting, fdflags };
      const opened = withPath(directory.host, place.path, (lookup) => open(directory, lookup, request));
      memory.setU32(openedAt, descriptors.add(opened));
    },
    path_create_directory: (fd: number, pathAt: number, pathLength: number) => {
      const path = memory.path(pathAt, pathLength);
      const directory = changeable(fd, Rights.pathCreateDirectory);
      withPath(directory.host, path, (lookup) => {
        if (lookup.isDirectoryItself) throw new WasiError(Errno.exist);
        mkdirSync(lookup.hostPath, newDirectoryMode);
      });
    },
    path_remove_directory: (fd: number, pathAt: number, pathLength: number) => {
      const path = memory.path(pathAt, pathLength);
      const directory = changeable(fd, Rights.pathRemoveDirectory);
      withPath(directory.host, path, (lookup) => {
        if (lookup.isDirectoryItself) throw new WasiError(lookup.endsInParent ? Errno.notempty : Errno.inval);
        rmdirSync(lookup.hostPath);
      });
    },
    path_unlink_file: (fd: number, pathAt: number, pathLength: number) => {
      const path = memory.path(pathAt, pathLength);
      const directory = changeable(fd, Rights.pathUnlinkFile);
      withPath(directory.host, path, (lookup) => {
        if (lookup.isDirectoryItself) throw new WasiError(Errno.isdir);
        expectDirectoryWhereNamedSo(lookup);
        unlinkSync(lookup.hostPath);
      });
    },
    path_rename: (
      fromFd: number,
      fromAt: number,
      fromLength: number,
      toFd: number,
      toAt: number,
      toLength: number,
    ) => {
      const from = memory.path(fromAt, fromLength);
      const to = memory.path(toAt, toLength);
      const source = changeable(fromFd, Rights.pathRenameSource);
      const target = changeable(toFd, Rights.pathRenameTarget);
      withPath(source.host, from, (old) =>
        withPath(target.host, to, (fresh) => {
          if (old.isDirectoryItself || fresh.isDirectoryItself) throw new WasiError(Errno.busy);
          expectDirectoryWhereNamedSo(old);
          if (fresh.mustBeDirectory && !lstatSync(old.hostPath).isDirectory()) {
            throw new WasiError(Errno.notdir);
          }
          renameSync(old.hostPath, fresh.hostPath);
        }),
      );
    },
    path_link: (
      fromFd: number,
      lookupFlags: number,
      fromAt: number,
      fromLength: number,
      toFd: number,
      toAt: number,
      toLength: number,
    ) => {
      const from = memory.path(fromAt, fromLength);
      const to = memory.path(toAt, toLength);
      // Not even the source may be read-only: through its new name the file could be written.
      const source = changeable(fromFd, Rights.pathLinkSource);
      const target = changeable(toFd, Rights.pathLinkTarget);
      withPath(source.host, from, (old) =>
        withPath(target.host, to, (fresh) => {
          const stat = statAt(old, lookupFlags, from);
          expectNothingThere(fresh);
          if (stat.isDirectory()) throw new WasiError(Errno.perm);
          linkSync(old.hostPath, fresh.hostPath);
        }),
      );
    },
    path_symlink: (
      targetAt: number,
      targetLength: number,
      fd: number,
      pathAt: number,
      pathLength: number,
    ) => {
      const target = memory.path(targetAt, targetLength);
      const path = memory.path(pathAt, pathLength);
      const directory = changeable(fd, Rights.pathSymlink);
      if (target === '') throw new WasiError(Errno.noent);
      if (target.includes('\0')) throw new WasiError(Errno.inval);
      // The program could not follow it, but others on the host would.
      if (target.startsWith('/')) throw new WasiError(Errno.perm);
      withPath(directory.host, path, (lookup) => {
        expectNothingThere(lookup);
        symlinkSync(Buffer.from(target, 'latin1'), lookup.hostPath);
      });
    },
    path_readlink: (
      fd: number,
      pathAt: number,
      pathLength: number,
      at: number,
      length: number,
      usedAt: number,
    ) => {
      memory.expectWritable(at, length);
      memory.expectWritable(usedAt, 4);
      const path = memory.path(pathAt, pathLength);
      const directory = descriptors.directory(fd, Rights.pathReadlink);
      const target = withPath(directory.host, path, (lookup) => {
        if (lookup.mustBeDirectory) {
          // A slash goes through the link: what is behind it is a directory, or the error.
          statAt(lookup, Lookupflags.symlinkFollow, path);
          throw new WasiError(Errno.inval);
        }
        return readlinkSync(lookup.hostPath, 'buffer');
      });
      // As readlink(2): what does not fit is cut off.
      const part = target.subarray(0, length);
      memory.copyIn(at, part);
      memory.setU32(usedAt, part.length);
    },
  };
}

/**
 * A C library makes "." of an empty name, as it does of "/", and the first has to be ENOENT. Who means the second asks for a directory;
 * Go does not, but it makes nothing of an empty name, and does not ask what is inherited, which a C library passes on as it is.
 */
function isEmptyName(path: string, oflags: number, inheriting: bigint): boolean {
  return path === '.' && (oflags & Oflags.directory) === 0 && inheriting === Rights.all;
}

function rightsToOpen(oflags: number): bigint {
  let rights = Rights.pathOpen;
  if (oflags & Oflags.creat) rights |= Rights.pathCreateFile;
  if (oflags & Oflags.trunc) rights |= Rights.pathFilestatSetSize;
  return rights;
}

function isLink(lookup: PathLookup): boolean {
  return (
    !lookup.isDirectoryItself &&
    lstatSync(lookup.hostPath, { throwIfNoEntry: false })?.isSymbolicLink() === true
  );
}

/** ENOTDIR where a path with a slash at its end names something else. */
function expectDirectoryWhereNamedSo(lookup: PathLookup): void {
  if (lookup.mustBeDirectory && !lstatSync(lookup.hostPath).isDirectory()) throw new WasiError(Errno.notdir);
}

/** A name that is to be made: as the kernel does, EEXIST where something is, then ENOENT for a slash after nothing. */
function expectNothingThere(lookup: PathLookup): void {
  if (lookup.isDirectoryItself || lstatSync(lookup.hostPath, { throwIfNoEntry: false }) !== undefined) {
    throw new WasiError(Errno.exist);
  }
  if (lookup.mustBeDirectory) throw new WasiError(Errno.noent);
}

function open(directory: DirectoryDescriptor, lookup: PathLookup, request: OpenRequest): Descriptor {
  const { oflags, rights, fdflags } = request;
  if (oflags & ~Oflags.all || fdflags & ~Fdflags.all) throw new WasiError(Errno.inval);
  const wantsDirectory = (oflags & Oflags.directory) !== 0;
  if (wantsDirectory && oflags & (Oflags.creat | Oflags.excl | Oflags.trunc)) {
    throw new WasiError(Errno.inval);
  }
  // The other rights to write are what its files inherit.
  const writes = (rights & (wantsDirectory ? Rights.fdWrite : writesAsked)) !== 0n;
  const reads = wantsDirectory || !writes || (rights & readingRights) !== 0n;
  const host = openThroughLinks(directory, lookup, request, hostAccess(reads, writes));
  expectOfGrant(lookup.directory, host);
  try {
    return describe(directory, host, fstatSync(host, { bigint: true }), request, writes);
  } catch (error) {
    closeSync(host);
    throw error;
  }
}

/** Opens what a path names; returns the host's descriptor. */
function openThroughLinks(
  directory: DirectoryDescriptor,
  lookup: PathLookup,
  request: OpenRequest,
  access: number,
): number {
  const { oflags } = request;
  const creates = (oflags & Oflags.creat) !== 0;
  let flags = access | constants.O_NOFOLLOW | hostFlags(request.fdflags);
  if (oflags & Oflags.trunc) flags |= constants.O_TRUNC;
  if (directory.readOnly) {
    const truncates = (oflags & Oflags.trunc) !== 0;
    if (access !== constants.O_RDONLY || truncates) {
      if (!creates && !lookup.isDirectoryItself) lstatSync(lookup.hostPath); // ENOENT comes first
      throw new WasiError(Errno.rofs);
    }
  } else if (creates) {
    flags |= constants.O_CREAT;
    if (oflags & Oflags.excl) flags |= constants.O_EXCL;
  }
  for (;;) {
    try {
      if (lookup.isDirectoryItself) {
        // Through our own descriptor of it, which the kernel has to follow.
        if (creates) throw new WasiError(oflags & Oflags.excl ? Errno.exist : Errno.isdir);
        return openSync(lookup.hostPath, (flags & ~constants.O_NOFOLLOW) | constants.O_DIRECTORY);
      }
      if (lookup.mustBeDirectory && creates) throw new WasiError(Errno.isdir);
      const mustBeDirectory = oflags & Oflags.directory || lookup.mustBeDirectory;
      return openSync(lookup.hostPath, mustBeDirectory ? flags | constants.O_DIRECTORY : flags, newFileMode);
    } catch (error) {
      const code = hostCodeOf(error);
      if (code === 'ENOENT' && creates && directory.readOnly) throw new WasiError(Errno.rofs);
      // With O_DIRECTORY the host calls a link no directory.
      if (code !== 'ELOOP' && code !== 'ENOTDIR') throw error;
      if (!isLink(lookup)) throw error;
      if (!request.follow) throw new WasiError(Errno.loop);
      if (!lookup.followLink()) throw error;
    }
  }
}

function describe(
  directory: DirectoryDescriptor,
  host: number,
  stat: BigIntStats,
  request: OpenRequest,
  writes: boolean,
): Descriptor {
  const filetype = statFiletype(stat);
  const { readOnly, lostInheriting: lost = 0n } = directory;
  const flags = request.fdflags;
  if (filetype === Filetype.directory) {
    // The program may open for writing through it, so it inherits all rights that it asked for.
    return {
      kind: 'directory',
      host,
      preopen: undefined,
      listing: undefined,
      flags,
      rights: request.rights & (directoryRights | Rights.fdRead) & ~lost,
      inheriting: request.inheriting & directory.inheriting,
      lost,
      lostInheriting: lost,
      readOnly,
    };
  }
  const seekable = filetype === Filetype.regularFile || filetype === Filetype.blockDevice;
  let rights = request.rights & (seekable ? fileRights : streamRights) & ~lost;
  if (!writes) rights &= ~writingRights;
  return {
    kind: 'file',
    host,
    filetype,
    seekable,
    positionBytes: 0n,
    flags,
    rights,
    inheriting: request.inheriting & directory.inheriting,
    lost,
    readOnly,
  };
}
