// Opens what a path names beneath a directory of the host, as path_open asks for it.

import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { ENTRY_BYTES, type Limits } from '../limits.ts';
import { directoryRights, Filetype, fileRights, Oflags, Rights, streamRights, writingRights } from './abi.ts';
import type { Descriptor, DescriptorTable, DirectoryDescriptor } from './descriptor-table.ts';
import { Errno, hostCodeOf, WasiError } from './errno.ts';
import { hostAccess, hostFlags } from './file-calls.ts';
import { statFiletype } from './file-stat.ts';
import { hidesNothing } from './hidden.ts';
import { hostCalls, isPlain } from './host-calls.ts';
import { accessAsked, type OpenRequest } from './open-request.ts';
import { expectOfGrant, type PathLookup } from './path-lookup.ts';

/** What the umask of the virtual kernel leaves of it. */
const newFileMode = 0o666;

function isLink(lookup: PathLookup): boolean {
  return (
    !lookup.isDirectoryItself &&
    lstatSync(lookup.hostPath, { throwIfNoEntry: false })?.isSymbolicLink() === true
  );
}

/** @throws WasiError, and what node:fs throws */
export function openHost(
  directory: DirectoryDescriptor,
  lookup: PathLookup,
  request: OpenRequest,
  limits?: Limits,
): Descriptor {
  const { reads, writes } = accessAsked(request);
  const open = () => openThroughLinks(directory, lookup, request, hostAccess(reads, writes));
  const changes = (request.oflags & (Oflags.creat | Oflags.trunc)) !== 0 && !lookup.isDirectoryItself;
  const host =
    directory.counted && limits?.countsHome && changes ? openCounted(lookup, request, limits, open) : open();
  const stat = fstatSync(host, { bigint: true });
  expectOfGrant(lookup.directory, host, Number(stat.dev));
  try {
    return describe(directory, host, statFiletype(stat), request, writes);
  } catch (error) {
    closeSync(host);
    throw error;
  }
}

/** A file, where the kernel finds it below the directory by itself; undefined: the path is to be walked, for an error at the latest. */
export function openAtOnce(
  descriptors: DescriptorTable,
  directory: DirectoryDescriptor,
  path: string,
  request: OpenRequest,
): Descriptor | undefined {
  const { oflags, fdflags } = request;
  const { limits, ownsFiles, opened } = descriptors;
  if (!ownsFiles || !hidesNothing() || !isPlain(path) || oflags & Oflags.directory) return undefined;
  const { reads, writes } = accessAsked(request);
  const changes = (oflags & (Oflags.creat | Oflags.trunc)) !== 0;
  if ((directory.readOnly && (writes || changes)) || (directory.counted && changes)) return undefined;
  const calls = hostCalls(limits);
  if (calls === undefined) return undefined;
  let flags = hostAccess(reads, writes) | constants.O_NOFOLLOW | hostFlags(fdflags);
  if (oflags & Oflags.trunc) flags |= constants.O_TRUNC;
  if (oflags & Oflags.creat) flags |= constants.O_CREAT;
  if (oflags & Oflags.excl) flags |= constants.O_EXCL;
  const host = calls.openAt(directory.host, path, flags, newFileMode, opened);
  if (host < 0) return undefined;
  const filetype = calls.statAt(host, '');
  const file = filetype === undefined ? undefined : describe(directory, host, filetype, request, writes);
  if (file?.kind === 'file') {
    file.ours = calls;
    return file;
  }
  calls.close(host, opened);
  return undefined;
}

/** In the home: what is new takes room, what is cut off gives it back. */
function openCounted(
  lookup: PathLookup,
  { oflags }: OpenRequest,
  limits: Limits,
  open: () => number,
): number {
  const there = lstatSync(lookup.hostPath, { bigint: true, throwIfNoEntry: false });
  const host = limits.growing(there === undefined ? ENTRY_BYTES : 0n, open);
  if ((oflags & Oflags.trunc) !== 0 && there?.isFile()) limits.grow(-there.size);
  return host;
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
  filetype: number,
  request: OpenRequest,
  writes: boolean,
): Descriptor {
  const { readOnly, counted = false, lostInheriting: lost = 0n } = directory;
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
      counted,
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
    counted,
  };
}
