// The shared memory of a node: the holder towards cohd, the directory towards the virtual kernels, and the frames.
import assert from 'node:assert/strict';
import type { HolderAction } from '@odonata/coherency/holder-messages.ts';
import {
  type AccessMode,
  type HolderId,
  type HolderIdentity,
  mayRead,
  mayWrite,
  type PageRun,
  type PageState,
  unreachable,
} from '@odonata/coherency/page.ts';
import { ShardedHolder } from '@odonata/coherency/sharded-holder.ts';
import { versionOfStored } from '@odonata/coherency/stored-version.ts';
import type { StoredPage } from '../durable-store.ts';
import { MAPPED_WRITE, MemoryFile } from '../memory-file.ts';
import type { PageTransfer } from '../messages.ts';
import type { Process } from '../process.ts';
import { check } from '../violation.ts';
import type { World } from '../world.ts';
import { Home } from './home.ts';
import type { PmapPart } from './pmap.ts';
import type { VkernelPart } from './vkernel.ts';

export interface Fault {
  process: Process;
  vkernel: VkernelPart;
  page: number;
  write: boolean;
}

/** Who waits for a page. */
interface Waiter {
  /** Undefined: the node itself. */
  vkernel: VkernelPart | undefined;
  retry(): void;
  /** @param wasLost the page may have been lost when it was looked for in the store */
  fail(wasLost: boolean): void;
}

/** A page as it was at one time. */
export interface Captured {
  value: number;
  epoch: number;
  version: number;
  state: PageState;
  lineage: number;
}

interface Retained {
  version: number;
  value: number | undefined;
  /** To whom it was sent on. */
  receiver: HolderIdentity | undefined;
}

export class NodeMemory {
  holder: ShardedHolder;
  readonly file: MemoryFile;
  /** What was sent on and is not settled, by page. */
  readonly retained: (Retained | undefined)[] = [];
  private home: Home;
  private readonly node: PmapPart;
  private readonly world: World;
  private readonly waiting: Waiter[][] = [];
  /** What the backing store keeps of lost pages, by page, while the directory is asked for them. */
  private readonly storedValues: (number | undefined)[] = [];
  /** Shards of which what was held once was declared void. */
  readonly reborn = new Set<number>();
  private arriving: PageTransfer | undefined;

  constructor(node: PmapPart) {
    this.node = node;
    this.world = node.world;
    this.holder = this.newHolder();
    this.file = new MemoryFile(this.world.layout.pages);
    this.home = new Home(this.world, this.file);
    for (let i = 0; i < this.world.layout.pages; i++) this.waiting.push([]);
  }

  private newHolder(): ShardedHolder {
    return new ShardedHolder(this.world.layout.shards, this.world.machines.holder);
  }

  /** Nobody here writes any more, until another pmap manager goes on. */
  freeze(): void {
    if (this.world.duties.protectFrozen)
      for (const vkernel of this.file.mapped) vkernel.protect(0, this.world.layout.pages);
  }

  /** What another pmap manager of the node does that takes the place of the one that froze. */
  takeOver(vkernels: readonly VkernelPart[]): void {
    const { world, file } = this;
    const { layout } = world;
    const known = this.holder.snapshot();
    this.holder = this.newHolder();
    this.holder.resume(known);
    this.home = new Home(world, file);
    for (const { id, pageCount } of world.cluster.dataspaces) this.home.create(id, pageCount);
    for (const vkernel of vkernels) {
      vkernel.session = this.home.join(vkernel);
      // What has a frame may be mapped there, for reading.
      if (!world.duties.claimFrames) continue;
      for (let page = 0; page < layout.pages; page++)
        if (file.values[page] !== undefined) this.home.takeFor(vkernel, layout.runOf(page), 'READ', false);
    }
    // Who waits in a fault faults anew; what the node itself waits for is asked anew.
    for (const waiters of this.waiting)
      for (const waiter of waiters.splice(0)) this.node.after(world.random.between(0, 1), waiter.retry);
  }

  open(dataspace: bigint, pageCount: number, whole: boolean): void {
    this.home.create(dataspace, pageCount);
    this.step({ type: 'open', dataspace, pageCount, whole });
  }

  join(vkernel: VkernelPart): HolderId {
    return this.home.join(vkernel);
  }

  leave(vkernel: VkernelPart): void {
    this.home.leave(vkernel);
    for (const waiters of this.waiting) {
      for (let i = waiters.length - 1; i >= 0; i--) if (waiters[i]!.vkernel === vkernel) waiters.splice(i, 1);
    }
  }

  // ---- faults

  fault(fault: Fault): void {
    if (!this.home.has(fault.vkernel)) return;
    const { page, write } = fault;
    const run = this.world.layout.runOf(page);
    this.world.history.note(
      this.world,
      fault.vkernel.name,
      write ? 'faults to write' : 'faults to read',
      run,
    );
    const state = this.holder.state(run.dataspace, run.firstPage);
    // Without a lease the fault waits until the directory has said who this node is.
    if (!this.node.links.serves(page)) this.waiting[page]!.push(this.waiter(fault));
    else if (write ? mayWrite(state) : mayRead(state)) this.resolve(fault);
    else {
      const { random } = this.world;
      this.waiting[page]!.push(this.waiter(fault));
      const mode: AccessMode = write || random.oneIn(4) ? 'WRITE' : 'READ';
      const pageCount = 1 + random.below(Math.min(3, this.world.layout.pagesFrom(page)));
      const neededPages = 1 + random.below(pageCount);
      this.step({ type: 'want', run: { ...run, pageCount }, mode, neededPages });
    }
  }

  private waiter(fault: Fault): Waiter {
    const { vkernel, process, page } = fault;
    return {
      vkernel,
      retry: () => this.fault(fault),
      fail: (wasLost) => {
        this.world.losses.failed(page, wasLost, vkernel.name);
        process.failed(fault);
      },
    };
  }

  private resolve(fault: Fault): void {
    const { page, write, vkernel, process } = fault;
    const { random, layout } = this.world;
    const first = layout.runOf(page);
    const alone = random.oneIn(2) && mayWrite(this.holder.state(first.dataspace, first.firstPage));
    const pageCount = random.oneIn(4) ? this.readyPages(page, write || alone) : 1;
    const run = { ...first, pageCount };
    for (let i = 0; i < pageCount; i++) this.file.values[page + i] ??= 0;
    if (write || alone) this.step({ type: 'wrote', run });
    const mode = write ? 'WRITE' : 'READ';
    for (const grant of this.home.takeFor(vkernel, run, mode, alone)) {
      const writable = (write || alone) && mayWrite(grant.state);
      const from = layout.pageOf(grant.run.dataspace, grant.run.firstPage);
      for (let i = 0; i < grant.run.pageCount; i++) vkernel.map(from + i, writable);
    }
    process.resume(fault);
  }

  private readyPages(page: number, write: boolean): number {
    const max = Math.min(3, this.world.layout.pagesFrom(page));
    let count = 1;
    for (; count < max; count++) {
      const { dataspace, firstPage } = this.world.layout.runOf(page + count);
      const state = this.holder.state(dataspace, firstPage);
      if (!(write ? mayWrite(state) : mayRead(state)) || !this.node.links.serves(page + count)) break;
    }
    return count;
  }

  private takeWaiting(run: PageRun): Waiter[] {
    const taken: Waiter[] = [];
    const from = this.world.layout.pageOf(run.dataspace, run.firstPage);
    for (let page = from; page < from + run.pageCount; page++) {
      taken.push(...this.waiting[page]!);
      this.waiting[page] = [];
    }
    return taken;
  }

  /** The leader of a shard said who this node is: all that waits for it tries again. */
  retryShard(shard: number): void {
    const { layout } = this.world;
    const ofLocks = layout.dataspaces.filter((id) => layout.homeShardOf(id) === shard);
    for (const run of [...layout.runsOfShard(shard), ...ofLocks.map((id) => layout.allOf(id))])
      for (const waiter of this.takeWaiting(run)) waiter.retry();
  }

  // ---- the backing store

  /** Copies a page, when this node may read it, for the store; undefined: it is lost. */
  capture(page: number, then: (captured: Captured | undefined) => void): void {
    const run = this.world.layout.runOf(page);
    const { dataspace, firstPage } = run;
    const { links } = this.node;
    if (links.serves(page) && mayRead(this.holder.state(dataspace, firstPage))) {
      this.home.takeForNode(run, 'READ');
      then({
        value: this.file.values[page] ?? 0,
        epoch: links.of(page).epoch,
        version: this.holder.version(dataspace, firstPage),
        state: this.holder.state(dataspace, firstPage),
        lineage: this.lineage(page),
      });
      return;
    }
    const retry = () => this.capture(page, then);
    this.waiting[page]!.push({ vkernel: undefined, retry, fail: () => then(undefined) });
    if (links.serves(page)) this.step({ type: 'want', run, mode: 'READ', neededPages: 1 });
  }

  lineage(page: number): number {
    const { dataspace, firstPage } = this.world.layout.runOf(page);
    return this.holder.lineage(dataspace, firstPage);
  }

  /** What the store has of a page that was LOST at a version. */
  takeStored(page: number, { value, order }: StoredPage, lostVersion: number): void {
    const run = this.world.layout.runOf(page);
    const actions = this.holder.step({ type: 'stored', run, version: versionOfStored(order), lostVersion });
    // What came too late must not take the place of what is asked for.
    if (actions.some(({ type }) => type === 'acquire')) this.storedValues[page] = value;
    for (const action of actions) this.perform(action);
  }

  /** The store has nothing of a page that was LOST at a version. @param before when it was looked for */
  failLost(page: number, lostVersion: number, before: { promised: number; wasLost: boolean }): void {
    const run = this.world.layout.runOf(page);
    // Another node may have stored it, and brought it back, since this one looked.
    const isLost = this.holder.isLost(run.dataspace, run.firstPage, lostVersion);
    if (isLost) this.world.durability.neverStored(page, before.promised);
    for (const waiter of this.takeWaiting(run)) {
      if (isLost) waiter.fail(before.wasLost);
      else waiter.retry();
    }
  }

  private installStored(page: number): void {
    const value = this.storedValues[page];
    assert(value !== undefined, `page ${page} was read back`);
    this.storedValues[page] = undefined;
    this.file.values[page] = value;
    this.world.losses.beginsAnew(page, this.node.name);
    this.world.durability.beginsAnew(page, value);
    this.world.latest.beginsAnew(page, value);
  }

  /** Takes all access of all virtual kernels to a shard away; the pages stay. */
  takeShard(shard: number): void {
    if (!this.world.duties.takeLapsed) return;
    for (const run of this.world.layout.runsOfShard(shard)) this.home.takeForNode(run, 'WRITE');
  }

  takeAllOf(dataspace: bigint): void {
    this.home.takeForNode(this.world.layout.allOf(dataspace), 'WRITE');
  }

  /** True where death of this node would take the page, or what it is about to get, away. */
  involved(page: number): boolean {
    const run = this.world.layout.runOf(page);
    const { dataspace, firstPage } = run;
    if (this.holder.state(dataspace, firstPage) !== 'INVALID') return true;
    // A page that arrived waits for its permission in its frame.
    const waits = this.file.values[page] !== undefined;
    return waits || this.holder.pending(dataspace, firstPage) || this.retained[page] !== undefined;
  }

  pending(): number[] {
    const { layout } = this.world;
    return Array.from({ length: layout.pages }, (_, page) => page).filter((page) =>
      this.holder.pending(layout.dataspaceOf(page), layout.inDataspace(page)),
    );
  }

  // ---- the holder

  arrive(transfer: PageTransfer): void {
    this.arriving = transfer;
    this.step(transfer.event);
    this.arriving = undefined;
  }

  step(event: Parameters<ShardedHolder['step']>[0]): void {
    if ('run' in event && event.type !== 'want')
      this.world.history.note(this.world, this.node.name, 'hears', event.run, event);
    for (const action of this.holder.step(event)) this.perform(action);
  }

  /** An event of one shard's leader. */
  stepShard(shard: number, event: Parameters<ShardedHolder['stepShard']>[1]): void {
    if (event.type === 'expire') this.reborn.add(shard);
    for (const action of this.holder.stepShard(shard, event)) this.perform(action, shard);
  }

  private perform(action: HolderAction, shard?: number): void {
    if (action.type === 'acquire' || action.type === 'ack' || action.type === 'report') {
      this.node.links.say(action, shard);
      return;
    }
    // Of a shard, or of a dataspace, as a whole it may be said too.
    const run = this.world.layout.used(action.run);
    if (run.pageCount === 0) return;
    this.world.history.note(this.world, this.node.name, 'does', run, action);
    const from = this.world.layout.pageOf(run.dataspace, run.firstPage);
    switch (action.type) {
      case 'revoke':
        this.home.takeForNode(run, action.keep === 'READ' ? 'READ' : 'WRITE');
        return;
      case 'send':
        for (let i = 0; i < run.pageCount; i++) this.send(from + i, action);
        return;
      case 'resend':
        for (let i = 0; i < run.pageCount; i++) this.resend(from + i, action);
        return;
      case 'drop':
        for (let i = 0; i < run.pageCount; i++) this.file.drop(from + i);
        this.home.takeForNode(run, 'WRITE');
        return;
      case 'install-stored':
        for (let i = 0; i < run.pageCount; i++) this.installStored(from + i);
        return;
      case 'install':
        for (let i = 0; i < run.pageCount; i++) this.install(run, i, action.zero);
        return;
      case 'restore':
        for (let i = 0; i < run.pageCount; i++) {
          this.file.values[from + i] = this.retainedAt(from + i, action.version).value;
          this.retained[from + i] = undefined;
        }
        return;
      case 'forget':
        for (let i = 0; i < run.pageCount; i++) {
          if (this.retained[from + i]?.version === action.version) this.retained[from + i] = undefined;
        }
        return;
      case 'ready':
        for (const waiter of this.takeWaiting(run)) waiter.retry();
        return;
      case 'failed':
        if (action.reason === 'LOST' && this.world.layout.isDurable(from))
          for (let i = 0; i < run.pageCount; i++) this.node.backing.fetch(from + i, action.version);
        else for (const waiter of this.takeWaiting(run)) waiter.fail(false);
        return;
      default:
        unreachable(action);
    }
  }

  private send(page: number, action: Extract<HolderAction, { type: 'send' }>): void {
    const { receiver, version, state, retain } = action;
    check(!this.writableSomewhere(page), 'single writer', page, () => {
      return `page ${page} is sent from ${this.node.name} while a virtual kernel there may write it`;
    });
    const value = this.file.values[page];
    if (retain)
      this.retained[page] = { version, value, receiver: this.node.links.of(page).identity(receiver) };
    this.deliver(page, receiver, version, state, value);
  }

  private writableSomewhere(page: number): boolean {
    for (const vkernel of this.file.mapped)
      if (vkernel.alive && vkernel.maps[page] === MAPPED_WRITE) return true;
    return false;
  }

  private resend(page: number, action: Extract<HolderAction, { type: 'resend' }>): void {
    const { receiver, version, state } = action;
    this.deliver(page, receiver, version, state, this.retainedAt(page, version).value);
  }

  private deliver(
    page: number,
    receiver: HolderId,
    version: number,
    state: PageState,
    value: number | undefined,
  ): void {
    const run = this.world.layout.runOf(page);
    const event = { type: 'data' as const, run, state, version, zero: value === undefined };
    this.node.links.deliver({ receiver, event, values: [value ?? 0] });
  }

  private retainedAt(page: number, version: number): Retained {
    const retained = this.retained[page];
    assert(retained?.version === version, `page ${page} is not retained at version ${version}`);
    return retained;
  }

  private install(run: PageRun, index: number, zero: boolean): void {
    const page = this.world.layout.pageOf(run.dataspace, run.firstPage + index);
    if (zero) {
      // A hole reads as zero.
      this.file.drop(page);
      return;
    }
    assert(this.arriving !== undefined, 'data is installed while it arrives');
    this.file.values[page] = this.arriving.values[run.firstPage + index - this.arriving.event.run.firstPage];
  }
}
