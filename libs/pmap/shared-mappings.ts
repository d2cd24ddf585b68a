// The shared mappings of one process: ranges of its memory under which a dataspace lies instead of its private file.
import { PAGE_BYTES, pageCountOf } from '@odonata/coherency/page.ts';
import { AddressMap, type AddressRange } from '@odonata/userfault/address-map.ts';
import { Errno } from './errno.ts';
import { layGuarded } from './laying.ts';
import type { OpenedDataspaces } from './opened-dataspaces.ts';
import { PmapError } from './pmap-interface.ts';
import type { PmapParts } from './pmap-parts.ts';

interface Mapped {
  readonly guestAddress: number;
  readonly lengthBytes: number;
  readonly dataspace: bigint;
  readonly offsetBytes: bigint;
  readonly writable: boolean;
}

interface Mapping extends Mapped, AddressRange {}

/** The vmspace that they lie in. */
export interface MappedPlace {
  readonly id: bigint;
  readonly memory: WebAssembly.Memory;
  readonly base: bigint;
  /** @throws PmapError where the process is ending */
  checkAlive(): void;
  /** The range is private memory again. */
  layPrivate(guestAddress: number, lengthBytes: number): void;
  /** What lies in the range is no longer of its program's image. */
  uncover(guestAddress: number, lengthBytes: number): void;
  /** The private frames of the range can never be seen again. */
  uncharge(guestAddress: number, lengthBytes: number): void;
  fatal(signal: string, reason: string): void;
}

export class SharedMappings {
  private readonly pmap: PmapParts;
  private readonly place: MappedPlace;
  private readonly opened: OpenedDataspaces;
  private readonly mappings = new AddressMap<Mapping>();

  constructor(pmap: PmapParts, place: MappedPlace, opened: OpenedDataspaces) {
    this.pmap = pmap;
    this.place = place;
    this.opened = opened;
  }

  get size(): number {
    return this.mappings.size;
  }

  ranges(): Iterable<{ address: bigint; lengthBytes: number }> {
    return this.mappings;
  }

  /** The word of a dataspace that an address of the guest names. @throws PmapError EINVAL */
  wordAt(guestAddress: number): { dataspace: bigint; offset: bigint } {
    const mapping = this.mappings.find(this.place.base + BigInt(guestAddress));
    if (mapping === undefined || guestAddress % 4 !== 0)
      throw new PmapError(Errno.inval, `address ${guestAddress}: a multiple of 4 in a mapped dataspace`);
    return {
      dataspace: mapping.dataspace,
      offset: mapping.offsetBytes + BigInt(guestAddress - mapping.guestAddress),
    };
  }

  async map(
    guestAddress: number,
    lengthBytes: number,
    dataspace: bigint,
    offsetBytes: bigint,
    writable: boolean,
  ): Promise<void> {
    const about = this.opened.get(dataspace);
    // Before what is mapped there goes.
    if (writable) this.opened.expectWritable(dataspace);
    this.checkRange(guestAddress, lengthBytes);
    const pages = BigInt(pageCountOf(about.sizeBytes));
    const endBytes = offsetBytes + BigInt(lengthBytes);
    if (
      offsetBytes < 0n ||
      offsetBytes % BigInt(PAGE_BYTES) !== 0n ||
      endBytes > pages * BigInt(PAGE_BYTES)
    ) {
      throw new PmapError(
        Errno.inval,
        `offset ${offsetBytes}: a multiple of ${PAGE_BYTES} within the dataspace`,
      );
    }
    await this.carve(guestAddress, lengthBytes);
    await this.overlay({ guestAddress, lengthBytes, dataspace, offsetBytes, writable });
  }

  private async overlay(about: Mapped): Promise<void> {
    const { guestAddress, lengthBytes, dataspace, offsetBytes, writable } = about;
    const address = this.place.base + BigInt(guestAddress);
    const length = BigInt(lengthBytes);
    const linearOffset = BigInt(guestAddress);
    const what = { dataspace, offsetBytes, writable, linearOffset };
    const value = { vmspace: this.place.id, address, lengthBytes: length, ...what };
    await this.pmap.session.ask({ case: 'vmspaceMmap', value });
    this.place.checkAlive();
    this.pmap.order({ type: 'map', vmspace: this.place.id, address, lengthBytes });
    try {
      this.lay(address, about);
    } catch (error) {
      // No descriptor, or no addresses: nobody may believe that it is mapped.
      this.place.layPrivate(guestAddress, lengthBytes);
      this.pmap.order({ type: 'unmap', vmspace: this.place.id, address });
      this.pmap.session.send({
        case: 'vmspaceMunmap',
        value: { vmspace: this.place.id, address, lengthBytes: length },
      });
      throw error;
    }
    this.mappings.add({ ...about, address, end: address + length });
    this.place.uncover(guestAddress, lengthBytes);
    this.place.uncharge(guestAddress, lengthBytes);
  }

  private lay(address: bigint, { lengthBytes, dataspace, offsetBytes }: Mapped): void {
    const { file, readOnly } = this.opened.get(dataspace);
    layGuarded(this.pmap.userfault, { address, lengthBytes, fd: file.fd, offsetBytes }, { readOnly });
  }

  // Takes a range out of the mappings that it overlaps. What is left of them is mapped anew: the pmap manager
  // knows whole mappings only, and must not lose sight of a page that is mapped.
  private async carve(guestAddress: number, lengthBytes: number): Promise<void> {
    const end = guestAddress + lengthBytes;
    for (const mapping of this.overlapped(guestAddress, end)) {
      await this.remove(mapping);
      const beforeBytes = guestAddress - mapping.guestAddress;
      const afterBytes = mapping.guestAddress + mapping.lengthBytes - end;
      try {
        if (beforeBytes > 0) await this.overlay({ ...mapping, lengthBytes: beforeBytes });
        if (afterBytes > 0) {
          const offsetBytes = mapping.offsetBytes + BigInt(mapping.lengthBytes - afterBytes);
          await this.overlay({ ...mapping, guestAddress: end, lengthBytes: afterBytes, offsetBytes });
        }
      } catch (error) {
        // Better no process than one whose shared memory turned into private zeroes.
        this.place.fatal(
          'SIGBUS',
          `the rest of a mapping cannot be mapped again: ${(error as Error).message}`,
        );
        throw error;
      }
    }
  }

  private overlapped(guestAddress: number, end: number): Mapping[] {
    const { base } = this.place;
    return this.mappings.overlapping(base + BigInt(guestAddress), base + BigInt(end));
  }

  private checkRange(guestAddress: number, lengthBytes: number): void {
    const aligned = guestAddress % PAGE_BYTES === 0 && lengthBytes % PAGE_BYTES === 0;
    const inside =
      guestAddress >= 0 &&
      lengthBytes > 0 &&
      guestAddress + lengthBytes <= this.place.memory.buffer.byteLength;
    if (!aligned || !inside) {
      throw new PmapError(
        Errno.inval,
        `range ${guestAddress} + ${lengthBytes}: multiples of ${PAGE_BYTES} inside the memory`,
      );
    }
  }

  async unmap(guestAddress: number, lengthBytes: number): Promise<void> {
    this.checkRange(guestAddress, lengthBytes);
    if (this.overlapped(guestAddress, guestAddress + lengthBytes).length === 0)
      throw new PmapError(Errno.inval, 'nothing is mapped there');
    await this.carve(guestAddress, lengthBytes);
    // Between the mappings there may be private memory.
    this.place.uncharge(guestAddress, lengthBytes);
  }

  private async remove(mapping: Mapping): Promise<void> {
    const { address, guestAddress, lengthBytes } = mapping;
    await this.pmap.session.ask({
      case: 'vmspaceMunmap',
      value: { vmspace: this.place.id, address, lengthBytes: BigInt(lengthBytes) },
    });
    this.place.checkAlive();
    this.mappings.remove(mapping);
    this.place.layPrivate(guestAddress, lengthBytes);
    this.pmap.order({ type: 'unmap', vmspace: this.place.id, address });
  }
}
