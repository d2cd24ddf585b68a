// A map entry of a process: what it needs to know of its virtual kernel, its address space and its dataspace stands here too.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Mapping } from '@odonata/coherency/node/memory/page-tables.ts';
import { ReadaheadStreams } from '@odonata/coherency/node/readahead/streams.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { PmapEventSchema } from '@odonata/proto/pmap/v1/pmap';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import type { AddressRange } from '@odonata/userfault/address-map.ts';
import { Errno } from '@odonata/userfault/libc.ts';
import type { Userfault } from '@odonata/userfault/userfault.ts';
import type { Charge } from '../frames/charge.ts';

/** Its memory changes just now. */
const PROTECT_TRIES = 10;

export interface VkernelSession {
  /** Of the virtual kernel. */
  readonly name: string;
  /** Among the holders of the node's directory. */
  readonly holder: number;
  readonly userfault: Userfault;
  /** Whose virtual kernel it is. */
  readonly requester: Requester;
  send(event: MessageInitShape<typeof PmapEventSchema>): void;
  /** How many more frames its processes may have. */
  frameRoom(): number;
  /** What they are told where that is none. */
  frameReason(): string;
  /** Ends a process, for another reason than a fault. */
  endProcess(vmspace: bigint, signal: string, reason: string): void;
  /** Ends one so that others have its frames. */
  endForFrames(vmspace: bigint, reason: string): void;
  /** Its page tables cannot be edited: the session ends soon. */
  broken(reason: string): void;
}

export interface MappedVmspace {
  readonly id: bigint;
  readonly pid: bigint;
  readonly charge: Charge;
  readonly session: VkernelSession;
}

export interface MappedDataspace {
  readonly id: bigint;
  readonly name: string;
  /** All that map it. */
  readonly entries: Set<MapEntry>;
}

/** A map entry: addresses of the vkernel -> pages of a dataspace. */
export class MapEntry implements Mapping, AddressRange {
  readonly vmspace: MappedVmspace;
  readonly address: bigint;
  readonly end: bigint;
  readonly firstPage: number;
  readonly pageCount: number;
  readonly dataspace: MappedDataspace;
  readonly writable: boolean;
  /** Where it is in the linear memory of its process, as far as that was told. */
  readonly linearOffset: number | undefined;
  readonly readahead = new ReadaheadStreams();

  constructor(
    entry: Pick<MapEntry, 'vmspace' | 'address' | 'firstPage' | 'pageCount' | 'dataspace' | 'writable'> & {
      linearOffset?: number | undefined;
    },
  ) {
    this.vmspace = entry.vmspace;
    this.address = entry.address;
    this.firstPage = entry.firstPage;
    this.pageCount = entry.pageCount;
    this.end = entry.address + BigInt(entry.pageCount * PAGE_BYTES);
    this.dataspace = entry.dataspace;
    this.writable = entry.writable;
    this.linearOffset = entry.linearOffset;
  }

  get holder(): number {
    return this.vmspace.session.holder;
  }

  get charged(): number {
    return this.vmspace.charge.number;
  }

  get endPage(): number {
    return this.firstPage + this.pageCount;
  }

  addressOf(page: number): bigint {
    return this.address + BigInt((page - this.firstPage) * PAGE_BYTES);
  }

  /** Takes write access away, in the page tables only. */
  protect(): void {
    if (this.writable) this.protectRange(this.address, this.pageCount * PAGE_BYTES);
  }

  /** Takes write access away from some addresses. */
  protectRange(address: bigint, lengthBytes: number): void {
    const { session } = this.vmspace;
    for (let tries = 1; ; tries++) {
      const errno = session.userfault.writeProtect(address, lengthBytes, true);
      // Not mapped (yet, or any more), or the process is gone: then there is nothing to take away.
      if (errno === 0 || errno === Errno.ENOENT || errno === Errno.ESRCH || errno === Errno.EBADF) return;
      if (errno === Errno.EAGAIN && tries < PROTECT_TRIES) continue;
      session.broken(`write access to ${lengthBytes} bytes could not be taken away: errno ${errno}`);
      return;
    }
  }

  /** The part of a run that is mapped here, if any. */
  clip(firstPage: number, pageCount: number): { firstPage: number; pageCount: number } | undefined {
    const from = Math.max(firstPage, this.firstPage);
    const to = Math.min(firstPage + pageCount, this.endPage);
    return from < to ? { firstPage: from, pageCount: to - from } : undefined;
  }
}
