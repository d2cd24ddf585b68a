// The bytes of a vmspace, as a process there would read and write them. Those of a dataspace go through the coherency core like
// any other access: the page is asked of whoever has it, and a write takes it from all others.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { EventKind } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { AddressSpace, Part } from './address-space.ts';
import type { Watches } from './watches.ts';

export interface BytesNode {
  readonly memory: CoherentMemory;
  readonly watches: Watches;
}

const pagesOf = (from: number, lengthBytes: number): { firstPage: number; pageCount: number } => {
  const firstPage = Math.floor(from / PAGE_BYTES);
  return { firstPage, pageCount: Math.floor((from + lengthBytes - 1) / PAGE_BYTES) - firstPage + 1 };
};

/** @throws RpcError OUT_OF_RANGE where nothing is mapped; what an access to a dataspace is refused with */
export async function pread(
  node: BytesNode,
  space: AddressSpace,
  address: number,
  lengthBytes: number,
): Promise<Uint8Array> {
  const bytes = Buffer.alloc(lengthBytes);
  if (lengthBytes === 0) return bytes;
  for (const part of space.parts(address, lengthBytes)) {
    const into = bytes.subarray(part.address - address, part.address - address + part.lengthBytes);
    const { dataspace, offsetBytes } = part;
    if (dataspace === undefined) {
      await space.readPrivate(part.address, into);
      continue;
    }
    const { firstPage, pageCount } = pagesOf(offsetBytes, part.lengthBytes);
    tellFault(node, space, part, dataspace, false);
    await node.memory.withPages(dataspace, firstPage, pageCount, 'READ', () => {
      const pages = dataspace.file.read(firstPage, pageCount);
      const skip = offsetBytes - firstPage * PAGE_BYTES;
      into.set(pages.subarray(skip, skip + into.length));
    });
  }
  return bytes;
}

/**
 * All of the range is looked at before anything is written. Where a dataspace then refuses, what lies before it is written.
 * @throws RpcError OUT_OF_RANGE, PERMISSION_DENIED where it is mapped for reading, RESOURCE_EXHAUSTED
 */
export async function pwrite(
  node: BytesNode,
  space: AddressSpace,
  address: number,
  bytes: Uint8Array,
): Promise<void> {
  if (bytes.length === 0) return;
  const parts = space.parts(address, bytes.length);
  for (const { writable, address: at } of parts)
    if (!writable)
      throw new RpcError(
        Code.PermissionDenied,
        `${space.shown}: what is mapped at 0x${at.toString(16)} may only be read`,
      );
  for (const part of parts) {
    const from = bytes.subarray(part.address - address, part.address - address + part.lengthBytes);
    const { dataspace, offsetBytes } = part;
    if (dataspace === undefined) {
      const pages = space.absentPrivate(part.address, part.lengthBytes);
      space.writePrivate(part.address, from);
      if (pages > 0) {
        const page = part.address - (part.address % PAGE_BYTES);
        node.watches.tell(space.id, { kind: EventKind.FAULT, address: BigInt(page), pages, write: true });
      }
      continue;
    }
    const { firstPage, pageCount } = pagesOf(offsetBytes, part.lengthBytes);
    tellFault(node, space, part, dataspace, true);
    await node.memory.withPages(dataspace, firstPage, pageCount, 'WRITE', () =>
      dataspace.file.writeAt(offsetBytes, from),
    );
  }
}

// Of pages that are not here.
function tellFault(
  { watches }: BytesNode,
  { id }: AddressSpace,
  { address, offsetBytes, lengthBytes }: Part,
  { name, file }: SharedDataspace,
  write: boolean,
): void {
  if (!watches.isWatched(id)) return;
  const { firstPage, pageCount } = pagesOf(offsetBytes, lengthBytes);
  for (let page = firstPage; page < firstPage + pageCount; page++) {
    if (file.has(page)) continue;
    const at = Math.max(0, address - (address % PAGE_BYTES) + (page - firstPage) * PAGE_BYTES);
    watches.tell(id, { kind: EventKind.FAULT, address: BigInt(at), pages: 1, write, name });
  }
}
