// Vmspaces made by hand against a plain model of them, page by page: every call, in any order, by two clients at once. Two calls
// that are under way together must end as if one had come after the other.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Advice } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OneNode, personIs, type VmspaceHandlers } from './testdata/one-node.ts';

const SPACE_PAGES = 6;
const DATASPACE_PAGES = 4;

type Op =
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

interface Outcome {
  code?: Code;
  value?: unknown;
}

const inPage = (address: number): number => address % PAGE_BYTES;
const pageOf = (address: number): number => Math.floor(address / PAGE_BYTES);

class ModelSpace {
  name = '';
  mapped = new Map<number, ModelPage>();
  bytes = new Map<number, Uint8Array>();
}

class Model {
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

const pagesIn = ({ address, lengthBytes }: { address: number; lengthBytes: number }): number[] =>
  Array.from({ length: lengthBytes / PAGE_BYTES }, (_, i) => pageOf(address) + i);

async function done(calls: VmspaceHandlers, op: Op, ids: readonly bigint[]): Promise<Outcome> {
  const ctx = personIs('alice');
  const vmspace = op.call === 'create' ? 0n : (ids[op.at % Math.max(1, ids.length)] ?? 999n);
  const all = { vmspace, pageSize: 1_000, pageToken: '' } as never;
  const range =
    'lengthBytes' in op ? { address: BigInt(op.address), lengthBytes: BigInt(op.lengthBytes) } : {};
  try {
    switch (op.call) {
      case 'create': {
        const about = { name: op.name, sizeBytes: BigInt(SPACE_PAGES * PAGE_BYTES), idleMs: 0 };
        return { value: (await calls.vmspaceCreate(about as never, ctx)).vmspace };
      }
      case 'destroy':
        await calls.vmspaceDestroy({ vmspace } as never, ctx);
        return { value: null };
      case 'entries': {
        const { entries } = await calls.listMapEntries(all, ctx);
        const pages = entries!.flatMap(({ address, lengthBytes, dataspace, offsetBytes, writable }) =>
          pagesIn({ address: Number(address), lengthBytes: Number(lengthBytes) }).map((page, i) => {
            const shared = dataspace !== '';
            return [page, { shared, writable, page: shared ? pageOf(Number(offsetBytes)) + i : 0 }];
          }),
        );
        return { value: pages };
      }
      case 'resident': {
        const { runs } = await calls.listResidentPages(all, ctx);
        const own = runs!.filter(({ dataspace }) => dataspace === '');
        return {
          value: own.flatMap(({ address, pages }) =>
            Array.from({ length: pages! }, (_, i) => pageOf(Number(address)) + i),
          ),
        };
      }
      case 'mmap': {
        const about = {
          dataspace: op.shared ? 'd' : '',
          offsetBytes: BigInt(op.offsetBytes),
          writable: op.writable,
        };
        await calls.vmspaceMmap({ vmspace, ...range, ...about } as never, ctx);
        return { value: null };
      }
      case 'munmap':
        return { value: Number((await calls.vmspaceMunmap({ vmspace, ...range } as never, ctx)).pages) };
      case 'mcontrol': {
        const about = { advice: op.advice, value: BigInt(op.value) };
        return {
          value: Number((await calls.vmspaceMcontrol({ vmspace, ...range, ...about } as never, ctx)).pages),
        };
      }
      case 'pread': {
        const request = { vmspace, address: BigInt(op.address), length: op.length };
        return {
          value: Buffer.from((await calls.vmspacePread(request as never, ctx)).data!).toString('hex'),
        };
      }
      case 'pwrite':
        await calls.vmspacePwrite({ vmspace, address: BigInt(op.address), data: op.data } as never, ctx);
        return { value: null };
    }
  } catch (error) {
    if (RpcError.is(error)) return { code: error.code };
    throw error;
  }
}

const at = fc.nat(3);
/** Mostly where pages begin. */
const address = fc.oneof(
  { weight: 12, arbitrary: fc.nat(SPACE_PAGES).map((page) => page * PAGE_BYTES) },
  { weight: 1, arbitrary: fc.nat(SPACE_PAGES * PAGE_BYTES) },
);
const lengthBytes = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 1, max: 4 }).map((pages) => pages * PAGE_BYTES) },
  { weight: 1, arbitrary: fc.nat(2 * PAGE_BYTES) },
);
const offsetBytes = fc.oneof(
  { weight: 12, arbitrary: fc.nat(DATASPACE_PAGES - 1).map((page) => page * PAGE_BYTES) },
  { weight: 1, arbitrary: fc.nat(DATASPACE_PAGES * PAGE_BYTES) },
);
const anyAddress = fc.nat(SPACE_PAGES * PAGE_BYTES - 1);
const range = { at, address, lengthBytes };
const mmap = fc.record({
  ...{ call: fc.constant('mmap' as const), ...range, offsetBytes },
  ...{ shared: fc.boolean(), writable: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.boolean()) },
});
const pwrite = fc.record({
  ...{ call: fc.constant('pwrite' as const), at, address: fc.oneof(address, anyAddress) },
  data: fc
    .uint8Array({ minLength: 0, maxLength: 16 })
    .chain((data) =>
      fc
        .constantFrom(1, 1, 400)
        .map((times) => Uint8Array.from(Array.from({ length: times }, () => [...data]).flat())),
    ),
});
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.record({ call: fc.constant('create' as const), name: fc.constantFrom('', '', 'a', 'b') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      call: fc.constantFrom('destroy', 'destroy', 'entries', 'resident'),
      at,
    }),
  },
  { weight: 6, arbitrary: mmap },
  { weight: 2, arbitrary: fc.record({ call: fc.constant('munmap' as const), ...range }) },
  {
    weight: 3,
    arbitrary: fc.record({
      ...{ call: fc.constant('mcontrol' as const), ...range, value: offsetBytes },
      advice: fc.constantFrom(1, 2, 3, 3, 4, 5, 6, 7, 8, 8) as fc.Arbitrary<Advice>,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      ...{ call: fc.constant('pread' as const), at, address: fc.oneof(address, anyAddress) },
      length: fc.oneof(fc.nat(40), fc.nat(3 * PAGE_BYTES)),
    }),
  },
  { weight: 6, arbitrary: pwrite },
);

const same = (a: Outcome, b: Outcome): boolean => {
  if (a.code !== b.code) return false;
  return JSON.stringify(a.value, plain) === JSON.stringify(b.value, plain);
};
const plain = (_: string, value: unknown) => (typeof value === 'bigint' ? value.toString() : value);

/** Two that were under way at once: what is changed while somebody waits for pages is refused, and nothing comes of it. */
const inUse = (op: Op, { code }: Outcome): boolean =>
  code === Code.FailedPrecondition && ['destroy', 'munmap', 'mcontrol'].includes(op.call);

test('whatever two clients do, in any order, comes of it what comes of an array', async () => {
  const calls: Record<string, number> = {};
  const codes: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(op, op), { minLength: 12, maxLength: 40, size: 'max' }),
      async (pairs) => {
        const one = new OneNode();
        try {
          await one.dataspace('d');
          const ids: bigint[] = [];
          const gone: bigint[] = [];
          let models = [new Model()];
          const first: Op = { call: 'create', name: '' };
          const privately = {
            address: 0,
            lengthBytes: 3 * PAGE_BYTES,
            shared: false,
            offsetBytes: 0,
            writable: true,
          };
          const shared = { address: 4 * PAGE_BYTES, lengthBytes: 2 * PAGE_BYTES, shared: true };
          const begin: [Op, Op][] = [
            [first, first],
            [
              { call: 'mmap', at: 0, ...privately },
              { call: 'mmap', at: 1, ...privately, ...shared },
            ],
          ];
          for (const pair of [...begin, ...pairs]) {
            const known = [...ids];
            const ended = await Promise.all(pair.map((each) => done(one.calls, each, known)));
            for (const [i, each] of pair.entries()) {
              calls[each.call] = (calls[each.call] ?? 0) + 1;
              codes[ended[i]!.code ?? 0] = (codes[ended[i]!.code ?? 0] ?? 0) + 1;
              if (each.call === 'create' && ended[i]!.code === undefined) ids.push(ended[i]!.value as bigint);
              // Of those that ended one is spoken of still.
              if (each.call === 'destroy' && ended[i]!.code === undefined) {
                ids.splice(ids.indexOf(known[each.at % known.length]!), 1);
                if (ids.length < 2) ids.push(...gone.splice(0, 1));
                gone[0] = known[each.at % known.length]!;
              }
            }
            const next: Model[] = [];
            for (const model of models)
              for (const order of [
                [0, 1],
                [1, 0],
              ]) {
                const copy = model.copy();
                const fits = order.every((i) => {
                  if (inUse(pair[i]!, ended[i]!)) return true;
                  return same(copy.apply(pair[i]!, known, ended[i]!), ended[i]!);
                });
                if (fits) next.push(copy);
              }
            if (next.length === 0)
              expect({ pair, ended }).toBe('what the model says in one order or the other');
            models = next.slice(0, 8);
          }
          const frames = one.node.handmade.privatePages;
          expect(
            models.map(({ spaces }) => [...spaces.values()].reduce((sum, { bytes }) => sum + bytes.size, 0)),
          ).toContain(frames);
          expect(one.node.frames.privateFrames).toBe(frames);
          for (const vmspace of [...one.node.handmade.all()]) one.node.handmade.destroy(vmspace);
          expect(one.node.frames.privateFrames).toBe(0);
        } finally {
          one.close();
        }
      },
    ),
    { numRuns: Number(process.env.RUNS ?? 80) },
  );
  for (const call of [
    'create',
    'destroy',
    'entries',
    'resident',
    'mmap',
    'munmap',
    'mcontrol',
    'pread',
    'pwrite',
  ])
    expect(calls[call], call).toBeGreaterThan(0);
  for (const code of [
    Code.NotFound,
    Code.AlreadyExists,
    Code.InvalidArgument,
    Code.OutOfRange,
    Code.PermissionDenied,
  ])
    expect(codes[code], `code ${code}`).toBeGreaterThan(0);
});
