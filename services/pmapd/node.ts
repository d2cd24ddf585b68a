// What the parts of a pmap manager share, and how they are joined.

import { tmpdir } from 'node:os';
import type { Bus } from '@odonata/bus/bus.ts';
import { isBorrowed } from '@odonata/coherency/gateway.ts';
import type { HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import { HOLD_MAX_MS } from '@odonata/coherency/lease.ts';
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import { NodeRoutes } from '@odonata/coherency/node/lines/routes.ts';
import type { Permissions } from '@odonata/coherency/node/memory/memory-messages.ts';
import { roomForOthers } from '@odonata/coherency/node/pool/neighbours.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { homeShardOf, shardOf } from '@odonata/coherency/shard.ts';
import { PagePool } from '@odonata/pmap/wire/page-buffer.ts';
import { SpoiltMessages } from '@odonata/pmap/wire/spoilt-messages.ts';
import { Transfers } from '@odonata/pmap/wire/transfer.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { Limits } from '@odonata/rpc/limits.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { PIDS_PER_NODE } from '@odonata/rpc/pid.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { ownTracer } from '@odonata/rpc/trace/own.ts';
import { Backing } from './backing.ts';
import type { PmapdConfig } from './config.ts';
import { HotPages } from './contention/hot-pages.ts';
import { RangeNames } from './contention/range-names.ts';
import { Drain } from './drain.ts';
import { type ChargedProcess, Charges } from './frames/charge.ts';
import type { FramePool } from './frames/frame-pool.ts';
import { Frames } from './frames/frames.ts';
import { GrowthAudit } from './frames/growth-audit.ts';
import { Images } from './frames/images.ts';
import { type Short, Shortage } from './frames/shortage.ts';
import { LoopDelay } from './loop-delay.ts';
import { CoherentMemory } from './memory/coherent-memory.ts';
import { performMemory } from './memory/memory-actions.ts';
import { OverdueFaults } from './memory/overdue.ts';
import { whyWaits } from './memory/why-waits.ts';
import { Openings } from './openings.ts';
import { DataspacePageout } from './pageout/dataspace-pageout.ts';
import { LodgedPages } from './pageout/lodged-pages.ts';
import { NeighbourNodes } from './pageout/neighbours.ts';
import { Pageout } from './pageout/pageout.ts';
import { SwapFile } from './pageout/swap-file.ts';
import { Descriptors } from './sessions/descriptors.ts';
import type { MapEntry } from './sessions/map-entry.ts';
import type { Session } from './sessions/session.ts';
import { SessionTable } from './sessions/session-table.ts';
import { VkernelBounds } from './sessions/vkernel-bounds.ts';
import type { Vmspace } from './sessions/vmspace.ts';
import { Statistics } from './statistics.ts';
import { PageTraces } from './traces/page-traces.ts';
import { flushByChance } from './vmspaces/flush.ts';
import { HandmadeVmspaces } from './vmspaces/handmade/handmade-table.ts';
import { Watches } from './vmspaces/watches.ts';
import { DirectoryLine } from './wire/directory-line.ts';
import { FarDesks } from './wire/far-desks.ts';
import { GatewayPages } from './wire/gateway-pages.ts';
import { performLine, performSync } from './wire/line-actions.ts';
import { SyncRelay } from './wire/sync-relay.ts';

const POLL_MS = 5;
const INSPECT_MS = 1_000;

/** A node that changes nothing any more. */
export interface FrozenNode {
  incarnation: bigint;
  lastVmspace: bigint;
  shards: LedShard[];
  held: HolderSnapshot[];
  memory: CoherentMemory;
  sync: SyncRelay;
  farDesks: FarDesks;
  sessions: Session[];
  handmade: HandmadeVmspaces;
}

export class Node {
  readonly name: string;
  readonly memoryDir: string;
  readonly incarnation: bigint;
  readonly frames: Frames;
  readonly images: Images;
  readonly shortage: Shortage;
  readonly pageout: Pageout;
  readonly dataspacePageout: DataspacePageout;
  /** Private memory of other nodes. */
  readonly lodged: LodgedPages;
  readonly events: EventLog;
  readonly security: SecurityEvents;
  readonly limits: Limits;
  /** Who watches which vmspace. */
  readonly watches: Watches;
  /** What virtual kernels may have. */
  readonly bounds = new VkernelBounds();
  /** Vmspaces that people made by hand. */
  readonly handmade: HandmadeVmspaces;
  readonly statistics = new Statistics();
  readonly loopDelay = new LoopDelay();
  readonly hotPages = new HotPages(monotonicMs);
  readonly rangeNames = new RangeNames();
  /** Absent: nobody traces. */
  readonly traces: PageTraces | undefined;
  readonly spoilt: SpoiltMessages;
  readonly memory: CoherentMemory;
  readonly sync: SyncRelay;
  readonly farDesks: FarDesks;
  readonly routes: NodeRoutes;
  readonly backing: Backing;
  readonly sessions: SessionTable;
  readonly overdue: OverdueFaults;
  readonly gatewayPages: GatewayPages;
  readonly transfers: Transfers;
  /** The first pid of this node's processes. */
  readonly firstPid: bigint;
  private readonly config: PmapdConfig;
  private readonly log: Logger;
  readonly line: DirectoryLine;
  /** Dataspaces by name. */
  readonly openings: Openings;
  leaving: Drain | undefined;
  /** Until when shared memory that is mapped may be used, in monotonic nanoseconds; 0: nothing may. */
  deadlineNs = 0n;
  private readonly inspecting: NodeJS.Timeout;
  private readonly flushing: NodeJS.Timeout | undefined;
  private lastVmspace = 0n;
  private borrowedIsAway = false;
  private handingOver = false;
  private frozen = false;
  /** For how long virtual kernels waited for this one to take the place of another. */
  takeOverMs = 0;

  /**
   * @param incarnation of the pmap manager whose place this one takes
   * @param machine the frames of the machine, where several clusters share them
   */
  constructor(config: PmapdConfig, bus: Bus, log: Logger, incarnation?: bigint, machine?: FramePool) {
    this.name = config.node;
    this.firstPid = BigInt(config.nodeIndex) * BigInt(PIDS_PER_NODE);
    this.memoryDir = config.memoryDir;
    // Unique in the cluster, and greater than that of an earlier start.
    this.incarnation = incarnation ?? BigInt(Date.now()) * 100_000n + BigInt(config.nodeIndex);
    this.config = config;
    this.log = log;
    this.events = new EventLog({
      ...{ service: `${config.node}/pmapd`, node: config.node, log },
      file: config.eventsFile,
    });
    this.security = new SecurityEvents(this.events);
    const tracer = ownTracer();
    if (tracer !== undefined) this.traces = new PageTraces(tracer, config.node);
    this.limits = new Limits(this.events);
    this.spoilt = new SpoiltMessages(this.events);
    this.watches = new Watches({
      limits: this.limits,
      onWatched: (vmspace, on) => this.sessions.trace(vmspace, on),
    });
    const growth = new GrowthAudit(
      () => this.memory.all(),
      (dataspace) => this.sessions.grown(dataspace),
    );
    this.inspecting = setInterval(() => {
      this.sessions.inspect();
      if (!this.isStopping) void this.lodged.look(monotonicMs());
      if (!this.frozen) ownTurn({ timer: 'growth' }, () => growth.look())();
      ownTurn({ timer: 'idle' }, () => this.handmade.look(monotonicMs()))();
      if (!this.frozen) ownTurn({ timer: 'images' }, () => this.images.look(monotonicMs()))();
    }, INSPECT_MS).unref();
    if (config.testFlushMs > 0) this.flushing = flushByChance(this, config.testFlushMs);
    this.frames = new Frames(Math.floor(config.framesBytes / PAGE_BYTES), new Charges(), machine);
    this.images = new Images({ memoryDir: config.memoryDir, frames: this.frames });
    this.shortage = new Shortage({
      ...{ node: config.node, frames: this.frames },
      onVictim: ({ process }, reason) => {
        this.ended(process, reason);
        process.end(reason);
      },
      makesRoom: (sharedOnly) =>
        this.dataspacePageout.canMakeRoom() || (!sharedOnly && this.pageout.canMakeRoom()),
      noRoom: () => this.pageout.noRoom(),
    });
    this.frames.onRoom = () => {
      this.shortage.relieved();
      this.pageout.taken();
    };
    this.frames.onTaken = () => {
      this.pageout.taken();
      this.dataspacePageout.taken();
    };
    this.handmade = new HandmadeVmspaces({
      ...{ node: config.node, memoryDir: config.memoryDir, frames: this.frames, limits: this.limits },
      ...{ max: config.nodeVmspaces, ofOneMax: config.vmspaces, bytesOfOneMax: config.vmspaceBytes },
      nextId: () => this.nextVmspace(),
      watched: () => this.watches.watched(),
      onIdle: ({ id, owner }, reason) => {
        if (reason !== undefined) this.events.add('vmspace-idle', reason, { vmspace: id, owner });
        this.watches.end(id);
      },
      onManyIdle: (reason) => this.events.add('vmspace-idle', reason),
    });
    const pool = new PagePool();
    this.transfers = new Transfers({
      ...{ log, pool },
      onDropped: (address, pages) => this.limits.transfer(address, pages),
    });
    this.backing = new Backing({
      ...{ bus, log, cluster: config.cluster, memory: () => this.memory },
      ...{ replicas: config.storeReplicas, bytesMax: config.storeBytes },
      onFailed: (reason, dataspace) => this.events.add('sync-failed', reason, { dataspace }),
    });
    this.farDesks = new FarDesks({
      shards: config.shards,
      isBorrowed: (dataspace) => isBorrowed(this.memory.get(dataspace)?.name ?? ''),
      send: (dataspace, event) => this.line.directories?.sendTo(homeShardOf(dataspace, config.shards), event),
      relay: (event) => this.sync.step(event),
      suspend: (dataspace, meanwhile) => this.without(dataspace, meanwhile),
    });
    this.sync = new SyncRelay(
      config.shards,
      (action) => performSync(this, action),
      (dataspace) => this.farDesks.numberOf(dataspace),
    );
    this.memory = new CoherentMemory({
      ...{ memoryDir: config.memoryDir, shards: config.shards, frames: this.frames, pool },
      ...{ permissions: this.permissions(), tally: this.statistics },
      perform: (action) => performMemory(this, action),
      onNoFrames: (reason, dataspace) => this.events.add('memory-refused', reason, { dataspace }),
      onMended: (dataspace, page) => this.sessions.mended(dataspace, page),
      makesRoom: () =>
        this.dataspacePageout.canMakeRoom() ||
        (this.frames.free < this.frames.room(undefined) + 1 && this.pageout.canMakeRoom()),
      hasNeighbours: () => this.dataspacePageout.hasNeighbours,
      onClosed: (dataspace) => this.dataspacePageout.closed(dataspace),
    });
    const directory = () => this.line.directory;
    const neighbours = new NeighbourNodes({ node: config.node, log, directory });
    this.lodged = new LodgedPages({ node: config.node, memory: this.memory, neighbours, log, directory });
    this.dataspacePageout = new DataspacePageout({
      ...{ frames: this.frames, memory: this.memory, neighbours, lodged: this.lodged },
      onLooked: () => this.shortage.relieved(),
      onRefused: (reason) => log.debug({ reason }, 'a neighbour takes no pages'),
    });
    this.routes = new NodeRoutes({
      ...{ shards: config.shards, relay: this.sync.core },
      dataspaces: () => this.memory.all(),
      isAsked: (shard) => this.leaving?.isAsked(shard) ?? false,
      farUsable: (dataspace, nowMs) => this.farDesks.usable(dataspace, nowMs),
    });
    this.pageout = this.openPageout(config);
    const descriptors = new Descriptors();
    const { memory, shortage, events, limits, security, firstPid } = this;
    this.sessions = new SessionTable({
      ...{ node: config.node, firstPid, descriptors, limits, security, log },
      dataspaces: () => memory.count,
    });
    this.line = new DirectoryLine({
      ...{
        node: config.node,
        incarnation: this.incarnation,
        shards: config.shards,
        directory: config.directory,
        bus,
        log,
      },
      traces: this.traces,
      room: () => this.roomForOthers,
      perform: (action) => performLine(this, action),
    });
    this.openings = new Openings({
      ...{ name: config.node, incarnation: this.incarnation, line: this.line, memory, descriptors, bus },
      learned: (about) => this.gatewayPages.learn(about),
      isLeaving: () => this.isLeaving,
    });
    this.gatewayPages = new GatewayPages({
      nameOf: (dataspace) => this.memory.get(dataspace)?.name,
      directory: () => this.line.directory,
      log,
    });
    this.overdue = new OverdueFaults({ memory, shortage, events, why: (fault) => whyWaits(this, fault) });
  }

  private openPageout({ swapDir, swapBytes }: PmapdConfig): Pageout {
    const { frames, memory, name: node, incarnation, log, dataspacePageout: dataspaces } = this;
    const swap = swapBytes > 0 ? new SwapFile(swapDir || tmpdir(), swapBytes) : undefined;
    return new Pageout({
      ...{ frames, swap, dataspaces },
      away: {
        ...{ node, incarnation, memory, frames, log },
        open: (name, sizeBytes) => this.openings.open(name, sizeBytes, { exclusive: true }),
        directory: () => this.line.directory,
        leave: (dataspace, pages) => dataspaces.leave(dataspace, pages),
      },
      sessions: () => this.sessions,
      short: (short) => this.short(short),
      ended: (vmspace, reason) => this.ended(vmspace, reason),
    });
  }

  private permissions(): Permissions<MapEntry> {
    return {
      usable: (dataspace, page) => this.usable(dataspace, page),
      epochOf: (dataspace, page) => this.line.directories?.lines.epochOf(dataspace, page) ?? 0n,
      modifies: ({ vmspace, dataspace }, page) => {
        const begin = BigInt(page) * BigInt(PAGE_BYTES);
        return this.sync.core.modifies(vmspace.pid, dataspace.id, begin, begin + BigInt(PAGE_BYTES - 1));
      },
    };
  }

  /** There is no frame for a process: it is refused, or tries again when there is one. */
  short(short: Short, sharedOnly = false): void {
    const { process } = short.charge;
    const refuse = (reason: string): void => {
      // Who writes a file that finds no room goes on.
      if (process.filesOf === undefined) this.ended(process, reason);
      short.refuse(reason);
    };
    this.shortage.ask({ ...short, refuse }, sharedOnly);
  }

  /** A virtual kernel ends a process because of its memory. */
  endedForMemory(vmspace: Vmspace, reason: string): void {
    this.ended(vmspace, reason);
  }

  private ended({ pid, filesOf }: Pick<ChargedProcess, 'pid' | 'filesOf'>, reason: string): void {
    if (filesOf !== undefined)
      this.events.add('files-lost', `/tmp of virtual kernel ${filesOf} is lost: ${reason}`);
    else this.events.add('process-ended-for-memory', `process ${pid} ends: ${reason}`, { pid });
  }

  nextVmspace(): bigint {
    this.lastVmspace++;
    return this.lastVmspace;
  }

  /** True while the leases last under which a page may be used. */
  usable(dataspace: bigint, page: number): boolean {
    const { directories } = this.line;
    if (directories === undefined) return false;
    const { lines } = directories;
    if (!this.routes.usable(lines, dataspace, page, monotonicMs())) return false;
    if (!isBorrowed(this.memory.get(dataspace)?.name ?? '')) return true;
    return !this.borrowedIsAway && lines.isConnectedTo(shardOf(dataspace, page, this.config.shards));
  }

  /**
   * Takes away what other clusters lent, before the lease is held for longer than it is: their gateways reckon with a lease. Who needs it
   * waits until the next pmap manager has one, or this one goes on.
   */
  letBorrowedGo(): void {
    this.borrowedIsAway = true;
    for (const { id, name } of this.memory.all())
      if (isBorrowed(name)) this.memory.step({ type: 'suspend-all', dataspace: id });
  }

  /** Nobody uses a dataspace while that is done. */
  private without(dataspace: bigint, meanwhile: () => void): void {
    this.memory.step({ type: 'suspend-all', dataspace });
    meanwhile();
    if (!this.borrowedIsAway) this.memory.step({ type: 'resume-all', dataspace });
  }

  // The lease may be held for so long still.
  private takeBorrowedBackLater(): void {
    setTimeout(
      ownTurn({ timer: 'borrowed dataspaces' }, () => this.takeBorrowedBack()),
      HOLD_MAX_MS,
    ).unref();
  }

  private takeBorrowedBack(): void {
    this.borrowedIsAway = false;
    for (const { id, name } of this.memory.all())
      if (isBorrowed(name)) this.memory.step({ type: 'resume-all', dataspace: id });
  }

  /** Removes a dataspace and what is stored of it. @throws RpcError FAILED_PRECONDITION while it is mapped */
  async removeDataspace(
    name: string,
    { requester, requestId }: { requester: Requester; requestId?: string },
  ): Promise<void> {
    const { directory } = this.line;
    // For the node itself: its owner removes it also where they may not read it.
    const { dataspace } = await directory.getDataspace({ name, withoutUsage: true }, { requestId });
    await directory.deleteDataspace({ name, requester }, { requestId });
    // Its identity is never used again: what cannot be removed now takes room, and no more.
    if (dataspace?.durable) await this.backing.remove(dataspace.id);
  }

  /** How many pages it takes of nodes that are short of frames. */
  get roomForOthers(): number {
    const { free: freePages, total: totalPages } = this.frames;
    const sharedRoomPages = this.frames.room(undefined);
    return this.isStopping ? 0 : roomForOthers({ freePages, sharedRoomPages, totalPages });
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

  /** What has left comes back, as much as there is time for; everything goes on meanwhile. */
  async bringAhead(forMs: number): Promise<void> {
    this.dataspacePageout.stop();
    await this.pageout.bringAhead(() => delay(0), monotonicMs() + forMs);
  }

  /** Tells the virtual kernels to say their last word, and waits for those that do, for so long at most. */
  async prepareHandOver(waitMs: number): Promise<void> {
    this.handingOver = true;
    for (const session of this.sessions) {
      await this.pageout.bringAll(session, () => delay(0));
      session.tellHandingOver();
    }
    const endMs = monotonicMs() + waitMs;
    const waits = () =>
      this.openings.isOpening ||
      this.handmade.isBusy ||
      [...this.sessions].some(({ isAttached }) => isAttached);
    while (waits() && monotonicMs() < endMs) await delay(POLL_MS);
    // Stopped, or of an earlier version: it ends as if this pmap manager had died.
    this.sessions.giveUp(
      ({ isAttached }) => isAttached,
      'a virtual kernel did not answer, and is not handed over',
    );
  }

  /** From now on nothing changes here, and another pmap manager may go on with what this says. */
  freeze(): FrozenNode {
    const { incarnation, lastVmspace, memory, sync, farDesks, sessions, handmade } = this;
    this.frozen = true;
    farDesks.freeze();
    this.openings.isFrozen = true;
    this.handmade.freeze();
    const shards = this.line.freeze();
    const held = memory.freeze();
    return {
      ...{ incarnation, lastVmspace, shards, held, memory, sync, farDesks, handmade },
      sessions: [...sessions],
    };
  }

  /**
   * No other pmap manager goes on, but this one: to the directory, and to the virtual kernels, as if it had taken its own
   * place.
   */
  endHandOver(): void {
    for (const session of this.sessions) session.spaces.unfollow();
    this.handmade.thaw();
    this.handingOver = false;
    this.pageout.goOn();
    this.dataspacePageout.goOn();
    if (!this.frozen) {
      this.memory.unfollow();
      this.takeBorrowedBackLater();
      return;
    }
    this.frozen = false;
    this.openings.isFrozen = false;
    // First: what the lines say at once of leases that ended is for a memory that hears it.
    this.line.thaw(() => this.memory.unfreeze());
    this.farDesks.thaw();
    this.takeBorrowedBackLater();
  }

  /** Goes on where another pmap manager of this node stopped; `join` follows. */
  inherit(lastVmspace: bigint, shards: LedShard[]): void {
    this.lastVmspace = lastVmspace;
    this.line.inherit(shards);
    const usable = shards.filter(({ suspended, untilMs }) => !suspended && untilMs > monotonicMs());
    // Should this one be stopped before it joins, the virtual kernels know when to end.
    if (usable.length > 0)
      this.deadlineNs = BigInt(Math.min(...usable.map(({ lastEndMs }) => lastEndMs))) * 1_000_000n;
  }

  /** Paths of the memory files that are in use. */
  files(): Set<string> {
    const ofVmspaces = [...this.sessions].flatMap(({ vmspaces }) => [...vmspaces.values()]);
    return new Set([
      ...[...this.memory.all()].map(({ file }) => file.path),
      ...this.images.paths(),
      ...ofVmspaces.map((v) => v.file),
    ]);
  }

  /** Ends sessions that nobody resumed. */
  endUnresumed(): void {
    // They said their last word here; if nobody else goes on, they are looked for again.
    if (!this.handingOver) this.sessions.endUnresumed();
  }

  /** Ends the processes of this node and hands its pages over to others, for so long at most. */
  async drain(drainMs: number): Promise<void> {
    const { line, memory, backing, sessions, log } = this;
    const { directories } = line;
    if (directories === undefined || this.isStopping) return;
    const { node, shards } = this.config;
    this.dataspacePageout.stop();
    const directory = () => line.directory;
    const about = { node, memory, backing, sessions, directories, directory, shards, log };
    this.leaving = new Drain(about);
    await this.leaving.run(drainMs);
  }

  /** Lets go of everything that another pmap manager goes on with, and removes nothing. */
  letGo(): void {
    clearInterval(this.inspecting);
    clearInterval(this.flushing);
    this.watches.close();
    this.handmade.letGo();
    this.overdue.close();
    this.loopDelay.close();
    this.pageout.end();
    this.dataspacePageout.end();
    this.farDesks.close();
    this.transfers.close();
    this.line.letGo();
    this.images.letGo();
  }

  close(): void {
    clearInterval(this.inspecting);
    this.overdue.close();
    this.loopDelay.close();
    clearInterval(this.flushing);
    this.watches.close();
    this.handmade.close();
    const sessions = [...this.sessions];
    this.sessions.clear();
    for (const session of sessions) session.close();
    this.pageout.end();
    this.dataspacePageout.end();
    this.images.close();
    this.line.close();
    this.farDesks.close();
    this.transfers.close();
    for (const dataspace of [...this.memory.all()]) dataspace.file.remove();
  }
}
