// Granted directories (fd_prestat_*) and the listing of directories (fd_readdir).

import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync } from 'node:fs';
import type { ConnectionRequest } from '../connections-asked.ts';
import type { Limits } from '../limits.ts';
import { directoryRights, direntBytes, Filetype, Rights, socketRights } from './abi.ts';
import { covers, entriesAbove, grantsOf } from './above-grants.ts';
import {
  type DescriptorTable,
  type DirectoryDescriptor,
  type DirectoryEntry,
  isDirectory,
  type MountedFolderDescriptor,
  type NowhereDescriptor,
} from './descriptor-table.ts';
import { Errno, WasiError } from './errno.ts';
import { statFiletype } from './file-stat.ts';
import { utf8 } from './guest-memory.ts';
import { hostCalls } from './host-calls.ts';
import type { MountedFiles } from './mounts/mounted-files.ts';
import { descriptorPath } from './path-lookup.ts';
import { type Calls, mountedOf, type System } from './system.ts';

/** A directory of the host that a program may use. */
export interface DirectoryGrant {
  /** Of this OS process, open for as long as the program runs. */
  readonly descriptor: number;
  readonly guestPath: string;
  readonly readOnly: boolean;
  /** Below it, and not for the program: see hidden.ts. */
  readonly hidden?: readonly string[];
  /** It is the home, whose size may be bounded. */
  readonly counted?: boolean;
}

/** Puts the rest of the world beside the grants, unless one of them is that. After them: they have the numbers from 3 on. */
export function addNowhere(
  descriptors: DescriptorTable,
  grants: readonly DirectoryGrant[],
  mounted?: MountedFiles,
): void {
  if (grants.length === 0 && descriptors.mounts.size === 0) return;
  if (grants.some(({ guestPath }) => covers(guestPath) === '')) return;
  const preopen = utf8('/');
  if (!descriptors.mounts.has('') || mounted === undefined) {
    descriptors.add(aboveGrants('', preopen));
    return;
  }
  // A mount is all that there is.
  const how = { oflags: 0, follow: false, reads: true, writes: false };
  const { handle } = mounted.open({ at: { mount: '' }, path: '.' }, how);
  const about = { flags: 0, rights: directoryRights, inheriting: Rights.all };
  descriptors.add({ kind: 'mounted-folder', handle, preopen, listing: undefined, ...about });
}

export function aboveGrants(above: string, preopen?: Uint8Array<ArrayBuffer>): NowhereDescriptor {
  const listing = undefined;
  return {
    kind: 'nowhere',
    above,
    preopen,
    listing,
    flags: 0,
    rights: directoryRights,
    inheriting: Rights.all,
  };
}

/** A socket that listens. */
export interface Listener {
  /** Of this OS process, open for as long as the program runs. */
  readonly descriptor: number;
  /** HOST:PORT, or /dev/name/NAME */
  readonly address: string;
  /** How it is asked for again, where it is by name. */
  readonly named?: ConnectionRequest | undefined;
}

/**
 * Among the grants a listener has a name, as if it were a directory: whoever looks for grants stops at the first descriptor that is
 * none, and would miss those after it.
 */
export function addListener(descriptors: DescriptorTable, listener: Listener): void {
  const { descriptor: host } = listener;
  const preopen = listenerName(listener);
  descriptors.add({ kind: 'socket', host, preopen, flags: 0, rights: socketRights, inheriting: Rights.all });
}

/** The names of all of these, which a process begins with. */
export function preopenNames(
  grants: readonly DirectoryGrant[],
  listeners: readonly Listener[],
): Uint8Array<ArrayBuffer>[] {
  return [...listeners.map(listenerName), ...grants.map(grantName), utf8('/')];
}

const listenerName = ({ address }: Listener): Uint8Array<ArrayBuffer> =>
  utf8(address.startsWith('/') ? address : `/dev/tcp/${address}`);

/** With a slash at its end a C library finds what is in it, and not the directory itself. */
const grantName = ({ guestPath }: DirectoryGrant): Uint8Array<ArrayBuffer> =>
  utf8(guestPath.replace(/(?<=.)\/+$/, ''));

/** Opens a grant. Throws what node:fs throws where it is no directory. */
export function addGrant(descriptors: DescriptorTable, grant: DirectoryGrant): void {
  // The program's own, which it may close.
  const host = openSync(descriptorPath(grant.descriptor), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    descriptors.add({
      kind: 'directory',
      host,
      preopen: grantName(grant),
      listing: undefined,
      flags: 0,
      rights: directoryRights,
      // All, also for a read-only grant: libraries open for reading only, without an error, where the right to
      // write is missing. They shall see EROFS instead.
      inheriting: Rights.all,
      readOnly: grant.readOnly,
      counted: grant.counted === true,
    });
  } catch (error) {
    closeSync(host);
    throw error;
  }
}

const utf8Text = new TextDecoder('utf-8', { ignoreBOM: true });

export function directoryCalls(system: System): Calls {
  const { memory, descriptors } = system;

  function preopenName(fd: number): Uint8Array<ArrayBuffer> {
    const descriptor = descriptors.get(fd);
    const named = isDirectory(descriptor) || descriptor.kind === 'socket';
    if (!named || descriptor.preopen === undefined) {
      throw new WasiError(Errno.badf);
    }
    return descriptor.preopen;
  }

  function listingOf(directory: DirectoryDescriptor | NowhereDescriptor | MountedFolderDescriptor) {
    if (directory.kind === 'directory') return list(directory, descriptors.limits);
    if (directory.kind === 'mounted-folder') return mountedOf(system).list(directory.handle);
    const { mounts } = descriptors;
    const open = mounts.has('dev') ? descriptors.numbers() : [];
    return entriesAbove(directory, grantsOf(descriptors.all()), mounts, open);
  }

  return {
    fd_prestat_get: (fd: number, at: number) => {
      const name = preopenName(fd);
      memory.setU32(at, 0); // a directory
      memory.setU32(at + 4, name.length);
    },
    fd_prestat_dir_name: (fd: number, at: number, length: number) => {
      const name = preopenName(fd);
      if (length < name.length) throw new WasiError(Errno.nametoolong);
      memory.copyIn(at, name);
    },
    fd_readdir: (fd: number, at: number, length: number, cookie: bigint, usedAt: number) => {
      memory.expectWritable(at, length);
      memory.expectWritable(usedAt, 4);
      const directory = descriptors.get(fd, Rights.fdReaddir);
      if (!isDirectory(directory)) throw new WasiError(Errno.notdir);
      // The first cookie begins anew, as rewinddir(3) does; the others count names of the same listing.
      if (cookie === 0n || directory.listing === undefined) {
        directory.listing = listingOf(directory);
      }
      const bytes = records(directory, directory.listing ?? [], BigInt.asUintN(64, cookie), length);
      memory.copyIn(at, bytes);
      memory.setU32(usedAt, bytes.length);
    },
  };
}

/** Of any directory: their inodes are of each. */
const dots = (directory: DirectoryDescriptor): DirectoryEntry[] => [
  {
    name: utf8('.'),
    filetype: Filetype.directory,
    inode: fstatSync(directory.host, { bigint: true }).ino,
  },
  // Of a grant its parent is none of the program's business.
  { name: utf8('..'), filetype: Filetype.directory, inode: 0n },
];

function list(directory: DirectoryDescriptor, limits: Limits | undefined): DirectoryEntry[] {
  const path = descriptorPath(directory.host);
  const atOnce = hostCalls(limits)?.entriesOf(path);
  if (atOnce !== undefined) return [...dots(directory), ...atOnce];
  const entries = readdirSync(path, { withFileTypes: true, encoding: 'buffer' });
  const many = hostCalls(limits, entries.length)?.entriesOf(path);
  if (many !== undefined) return [...dots(directory), ...many];
  return [
    ...dots(directory),
    ...entries.map((entry) => ({ name: new Uint8Array(entry.name), filetype: statFiletype(entry) })),
  ];
}

/** Records from a cookie on, as many as fit; the last one cut off where it does not. */
function records(
  directory: DirectoryDescriptor | NowhereDescriptor | MountedFolderDescriptor,
  listing: readonly DirectoryEntry[],
  cookie: bigint,
  lengthMax: number,
): Uint8Array<ArrayBuffer> {
  const first = cookie < BigInt(listing.length) ? Number(cookie) : listing.length;
  let end = first;
  let length = 0;
  for (; end < listing.length && length < lengthMax; end++) length += direntBytes + listing[end]!.name.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (let i = first; i < end; i++) {
    const entry = listing[i]!;
    entry.inode ??= inodeOf(directory as DirectoryDescriptor, entry);
    view.setBigUint64(at, BigInt(i + 1), true);
    view.setBigUint64(at + 8, entry.inode, true);
    view.setUint32(at + 16, entry.name.length, true);
    view.setUint8(at + 20, entry.filetype);
    bytes.set(entry.name, at + direntBytes);
    at += direntBytes + entry.name.length;
  }
  return bytes.subarray(0, Math.min(length, lengthMax));
}

/** 0 where it is gone by now. */
function inodeOf(directory: DirectoryDescriptor, { name }: DirectoryEntry): bigint {
  const folder = `${descriptorPath(directory.host)}/`;
  // Text takes half the time, where it is the same name.
  const path = isUtf8(name) ? folder + utf8Text.decode(name) : Buffer.concat([Buffer.from(folder), name]);
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino ?? 0n;
}
