// The open descriptors of one process.

import { closeSync } from 'node:fs';
import { Errno, WasiError } from './errno.ts';

/** Standard input, output or error. */
export interface StreamDescriptor {
  readonly kind: 'stream';
  readonly stream: 0 | 1 | 2;
  flags: number;
  rights: bigint;
  inheriting: bigint;
}

/** A file that is no directory. */
export interface FileDescriptor {
  readonly kind: 'file';
  /** The descriptor in the host; replaced when the append flag changes. */
  host: number;
  readonly filetype: number;
  /** False: a pipe or a device, which has no position. */
  readonly seekable: boolean;
  positionBytes: bigint;
  flags: number;
  rights: bigint;
  inheriting: bigint;
  /** Beneath a grant without writes. */
  readonly readOnly: boolean;
}

export interface DirectoryDescriptor {
  readonly kind: 'directory';
  readonly host: number;
  /** The name of a grant; undefined for a directory that the program opened. */
  readonly preopen: Uint8Array<ArrayBuffer> | undefined;
  /** Its names when a listing was begun, which cookies count. */
  listing: DirectoryEntry[] | undefined;
  flags: number;
  rights: bigint;
  inheriting: bigint;
  readonly readOnly: boolean;
}

export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly filetype: number;
}

export type Descriptor = StreamDescriptor | FileDescriptor | DirectoryDescriptor;

/** At most so many descriptors a process: they are the whole virtual kernel's. */
export const descriptorsMax = 1024;

export class DescriptorTable {
  readonly #open = new Map<number, Descriptor>();

  /** EBADF when it is not open. */
  get(fd: number): Descriptor {
    const descriptor = this.#open.get(fd);
    if (descriptor === undefined) throw new WasiError(Errno.badf);
    return descriptor;
  }

  /** EBADF when it is not open, ENOTDIR when it is something else. */
  directory(fd: number): DirectoryDescriptor {
    const descriptor = this.get(fd);
    if (descriptor.kind !== 'directory') throw new WasiError(Errno.notdir);
    return descriptor;
  }

  /** EMFILE when the table is full; call it before a host descriptor is opened. */
  expectRoom(): void {
    if (this.#open.size >= descriptorsMax) throw new WasiError(Errno.mfile);
  }

  /** Takes the lowest free number, as POSIX does. */
  add(descriptor: Descriptor): number {
    this.expectRoom();
    let fd = 0;
    while (this.#open.has(fd)) fd++;
    this.#open.set(fd, descriptor);
    return fd;
  }

  close(fd: number): void {
    const descriptor = this.get(fd);
    this.#open.delete(fd);
    if (descriptor.kind !== 'stream') closeSync(descriptor.host);
  }

  /** Moves `from` to `to`, which is closed first. EBADF when one of them is not open. */
  renumber(from: number, to: number): void {
    const descriptor = this.get(from);
    this.get(to);
    if (from === to) return;
    this.close(to);
    this.#open.delete(from);
    this.#open.set(to, descriptor);
  }
}
