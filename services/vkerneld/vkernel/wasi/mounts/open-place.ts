// Opens what a path names that is no file of the host: a device, or a file in a mount of the virtual kernel.

import { constants, openSync } from 'node:fs';
import { directoryRights, Fdflags, fileRights, Oflags, streamRights, writingRights } from '../abi.ts';
import type { Descriptor, DescriptorTable } from '../descriptor-table.ts';
import { Errno, WasiError } from '../errno.ts';
import { accessAsked, type OpenRequest } from '../open-request.ts';
import { descriptorPath } from '../path-lookup.ts';
import { mountedOf, type System } from '../system.ts';
import { descriptorNamed, isDevice } from './devices.ts';
import type { FilePath } from './file-request.ts';
import { mountedDescriptor } from './mounted-files.ts';

/** What a name of /dev stands for. @throws WasiError ENOENT where that is not open */
export function descriptorBehind(descriptors: DescriptorTable, fd: number): Descriptor {
  try {
    return descriptors.get(fd);
  } catch (error) {
    if (error instanceof WasiError) throw new WasiError(Errno.noent);
    throw error;
  }
}

export function openMounted(system: System, fd: number, place: FilePath, request: OpenRequest): Descriptor {
  const { reads, writes } = accessAsked(request);
  const { oflags, follow, rights, fdflags: flags } = request;
  const { inheriting, lostInheriting: lost = 0n } = system.descriptors.get(fd);
  const opened = mountedOf(system).open(place, { oflags, follow, reads, writes });
  const asked = { rights, inheriting: request.inheriting & inheriting, flags, writes, lost };
  return mountedDescriptor(opened, asked, directoryRights);
}

/** @throws WasiError ENXIO for a terminal where there is none, and for what cannot be opened anew */
export function openDevice(system: System, name: string, request: OpenRequest): Descriptor {
  const { reads, writes } = accessAsked(request);
  const { oflags, rights, fdflags: flags } = request;
  const fd = name === 'tty' ? terminalOf(system.descriptors) : descriptorNamed(name);
  if (fd !== undefined) return reopened(system, descriptorBehind(system.descriptors, fd), request);
  if (!isDevice(name)) throw new WasiError(Errno.nxio);
  if (oflags & Oflags.excl && oflags & Oflags.creat) throw new WasiError(Errno.exist);
  if (oflags & Oflags.directory) throw new WasiError(Errno.notdir);
  let may = rights & fileRights;
  if (!writes) may &= ~writingRights;
  if (!reads) may &= ~2n;
  return { kind: 'device', device: name, flags, rights: may, inheriting: 0n };
}

/** A standard stream at whose other end sits a person. */
function terminalOf(descriptors: DescriptorTable): number | undefined {
  return [0, 1, 2].find((fd) => {
    try {
      const descriptor = descriptors.get(fd);
      return descriptor.kind === 'stream' && descriptor.isTerminal;
    } catch {
      return false;
    }
  });
}

/** As Linux opens /dev/fd/N: the same anew, with a position of its own. */
function reopened(system: System, of: Descriptor, request: OpenRequest): Descriptor {
  const { oflags, fdflags: flags } = request;
  const { reads, writes } = accessAsked(request);
  if (oflags & Oflags.excl && oflags & Oflags.creat) throw new WasiError(Errno.exist);
  const isDirectory = of.kind === 'directory' || of.kind === 'nowhere' || of.kind === 'mounted-folder';
  if (oflags & Oflags.directory && !isDirectory) throw new WasiError(Errno.notdir);
  if (isDirectory && writes) throw new WasiError(Errno.isdir);
  switch (of.kind) {
    case 'stream':
      return { ...common(of), kind: 'stream', stream: of.stream, isTerminal: of.isTerminal, flags };
    case 'device':
      return { ...common(of), kind: 'device', device: of.device, flags, rights: request.rights & fileRights };
    case 'nowhere':
      return { ...common(of), kind: 'nowhere', above: of.above, preopen: undefined, listing: undefined };
    case 'mounted-file':
    case 'mounted-folder': {
      const opened = mountedOf(system).reopen(of.handle, reads, writes);
      if (oflags & Oflags.trunc) mountedOf(system).setSize(opened.handle, 0n);
      const { inheriting, lost = 0n } = of;
      const asked = { rights: request.rights & ~lost, inheriting, flags, writes, lost };
      return mountedDescriptor(opened, asked, directoryRights);
    }
    case 'directory':
      return {
        ...common(of),
        ...{ kind: 'directory', host: openSync(descriptorPath(of.host), constants.O_RDONLY) },
        ...{ preopen: undefined, listing: undefined, readOnly: of.readOnly },
      };
    case 'file': {
      if (of.readOnly && (writes || oflags & Oflags.trunc)) throw new WasiError(Errno.rofs);
      const access = writes ? (reads ? constants.O_RDWR : constants.O_WRONLY) : constants.O_RDONLY;
      const more = flags & Fdflags.append ? constants.O_APPEND : 0;
      const truncates = oflags & Oflags.trunc ? constants.O_TRUNC : 0;
      const host = openSync(
        descriptorPath(of.host),
        access | more | truncates | constants.O_NONBLOCK | constants.O_NOCTTY,
      );
      const asked = request.rights & (of.seekable ? fileRights : streamRights) & ~(of.lost ?? 0n);
      return {
        ...common(of),
        ...{ kind: 'file', host, filetype: of.filetype, seekable: of.seekable, positionBytes: 0n },
        ...{ flags, rights: writes ? asked : asked & ~writingRights, readOnly: of.readOnly },
      };
    }
    case 'socket':
      throw new WasiError(Errno.nxio);
  }
}

function common(of: Descriptor): {
  flags: number;
  rights: bigint;
  inheriting: bigint;
  lost: bigint;
  lostInheriting: bigint;
} {
  const { flags, rights, inheriting, lost = 0n, lostInheriting = 0n } = of;
  return { flags, rights, inheriting, lost, lostInheriting };
}
