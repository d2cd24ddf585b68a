// What each of many vmspaces maps that are made by one call: looked at once for all, with the rights of who makes them.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Advice, type ManyEntry } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { Node } from '../node.ts';
import { asked } from '../sessions/asked.ts';
import { type AddressSpace, type Entry, expectPages } from './address-space.ts';
import type { ManyEntries } from './handmade/handmade-table.ts';

/**
 * @throws RpcError ALREADY_EXISTS, INVALID_ARGUMENT, OUT_OF_RANGE; what opening a dataspace is refused with
 */
export async function manyEntries(
  { openings }: Pick<Node, 'openings'>,
  ctx: CallContext,
  space: Pick<AddressSpace, 'shown' | 'sizeBytes'>,
  entries: readonly ManyEntry[],
  count: number,
): Promise<ManyEntries> {
  const ranges = entries.toSorted((a, b) => (a.address < b.address ? -1 : 1));
  for (const [i, { address, lengthBytes, offsetBytes, stepBytes, dataspace }] of ranges.entries()) {
    expectPages(space, address, lengthBytes);
    for (const [field, bytes] of [
      ['offset_bytes', offsetBytes],
      ['step_bytes', stepBytes],
    ] as const)
      if (bytes % BigInt(PAGE_BYTES) !== 0n)
        throw invalidField(field, `${field}: a multiple of ${PAGE_BYTES}, not ${bytes}`);
    if (dataspace === '' && stepBytes !== 0n)
      throw invalidField('step_bytes', 'step_bytes: is of a dataspace; private memory begins nowhere');
    const before = ranges[i - 1];
    if (before !== undefined && before.address + before.lengthBytes > address)
      throw new RpcError(
        Code.AlreadyExists,
        `entries: that at 0x${address.toString(16)} overlaps that at 0x${before.address.toString(16)}`,
      );
  }
  const opened: Entry[] = [];
  for (const { address, lengthBytes, dataspace: name, offsetBytes, stepBytes, writable } of ranges) {
    const entry = { address: Number(address), lengthBytes: Number(lengthBytes), writable };
    let dataspace: SharedDataspace | undefined;
    if (name !== '') {
      dataspace = (await openings.open(name, 0n, { forWriting: writable, ...asked(ctx) })).dataspace;
      const last = offsetBytes + stepBytes * BigInt(count - 1) + lengthBytes;
      if (last > BigInt(dataspace.pageCount * PAGE_BYTES)) {
        const reason = `dataspace ${name} has ${dataspace.sizeBytes} bytes; the last vmspace would map it up to ${last}`;
        throw new RpcError(Code.OutOfRange, reason);
      }
    }
    opened.push({
      ...{ ...entry, dataspace, advice: Advice.NORMAL },
      offsetBytes: dataspace === undefined ? 0 : Number(offsetBytes),
    });
  }
  return { entries: opened, stepBytes: ranges.map(({ stepBytes }) => Number(stepBytes)) };
}
