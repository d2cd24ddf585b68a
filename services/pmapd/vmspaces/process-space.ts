// The vmspace of a process as the calls on vmspaces see it: its linear memory, and the dataspaces that are laid over it where
// its virtual kernel said.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Advice } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { MapEntry } from '../sessions/map-entry.ts';
import type { Vmspace } from '../sessions/vmspace.ts';
import { type AddressSpace, clip, type Entry, type Part, type Run } from './address-space.ts';
import { Look, residentOf } from './resident.ts';

export interface ProcessEntry extends Entry {
  readonly mapEntry: MapEntry;
}

export class ProcessSpace implements AddressSpace {
  readonly vmspace: Vmspace;
  private readonly dataspaceOf: (id: bigint) => SharedDataspace | undefined;

  constructor(vmspace: Vmspace, dataspaceOf: (id: bigint) => SharedDataspace | undefined) {
    this.vmspace = vmspace;
    this.dataspaceOf = dataspaceOf;
  }

  get id(): bigint {
    return this.vmspace.id;
  }

  get owner(): string {
    return this.vmspace.session.requester.user;
  }

  get sizeBytes(): number {
    return this.vmspace.sizeBytes;
  }

  get shown(): string {
    return `vmspace ${this.id} of process ${this.vmspace.pid}`;
  }

  /** @throws RpcError FAILED_PRECONDITION: its virtual kernel changes it, and nobody else */
  refuseChange(fix: string): never {
    const { name } = this.vmspace.session;
    const reason = `${this.shown} is in use: virtual kernel ${name} runs the process in it, and alone changes it; ${fix}`;
    throw new RpcError(Code.FailedPrecondition, reason);
  }

  /** Those of which it is known where they are. */
  *entries(): Generator<ProcessEntry> {
    const known: ProcessEntry[] = [];
    for (const mapEntry of this.vmspace.entries) {
      const dataspace = this.dataspaceOf(mapEntry.dataspace.id);
      if (mapEntry.linearOffset === undefined || dataspace === undefined) continue;
      known.push({
        ...{ mapEntry, dataspace, address: mapEntry.linearOffset, writable: mapEntry.writable },
        lengthBytes: mapEntry.pageCount * PAGE_BYTES,
        offsetBytes: mapEntry.firstPage * PAGE_BYTES,
        advice: adviceOf(mapEntry),
      });
    }
    yield* known.sort((a, b) => a.address - b.address);
  }

  mappedIn(address: number, end: number): ProcessEntry[] {
    return [...this.entries()].flatMap((entry) => clip(entry, address, end) ?? []);
  }

  parts(address: number, lengthBytes: number): Part[] {
    const end = address + lengthBytes;
    const parts: Part[] = [];
    const rest = (to: number) => {
      if (to > at) parts.push({ address: at, lengthBytes: to - at, writable: true, offsetBytes: 0 });
    };
    let at = address;
    for (const part of this.mappedIn(address, end)) {
      // What a virtual kernel says twice counts once.
      if (part.address < at) continue;
      rest(part.address);
      parts.push(part);
      at = part.address + part.lengthBytes;
    }
    rest(end);
    return parts;
  }

  *residentRuns(from: number): Generator<Run> {
    const first = from - (from % PAGE_BYTES);
    if (first >= this.sizeBytes) return;
    const look = new Look();
    for (const part of this.parts(first, this.sizeBytes - first))
      yield* part.dataspace === undefined ? this.residentPrivate(part) : residentOf(part, from, look);
  }

  private *residentPrivate({ address, lengthBytes }: Part): Generator<Run> {
    const end = address + lengthBytes;
    for (let at = address; at < end; ) {
      const next = this.vmspace.residentFrom(at);
      if (next === undefined || next.offsetBytes >= end) return;
      const pages = Math.ceil((Math.min(end, next.endBytes) - next.offsetBytes) / PAGE_BYTES);
      yield { address: next.offsetBytes, pages, firstPage: 0 };
      at = next.endBytes;
    }
  }

  absentPrivate(): number {
    return 0;
  }

  async readPrivate(address: number, bytes: Uint8Array): Promise<void> {
    bytes.set(await this.vmspace.preadAll(address, bytes.length));
  }

  writePrivate(address: number, bytes: Uint8Array): void {
    this.vmspace.pwrite(address, bytes);
  }
}

const adviceOf = ({ readahead }: MapEntry): Advice =>
  readahead.advised === 'sequential'
    ? Advice.SEQUENTIAL
    : readahead.advised === 'random'
      ? Advice.RANDOM
      : Advice.NORMAL;
