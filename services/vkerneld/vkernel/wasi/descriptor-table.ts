// The open descriptors of one process.

import { closeSync } from 'node:fs';
import type { Limits } from '../limits.ts';
import { socketRights, streamRights } from './abi.ts';
import { ConnectionTable } from './connection-table.ts';
import { Errno, WasiError } from './errno.ts';
import { FilePosition, positionIs } from './file-position.ts';
import type { DeviceName } from './mounts/devices.ts';

/** What every descriptor has. */
interface Described {
  flags: number;
  rights: bigint;
  inheriting: bigint;
  /**
   * Rights that the program gave away: calls that need one fail. One that it only did not ask for at the open is no
   * obstacle, since few programs ask for all that they use.
   */
  lost?: bigint;
  lostInheriting?: bigint;
}

/** Standard input, output or error. */
export interface StreamDescriptor extends Described {
  readonly kind: 'stream';
  readonly stream: 0 | 1 | 2;
  /** At its other end sits a person. */
  readonly isTerminal: boolean;
}

/** A file that is no directory. */
export interface FileDescriptor extends Described {
  readonly kind: 'file';
  /** The descriptor in the host; replaced when the append flag changes. */
  host: number;
  readonly filetype: number;
  /** False: a pipe or a device, which has no position. */
  readonly seekable: boolean;
  positionBytes: bigint;
  /** Beneath a grant without writes. */
  readonly readOnly: boolean;
  /** Where other processes have it at the same position. */
  shared?: FilePosition;
  /** It is in the home, whose size is bounded. */
  readonly counted?: boolean;
  /** Its parent opened it: the table of connections has `host`, and not Node. */
  kept?: boolean;
  /** What may be done with it, where that was looked at: quick-calls.ts. A change of its rights takes it away. */
  may?: number | undefined;
  /** By a call of the host: the table of connections has it, too, and this closes it. */
  ours?: { close(host: number, opened: ConnectionTable): void } | undefined;
}

export interface DirectoryDescriptor extends Described {
  readonly kind: 'directory';
  readonly host: number;
  /** The name of a grant; undefined for a directory that the program opened. */
  readonly preopen: Uint8Array<ArrayBuffer> | undefined;
  /** Its names when a listing was begun, which cookies count. */
  listing: DirectoryEntry[] | undefined;
  readonly readOnly: boolean;
  /** It is in the home, whose size is bounded. */
  readonly counted?: boolean;
}

/**
 * What is above the grants, and holds nothing else: a directory "/", and those between it and a grant (above-grants.ts).
 * Without it a C library says of a path outside of all grants what no program expects of an open (ENOTCAPABLE), where a
 * program that looks for a file which it can do without has to hear ENOENT.
 */
export interface NowhereDescriptor extends Described {
  readonly kind: 'nowhere';
  /** From "/" on, which is ''. */
  readonly above: string;
  /** The name of "/" among the grants; undefined where the program opened it. */
  readonly preopen: Uint8Array<ArrayBuffer> | undefined;
  listing: DirectoryEntry[] | undefined;
}

/** A listener that came with the program, or a connection. */
export interface SocketDescriptor extends Described {
  readonly kind: 'socket';
  readonly host: number;
  /** How a listener is named among the grants; undefined: a connection. */
  readonly preopen: Uint8Array<ArrayBuffer> | undefined;
}

/** A device of /dev (mounts/devices.ts). */
export interface DeviceDescriptor extends Described {
  readonly kind: 'device';
  readonly device: DeviceName;
}

/** A file in a mount of the virtual kernel, whose main thread has it open (mounts/mounted-files.ts). */
export interface MountedFileDescriptor extends Described {
  readonly kind: 'mounted-file';
  /** Among those that the process has open there. */
  readonly handle: number;
  readonly filetype: number;
  positionBytes: bigint;
  shared?: FilePosition;
}

/** A directory there. */
export interface MountedFolderDescriptor extends Described {
  readonly kind: 'mounted-folder';
  readonly handle: number;
  /** The name of one at "/"; undefined: the program opened it. */
  readonly preopen: Uint8Array<ArrayBuffer> | undefined;
  listing: DirectoryEntry[] | undefined;
}

/** What has a position. */
export type PositionedDescriptor = FileDescriptor | MountedFileDescriptor;

export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly filetype: number;
  /** Of a name in a directory of the host: once it was looked for. */
  inode?: bigint;
}

export type Descriptor =
  | StreamDescriptor
  | FileDescriptor
  | DirectoryDescriptor
  | NowhereDescriptor
  | SocketDescriptor
  | DeviceDescriptor
  | MountedFileDescriptor
  | MountedFolderDescriptor;

/** It has a descriptor of the host. */
export function isOfHost(
  descriptor: Descriptor,
): descriptor is FileDescriptor | DirectoryDescriptor | SocketDescriptor {
  return descriptor.kind === 'file' || descriptor.kind === 'directory' || descriptor.kind === 'socket';
}

/** The main thread has it open. */
export function isMounted(
  descriptor: Descriptor,
): descriptor is MountedFileDescriptor | MountedFolderDescriptor {
  return descriptor.kind === 'mounted-file' || descriptor.kind === 'mounted-folder';
}

export function isDirectory(
  descriptor: Descriptor,
): descriptor is DirectoryDescriptor | NowhereDescriptor | MountedFolderDescriptor {
  return (
    descriptor.kind === 'directory' || descriptor.kind === 'nowhere' || descriptor.kind === 'mounted-folder'
  );
}

/** At most so many descriptors a process: they are the whole virtual kernel's. */
export const descriptorsMax = 1024;

/** Of a process of one thread; shared-descriptors.ts has that of several. */
export class DescriptorTable {
  readonly #open = new Map<number, Descriptor>();
  readonly #connections: ConnectionTable;
  /** The thread's files come and go with it: what it opened itself by a call of the host is noted in `opened`. */
  readonly ownsFiles: boolean = true;

  /** Mounts of the virtual kernel that the process sees, from "/" on. */
  mounts: ReadonlySet<string> = new Set();
  /** A number of the process, for locks: wasi/file-position.ts. */
  holder = 1;
  /** What all programs may have together; missing: any. */
  limits: Limits | undefined;
  /** The main thread closes one of its open files. */
  closeMounted: (handle: number) => void = () => {};

  constructor(connections: ConnectionTable = new ConnectionTable()) {
    this.#connections = connections;
  }

  /** What the main thread closes where the thread ends. */
  get opened(): ConnectionTable {
    return this.#connections;
  }

  /** EBADF when it is not open, ENOTCAPABLE when the program gave away one of these rights. */
  get(fd: number, rights = 0n): Descriptor {
    const descriptor = this.#open.get(fd);
    if (descriptor === undefined) throw new WasiError(Errno.badf);
    const { lost } = descriptor;
    if (lost !== undefined && (lost & rights) !== 0n) throw new WasiError(Errno.notcapable);
    return descriptor;
  }

  /** A file, where it takes no look at others that use it; undefined: `get` says what there is. */
  ownFile(fd: number): FileDescriptor | undefined {
    const descriptor = this.#open.get(fd);
    return descriptor?.kind === 'file' && descriptor.shared === undefined ? descriptor : undefined;
  }

  /** As `get`; ENOTDIR when it is something else, ENOENT beside the grants. */
  directory(fd: number, rights: bigint): DirectoryDescriptor {
    const descriptor = this.get(fd, rights);
    if (descriptor.kind === 'nowhere') throw new WasiError(Errno.noent);
    if (descriptor.kind !== 'directory') throw new WasiError(Errno.notdir);
    return descriptor;
  }

  /** All that are open. */
  all(): Iterable<Descriptor> {
    return this.#open.values();
  }

  /** Their numbers. */
  numbers(): number[] {
    return [...this.#open.keys()].sort((a, b) => a - b);
  }

  /** EMFILE when the table is full; call it before a host descriptor is opened. */
  expectRoom(): void {
    this.limits?.expectDescriptor();
    if (this.#open.size >= descriptorsMax) throw new WasiError(Errno.mfile);
  }

  /** Takes the lowest free number, as POSIX does. */
  add(descriptor: Descriptor): number {
    this.expectRoom();
    let fd = 0;
    while (this.#open.has(fd)) fd++;
    this.#open.set(fd, descriptor);
    this.limits?.opened(fd, descriptor.kind);
    return fd;
  }

  close(fd: number): void {
    const descriptor = this.get(fd);
    this.#open.delete(fd);
    this.limits?.closed(fd);
    for (const other of this.#open.values()) if (other === descriptor) return;
    if (descriptor.kind === 'file' && descriptor.ours !== undefined)
      descriptor.ours.close(descriptor.host, this.#connections);
    else if (descriptor.kind === 'file' && descriptor.kept === true) this.#connections.close(descriptor.host);
    else if (descriptor.kind === 'file' || descriptor.kind === 'directory') closeSync(descriptor.host);
    // Listeners are closed with the process: others may be told of it meanwhile.
    if (descriptor.kind === 'socket' && descriptor.preopen === undefined)
      this.#connections.close(descriptor.host);
    if (isMounted(descriptor)) this.closeMounted(descriptor.handle);
  }

  /** The same once more, by the lowest free number. */
  again(fd: number): number {
    return this.add(this.get(fd));
  }

  /** A standard stream once more. */
  streamAgain(stream: 0 | 1 | 2): number {
    for (const [fd, { kind, ...about }] of this.#open)
      if (kind === 'stream' && 'stream' in about && about.stream === stream) return this.again(fd);
    return this.add({
      kind: 'stream',
      stream,
      isTerminal: false,
      flags: 0,
      rights: streamRights,
      inheriting: 0n,
    });
  }

  /** The position of a file, for other processes, too. */
  sharePosition(file: PositionedDescriptor, _lent: Map<unknown, FilePosition>): FilePosition {
    if (file.shared === undefined) positionIs(file, FilePosition.at(file.positionBytes));
    return file.shared!;
  }

  /** A connection, which is this process's from now on. EMFILE when the table is full: then it is closed. */
  addConnection(host: number, flags: number): number {
    this.#connections.keep(host);
    return this.addKeptConnection(host, flags);
  }

  /** One that the table of connections has already. */
  addKeptConnection(host: number, flags = 0): number {
    const about = { preopen: undefined, flags, rights: socketRights, inheriting: 0n };
    try {
      return this.add({ kind: 'socket', host, ...about });
    } catch (error) {
      this.#connections.close(host);
      throw error;
    }
  }

  /** A call is over: what it got is no longer in use. */
  release(): void {}

  /** Nobody else moves the position of the file until what this returns is called. */
  holdPosition(file: PositionedDescriptor): () => void {
    return file.shared?.hold(this.holder) ?? (() => {});
  }

  /** From now on the file is what another descriptor of the host is open to. */
  replaceHost(file: FileDescriptor, host: number): void {
    if (file.ours !== undefined) file.ours.close(file.host, this.#connections);
    else if (file.kept === true) this.#connections.close(file.host);
    else this.closeHost(file.host);
    file.ours = undefined;
    file.kept = false;
    file.host = host;
  }

  protected closeHost(host: number): void {
    closeSync(host);
  }

  /** As renumber, where `to` need not be open. */
  moveTo(from: number, to: number): void {
    if (this.#open.has(to)) {
      this.renumber(from, to);
      return;
    }
    this.#open.set(to, this.get(from));
    this.#open.delete(from);
    this.limits?.moved(from, to);
  }

  /** Moves `from` to `to`, which is closed first. EBADF when one of them is not open. */
  renumber(from: number, to: number): void {
    const descriptor = this.get(from);
    this.get(to);
    if (from === to) return;
    this.close(to);
    this.#open.delete(from);
    this.#open.set(to, descriptor);
    this.limits?.moved(from, to);
  }
}
