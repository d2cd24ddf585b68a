// Vmspaces made by hand as a plain model: which page maps what, and arrays of bytes.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Advice } from '@odonata/proto/vmspace/v1/vmspace';
import { Code } from '@odonata/rpc/error.ts';

export const SPACE_PAGES = 6;
export const DATASPACE_PAGES = 4;

export type Op =
  | { call: 'create'; name: string }
  | { call: 'destroy' | 'entries' | 'resident'; at: number }
  | {
      call: 'mmap';
      at: number;
      address: number;
      lengthBytes: number;
      shared: boolean;
      offsetBytes: number;
      writable: boolean;
    }
  | { call: 'munmap'; at: number; address: number; lengthBytes: number }
  | { call: 'mcontrol'; at: number; address: number; lengthBytes: number; advice: Advice; value: number }
  | { call: 'pread'; at: number; address: number; length: number }
  | { call: 'pwrite'; at: number; address: number; data: Uint8Array };

interface ModelPage {
  shared: boolean;
  page: number;
  writable: boolean;
}

export interface Outcome {
  code?: Code;
  value?: unknown;
}

const inPage = (address: number): number => address % PAGE_BYTES;
export const pageOf = (address: number): number => Math.floor(address / PAGE_BYTES);

class ModelSpace {
  name = '';
  mapped = new Map<number, ModelPage>();
  bytes = new Map<number, Uint8Array>();
}

export class Model {
  spaces = new Map<bigint, ModelSpace>();
  shared = new Uint8Array(DATASPACE_PAGES * PAGE_BYTES);

  copy(): Model {
    return structuredCloneOf(this);
  }

  /** What must come of it; `seen` gives the id of what was made. */
  apply(op: Op, ids: readonly bigint[], seen: Outcome): Outcome {
    if (op.call === 'create') {
      const taken = op.name !== '' && [...this.spaces.values()].some(({ name }) => name === op.name);
      if (taken) return { code: Code.AlreadyExists };
      if (seen.code !== undefined) return {};
      const space = new ModelSpace();
      space.name = op.name;
      this.spaces.set(seen.value as bigint, space);
      return seen;
    }
    const id = ids[op.at % Math.max(1, ids.length)] ?? 999n;
    const space = this.spaces.get(id);
    if (space === undefined) return { code: Code.NotFound };
    switch (op.call) {
      case 'destroy':
        this.spaces.delete(id);
        return { value: null };
      case 'entries':
        return { value: [...space.mapped].sort(([a], [b]) => a - b) };
      case 'resident':
        return {
          value: [...space.mapped]
            .filter(([page, { shared }]) => !shared && space.bytes.has(page))
            .map(([page]) => page)
            .sort((a, b) => a - b),
        };
      case 'mmap':
        return this.mmap(space, op);
      case 'munmap': {
        const refused = rangeRefused(op);
        if (refused !== undefined) return refused;
        let pages = 0;
        for (const page of pagesIn(op)) {
          if (space.mapped.delete(page)) pages++;
          space.bytes.delete(page);
        }
        return { value: pages };
      }
      case 'mcontrol':
        return this.mcontrol(space, op);
      case 'pread':
      case 'pwrite':
        return this.access(space, op);
    }
  }

  private mmap(space: ModelSpace, op: Extract<Op, { call: 'mmap' }>): Outcome {
    const refused = rangeRefused(op);
    if (refused !== undefined) return refused;
    if (inPage(op.offsetBytes) !== 0) return { code: Code.InvalidArgument };
    const pages = pagesIn(op);
    if (pages.some((page) => space.mapped.has(page))) return { code: Code.AlreadyExists };
    if (op.shared && pageOf(op.offsetBytes) + pages.length > DATASPACE_PAGES)
      return { code: Code.OutOfRange };
    pages.forEach((page, i) => {
      const { shared, writable } = op;
      space.mapped.set(page, { shared, writable, page: shared ? pageOf(op.offsetBytes) + i : 0 });
    });
    return { value: null };
  }

  private mcontrol(space: ModelSpace, op: Extract<Op, { call: 'mcontrol' }>): Outcome {
    const { advice, value } = op;
    const refused = rangeRefused(op);
    if (refused !== undefined) return refused;
    if (advice === Advice.SETMAP && inPage(value) !== 0) return { code: Code.InvalidArgument };
    const pages = pagesIn(op);
    if (pages.some((page) => !space.mapped.has(page))) return { code: Code.OutOfRange };
    const shared = pages.filter((page) => space.mapped.get(page)!.shared);
    switch (advice) {
      case Advice.FREE: {
        if (shared.length > 0) return { code: Code.InvalidArgument };
        return { value: pages.filter((page) => space.bytes.delete(page)).length };
      }
      case Advice.SETMAP:
        if (shared.length < pages.length) return { code: Code.InvalidArgument };
        if (pageOf(value) + pages.length > DATASPACE_PAGES) return { code: Code.OutOfRange };
        pages.forEach((page, i) => {
          space.mapped.set(page, { ...space.mapped.get(page)!, page: pageOf(value) + i });
        });
        return { value: pages.length };
      case Advice.WILLNEED:
        return { value: shared.length };
      default:
        return { value: pages.length };
    }
  }

  private access(space: ModelSpace, op: Extract<Op, { call: 'pread' | 'pwrite' }>): Outcome {
    const length = op.call === 'pread' ? op.length : op.data.length;
    if (op.address + length > SPACE_PAGES * PAGE_BYTES) return { code: Code.OutOfRange };
    const at = Array.from({ length }, (_, i) => op.address + i);
    const pages = [...new Set(at.map(pageOf))].map((page) => [page, space.mapped.get(page)] as const);
    if (pages.some(([, mapped]) => mapped === undefined)) return { code: Code.OutOfRange };
    if (op.call === 'pwrite' && pages.some(([, mapped]) => !mapped!.writable))
      return { code: Code.PermissionDenied };
    const read = new Uint8Array(length);
    at.forEach((address, i) => {
      const mapped = space.mapped.get(pageOf(address))!;
      if (op.call === 'pread')
        read[i] = mapped.shared
          ? this.shared[mapped.page * PAGE_BYTES + inPage(address)]!
          : (space.bytes.get(pageOf(address))?.[inPage(address)] ?? 0);
      else if (mapped.shared) this.shared[mapped.page * PAGE_BYTES + inPage(address)] = op.data[i]!;
      else {
        const bytes = space.bytes.get(pageOf(address)) ?? new Uint8Array(PAGE_BYTES);
        bytes[inPage(address)] = op.data[i]!;
        space.bytes.set(pageOf(address), bytes);
      }
    });
    return { value: op.call === 'pread' ? Buffer.from(read).toString('hex') : null };
  }
}

function structuredCloneOf(model: Model): Model {
  const copy = new Model();
  copy.shared = model.shared.slice();
  for (const [id, { name, mapped, bytes }] of model.spaces) {
    const space = new ModelSpace();
    space.name = name;
    space.mapped = new Map([...mapped].map(([page, about]) => [page, { ...about }]));
    space.bytes = new Map([...bytes].map(([page, data]) => [page, data.slice()]));
    copy.spaces.set(id, space);
  }
  return copy;
}

function rangeRefused({
  address,
  lengthBytes,
}: {
  address: number;
  lengthBytes: number;
}): Outcome | undefined {
  if (inPage(address) !== 0 || lengthBytes === 0 || inPage(lengthBytes) !== 0)
    return { code: Code.InvalidArgument };
  return address + lengthBytes > SPACE_PAGES * PAGE_BYTES ? { code: Code.OutOfRange } : undefined;
}

export const pagesIn = ({ address, lengthBytes }: { address: number; lengthBytes: number }): number[] =>
  Array.from({ length: lengthBytes / PAGE_BYTES }, (_, i) => pageOf(address) + i);
