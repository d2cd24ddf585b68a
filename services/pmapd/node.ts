// What the parts of a pmap manager share, and how they are joined.

import type { Bus } from '@odonata/bus/bus.ts';
import type { HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import type { RunEvent } from '@odonata/coherency/node/lines/holder-wire.ts';
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import { NodeRoutes, type RoutedEvent } from '@odonata/coherency/node/lines/routes.ts';
import type { Permissions } from '@odonata/coherency/node/memory/memory-messages.ts';
import type { Fault } from '@odonata/coherency/node/memory/waiting.ts';
import type { LockedRange, RelayAction } from '@odonata/coherency/node/relay/relay-messages.ts';
import { PAGE_BYTES, unreachable } from '@odonata/coherency/page.ts';
import {
  type Allowed,
  type BeginLoadRequest,
  type Dataspace,
  DirectoryService,
} from '@odonata/proto/coherency/v1/coherency';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { type CallOptions, type Client, createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { PIDS_PER_NODE } from '@odonata/rpc/pid.ts';
import { invalidField, tryAgain } from '@odonata/rpc/refusal.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { Backing } from './backing.ts';
import type { PmapdConfig } from './config.ts';
import { HotPages } from './contention/hot-pages.ts';
import { RangeNames } from './contention/range-names.ts';
import { Drain } from './drain.ts';
import { Charges } from './frames/charge.ts';
import { exhaustedOr, NoDescriptors } from './frames/exhausted.ts';
import { Frames } from './frames/frames.ts';
import { GrowthAudit } from './frames/growth-audit.ts';
import { type Short, Shortage } from './frames/shortage.ts';
import { CoherentMemory } from './memory/coherent-memory.ts';
import { pagesUnder } from './memory/lock-pages.ts';
import { performMemory } from './memory/memory-actions.ts';
import { OverdueFaults } from './memory/overdue.ts';
import type { SharedDataspace } from './memory/shared-dataspace.ts';
import { Descriptors } from './sessions/descriptors.ts';
import type { MapEntry, MappedDataspace } from './sessions/map-entry.ts';
import type { Session } from './sessions/session.ts';
import type { Vmspace } from './sessions/vmspace.ts';
import { Statistics } from './statistics.ts';
import { flushByChance } from './vmspaces/flush.ts';
import { HandmadeVmspaces } from './vmspaces/handmade-table.ts';
import { Limits } from './vmspaces/limits.ts';
import { Watches } from './vmspaces/watches.ts';
import { Directories } from './wire/directories.ts';
import { followReplicas } from './wire/discovery.ts';
import { PagePool } from './wire/page-buffer.ts';
import { SyncRelay } from './wire/sync-relay.ts';
import { Transfers } from './wire/transfer.ts';

/** How long an open may wait for the directory. */
const OPEN_MS = 20_000;
const POLL_MS = 5;
const INSPECT_MS = 1_000;
/** Events of dataspaces that are being opened; what is dropped the directory sends again. */
const EARLY_MAX = 10_000;

/** A node that changes nothing any more. */
export interface FrozenNode {
  incarnation: bigint;
  lastVmspace: bigint;
  shards: LedShard[];
  held: HolderSnapshot[];
  memory: CoherentMemory;
  sync: SyncRelay;
  sessions: Session[];
}

export interface OpenOptions {
  /** For whom; missing: for the node itself. */
  requester?: Requester;
  /** It is refused where the requester may only read it. */
  forWriting?: boolean;
  /** It must not exist. */
  exclusive?: boolean;
  /** Made with a backing store. */
  durable?: boolean;
  /** To make it with. */
  mode?: number | undefined;
  group?: string;
  /** Also where a load into it has not ended. */
  incomplete?: boolean;
  requestId?: string;
}

export interface OpenedDataspace {
  dataspace: SharedDataspace;
  created: boolean;
  /** The requester may read it, and not write it. */
  readOnly: boolean;
  /** What the directory knows of it. */
  about: Dataspace;
}

type Ask<T> = (
  directory: Client<typeof DirectoryService>,
  wait: { waitForReady: boolean; deadlineMs: number; requestId: string | undefined },
) => Promise<T>;

const openedOf = (
  dataspace: SharedDataspace,
  about: Dataspace,
  { created, allowed }: { created: boolean; allowed: Allowed | undefined },
): OpenedDataspace => ({ dataspace, created, about, readOnly: allowed?.write !== true });

/** @throws RpcError FAILED_PRECONDITION */
function expectWhole({ name, load }: Dataspace): void {
  if (load === undefined) return;
  throw new RpcError(
    Code.FailedPrecondition,
    `dataspace ${name} is incomplete: a load into it is under way, or broke off; load it again or remove it`,
  );
}

export class Node {
  readonly name: string;
  readonly memoryDir: string;
  readonly incarnation: bigint;
  readonly frames: Frames;
  readonly shortage: Shortage;
  readonly events: EventLog;
  readonly security: SecurityEvents;
  readonly limits: Limits;
  /** Who watches which vmspace. */
  readonly watches: Watches;
  /** Vmspaces that people made by hand. */
  readonly handmade: HandmadeVmspaces;
  readonly statistics = new Statistics();
  readonly hotPages = new HotPages(monotonicMs);
  readonly rangeNames = new RangeNames();
  readonly memory: CoherentMemory;
  readonly sync: SyncRelay;
  private readonly routes: NodeRoutes;
  readonly backing: Backing;
  readonly sessions = new Set<Session>();
  readonly overdue: OverdueFaults;
  private readonly bus: Bus;
  readonly transfers: Transfers;
  /** The first pid of this node's processes. */
  readonly firstPid: bigint;
  private readonly descriptors = new Descriptors();
  private readonly mapped = new Set<bigint>();
  private readonly config: PmapdConfig;
  private readonly log: Logger;
  directories: Directories | undefined;
  /** Opens lines to the directory; the leaders may be known. */
  private openLines: (led: readonly LedShard[] | undefined) => Directories = () => {
    throw new Error('bug: the node has not joined');
  };
  /** Addresses of the replicas of the directory. */
  private replicas: readonly string[] = [];
  private asked: { address: string; client: Client<typeof DirectoryService> } | undefined;
  private leaving: Drain | undefined;
  private stopDiscovery: (() => void) | undefined;
  private deadline = 0n;
  /** How often some leader said that what was held of its shard is not any more. */
  private timesVoided = 0;
  private readonly inspecting: NodeJS.Timeout;
  private readonly flushing: NodeJS.Timeout | undefined;
  private lastVmspace = 0n;
  private handingOver = false;
  private frozen = false;
  private inherited: LedShard[] | undefined;
  private frozenShards: LedShard[] = [];
  /** For how long virtual kernels waited for this one to take the place of another. */
  takeOverMs = 0;
  private opening = 0;
  private readonly early: RunEvent[] = [];

  /** @param incarnation of the pmap manager whose place this one takes */
  constructor(config: PmapdConfig, bus: Bus, log: Logger, incarnation?: bigint) {
    this.name = config.node;
    this.firstPid = BigInt(config.nodeIndex) * BigInt(PIDS_PER_NODE);
    this.memoryDir = config.memoryDir;
    // Unique in the cluster, and greater than that of an earlier start.
    this.incarnation = incarnation ?? BigInt(Date.now()) * 100_000n + BigInt(config.nodeIndex);
    this.config = config;
    this.bus = bus;
    this.log = log;
    this.events = new EventLog({ service: `${config.node}/pmapd`, node: config.node, log });
    this.security = new SecurityEvents(this.events);
    this.limits = new Limits(this.events);
    this.watches = new Watches({
      limits: this.limits,
      onWatched: (vmspace, on) => this.trace(vmspace, on),
    });
    const growth = new GrowthAudit(
      () => this.memory.all(),
      (dataspace) => this.grown(dataspace),
    );
    this.inspecting = setInterval(() => {
      for (const session of [...this.sessions])
        ownTurn(
          { timer: 'inspect', vkernel: session.name },
          () => session.inspect(),
          ({ details, code }) => this.endSession(session, details, code),
        )();
      if (!this.frozen) ownTurn({ timer: 'growth' }, () => growth.look())();
      ownTurn({ timer: 'idle' }, () => this.handmade.look(monotonicMs()))();
    }, INSPECT_MS).unref();
    if (config.testFlushMs > 0) this.flushing = flushByChance(this, config.testFlushMs);
    this.frames = new Frames(Math.floor(config.framesBytes / PAGE_BYTES), new Charges());
    this.shortage = new Shortage({
      ...{ node: config.node, frames: this.frames },
      onVictim: ({ process }, reason) => {
        this.ended(process.pid, reason);
        process.end(reason);
      },
    });
    this.frames.onRoom = () => this.shortage.relieved();
    this.handmade = new HandmadeVmspaces({
      ...{ node: config.node, memoryDir: config.memoryDir, frames: this.frames, limits: this.limits },
      ...{ ofOneMax: config.vmspaces, bytesOfOneMax: config.vmspaceBytes },
      nextId: () => this.nextVmspace(),
      isWatched: (id) => this.watches.isWatched(id),
      onIdle: ({ id, owner }, reason) => {
        this.events.add('vmspace-idle', reason, { vmspace: id, owner });
        this.watches.end(id);
      },
    });
    const pool = new PagePool();
    this.transfers = new Transfers(log, pool);
    this.backing = new Backing({
      ...{ bus, log, cluster: config.cluster, memory: () => this.memory },
      ...{ replicas: config.storeReplicas, bytesMax: config.storeBytes },
      onFailed: (reason, dataspace) => this.events.add('sync-failed', reason, { dataspace }),
    });
    this.sync = new SyncRelay(config.shards, (action) => this.performSync(action));
    this.memory = new CoherentMemory({
      ...{ memoryDir: config.memoryDir, shards: config.shards, frames: this.frames, pool },
      ...{ permissions: this.permissions(), tally: this.statistics },
      perform: (action) => performMemory(this, action),
      onNoFrames: (reason, dataspace) => this.events.add('memory-refused', reason, { dataspace }),
      onMended: (dataspace, page) => this.mended(dataspace, page),
    });
    this.routes = new NodeRoutes({
      ...{ shards: config.shards, relay: this.sync.core },
      dataspaces: () => this.memory.all(),
      isAsked: (shard) => this.leaving?.isAsked(shard) ?? false,
    });
    const { memory, shortage, events } = this;
    this.overdue = new OverdueFaults({ memory, shortage, events, why: (fault) => this.whyWaits(fault) });
  }

  private permissions(): Permissions<MapEntry> {
    return {
      usable: (dataspace, page) => this.usable(dataspace, page),
      epochOf: (dataspace, page) => this.directories?.lines.epochOf(dataspace, page) ?? 0n,
      modifies: ({ vmspace, dataspace }, page) => {
        const begin = BigInt(page) * BigInt(PAGE_BYTES);
        return this.sync.core.modifies(vmspace.pid, dataspace.id, begin, begin + BigInt(PAGE_BYTES - 1));
      },
    };
  }

  // Why a fault waits for its page; one line for people.
  private whyWaits({ entry, page }: Fault<MapEntry>): string {
    const { id } = entry.dataspace;
    const { directories, backing, memory } = this;
    if (directories === undefined || !directories.connected) return 'the directory does not answer';
    if (!directories.usable(id, page)) return 'the directory that leads its shard has not answered yet';
    if (!this.usable(id, page)) return "the directory that leads the dataspace's range locks does not answer";
    if (backing.isFetching(id, page)) return 'the backing store does not answer';
    if (memory.isAsked(id, page)) return 'it was asked for, and whoever has it has not sent it yet';
    return 'it goes on as soon as its turn comes';
  }

  /** There is no frame for a process: it is refused, or tries again when there is one. */
  short(short: Short, sharedOnly = false): void {
    const refuse = (reason: string): void => {
      this.ended(short.charge.process.pid, reason);
      short.refuse(reason);
    };
    this.shortage.ask({ ...short, refuse }, sharedOnly);
  }

  /** A virtual kernel ends a process because of its memory. */
  endedForMemory({ pid }: Vmspace, reason: string): void {
    this.ended(pid, reason);
  }

  private ended(pid: bigint, reason: string): void {
    this.events.add('process-ended-for-memory', `process ${pid} ends: ${reason}`, { pid });
  }

  /**
   * A virtual kernel makes a vmspace for a process: one of this node that no other vmspace is for. What a process holds is
   * held by its pid.
   * @throws RpcError
   */
  expectFree(pid: bigint): void {
    if (pid <= this.firstPid || pid >= this.firstPid + BigInt(PIDS_PER_NODE))
      throw invalidField('pid', `pid ${pid}: no process of ${this.name} has it`);
    for (const { byPid } of this.sessions)
      if (byPid.has(pid)) throw new RpcError(Code.AlreadyExists, `process ${pid} has a vmspace already`);
  }

  /** @throws RpcError RESOURCE_EXHAUSTED where there are too few descriptors for one more file */
  expectDescriptor(what: string, { vmspaces: ofOne }: Session): void {
    if (ofOne.size >= this.descriptors.ofOneMax) throw new NoDescriptors(what);
    const vmspaces = [...this.sessions].reduce((sum, session) => sum + session.vmspaces.size, 0);
    if (this.memory.count + vmspaces >= this.descriptors.filesMax) throw new NoDescriptors(what);
  }

  // Its virtual kernel tells what the program in it does, while somebody watches.
  private trace(id: bigint, on: boolean): void {
    for (const session of this.sessions) if (session.vmspaces.has(id)) session.trace(id, on);
  }

  /** A request of a virtual kernel was refused for a limit. */
  limited(limit: string, { name: vkernel }: Session, reason: string): void {
    this.limits.count(limit, `vkernel:${vkernel}`, reason, { vkernel });
  }

  refused(attempt: string, { name: vkernel }: Session, reason: string): void {
    this.security.refused(attempt, vkernel, `virtual kernel ${vkernel}: ${reason}`, { vkernel });
  }

  endSession(session: Session, reason: string, code: Code = Code.Aborted): void {
    if (!this.sessions.delete(session)) return;
    this.log.warn({ vkernel: session.name, reason }, 'ends the session of a virtual kernel');
    session.endStream(new RpcError(code, `the pmap manager ended the session: ${reason}`));
    session.close();
  }

  // Whoever has a memory file for writing may punch holes into it, and write beyond its end.
  private mended(dataspace: SharedDataspace, page: number): void {
    const { name } = dataspace;
    this.meddled(
      'memory-file',
      dataspace,
      `page ${page} of dataspace ${name} was taken out of its memory file, and is zeros now`,
      page,
    );
  }

  private grown(dataspace: SharedDataspace): void {
    const what = 'was made longer than the dataspace, and what was beyond it is taken back';
    this.meddled('memory-file-growth', dataspace, `the memory file of dataspace ${dataspace.name} ${what}`);
  }

  private meddled(attempt: string, { id, name }: SharedDataspace, what: string, page?: number): void {
    const writers = [...this.sessions].filter(({ open }) => open.mayWrite(id)).map((each) => each.name);
    const text = `${what}; those that may write there: ${writers.join(', ')}`;
    this.security.refused(attempt, writers.join(' '), text, { dataspace: name, page });
  }

  private expectRoomFor(name: string): void {
    if (this.memory.count < this.descriptors.dataspacesMax) return;
    for (const known of this.memory.all()) if (known.name === name) return;
    throw new NoDescriptors(`dataspace ${name}`);
  }

  /** A line to a replica of the directory, for calls that any of them answers. */
  get directory(): Client<typeof DirectoryService> {
    const address = this.directories?.lines.anyReplica;
    if (address === undefined) throw tryAgain(Code.Unavailable, 'no replica of the directory is known yet');
    if (this.asked?.address !== address) {
      this.asked?.client.close();
      const client = createClient(DirectoryService, address, { log: this.log, deadlineMs: OPEN_MS });
      this.asked = { address, client };
    }
    return this.asked.client;
  }

  /** True where pages that were sent to a holder are for who we are now at the leader of their shard. */
  acceptsFor(dataspace: bigint, page: number, epoch: bigint, receiver: number): boolean {
    return this.directories?.lines.acceptsFor(dataspace, page, epoch, receiver, monotonicMs()) ?? false;
  }

  get directoryConnected(): boolean {
    return this.directories?.connected ?? false;
  }

  /** Until when shared memory that is mapped may be used, in monotonic nanoseconds; 0: nothing may. */
  get deadlineNs(): bigint {
    return this.deadline;
  }

  nextVmspace(): bigint {
    this.lastVmspace++;
    return this.lastVmspace;
  }

  /** Joins the directory, once others can reach this node at `transferAddress`. */
  async join(transferAddress: string, stopping: AbortSignal): Promise<void> {
    const { node, shards } = this.config;
    const about = { node, shards, transferAddress, incarnation: this.incarnation, log: this.log };
    this.openLines = (inherited) => {
      const { mapped } = this;
      const directories = new Directories({ ...about, inherited, mapped }, (action) =>
        this.performLine(action),
      );
      directories.connectTo(this.replicas);
      return directories;
    };
    this.directories = this.openLines(this.inherited);
    await this.discover(stopping);
  }

  /** Looks for the replicas of the directory; the next pmap manager of a node does before it joins. */
  async discover(stopping: AbortSignal): Promise<void> {
    if (this.stopDiscovery !== undefined) return;
    const connectTo = (addresses: readonly string[]) => {
      this.replicas = addresses;
      if (!this.frozen) this.directories?.connectTo(addresses);
    };
    const { directory } = this.config;
    if (directory.length > 0) {
      this.stopDiscovery = () => {};
      connectTo(directory);
    } else this.stopDiscovery = await followReplicas(this.bus, this.log, connectTo, stopping);
  }

  private usable(dataspace: bigint, page: number): boolean {
    const { directories } = this;
    return directories !== undefined && this.routes.usable(directories.lines, dataspace, page, monotonicMs());
  }

  // What the lines to the directory decide.
  private performLine(action: NodeAction): void {
    switch (action.type) {
      case 'page':
        this.receive(action.event);
        return;
      case 'removed':
        this.memory.remove(action.dataspace);
        return;
      case 'deadline':
        this.deadline = action.deadlineMs === undefined ? 0n : BigInt(action.deadlineMs) * 1_000_000n;
        for (const session of this.sessions) session.tellDeadline();
        return;
      default:
        if (action.type === 'led' && action.voided) this.timesVoided++;
        for (const routed of this.routes.of(action)) this.give(routed);
        if (action.type === 'suspend' && monotonicMs() > action.lastEndMs) this.endSharers();
    }
  }

  // This machine, or this process, did not run when the lease ended, and they may have: on pages of others.
  private endSharers(): void {
    const reason =
      'its node did not run for a while, and took its shared memory away later than its lease ended';
    for (const session of this.sessions)
      for (const vmspace of session.vmspaces.values())
        if (vmspace.sharesMemory) session.endProcess(vmspace.id, 'SIGKILL', reason);
  }

  private give(routed: RoutedEvent): void {
    switch (routed.part) {
      case 'memory':
        this.memory.step(routed.event);
        return;
      case 'relay':
        this.sync.step(routed.event);
        return;
      case 'drain':
        this.leaving?.step(routed.event);
        return;
      default:
        unreachable(routed);
    }
  }

  private performSync(action: Exclude<RelayAction, { type: 'answer' }>): void {
    if (action.type === 'say') this.directories?.sendTo(action.shard, action.event);
    else if (action.type === 'say-all') this.directories?.sendAll(action.event);
    else if (action.type === 'bring') this.bring(action.locked);
    else this.endOwners(action.owners);
  }

  private bring(locked: LockedRange): void {
    for (const session of this.sessions) {
      const vmspace = session.byPid.get(locked.owner);
      if (vmspace !== undefined)
        for (const advice of pagesUnder(locked, vmspace.entries)) this.memory.step(advice);
    }
  }

  // A process that goes on as if it had its locks would write beside whoever has them now.
  private endOwners(owners: ReadonlySet<bigint>): void {
    const reason = "the lease of its node ended while it held range locks, which may be others' by now";
    for (const session of this.sessions)
      for (const vmspace of session.vmspaces.values())
        if (owners.has(vmspace.pid)) session.endProcess(vmspace.id, 'SIGKILL', reason);
  }

  // The directory may recall a page of a dataspace before its answer says that it is ours: the two come on
  // different streams.
  private receive(event: RunEvent): void {
    const early = this.opening > 0 && this.memory.get(event.run.dataspace) === undefined;
    if (!early) this.memory.step(event);
    else if (this.early.length < EARLY_MAX) this.early.push(event);
  }

  /** Opens a dataspace by name, or makes it here when a size is given. @throws RpcError */
  openDataspace(name: string, sizeBytes: bigint, options: OpenOptions = {}): Promise<OpenedDataspace> {
    const { exclusive = false, durable = false, incomplete = false, forWriting = false } = options;
    const { requester, requestId, mode, group = '' } = options;
    // What this node made before some leader declared it dead is not whole here any more.
    let since: number | undefined;
    return this.opened(name, requestId, async (directory, wait) => {
      if (sizeBytes === 0n) {
        const request = { name, withoutUsage: true, requester, forWriting };
        const { dataspace: about, allowed } = await directory.getDataspace(request, wait);
        if (!incomplete) expectWhole(about!);
        return openedOf(this.known(about!, 0), about!, { created: false, allowed });
      }
      this.expectLease();
      since ??= this.timesVoided;
      const [creator, creatorIncarnation] = [this.name, this.incarnation];
      const made = { sizeBytes, creator, creatorIncarnation, durable, mode, group };
      const request = { name, exclusive, requester, ...made };
      const { dataspace, created, allowed } = await directory.createDataspace(request, wait);
      expectWhole(dataspace!);
      if (!this.isMine(dataspace!, since) && (await this.removed(dataspace!, wait))) {
        since = undefined;
        throw tryAgain(Code.Unavailable, `${this.name} was declared dead while it made ${name}; try again`);
      }
      return openedOf(this.known(dataspace!, since), dataspace!, { created, allowed });
    });
  }

  /** Removes a dataspace and what is stored of it. @throws RpcError FAILED_PRECONDITION while it is mapped */
  async removeDataspace(
    name: string,
    { requester, requestId }: { requester: Requester; requestId?: string },
  ): Promise<void> {
    // For the node itself: its owner removes it also where they may not read it.
    const { dataspace } = await this.directory.getDataspace({ name, withoutUsage: true }, { requestId });
    await this.directory.deleteDataspace({ name, requester }, { requestId });
    // Its identity is never used again: what cannot be removed now takes room, and no more.
    if (dataspace?.durable) await this.backing.remove(dataspace.id);
  }

  /** Opens or makes a dataspace that is marked as incomplete until `endLoad`. @throws RpcError */
  beginLoad(
    about: Pick<BeginLoadRequest, 'name' | 'sizeBytes' | 'loadBytes' | 'load' | 'mode' | 'group'>,
    { requester, requestId }: { requester: Requester; requestId: string },
  ): Promise<SharedDataspace> {
    const since = this.timesVoided;
    return this.opened(about.name, requestId, async (directory, wait) => {
      this.expectLease();
      const by = { creator: this.name, creatorIncarnation: this.incarnation, requester };
      const request = { ...about, ...by };
      const { dataspace } = await directory.beginLoad(request, wait);
      return this.known(dataspace!, since);
    });
  }

  /** @throws RpcError */
  async endLoad(about: {
    name: string;
    dataspace: bigint;
    load: bigint;
    loadedBytes: bigint;
  }): Promise<void> {
    await this.whileAway(undefined, (directory, wait) => directory.endLoad(about, wait));
  }

  /** @throws RpcError */
  async abandonLoad(about: { name: string; dataspace: bigint; load: bigint }): Promise<boolean> {
    const { removed } = await this.whileAway(undefined, (directory, wait) => {
      return directory.abandonLoad(about, wait);
    });
    return removed;
  }

  // A leader that may be about to declare this node dead would lose what it makes now.
  private expectLease(): void {
    if (this.directories?.allUsable !== true)
      throw new RpcError(Code.Unavailable, `${this.name} has no lease of the whole directory right now`);
  }

  private async opened<T>(name: string, requestId: string | undefined, ask: Ask<T>): Promise<T> {
    if (this.isLeaving || this.frozen) throw this.stops();
    // Before the cluster makes it.
    this.expectRoomFor(name);
    this.opening++;
    try {
      return await this.whileAway(requestId, ask);
    } finally {
      this.opening--;
      for (const event of this.early.splice(0)) this.receive(event);
    }
  }

  /** Asks again while the directory was killed under the call, or waits for NATS. */
  private async whileAway<T>(requestId: string | undefined, ask: Ask<T>): Promise<T> {
    const endMs = performance.now() + OPEN_MS;
    const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
    for (;;) {
      const deadlineMs = Math.max(1_000, endMs - performance.now());
      try {
        return await ask(this.directory, { waitForReady: true, deadlineMs, requestId });
      } catch (error) {
        const away = RpcError.is(error) && error.code === Code.Unavailable;
        if (!away || performance.now() > endMs) throw error;
        await delay(backoff.nextDelayMs());
      }
    }
  }

  private stops(): RpcError {
    return tryAgain(Code.Unavailable, `the pmap manager of ${this.name} stops`);
  }

  // Also where the answer to the call that made it was lost.
  private isMine({ creator, creatorIncarnation }: Dataspace, since: number): boolean {
    return creator === this.name && creatorIncarnation === this.incarnation && this.timesVoided === since;
  }

  // Made in a former life, for a call that did not hear so: nobody was told of it, unless somebody found it.
  private async removed(
    { id, name, creator, creatorIncarnation }: Dataspace,
    wait: CallOptions,
  ): Promise<boolean> {
    const ours = creator === this.name && creatorIncarnation === this.incarnation;
    if (!ours || this.memory.get(id) !== undefined) return false;
    try {
      await this.directory.deleteDataspace({ name, dataspace: id }, wait);
      return true;
    } catch (error) {
      if (RpcError.is(error) && error.code === Code.FailedPrecondition) return false;
      throw error;
    }
  }

  private known(about: Dataspace, since: number): SharedDataspace {
    // What is opened when all is told would be known to nobody; who asked asks the next pmap manager.
    if (this.frozen) throw this.stops();
    const known = this.memory.get(about.id);
    if (known !== undefined) return known;
    const whole = this.isMine(about, since);
    const { id, name, sizeBytes, durable } = about;
    let dataspace: SharedDataspace;
    try {
      dataspace = this.memory.open({ id, name, sizeBytes, durable }, whole);
    } catch (error) {
      throw exhaustedOr(error, `dataspace ${name}`);
    }
    this.follow(dataspace);
    return dataspace;
  }

  private follow(dataspace: SharedDataspace): void {
    dataspace.unfollow = this.bus.follow(dataspace.id, (bytes) => this.directories?.overhear(bytes));
  }

  /** Tells the directory when the first process maps a dataspace here, and when the last one let it go. */
  interest(dataspace: MappedDataspace): void {
    const mapped = dataspace.entries.size > 0;
    if (mapped === this.mapped.has(dataspace.id)) return;
    if (mapped) this.mapped.add(dataspace.id);
    else this.mapped.delete(dataspace.id);
    this.directories?.interest(dataspace.id, mapped);
  }

  /** True once this node hands over what it has to others, and takes nothing more. */
  get isLeaving(): boolean {
    return this.leaving !== undefined;
  }

  /** True once another pmap manager of this node is about to take the place of this one. */
  get isHandingOver(): boolean {
    return this.handingOver;
  }

  get isStopping(): boolean {
    return this.isLeaving || this.isHandingOver;
  }

  /** Asks the directory to hold the lease, and waits for its answer for so long at most. @see Directories.hold */
  async hold(holdMs: number, waitMs: number): Promise<void> {
    await this.directories?.hold(holdMs, waitMs);
  }

  /** @see Directories.usableUntilMs */
  get usableUntilMs(): number {
    return this.directories?.usableUntilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Tells the virtual kernels to say their last word, and waits for those that do, for so long at most. */
  async prepareHandOver(waitMs: number): Promise<void> {
    this.handingOver = true;
    const endMs = monotonicMs() + waitMs;
    for (const session of this.sessions) session.tellHandingOver();
    const waits = () => this.opening > 0 || [...this.sessions].some(({ isAttached }) => isAttached);
    while (waits() && monotonicMs() < endMs) await delay(POLL_MS);
    // Stopped, or of an earlier version: it ends as if this pmap manager had died.
    this.giveUp(({ isAttached }) => isAttached, 'a virtual kernel did not answer, and is not handed over');
  }

  /** From now on nothing changes here, and another pmap manager may go on with what this says. */
  freeze(): FrozenNode {
    const { incarnation, lastVmspace, memory, sync, sessions } = this;
    this.frozen = true;
    const shards = this.directories?.lines.snapshot() ?? [];
    this.frozenShards = shards;
    this.directories?.close();
    return { incarnation, lastVmspace, shards, held: memory.freeze(), memory, sync, sessions: [...sessions] };
  }

  /**
   * No other pmap manager goes on, but this one: to the directory, and to the virtual kernels, as if it had taken its own
   * place.
   */
  endHandOver(): void {
    for (const session of this.sessions) session.unfollow();
    this.handingOver = false;
    if (!this.frozen) {
      this.memory.unfollow();
      return;
    }
    this.frozen = false;
    // First: what the lines say at once of leases that ended is for a memory that hears it.
    this.memory.unfreeze();
    this.directories = this.openLines(this.frozenShards);
  }

  /** A dataspace of another pmap manager of this node; what is told of it on the bus is heard from now on. */
  adopt(about: { id: bigint; name: string; sizeBytes: bigint; durable: boolean }): SharedDataspace {
    const dataspace = this.memory.adopt(about);
    this.follow(dataspace);
    return dataspace;
  }

  /** Goes on where another pmap manager of this node stopped; `join` follows. */
  inherit(lastVmspace: bigint, shards: LedShard[]): void {
    this.lastVmspace = lastVmspace;
    this.inherited = shards;
    const usable = shards.filter(({ suspended, untilMs }) => !suspended && untilMs > monotonicMs());
    // Should this one be stopped before it joins, the virtual kernels know when to end.
    if (usable.length > 0)
      this.deadline = BigInt(Math.min(...usable.map(({ lastEndMs }) => lastEndMs))) * 1_000_000n;
  }

  /** Paths of the memory files that are in use. */
  files(): Set<string> {
    const ofVmspaces = [...this.sessions].flatMap(({ vmspaces }) => [...vmspaces.values()]);
    return new Set([
      ...[...this.memory.all()].map(({ file }) => file.path),
      ...ofVmspaces.map((v) => v.file),
    ]);
  }

  /** Ends sessions that nobody resumed. */
  endUnresumed(): void {
    // They said their last word here; if nobody else goes on, they are looked for again.
    if (this.handingOver) return;
    this.giveUp(({ isAttached }) => !isAttached, 'a virtual kernel did not come back, and is taken for dead');
  }

  private giveUp(which: (session: Session) => boolean, why: string): void {
    for (const session of [...this.sessions].filter(which)) {
      this.log.warn({ vkernel: session.name }, why);
      this.sessions.delete(session);
      ownTurn({ vkernel: session.name }, () => session.close())();
    }
  }

  /** Ends the processes of this node and hands its pages over to others, for so long at most. */
  async drain(drainMs: number): Promise<void> {
    const { directories, memory, backing, sessions, log } = this;
    if (directories === undefined || this.isStopping) return;
    const { node, shards } = this.config;
    const directory = () => this.directory;
    const about = { node, memory, backing, sessions, directories, directory, shards, log };
    this.leaving = new Drain(about);
    await this.leaving.run(drainMs);
  }

  /** Lets go of everything that another pmap manager goes on with, and removes nothing. */
  letGo(): void {
    clearInterval(this.inspecting);
    clearInterval(this.flushing);
    this.watches.close();
    this.handmade.close();
    this.overdue.close();
    this.stopDiscovery?.();
    this.transfers.close();
    this.asked?.client.close();
  }

  close(): void {
    clearInterval(this.inspecting);
    this.overdue.close();
    clearInterval(this.flushing);
    this.watches.close();
    this.handmade.close();
    const sessions = [...this.sessions];
    this.sessions.clear();
    for (const session of sessions) session.close();
    this.stopDiscovery?.();
    this.directories?.close();
    this.transfers.close();
    this.asked?.client.close();
    for (const dataspace of [...this.memory.all()]) dataspace.file.remove();
  }
}
