// The methods of odonata.vmspace.v1.VmspaceService.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Advice, type VmspaceService } from '@odonata/proto/vmspace/v1/vmspace';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { isTheirs, ownerOnly } from '@odonata/rpc/identity/access.ts';
import { requesterOf } from '@odonata/rpc/identity/requester.ts';
import { MAX_ITEMS, pageOf } from '@odonata/rpc/list-page.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { invalidField, notFound, tryAgain } from '@odonata/rpc/refusal.ts';
import type { CallContext, Handlers } from '@odonata/rpc/service.ts';
import type { Node } from '../node.ts';
import { asked } from '../sessions/asked.ts';
import type { Vmspace } from '../sessions/vmspace.ts';
import { type AddressSpace, expectPages, expectWithin, type Run } from './address-space.ts';
import { adviseHandmade, adviseProcess, type Range } from './advice.ts';
import { pread, pwrite } from './bytes.ts';
import { Flushes, flushPmaps } from './flush.ts';
import { Handmade } from './handmade/handmade.ts';
import { HANDMADE_BYTES_MAX, IDLE_MIN_MS } from './handmade/handmade-table.ts';
import { listSpaces } from './list.ts';
import { manyEntries } from './many.ts';
import { ProcessSpace } from './process-space.ts';
import { listResident } from './resident.ts';

const BYTES_MAX = 1 << 20;

export function vmspaceHandlers(node: Node): Handlers<typeof VmspaceService> {
  const { handmade, watches } = node;
  const flushes = new Flushes(node.limits);

  function* processes(): Generator<Vmspace> {
    for (const { vmspaces } of node.sessions) yield* vmspaces.values();
  }

  const spaceOf = (vmspace: Vmspace) => new ProcessSpace(vmspace, (id) => node.memory.get(id));

  function processSpace(id: bigint): ProcessSpace | undefined {
    for (const { vmspaces } of node.sessions) {
      const vmspace = vmspaces.get(id);
      if (vmspace !== undefined) return spaceOf(vmspace);
    }
    return undefined;
  }

  /** @throws RpcError NOT_FOUND, PERMISSION_DENIED, UNAVAILABLE */
  function find(ctx: CallContext, id: bigint): Handmade | ProcessSpace {
    const space = handmade.get(id) ?? processSpace(id);
    if (space === undefined)
      throw notFound(
        { type: 'vmspace', name: id },
        `no vmspace ${id} on ${node.name}; ListVmspaces lists them`,
      );
    ownerOnly(ctx, space.owner, `vmspace ${id} of ${node.name}`);
    if (node.isStopping) throw tryAgain(Code.Unavailable, `the pmap manager of ${node.name} stops`);
    if (space instanceof Handmade) space.lastUsedMs = monotonicMs();
    return space;
  }

  function ours(ctx: CallContext, id: bigint, fix: string): Handmade {
    const space = find(ctx, id);
    return space instanceof Handmade ? space : space.refuseChange(fix);
  }

  // A call that waits for pages keeps others from changing what it is about.
  async function using<T>(space: AddressSpace, use: () => Promise<T>): Promise<T> {
    if (!(space instanceof Handmade)) return await use();
    space.busy++;
    try {
      return await use();
    } finally {
      space.busy--;
      space.lastUsedMs = monotonicMs();
    }
  }

  async function advised(
    space: ProcessSpace,
    range: Range,
    advice: Advice,
    ctx: CallContext,
  ): Promise<number> {
    const advise = () => adviseProcess(node, space, range, advice, ctx.signal);
    return advice === Advice.INVAL ? await flushes.run(whoOf(ctx), advise) : await advise();
  }

  /** Those with this id and behind it, in the order of ids, that are not looked at for long. */
  function* spacesFrom(first: bigint): Generator<Handmade | ProcessSpace> {
    const later = [...processes()].filter(({ id }) => id >= first).sort((a, b) => (a.id < b.id ? -1 : 1));
    let next = 0;
    for (const made of handmade.all(first)) {
      for (; next < later.length && later[next]!.id < made.id; next++) yield spaceOf(later[next]!);
      yield made;
    }
    for (; next < later.length; next++) yield spaceOf(later[next]!);
  }

  return {
    vmspaceCreate({ name, sizeBytes, idleMs }, ctx) {
      if (node.isStopping) throw tryAgain(Code.Unavailable, `the pmap manager of ${node.name} stops`);
      expectNew(sizeBytes, idleMs);
      const { user } = requesterOf(ctx);
      const made = handmade.create(user, { name, sizeBytes: Number(sizeBytes), idleMs });
      return { vmspace: made.id, idleMs: made.idleMs };
    },

    async vmspaceCreateMany({ count, sizeBytes, idleMs, entries }, ctx) {
      if (count === 0) throw invalidField('count', 'count: 1 at least');
      expectNew(sizeBytes, idleMs);
      const space = { shown: 'each of them', sizeBytes: Number(sizeBytes) || HANDMADE_BYTES_MAX };
      const each = await manyEntries(node, ctx, space, entries, count);
      if (node.isStopping) throw tryAgain(Code.Unavailable, `the pmap manager of ${node.name} stops`);
      const { user } = requesterOf(ctx);
      const about = { count, sizeBytes: Number(sizeBytes), idleMs };
      const made = handmade.createMany(user, about, each);
      return { firstVmspace: made.first, count, idleMs: made.idleMs };
    },

    vmspaceDestroyMany({ firstVmspace, count }, ctx) {
      const found: Handmade[] = [];
      for (let id = firstVmspace; id < firstVmspace + BigInt(count); id++) {
        if (handmade.get(id) === undefined && processSpace(id) === undefined) continue;
        const vmspace = ours(ctx, id, 'vkctl kill ends that');
        vmspace.expectUnused();
        found.push(vmspace);
      }
      for (const vmspace of found) {
        handmade.destroy(vmspace);
        watches.end(vmspace.id);
      }
      return { count: found.length };
    },

    vmspaceDestroy({ vmspace: id }, ctx) {
      const vmspace = ours(ctx, id, 'vkctl kill ends that');
      vmspace.expectUnused();
      handmade.destroy(vmspace);
      watches.end(id);
      return {};
    },

    async vmspaceMmap({ vmspace: id, address, lengthBytes, dataspace: name, offsetBytes, writable }, ctx) {
      const vmspace = ours(ctx, id, 'odonata_ds_map() of the program maps there');
      expectPages(vmspace, address, lengthBytes);
      if (offsetBytes % BigInt(PAGE_BYTES) !== 0n)
        throw invalidField('offset_bytes', `offset_bytes: a multiple of ${PAGE_BYTES}, not ${offsetBytes}`);
      const [at, length] = [Number(address), Number(lengthBytes)];
      vmspace.expectFree(at, length);
      const entry = { address: at, lengthBytes: length, writable, offsetBytes: 0, advice: Advice.NORMAL };
      if (name === '') {
        vmspace.map(entry);
        return { entry: entryWire(entry) };
      }
      return await using(vmspace, async () => {
        const opened = await node.openings.open(name, 0n, { forWriting: writable, ...asked(ctx) });
        const { dataspace } = opened;
        const bytes = BigInt(dataspace.pageCount) * BigInt(PAGE_BYTES);
        if (offsetBytes + lengthBytes > bytes) {
          const reason = `dataspace ${name} has ${dataspace.sizeBytes} bytes; ${offsetBytes} + ${lengthBytes} go past its end`;
          throw new RpcError(Code.OutOfRange, reason);
        }
        // Others may have mapped there while the directory was asked.
        vmspace.expectFree(at, length);
        const shared = { ...entry, dataspace, offsetBytes: Number(offsetBytes) };
        vmspace.map(shared);
        return { entry: entryWire(shared) };
      });
    },

    vmspaceMunmap({ vmspace: id, address, lengthBytes }, ctx) {
      const vmspace = ours(ctx, id, 'odonata_ds_unmap() of the program unmaps there');
      expectPages(vmspace, address, lengthBytes);
      vmspace.expectUnused();
      return { pages: BigInt(vmspace.unmap(Number(address), Number(lengthBytes))) };
    },

    async vmspaceMcontrol({ vmspace: id, address, lengthBytes, advice, value }, ctx) {
      const space = find(ctx, id);
      expectPages(space, address, lengthBytes);
      const range = { address: Number(address), lengthBytes: Number(lengthBytes) };
      if (advice === Advice.SETMAP && value % BigInt(PAGE_BYTES) !== 0n)
        throw invalidField('value', `value: of SETMAP a multiple of ${PAGE_BYTES}, not ${value}`);
      const pages =
        space instanceof Handmade
          ? await using(space, () => adviseHandmade(node, space, range, advice, Number(value)))
          : await advised(space, range, advice, ctx);
      return { pages: BigInt(pages) };
    },

    async vmspacePread({ vmspace: id, address, length }, ctx) {
      const space = find(ctx, id);
      if (length > BYTES_MAX) throw invalidField('length', `length: at most ${BYTES_MAX}, not ${length}`);
      expectWithin(space, address, BigInt(length));
      return { data: await using(space, () => pread(node, space, Number(address), length)) };
    },

    async vmspacePwrite({ vmspace: id, address, data }, ctx) {
      const space = find(ctx, id);
      expectWithin(space, address, BigInt(data.length));
      await using(space, () => pwrite(node, space, Number(address), data));
      return {};
    },

    async listVmspaces({ pageSize, pageToken }, ctx) {
      // The token is the id of the last one: what comes and goes meanwhile changes nothing of the rest.
      const after = cursorOf(pageToken);
      const { items, next } = await listSpaces(spacesFrom, {
        ...{ first: after === undefined ? 0n : after + 1n, most: pageSize || 100 },
        isWanted: ({ owner }) => isTheirs(ctx, owner),
        signal: ctx.signal,
      });
      return { vmspaces: items.map(vmspaceWire), nextPageToken: next === undefined ? '' : `${next}` };
    },

    listMapEntries({ vmspace, pageSize, pageToken }, ctx) {
      const entries = [...find(ctx, vmspace).entries()];
      const { items, nextPageToken } = pageOf(entries, ({ address }) => `${address}`, pageSize, pageToken);
      return { entries: items.map(entryWire), nextPageToken };
    },

    async listResidentPages({ vmspace, pageSize, pageToken }, ctx) {
      find(ctx, vmspace);
      if (!/^\d{0,15}$/.test(pageToken)) throw invalidField('page_token', 'page_token: not one of this list');
      const most = Math.min(pageSize || 100, MAX_ITEMS);
      // The token is where the next one begins: what comes and goes meanwhile changes nothing of the rest.
      const from = Number(pageToken || 0);
      const { runs, next } = await listResident(() => find(ctx, vmspace), from, most, ctx.signal);
      return { runs: runs.map(runWire), nextPageToken: next === undefined ? '' : `${next}` };
    },

    async *watchVmspace({ vmspace, kinds, backlog, limit }, ctx) {
      find(ctx, vmspace);
      yield* watches.follow({ vmspace, who: whoOf(ctx), kinds, backlog, limit }, ctx.signal);
    },

    async flushPmaps({ whose }, ctx) {
      if (whose.case === undefined)
        throw invalidField('whose', 'whose: give a vmspace, a pid, a vkernel or node');
      const all = [...processes()].filter((vmspace) => isTheirs(ctx, vmspace.session.requester.user));
      const vmspaces = all.filter((vmspace) => isAbout(whose, vmspace));
      if (whose.case === 'vmspace' && vmspaces.length === 0) find(ctx, whose.value);
      else if (vmspaces.length === 0 && whose.case !== 'node') throw nothingThere(whose, node.name);
      const { sharedPages, privatePages } = await flushes.run(whoOf(ctx), () => {
        node.statistics.pmapFlushes += vmspaces.length;
        return flushPmaps(node, vmspaces, ctx.signal);
      });
      return {
        vmspaces: vmspaces.length,
        sharedPages: BigInt(sharedPages),
        privatePages: BigInt(privatePages),
      };
    },
  };
}

/** @throws RpcError INVALID_ARGUMENT */
function expectNew(sizeBytes: bigint, idleMs: number): void {
  if (sizeBytes % BigInt(PAGE_BYTES) !== 0n)
    throw invalidField('size_bytes', `size_bytes: a multiple of ${PAGE_BYTES}, not ${sizeBytes}`);
  if (idleMs !== 0 && idleMs < IDLE_MIN_MS)
    throw invalidField('idle_ms', `idle_ms: at least ${IDLE_MIN_MS}, or 0, not ${idleMs}`);
}

/** @throws RpcError INVALID_ARGUMENT */
function cursorOf(pageToken: string): bigint | undefined {
  if (!/^\d{0,20}$/.test(pageToken)) throw invalidField('page_token', 'page_token: not one of this list');
  return pageToken === '' ? undefined : BigInt(pageToken);
}

const whoOf = (ctx: CallContext): string => `user:${requesterOf(ctx).user}`;

type Whose = Parameters<NonNullable<Handlers<typeof VmspaceService>['flushPmaps']>>[0]['whose'];

function isAbout(whose: Whose, { id, pid, session: { name } }: Vmspace): boolean {
  switch (whose.case) {
    case 'vmspace':
      return id === whose.value;
    case 'pid':
      return pid === whose.value;
    case 'vkernel':
      return name === whose.value || name.endsWith(`/${whose.value}`);
    case 'node':
      return whose.value;
    default:
      return false;
  }
}

const nothingThere = (whose: Whose, node: string): RpcError =>
  whose.case === 'vkernel'
    ? new RpcError(
        Code.NotFound,
        `no virtual kernel ${whose.value} with processes on ${node}; vkctl ps lists them`,
      )
    : notFound(
        { type: 'process', name: `${whose.value}` },
        `no process ${whose.value} with a vmspace on ${node}; vkctl ps lists them`,
      );

function vmspaceWire(space: Handmade | ProcessSpace) {
  const { id, owner, sizeBytes } = space;
  const about = { vmspace: id, owner, sizeBytes: BigInt(sizeBytes) };
  if (space instanceof Handmade) {
    const { name, idleMs, privatePages } = space;
    return { ...about, name, idleMs, privatePages: BigInt(privatePages), entries: space.entryCount };
  }
  const { pid, session, entries } = space.vmspace;
  const privatePages = BigInt(space.vmspace.peekFrames());
  return { ...about, pid, vkernel: session.name, entries: entries.size, privatePages };
}

const entryWire = (entry: ReturnType<AddressSpace['entries']> extends Iterable<infer E> ? E : never) => ({
  address: BigInt(entry.address),
  lengthBytes: BigInt(entry.lengthBytes),
  dataspace: entry.dataspace?.name ?? '',
  offsetBytes: BigInt(entry.offsetBytes),
  writable: entry.writable,
  advice: entry.advice,
});

const runWire = ({ address, pages, dataspace, firstPage }: Run) => ({
  ...{ address: BigInt(address), pages, dataspace: dataspace?.name ?? '', firstPage: BigInt(firstPage) },
});
