// The methods of odonata.coherency.v1.DirectoryService.
import { isBorrowed, isGateway, isHolderOf } from '@odonata/coherency/gateway.ts';
import { isLodged } from '@odonata/coherency/node/pool/lodged.ts';
import { fieldRange } from '@odonata/coherency/replica/field.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import type {
  DeleteDataspaceRequest,
  DirectoryService,
  HolderEvent,
  HoldRequest,
} from '@odonata/proto/coherency/v1/coherency';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { AccessRefusal } from '@odonata/rpc/identity/access-refusal.ts';
import { ANYONE, type Caller, shownCaller, speaksFor } from '@odonata/rpc/identity/identity.ts';
import { mayBeIn, type Requester, requesterOf, THE_SERVICE } from '@odonata/rpc/identity/requester.ts';
import { pageOf } from '@odonata/rpc/list-page.ts';
import { existsOtherwise, invalidField, notFound } from '@odonata/rpc/refusal.ts';
import { failStream, type Handlers, raw } from '@odonata/rpc/server.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import type { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { CoherencyService } from './coherency-service.ts';
import { wholeField } from './field.ts';
import { Loads } from './loads.ts';
import {
  type Allowed,
  changed,
  expectAllowed,
  expectOwner,
  isSeenBy,
  NOBODYS,
  ownershipFor,
} from './ownership.ts';
import { checkName, type DataspaceRecord, expectSize, notKnown, type Registry } from './registry.ts';
import type { HolderStream } from './streams.ts';
import { lossesOf, ownLosses, shardUsage, usageOf } from './usage.ts';

const wire = (record: DataspaceRecord) => ({
  id: record.id,
  name: record.name,
  sizeBytes: record.sizeBytes,
  creator: record.creator,
  creatorIncarnation: record.creatorIncarnation,
  durable: record.durable,
  owner: record.owner,
  group: record.group,
  mode: record.mode,
  ...(record.load && { load: record.load }),
});

/** Dataspaces with losses that one answer names. */
const LOSSES_MAX = 1000;

/** A gateway has what is for everybody. */
const ANYBODY: Requester = { user: '', groups: [], all: false };

const SPEAKERS: ReadonlySet<Role> = new Set([Role.PMAPD, Role.VKERNELD]);

/** Who asks: themselves, or through a service of a node, which says for whom, and means itself where it does not. */
function asks(ctx: CallContext, said: Requester | undefined): Requester {
  const speaksForOthers = SPEAKERS.has(ctx.caller.role) || ctx.caller === ANYONE;
  if (ctx.caller.role === Role.GATEWAY) return ANYBODY;
  return speaksForOthers ? (said ?? THE_SERVICE) : requesterOf(ctx);
}

export function directoryHandlers(
  service: CoherencyService,
  registry: Registry,
  /** Addresses of replicas that live, by name. */
  replicas: () => ReadonlyMap<string, string>,
  gate: WireGate,
  { userDataspaces }: { userDataspaces: number },
): Handlers<typeof DirectoryService> {
  const loads = new Loads(registry, service, userDataspaces);

  function known(name: string): DataspaceRecord {
    const record = registry.get(name);
    if (record === undefined) throw notKnown(name);
    return record;
  }

  // One of another cluster is there, or is made by its gateway.
  function expectName(name: string, borrows: boolean, ofNode = false): void {
    if (isLodged(name) && !ofNode)
      throw invalidField('name', `dataspace name ${JSON.stringify(name.slice(0, 80))}: only nodes make such`);
    checkName(name, borrows || (isBorrowed(name) && registry.get(name) !== undefined));
  }

  return {
    hold: raw((call, { caller }) => {
      const stream = service.opened(call as unknown as HolderStream, (error) => failStream(call, error));
      let agreed = false;
      /** False: the stream is at its end. */
      const mayBegin = ({ event }: HolderEvent): boolean => {
        // What is no hello the service refuses.
        if (event.case !== 'hello') return true;
        try {
          expectOfNode(caller, event.value.node);
          gate.agree(`${event.value.node}/pmapd`, event.value.wire);
          agreed = true;
        } catch (error) {
          over = true;
          gone();
          failStream(call, fromServiceError(error));
        }
        return agreed;
      };
      let over = false;
      call.on('data', ({ events }: HoldRequest) => {
        if (over || (!agreed && events[0] !== undefined && !mayBegin(events[0]))) return;
        for (let i = 0; i < events.length; i++) {
          const event = events[i]!;
          service.receive(stream, event);
          // Somebody waits for these pages: they do not wait for the work on speculative ones after them.
          if (isNeeded(event) && isSpeculative(events[i + 1])) service.streams.flush();
        }
      });
      const gone = () => service.streamClosed(stream);
      call.on('end', () => {
        gone();
        call.end();
      });
      call.on('cancelled', gone);
      call.on('error', gone);
    }),

    async createDataspace(request, ctx) {
      const { name, sizeBytes, creator, creatorIncarnation, exclusive, durable } = request;
      const borrows = ctx.caller.role === Role.GATEWAY;
      // A node for itself: on behalf of nobody.
      const ofNode = ctx.caller.role === Role.PMAPD || ctx.caller === ANYONE;
      expectName(name, borrows, ofNode && request.requester === undefined);
      if (borrows) expectOfNode(ctx.caller, creator);
      const by = asks(ctx, request.requester);
      type Created = { dataspace: ReturnType<typeof wire>; created: boolean; allowed: Allowed };
      return await registry.ask<Created>(name, (existing) => {
        if (existing !== undefined) {
          const may = expectAllowed(existing, by, 'read');
          expectSame(existing, sizeBytes, exclusive, durable);
          return { do: 'answer', answer: { dataspace: wire(existing), created: false, allowed: may } };
        }
        const ownership = ownershipFor(by, name, request);
        if (!by.all) registry.expectQuota(ownership.owner, userDataspaces);
        const record = { name, sizeBytes, creator, creatorIncarnation, durable, ...ownership };
        const allowed = { read: true, write: true };
        return registry.make(record, (made) => ({ dataspace: wire(made), created: true, allowed }));
      });
    },

    async getDataspace({ name, withoutUsage, requester, forWriting }, ctx) {
      const record = known(name);
      const may = expectAllowed(record, asks(ctx, requester), forWriting ? 'write' : 'read');
      const about = { dataspace: wire(record), allowed: may };
      if (withoutUsage) return about;
      return { ...about, usage: await usageOf(record, service, [...replicas().values()]) };
    },

    async setOwnership({ name, ...wanted }, ctx) {
      const by = requesterOf(ctx);
      const record = await registry.ask(name, (before) => {
        if (before === undefined) throw notKnown(name);
        const after = changed(before, by, wanted);
        if (after.owner !== before.owner && after.owner !== NOBODYS && !mayBeIn(after.owner))
          throw invalidField(
            'owner',
            `nobody named ${after.owner} is in the cluster; let them in first (vkctl user add ${after.owner})`,
          );
        return { ...{ do: 'change', record: { ...before, ...after } }, answer: (answered) => answered };
      });
      const { owner, group, mode } = record;
      ctx.log.info({ dataspace: name, owner, group, mode, by: by.user }, 'a dataspace is owned otherwise');
      return { dataspace: wire(record) };
    },

    getShardUsage({ dataspace }) {
      const record = registry.byId(dataspace);
      if (record === undefined)
        throw notFound({ type: 'dataspace', name: dataspace }, `no dataspace ${dataspace} here`);
      return shardUsage(record, service);
    },

    async getField({ name, firstPage, pageCount, cells, thisReplica }, ctx) {
      const record = known(name);
      if (ctx.caller.role !== Role.COHD) expectAllowed(record, asks(ctx, undefined), 'read');
      const range = fieldRange(record.sizeBytes, Number(firstPage), Number(pageCount), cells);
      const others = thisReplica ? [] : [...replicas().values()];
      return await wholeField(record, service, range, others);
    },

    listDataspaces({ pageSize, pageToken, requester }, ctx) {
      const by = asks(ctx, requester);
      // Private memory is nobody's dataspace.
      const all = registry.list().filter((record) => !isLodged(record.name));
      const seen = by.all ? all : all.filter((record) => isSeenBy(record, by));
      const { items, nextPageToken } = pageOf(seen, (r) => r.name, pageSize, pageToken);
      return { dataspaces: items.map(wire), nextPageToken };
    },

    async deleteDataspace({ name, requester, dataspace, unendedLoad }, ctx) {
      const by = asks(ctx, requester);
      // What is removed is what was looked at: by the time there may be another of that name, or it may be another's.
      await registry.ask(name, (record) => {
        if (record === undefined) throw notKnown(name);
        const borrows = ctx.caller.role === Role.GATEWAY && isBorrowed(name);
        if (!borrows) expectOwner(record, by, 'remove');
        expectMeant(record, { dataspace, unendedLoad });
        // What another cluster takes back goes, whoever uses it.
        if (!borrows) service.expectUnmapped(record);
        return { do: 'remove', answer: () => true };
      });
      return {};
    },

    async beginLoad(request, ctx) {
      expectName(request.name, false);
      return { dataspace: wire(await loads.begin(request, asks(ctx, request.requester))) };
    },

    async endLoad(request) {
      await loads.end(request);
      return {};
    },

    async abandonLoad(request) {
      return await loads.abandon(request);
    },

    async listLosses({ dataspace, thisReplica, withRuns, firstPage, requester }, ctx) {
      const by = ctx.caller.role === Role.COHD ? THE_SERVICE : asks(ctx, requester);
      const records = dataspace === 0n ? registry.list() : [registry.byId(dataspace)];
      const known = records
        .filter((record) => record !== undefined)
        .filter((record) => isSeenBy(record, by) && !isLodged(record.name));
      const asked = { dataspace, withRuns: withRuns && dataspace !== 0n, firstPage };
      const losses = thisReplica
        ? ownLosses(known, service, asked)
        : await lossesOf(known, service, asked, [...replicas().values()]);
      const lossy = losses.filter(({ pages }) => pages > 0);
      return {
        losses: lossy.slice(0, LOSSES_MAX).map(({ record, pages, runs, more, runsEnd }) => {
          return { dataspace: wire(record), pages: BigInt(pages), runs, more, runsEnd };
        }),
        leftOut: Math.max(0, lossy.length - LOSSES_MAX),
      };
    },

    acceptLoss({ name, pages, by, requester }, ctx) {
      const { log } = ctx;
      const record = known(name);
      expectAllowed(record, asks(ctx, requester), 'write');
      const { id } = record;
      log.warn({ dataspace: name, id, pages, by }, 'a loss is accepted: lost pages begin anew as zeros');
      service.lossAccepted(name, pages, by);
      return {};
    },

    listHolders({ pageSize, pageToken }) {
      const all = service.holders
        .all()
        .filter(isNode)
        .sort((a, b) => (a.node < b.node ? -1 : 1));
      const { items, nextPageToken } = pageOf(all, (h) => h.node, pageSize, pageToken);
      const holders = items.map(({ stream, ...holder }) => {
        const { node, incarnation, transferAddress, roomPages } = holder;
        return { node, incarnation, transferAddress, connected: stream !== undefined, roomPages };
      });
      return { holders, nextPageToken };
    },

    async listMembers() {
      const members = await service.memberNodes();
      return { nodes: members.filter((node) => !isGateway(node)) };
    },

    getDirectoryStats() {
      const { acquires, grants, recalls, invalidations, resends } = service.counters;
      return {
        acquires: BigInt(acquires),
        grants: BigInt(grants),
        recalls: BigInt(recalls),
        invalidations: BigInt(invalidations),
        resends: BigInt(resends),
        epoch: service.epoch,
        holders: service.holders
          .all()
          .filter(isNode)
          .map((h) => h.node),
        dataspaces: registry.list().length,
        rebuilding: service.isRebuilding,
        replica: service.replica,
        shardsLed: service.led.map(({ shard }) => shard),
        shards: service.shards,
        replicas: Object.fromEntries(replicas()),
        wire: wireSpoken(),
        pagesChanging: BigInt(service.pagesChanging),
        eventsParked: BigInt(service.parkedEvents),
      };
    },
  };
}

const isNeeded = ({ event }: HolderEvent): boolean => event.case === 'acquire' && event.value.neededPages > 0;
const isSpeculative = (next: HolderEvent | undefined): boolean =>
  next?.event.case === 'acquire' && next.event.value.neededPages < (next.event.value.run?.pageCount ?? 0);

/** @throws RpcError ALREADY_EXISTS unless it is what the caller wants */
function expectSame(record: DataspaceRecord, wanted: bigint, exclusive: boolean, durable: boolean): void {
  const { name } = record;
  const exists = `dataspace ${name} exists with ${record.sizeBytes} bytes`;
  if (exclusive) throw new RpcError(Code.AlreadyExists, exists);
  if (durable && !record.durable) throw existsOtherwise('durable', `${exists}, and is not durable`);
  expectSize(record, wanted);
}

/** @throws RpcError FAILED_PRECONDITION where it is another one of that name, or whole by now */
function expectMeant(
  { id, name, load }: DataspaceRecord,
  { dataspace, unendedLoad }: Pick<DeleteDataspaceRequest, 'dataspace' | 'unendedLoad'>,
): void {
  if (dataspace && dataspace !== id)
    throw new RpcError(Code.FailedPrecondition, `dataspace ${name} is another one by now`);
  if (unendedLoad && !(load?.made === true && load.id === unendedLoad))
    throw new RpcError(Code.FailedPrecondition, `dataspace ${name} is whole, or of another load`);
}

const isNode = ({ node }: { node: string }): boolean => !isGateway(node);

/** One pmapd does not speak for the node of another. @throws RpcError PERMISSION_DENIED */
function expectOfNode(caller: Caller, node: string): void {
  const { role, name } = caller;
  const isTheirs = isHolderOf(name, node) || (name === '*' && isGateway(node));
  if (role === Role.GATEWAY && !isTheirs)
    throw new AccessRefusal('identity', `${shownCaller(caller)} is not the holder ${node}`);
  if (role !== Role.PMAPD || speaksFor(caller, node)) return;
  throw new AccessRefusal('identity', `${shownCaller(caller)} is not the pmap manager of ${node}`);
}
