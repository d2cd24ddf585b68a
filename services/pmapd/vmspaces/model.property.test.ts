// Vmspaces made by hand against a plain model of them, page by page: every call, in any order, by two clients at once. Two calls
// that are under way together must end as if one had come after the other. Now and then another table goes on with all of them.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { Advice } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  DATASPACE_PAGES,
  Model,
  type Op,
  type Outcome,
  pageOf,
  pagesIn,
  SPACE_PAGES,
} from './testdata/model.ts';
import { OneNode, personIs, type VmspaceHandlers } from './testdata/one-node.ts';

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

/** A read of several pages beside a write that is seen at several of them: it takes page by page, each as it was before or after. */
function besideWrite(models: Model[], pair: [Op, Op], known: bigint[], ended: Outcome[]): Model[] {
  const read = pair.findIndex(({ call }) => call === 'pread');
  const write = 1 - read;
  if (read < 0 || pair[write]!.call !== 'pwrite') return [];
  return models.flatMap((model) => {
    const before = model.copy().apply(pair[read]!, known, ended[read]!);
    const copy = model.copy();
    if (!same(copy.apply(pair[write]!, known, ended[write]!), ended[write]!)) return [];
    const after = copy.apply(pair[read]!, known, ended[read]!);
    return isMixedOf(ended[read]!, before, after) ? [copy] : [];
  });
}

const bytesOf = ({ value }: Outcome): string[] => String(value).match(/../g) ?? [];

function isMixedOf(seen: Outcome, before: Outcome, after: Outcome): boolean {
  if (seen.code !== undefined || before.code !== undefined || after.code !== undefined) return false;
  const [first, second, bytes] = [bytesOf(before), bytesOf(after), bytesOf(seen)];
  return (
    bytes.length === first.length && bytes.every((byte, at) => byte === first[at] || byte === second[at])
  );
}

test('whatever two clients do, in any order, comes of it what comes of an array', async () => {
  const calls: Record<string, number> = {};
  const codes: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(op, op), { minLength: 12, maxLength: 40, size: 'max' }),
      fc.array(
        fc.record({
          ...{ at: fc.nat(40), chunks: fc.nat(4) },
          move: fc.constantFrom(
            'begins' as const,
            'begins' as const,
            'ends' as const,
            'is given up' as const,
          ),
        }),
        { maxLength: 3 },
      ),
      async (pairs, moves) => {
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
          for (const [turn, pair] of [...begin, ...pairs].entries()) {
            for (const { move, chunks } of moves.filter(({ at }) => at === turn))
              if (move === 'begins') one.beginMove(chunks);
              else if (move === 'ends') one.endMove();
              else one.giveUpMove();
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
            if (next.length === 0) next.push(...besideWrite(models, pair, known, ended));
            if (next.length === 0)
              expect({ pair, ended }).toBe('what the model says in one order or the other');
            models = next.slice(0, 8);
          }
          one.endMove();
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
    { numRuns: Number(process.env.RUNS ?? 60) },
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
