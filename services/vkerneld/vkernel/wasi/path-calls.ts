// path_*: open, create, link, rename, remove; each beneath a directory that the program holds (see path-lookup.ts).

import {
  linkSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { ENTRY_BYTES } from '../limits.ts';
import { Lookupflags, Oflags, Rights } from './abi.ts';
import { type Place, placeAt } from './above-grants.ts';
import type { DirectoryDescriptor } from './descriptor-table.ts';
import { aboveGrants } from './directory-calls.ts';
import { Errno, WasiError } from './errno.ts';
import { statAt } from './file-stat.ts';
import { openAtOnce, openHost } from './host-open.ts';
import type { FilePath } from './mounts/file-request.ts';
import { openDevice, openMounted } from './mounts/open-place.ts';
import { withPath } from './path-lookup.ts';
import { type Calls, mountedOf, type System } from './system.ts';

/** What the umask of the virtual kernel leaves of it. */
const newDirectoryMode = 0o777;

interface HostPlace {
  readonly directory: DirectoryDescriptor;
  readonly path: string;
}

export function pathCalls(system: System): Calls {
  const { memory, descriptors } = system;

  /** Where something is to be made or removed: in a mount, or in a directory of the host. */
  function changeable(fd: number, right: bigint, path: string): FilePath | HostPlace {
    const place = placeAt(descriptors, fd, right, path);
    if ('at' in place) return place;
    if (!('directory' in place)) throw new WasiError('above' in place ? Errno.noent : Errno.rofs);
    if (place.directory.readOnly) throw new WasiError(Errno.rofs);
    return place;
  }

  /** Of two, which have to be in one. */
  function both(
    from: FilePath | HostPlace,
    to: FilePath | HostPlace,
  ): { mounted: [FilePath, FilePath] } | { host: [HostPlace, HostPlace] } {
    if ('at' in from && 'at' in to) return { mounted: [from, to] };
    if ('directory' in from && 'directory' in to) return { host: [from, to] };
    throw new WasiError(Errno.xdev);
  }

  /** A new name in the home takes room. */
  const named = (directory: DirectoryDescriptor, make: () => void): void =>
    directory.counted && descriptors.limits !== undefined
      ? descriptors.limits.growing(ENTRY_BYTES, make)
      : make();

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
      const follow = (lookupFlags & Lookupflags.symlinkFollow) !== 0 || path.endsWith('/');
      const request = { follow, oflags, rights, inheriting, fdflags };
      const opened =
        'device' in place
          ? openDevice(system, place.device, request)
          : 'at' in place
            ? openMounted(system, fd, place, request)
            : (openAtOnce(descriptors, place.directory, place.path, request) ??
              withPath(place.directory.host, place.path, (lookup) =>
                openHost(place.directory, lookup, request, descriptors.limits),
              ));
      memory.setU32(openedAt, descriptors.add(opened));
    },
    path_create_directory: (fd: number, pathAt: number, pathLength: number) => {
      const path = memory.path(pathAt, pathLength);
      const place = changeable(fd, Rights.pathCreateDirectory, path);
      if ('at' in place) return void mountedOf(system).ask({ op: 'mkdir', ...place });
      withPath(place.directory.host, place.path, (lookup) => {
        if (lookup.isDirectoryItself) throw new WasiError(Errno.exist);
        named(place.directory, () => mkdirSync(lookup.hostPath, newDirectoryMode));
      });
    },
    path_remove_directory: (fd: number, pathAt: number, pathLength: number) => {
      const path = memory.path(pathAt, pathLength);
      const place = changeable(fd, Rights.pathRemoveDirectory, path);
      if ('at' in place) return void mountedOf(system).ask({ op: 'rmdir', ...place });
      withPath(place.directory.host, place.path, (lookup) => {
        if (lookup.isDirectoryItself) throw new WasiError(lookup.endsInParent ? Errno.notempty : Errno.inval);
        rmdirSync(lookup.hostPath);
      });
    },
    path_unlink_file: (fd: number, pathAt: number, pathLength: number) => {
      const path = memory.path(pathAt, pathLength);
      const place = changeable(fd, Rights.pathUnlinkFile, path);
      if ('at' in place) return void mountedOf(system).ask({ op: 'unlink', ...place });
      withPath(place.directory.host, place.path, (lookup) => {
        if (lookup.isDirectoryItself) throw new WasiError(Errno.isdir);
        lookup.expectDirectoryWhereNamedSo();
        const { counted } = place.directory;
        const gone = counted
          ? lstatSync(lookup.hostPath, { bigint: true, throwIfNoEntry: false })
          : undefined;
        unlinkSync(lookup.hostPath);
        if (gone?.nlink === 1n) descriptors.limits?.grow(-gone.size - ENTRY_BYTES);
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
      const places = both(
        changeable(fromFd, Rights.pathRenameSource, from),
        changeable(toFd, Rights.pathRenameTarget, to),
      );
      if ('mounted' in places) {
        const [source, target] = places.mounted;
        return void mountedOf(system).ask({ op: 'rename', from: source, to: target });
      }
      const [source, target] = places.host;
      withPath(source.directory.host, source.path, (old) =>
        withPath(target.directory.host, target.path, (fresh) => {
          if (old.isDirectoryItself || fresh.isDirectoryItself) throw new WasiError(Errno.busy);
          old.expectDirectoryWhereNamedSo();
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
      const places = both(
        changeable(fromFd, Rights.pathLinkSource, from),
        changeable(toFd, Rights.pathLinkTarget, to),
      );
      if ('mounted' in places) {
        const follow = (lookupFlags & Lookupflags.symlinkFollow) !== 0;
        const [source, target] = places.mounted;
        return void mountedOf(system).ask({ op: 'link', from: source, to: target, follow });
      }
      const [source, target] = places.host;
      withPath(source.directory.host, source.path, (old) =>
        withPath(target.directory.host, target.path, (fresh) => {
          const stat = statAt(old, lookupFlags, source.path);
          fresh.expectNothingThere();
          if (stat.isDirectory()) throw new WasiError(Errno.perm);
          named(target.directory, () => linkSync(old.hostPath, fresh.hostPath));
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
      const place = changeable(fd, Rights.pathSymlink, path);
      if (target === '') throw new WasiError(Errno.noent);
      if (target.includes('\0')) throw new WasiError(Errno.inval);
      // The program could not follow it, but others on the host would.
      if (target.startsWith('/')) throw new WasiError(Errno.perm);
      if ('at' in place) return void mountedOf(system).ask({ op: 'symlink', ...place, target });
      withPath(place.directory.host, place.path, (lookup) => {
        lookup.expectNothingThere();
        named(place.directory, () => symlinkSync(Buffer.from(target, 'latin1'), lookup.hostPath));
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
      const target = targetOf(system, placeAt(descriptors, fd, Rights.pathReadlink, path));
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

/** What a link leads to. */
function targetOf(system: System, place: Place): Uint8Array {
  if ('at' in place) return mountedOf(system).ask({ op: 'readlink', ...place });
  if (!('directory' in place)) throw new WasiError('above' in place ? Errno.noent : Errno.inval);
  const { directory, path } = place;
  return withPath(directory.host, path, (lookup) => {
    if (lookup.mustBeDirectory) {
      // A slash goes through the link: what is behind it is a directory, or the error.
      statAt(lookup, Lookupflags.symlinkFollow, path);
      throw new WasiError(Errno.inval);
    }
    return readlinkSync(lookup.hostPath, 'buffer');
  });
}

function rightsToOpen(oflags: number): bigint {
  let rights = Rights.pathOpen;
  if (oflags & Oflags.creat) rights |= Rights.pathCreateFile;
  if (oflags & Oflags.trunc) rights |= Rights.pathFilestatSetSize;
  return rights;
}
