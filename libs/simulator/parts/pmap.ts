// pmapd: the pmap manager of a node, with the virtual kernels on it. Its parts are those that ship; here they are joined as
// services/pmapd joins them.
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import type { NodeRoutes, RoutedEvent } from '@odonata/coherency/node/lines/routes.ts';
import type { PageData } from '@odonata/coherency/node/memory/memory-messages.ts';
import type { RelayAction } from '@odonata/coherency/node/relay/relay-messages.ts';
import {
  type AccessMode,
  type HolderId,
  type HolderIdentity,
  type PageRun,
  unreachable,
} from '@odonata/coherency/page.ts';
import type { DirectoryEvent, Invalidate } from '@odonata/proto/coherency/v1/coherency';
import type { Connection, HoldingNode } from '../world/connection.ts';
import { identityOf } from '../world/identity.ts';
import { LEASE_MS } from '../world/lease-ms.ts';
import type { PageTransfer } from '../world/page-transfer.ts';
import { Part } from '../world/part.ts';
import type { Place } from '../world/place.ts';
import type { Neighbour, Surroundings } from '../world/surroundings.ts';
import { BackingPart } from './backing.ts';
import { DrainPart, type LeavingNode } from './drain.ts';
import { Holding } from './holding.ts';
import type { ProcessMapping } from './mapping.ts';
import { MemoryPart, type WordOfMemory } from './memory.ts';
import { PoolPart } from './pool.ts';
import { Replacement } from './replacement.ts';
import { SyncPart } from './sync.ts';
import { type Deadline, type HostingNode, VkernelPart } from './vkernel.ts';

/** A virtual kernel notices the death of its pmap manager within this time, or its deadline comes first. */
const NOTICE_MS = 500;
export class PmapPart extends Part implements Neighbour, HoldingNode, HostingNode, LeavingNode {
  readonly nodeIndex: number;
  incarnation = 0;
  deadline: Deadline = { endMs: Number.NEGATIVE_INFINITY };
  memory!: MemoryPart;
  holding!: Holding;
  sync!: SyncPart;
  backing!: BackingPart;
  vkernels: VkernelPart[] = [];
  private routes!: NodeRoutes;
  /** Once it hands over what it has. */
  private leaving: DrainPart | undefined;
  /** Virtual kernels that were not seen to end. */
  readonly sessions = new Set<VkernelPart>();
  private pool!: PoolPart;
  private replacement!: Replacement;
  private readonly world: Surroundings;

  constructor(world: Surroundings, place: Place, nodeIndex: number) {
    super(world, place.name, place);
    this.world = world;
    this.nodeIndex = nodeIndex;
  }

  get identity(): HolderIdentity {
    return identityOf(this.nodeIndex, this.incarnation);
  }

  get isLeaving(): boolean {
    return this.leaving !== undefined;
  }

  // ---- it starts and ends

  start(): void {
    const { world } = this;
    const { layout, duties } = world;
    this.alive = true;
    this.generation++;
    this.incarnation++;
    if (duties.emptyLeftovers && this.incarnation > 1) this.memory.file.empty();
    this.deadline = { endMs: Number.NEGATIVE_INFINITY };
    this.leaving = undefined;
    this.replacement = new Replacement(world, this);
    this.vkernels = [];
    this.sessions.clear();
    this.memory = new MemoryPart(world, this);
    this.backing = new BackingPart(world, this);
    this.pool = new PoolPart(world, this);
    this.sync = this.freshSync();
    this.joinDirectory(undefined);
    this.note('starts', { incarnation: this.incarnation });
    for (const { id } of world.cluster.dataspaces) this.memory.open(id, layout.pageCountEach, false);
    if (world.cluster.dataspaces.length > 0) this.startVkernels();
  }

  freshSync(): SyncPart {
    const { machines, layout } = this.world;
    return new SyncPart(this, machines.relay(layout.shards));
  }

  /** @param inherited of another pmap manager of this node @param sync its own, where it is not this one that goes on */
  joinDirectory(inherited: readonly LedShard[] | undefined, sync = this.sync): void {
    const { world } = this;
    this.sync = sync;
    const { machines, layout } = world;
    this.routes = machines.routes({
      ...{ shards: layout.shards, relay: this.sync.core },
      dataspaces: () => this.memory.core.all(),
      isAsked: (shard) => this.leaving?.isAsked(shard) ?? false,
    });
    const about = { node: this.name, incarnation: this.identity, shards: layout.shards };
    const lines = machines.lines(
      { ...about, transferAddress: this.name, renewals: world.renewals },
      inherited,
    );
    this.holding = new Holding(world, this, lines);
    this.holding.connectTo(world.replicas.map(({ address }) => address));
  }

  startVkernels(): void {
    const count = 1 + this.world.random.below(2);
    for (let i = 0; i < count; i++) this.startVkernel(i);
    for (const dataspace of this.world.layout.dataspaces)
      this.holding.step({ type: 'interest', dataspace, mapped: true });
  }

  note(what: string, about?: object): void {
    this.world.history.note(this.world, this.name, what, undefined, about);
  }

  private startVkernel(slot: number): void {
    this.vkernels[slot] = new VkernelPart(this.world, this, `${this.name}/vkernel${slot + 1}`);
    this.vkernels[slot].start();
  }

  override crash(): void {
    if (!this.alive) return;
    this.note('crashes');
    this.world.losses.nodeDied(this.nodeIndex);
    this.world.barriers.nodeForgets(this.nodeIndex);
    this.holding.end();
    super.crash();
    for (const vkernel of this.vkernels)
      vkernel.after(this.world.random.between(0, NOTICE_MS), () => vkernel.crash());
  }

  crashVkernel(vkernel: VkernelPart): void {
    const slot = this.vkernels.indexOf(vkernel);
    if (slot === -1 || !vkernel.alive) return;
    vkernel.crash();
    // The pmap manager sees the end of the stream.
    this.after(this.world.random.between(0, 5), () => {
      this.forget(vkernel);
      if (this.leaving === undefined) this.startVkernel(slot);
    });
  }

  private forget(vkernel: VkernelPart): void {
    if (!this.sessions.delete(vkernel)) return;
    this.memory.leave(vkernel);
    // One that leaves tells it to those who lead now, and to nobody who comes later.
    if (this.leaving === undefined) for (const goer of vkernel.goers) goer.endSeen(this.nodeIndex);
    this.sync.step({ type: 'session-gone', session: vkernel.session });
    for (const { pid } of [...vkernel.processes, ...vkernel.goers])
      this.sync.step({ type: 'owner-gone', owner: pid });
  }

  private startLater(): void {
    this.world.later(this.world.random.between(1, LEASE_MS), () => {
      if (!this.alive) this.start();
    });
  }

  /** Another pmap manager takes its place. */
  replace(): void {
    if (this.runs && this.leaving === undefined && !this.replacement.isUnderWay) this.replacement.begin();
  }

  override wake(): void {
    if (this.runs || !this.alive) return;
    this.replacement.goOn();
    super.wake();
  }

  // ---- it leaves

  /** It hands over what it has, and leaves. */
  drain(): void {
    if (!this.runs || this.leaving !== undefined || this.replacement.isUnderWay) return;
    this.note('leaves');
    this.world.barriers.nodeForgets(this.nodeIndex);
    this.leaving = new DrainPart(this.world, this);
    this.leaving.start();
  }

  get processesRun(): boolean {
    return this.vkernels.some(({ alive }) => alive);
  }

  handedOver(which: 'owned' | 'plain'): PageRun[] {
    const { core } = this.memory;
    const runs = [...core.all()].flatMap(({ id }) =>
      which === 'owned' ? core.ownedRuns(id) : core.plainRuns(id),
    );
    return runs.map((run) => this.world.layout.used(run)).filter(({ pageCount }) => pageCount > 0);
  }

  retire(shard: number): boolean {
    return this.holding.retire(shard);
  }

  isEpochOf(shard: number, epoch: bigint): boolean {
    return this.holding.lines.isEpochOf(shard, epoch);
  }

  get isConnected(): boolean {
    return this.holding.lines.anyConnected;
  }

  endProcesses(): void {
    for (const vkernel of this.vkernels)
      this.after(this.world.random.between(0, 5), () => {
        if (!vkernel.alive) return;
        vkernel.crash();
        this.forget(vkernel);
      });
  }

  closeSessions(): void {
    for (const { id: dataspace } of this.memory.core.all())
      this.memory.stepShard({ type: 'suspend-all', dataspace });
  }

  storeDurable(stored: () => void, failed: () => void): void {
    const { layout } = this.world;
    const durable = layout.dataspaces.filter((id) => layout.isDurableDataspace(id));
    let left = durable.length;
    if (left === 0) this.after(0, stored);
    for (const id of durable)
      this.backing.sync(layout.allOf(id), (values) => {
        left--;
        if (values === undefined) failed();
        else if (left === 0) stored();
      });
  }

  expire(shard: number): void {
    this.memory.stepShard({ type: 'expire', shard });
  }

  sayGoodbye(): void {
    this.holding.step({ type: 'goodbye' });
  }

  giveUp(): void {
    this.crash();
    this.startLater();
  }

  gone(): void {
    this.note('is gone');
    this.holding.end();
    super.crash();
    this.startLater();
  }

  // ---- what its memory asks of it

  join(vkernel: VkernelPart): HolderId {
    this.sessions.add(vkernel);
    return this.memory.join(vkernel);
  }

  usable(dataspace: bigint, page: number): boolean {
    return this.routes.usable(this.holding.lines, dataspace, page, this.clockMs);
  }

  homeUsable(dataspace: bigint, nowMs: number): boolean {
    return this.holding.lines.homeUsable(dataspace, nowMs);
  }

  epochOf(dataspace: bigint, page: number): bigint {
    return this.holding.lines.epochOf(dataspace, page);
  }

  // What locks are of is no address here: any of a process will do.
  modifies({ process, dataspace }: ProcessMapping): boolean {
    const end = 2n ** 62n;
    return this.world.random.oneIn(4) || this.sync.core.modifies(process.pid, dataspace.id, 0n, end);
  }

  say(word: WordOfMemory): void {
    this.holding.step({ type: 'word', word, shard: word.type === 'report' ? word.shard : undefined });
  }

  /** Sends pages, or drops them where the receiver is not known: they are recalled again. */
  deliver(run: PageRun, receiver: HolderId, event: PageData, values: number[]): void {
    const way = this.holding.lines.wayTo(run.dataspace, run.firstPage, receiver);
    const target = this.world.nodes.find(({ name }) => name === way?.address);
    if (way === undefined || target === undefined) return;
    const stream = this.world.network.transfer<PageTransfer>(this, target, (message) =>
      target.arrive(message),
    );
    stream.send({ epoch: way.epoch, receiver, event, values });
  }

  // ---- what comes from outside

  arrive(transfer: PageTransfer): void {
    const { dataspace, firstPage } = transfer.event.run;
    const { lines } = this.holding;
    if (lines.acceptsFor(dataspace, firstPage, transfer.epoch, transfer.receiver, this.clockMs))
      this.memory.arrive(transfer);
  }

  overhear(message: Invalidate): void {
    this.holding.step({ type: 'overheard', message });
  }

  adopt(runs: readonly PageRun[], mode: AccessMode, adopted: () => void, refused: () => void): void {
    if (this.leaving !== undefined) refused();
    else this.memory.adopt(runs, mode, adopted, refused);
  }

  /** It needs frames: some of its pages leave. */
  runShort(): void {
    if (this.runs && this.leaving === undefined && !this.replacement.isUnderWay) this.pool.runShort();
  }

  heard(connection: Connection, { event }: DirectoryEvent): void {
    this.holding.heard(connection, event);
  }

  broke(connection: Connection): void {
    this.holding.broke(connection);
  }

  // ---- what its parts say to each other

  performRelay(action: Extract<RelayAction, { type: 'say' | 'say-all' }>): void {
    this.holding.step(action);
  }

  performLine(action: NodeAction): void {
    switch (action.type) {
      case 'page':
        this.memory.hear(action.event);
        return;
      case 'removed':
      case 'desk':
        return;
      case 'deadline':
        this.tellDeadline(action.deadlineMs ?? Number.NEGATIVE_INFINITY);
        return;
      default:
        if (action.type === 'led' || action.type === 'suspend' || action.type === 'resume')
          this.note(`its line says: ${action.type}`, action);
        for (const routed of this.routes.of(action)) this.give(routed);
    }
  }

  private give(routed: RoutedEvent): void {
    switch (routed.part) {
      case 'memory':
        if ('run' in routed.event) this.memory.hear(routed.event);
        else this.memory.stepShard(routed.event);
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

  private tellDeadline(endMs: number): void {
    const isSooner = endMs < this.deadline.endMs;
    this.deadline.endMs = endMs;
    if (isSooner) for (const vkernel of this.vkernels) if (vkernel.alive) vkernel.watch();
  }
}
