// VmspaceMcontrol: what each advice does to a vmspace that was made by hand, and to one of a process.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Advice } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import { ADVISED_PAGES_MAX } from '../sessions/hearsay.ts';
import { type EmptiedNode, emptyRuns } from './flush.ts';
import type { Handmade } from './handmade/handmade.ts';
import type { ProcessSpace } from './process-space.ts';

export interface Range {
  readonly address: number;
  readonly lengthBytes: number;
}

/** @returns pages that it was done to. @throws RpcError */
export async function adviseHandmade(
  { memory }: { memory: CoherentMemory },
  vmspace: Handmade,
  { address, lengthBytes }: Range,
  advice: Advice,
  value: number,
): Promise<number> {
  const parts = vmspace.parts(address, lengthBytes);
  const pages = lengthBytes / PAGE_BYTES;
  switch (advice) {
    case Advice.NORMAL:
    case Advice.SEQUENTIAL:
    case Advice.RANDOM:
      return vmspace.advise(address, lengthBytes, advice);
    // Nothing is kept of a pmap between two calls, and nothing was going to be read ahead.
    case Advice.INVAL:
    case Advice.DONTNEED:
      return pages;
    case Advice.FREE:
      if (parts.some(({ dataspace }) => dataspace !== undefined))
        throw invalidField('advice', 'FREE is of private memory, and a dataspace is mapped there');
      expectAlone(vmspace);
      return vmspace.free(address, lengthBytes);
    case Advice.SETMAP: {
      const [first] = parts;
      if (first?.dataspace === undefined || parts.some(({ dataspace }) => dataspace !== first.dataspace))
        throw invalidField('advice', 'SETMAP is of a range that maps one dataspace');
      const { name, pageCount } = first.dataspace;
      if (value / PAGE_BYTES + pages > pageCount)
        throw new RpcError(
          Code.OutOfRange,
          `dataspace ${name} has ${pageCount} pages; ${value / PAGE_BYTES} + ${pages} go past its end`,
        );
      expectAlone(vmspace);
      return vmspace.setMap(address, lengthBytes, value);
    }
    case Advice.WILLNEED: {
      let left = ADVISED_PAGES_MAX;
      for (const { dataspace, offsetBytes, lengthBytes: bytes } of parts) {
        if (dataspace === undefined || left === 0) continue;
        const pageCount = Math.min(left, bytes / PAGE_BYTES);
        left -= pageCount;
        await memory.withPages(dataspace, offsetBytes / PAGE_BYTES, pageCount, 'READ', () => {});
      }
      return ADVISED_PAGES_MAX - left;
    }
    default:
      throw invalidField('advice', `advice: ${advice} is none that this pmap manager knows`);
  }
}

// This call itself is one.
function expectAlone(vmspace: Handmade): void {
  if (vmspace.busy > 1) vmspace.expectUnused();
}

/** @returns pages that it was done to. @throws RpcError */
export async function adviseProcess(
  node: EmptiedNode,
  space: ProcessSpace,
  { address, lengthBytes }: Range,
  advice: Advice,
  signal?: AbortSignal,
): Promise<number> {
  const { vmspace } = space;
  const { memory } = node;
  const end = address + lengthBytes;
  const parts = space.mappedIn(address, end);
  const pages = parts.reduce((sum, part) => sum + part.lengthBytes / PAGE_BYTES, 0);
  switch (advice) {
    case Advice.NORMAL:
    case Advice.SEQUENTIAL:
    case Advice.RANDOM:
    case Advice.DONTNEED:
      for (const { mapEntry } of parts)
        if (advice === Advice.DONTNEED) mapEntry.readahead.forget();
        else mapEntry.readahead.advise(ADVISED[advice]);
      return pages;
    case Advice.INVAL:
      // Also of its private memory, which is one mapping of its virtual kernel.
      vmspace.session.send({ event: { case: 'flush', value: { vmspace: space.id } } });
      await emptyRuns(
        node,
        parts.map(({ mapEntry, offsetBytes, lengthBytes: bytes }) => ({
          ...{ dataspace: mapEntry.dataspace.id, firstPage: offsetBytes / PAGE_BYTES },
          pageCount: bytes / PAGE_BYTES,
        })),
        signal,
      );
      return lengthBytes / PAGE_BYTES;
    case Advice.WILLNEED: {
      let left = ADVISED_PAGES_MAX;
      for (const { mapEntry, offsetBytes, lengthBytes: bytes } of parts) {
        const pageCount = Math.min(left, bytes / PAGE_BYTES);
        left -= pageCount;
        if (pageCount > 0)
          memory.step({
            ...{ type: 'advise', entry: mapEntry, mode: 'READ' },
            ...{ firstPage: offsetBytes / PAGE_BYTES, pageCount },
          });
      }
      return ADVISED_PAGES_MAX - left;
    }
    case Advice.SETMAP:
    case Advice.FREE:
      return space.refuseChange('SETMAP and FREE are of vmspaces made by hand');
    default:
      throw invalidField('advice', `advice: ${advice} is none that this pmap manager knows`);
  }
}

const ADVISED = {
  [Advice.NORMAL]: 'normal',
  [Advice.SEQUENTIAL]: 'sequential',
  [Advice.RANDOM]: 'random',
} as const;
