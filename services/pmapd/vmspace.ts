// A vmspace: the address space of one process as a list of map entries, and the frames behind it.
import { closeSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Readahead } from './readahead.ts';
import type { Session } from './session.ts';
import type { SharedDataspace } from './shared-dataspace.ts';

/** A map entry: addresses of the vkernel -> pages of a dataspace. */
export class MapEntry {
  readonly vmspace: Vmspace;
  readonly address: bigint;
  readonly firstPage: number;
  readonly pageCount: number;
  readonly dataspace: SharedDataspace;
  readonly writable: boolean;
  readonly readahead = new Readahead();

  constructor(
    entry: Pick<MapEntry, 'vmspace' | 'address' | 'firstPage' | 'pageCount' | 'dataspace' | 'writable'>,
  ) {
    this.vmspace = entry.vmspace;
    this.address = entry.address;
    this.firstPage = entry.firstPage;
    this.pageCount = entry.pageCount;
    this.dataspace = entry.dataspace;
    this.writable = entry.writable;
  }

  get endPage(): number {
    return this.firstPage + this.pageCount;
  }

  addressOf(page: number): bigint {
    return this.address + BigInt((page - this.firstPage) * PAGE_BYTES);
  }

  /** Takes write access away, in the page tables only. */
  protect(): void {
    if (this.writable)
      this.vmspace.session.userfault.writeProtect(this.address, this.pageCount * PAGE_BYTES, true);
  }

  /** The part of a run that is mapped here, if any. */
  clip(firstPage: number, pageCount: number): { firstPage: number; pageCount: number } | undefined {
    const from = Math.max(firstPage, this.firstPage);
    const to = Math.min(firstPage + pageCount, this.endPage);
    return from < to ? { firstPage: from, pageCount: to - from } : undefined;
  }
}

/** Map entries of one vmspace. */
export const ENTRIES_MAX = 65_536;

export class Vmspace {
  readonly id: bigint;
  readonly pid: bigint;
  readonly session: Session;
  readonly file: string;
  readonly sizeBytes: number;
  readonly entries: MapEntry[] = [];
  private fd: number | undefined;

  /** @param about `exists`: another pmap manager made its file */
  constructor(about: {
    id: bigint;
    pid: bigint;
    session: Session;
    file: string;
    sizeBytes: number;
    exists: boolean;
  }) {
    this.id = about.id;
    this.pid = about.pid;
    this.session = about.session;
    this.file = about.file;
    this.sizeBytes = about.sizeBytes;
    this.fd = openSync(this.file, about.exists ? 'r+' : 'wx+', 0o600);
    if (!about.exists) ftruncateSync(this.fd, this.sizeBytes);
  }

  /** The entry that maps an address. */
  find(address: bigint): MapEntry | undefined {
    return this.entries.find(
      (e) => address >= e.address && address < e.address + BigInt(e.pageCount * PAGE_BYTES),
    );
  }

  pread(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    if (this.fd !== undefined) readSync(this.fd, bytes, 0, length, offset);
    return bytes;
  }

  pwrite(offset: number, bytes: Uint8Array): void {
    if (this.fd !== undefined) writeSync(this.fd, bytes, 0, bytes.length, offset);
  }

  /** The private dataspace goes. A vkernel that still maps the file keeps its frames until it unmaps them. */
  remove(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    rmSync(this.file, { force: true });
  }
}
