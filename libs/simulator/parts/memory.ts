// The shared memory of a node: what pmapd runs (libs/coherency/node), with page tables and frames of numbers. Nothing is
// decided here: what comes is handed on, and what the core says is carried out.
import type { HolderSnapshot } from '@odonata/coherency/holder-snapshot.ts';
import type { NodeMemory } from '@odonata/coherency/node/memory.ts';
import type {
  DirectoryWord,
  MemoryAction,
  MemoryEvent,
  Use,
} from '@odonata/coherency/node/memory-messages.ts';
import { NodeDataspace } from '@odonata/coherency/node/node-dataspace.ts';
import type { Captured } from '@odonata/coherency/node/operations.ts';
import type { HolderId, HolderIdentity } from '@odonata/coherency/page.ts';
import { spansOf } from '@odonata/coherency/page.ts';
import { versionOfStored } from '@odonata/coherency/stored-version.ts';
import type { StoredPage } from '../durable-store.ts';
import { MemoryFile } from '../memory-file.ts';
import type { PageTransfer } from '../messages.ts';
import type { Process } from '../process.ts';
import type { World } from '../world.ts';
import { ProcessMapping } from './mapping.ts';
import { FramesOfNode, PageValues } from './page-values.ts';
import type { PmapPart } from './pmap.ts';
import { Tables } from './tables.ts';
import type { VkernelPart } from './vkernel.ts';

export type Core = NodeMemory<ProcessMapping, PageValues>;
type Event = MemoryEvent<ProcessMapping, PageValues>;
type Action = MemoryAction<ProcessMapping, PageValues>;

/** There is no end of frames here; now and then there is none for a moment. */
const FRAMES = 1_000_000;
const SHORT_ONE_IN = 300;

/** What the node itself waits for. */
interface Operation {
  use: Use;
  usable(): void;
  refused(): void;
}

export class MemoryPart {
  core: Core;
  readonly file: MemoryFile;
  /** Shards of which what was held once was declared void. */
  readonly reborn = new Set<number>();
  private tables: Tables;
  private readonly node: PmapPart;
  private readonly world: World;
  private readonly mappings = new Map<Process, Map<bigint, ProcessMapping>>();
  private readonly operations = new Map<number, Operation>();
  private lastOperation = 0;
  private copied: HolderSnapshot[] | undefined;
  private frozen: HolderSnapshot[] = [];
  /** To whom a page was sent on, by page. */
  private readonly sentTo = new Map<number, HolderIdentity>();
  /** While a page is said not to be found: whether it was lost when it was looked for. */
  private wasLost = false;

  constructor(node: PmapPart) {
    this.node = node;
    this.world = node.world;
    this.file = new MemoryFile(this.world.layout.pages);
    this.tables = new Tables(this.world, this.file);
    this.core = this.make();
  }

  private make(): Core {
    const { world, node, tables } = this;
    const { random, layout, duties, machines } = world;
    return machines.memory(
      {
        tables,
        budget: {
          roomFor: () => (random.oneIn(SHORT_ONE_IN) ? 0 : FRAMES),
          reserve: () => {},
          unreserve: () => {},
          sharedIsFull: false,
        },
        permissions: {
          usable: (dataspace, page) => node.links.serves(layout.pageOf(dataspace, page)),
          epochOf: (dataspace, page) =>
            duties.storeByEpoch ? BigInt(node.links.of(layout.pageOf(dataspace, page)).epoch) : 0n,
          modifies: () => random.oneIn(4),
        },
        tally: { pagesIn: 0, pagesOut: 0, invalidations: 0 },
      },
      layout.shards,
    );
  }

  private dataspace(id: bigint, pageCount: number): NodeDataspace<ProcessMapping, PageValues> {
    const durable = this.world.layout.isDurableDataspace(id);
    const frames = new FramesOfNode(this.node, this.file, id);
    return new NodeDataspace({ id, name: String(id), pageCount, durable, frames });
  }

  open(id: bigint, pageCount: number, whole: boolean): void {
    this.step({ type: 'open', dataspace: this.dataspace(id, pageCount), whole });
  }

  join(vkernel: VkernelPart): HolderId {
    const holder = this.core.home.join();
    this.tables.join(holder, vkernel);
    return holder;
  }

  leave(vkernel: VkernelPart): void {
    this.core.home.leave(vkernel.session);
    this.tables.leave(vkernel);
    for (const process of vkernel.processes) this.mappings.delete(process);
  }

  // ---- another pmap manager of the node

  /** What is large goes ahead. */
  copyAhead(): void {
    this.copied = Array.from({ length: this.world.layout.shards }, (_, shard) =>
      this.core.followHolder(shard),
    );
  }

  /** Nobody here writes any more, until another pmap manager goes on. */
  freeze(): void {
    this.frozen = this.core.freeze();
  }

  /** What another pmap manager of the node does that takes the place of the one that froze. */
  takeOver(vkernels: readonly VkernelPart[]): void {
    const { core: last, world } = this;
    this.tables = new Tables(world, this.file);
    this.core = this.make();
    for (const { id, pageCount, retained, stored } of last.all()) {
      const dataspace = this.dataspace(id, pageCount);
      for (const [page, kept] of retained) dataspace.retained.set(page, kept);
      for (const [page, bytes] of stored) dataspace.stored.set(page, bytes);
      this.step({ type: 'adopt', dataspace });
    }
    this.frozen.forEach((snapshot, shard) => {
      if (this.copied !== undefined) this.core.resumeHolder(shard, this.copied[shard]!);
      this.core.resumeHolder(shard, snapshot);
    });
    this.copied = undefined;
    for (const vkernel of vkernels) {
      vkernel.session = this.join(vkernel);
      for (const { id } of this.core.all()) this.claim(vkernel, id);
      for (const process of vkernel.processes) process.faultAnew();
    }
    for (const operation of this.operations.values())
      this.node.after(world.random.between(0, 1), () => this.step(operation.use));
  }

  // What has a frame may be mapped there, for reading.
  private claim({ session }: VkernelPart, dataspace: bigint): void {
    const { layout, duties } = this.world;
    if (!duties.claimFrames) return;
    const { firstPage, pageCount } = layout.allOf(dataspace);
    const pages = Array.from({ length: pageCount }, (_, i) => firstPage + i);
    const resident = pages.filter((page) => this.file.values[layout.pageOf(dataspace, page)] !== undefined);
    this.core.claim(session, dataspace, spansOf(resident));
  }

  // ---- events

  /** An access that the page tables do not allow. */
  fault(process: Process, page: number, write: boolean): void {
    const { world } = this;
    const { vkernel } = process;
    if (!this.tables.knows(vkernel)) return;
    const { dataspace, firstPage } = world.layout.runOf(page);
    world.history.note(
      world,
      vkernel.name,
      write ? 'faults to write' : 'faults to read',
      world.layout.runOf(page),
    );
    this.step({ type: 'fault', entry: this.mapping(process, dataspace), page: firstPage, write, atNs: 0n });
  }

  private mapping(process: Process, dataspace: bigint): ProcessMapping {
    const mappings = this.mappings.get(process) ?? new Map<bigint, ProcessMapping>();
    this.mappings.set(process, mappings);
    const mapping = mappings.get(dataspace) ?? new ProcessMapping(process, dataspace);
    mappings.set(dataspace, mapping);
    return mapping;
  }

  arrive({ event: data, values }: PageTransfer): void {
    this.step({ type: 'arrive', data, bytes: new PageValues(values) });
  }

  /** What the leader of a shard says of pages. */
  hear(event: DirectoryWord): void {
    this.world.history.note(this.world, this.node.name, 'hears', event.run, event);
    this.step(event);
  }

  step(event: Event): void {
    if (event.type === 'expire') this.reborn.add(event.shard);
    const again: Operation[] = [];
    for (const action of this.core.step(event)) this.perform(action, again);
    for (const operation of again) this.step(operation.use);
  }

  private perform(action: Action, again: Operation[]): void {
    const { node, world } = this;
    if ('run' in action) world.history.note(world, node.name, 'does', action.run, action);
    switch (action.type) {
      case 'acquire':
      case 'ack':
        node.links.say(action);
        return;
      case 'report':
        node.links.say(action, action.shard);
        return;
      case 'deliver':
        this.deliver(action);
        return;
      case 'resolved':
        action.fault.entry.process.resume();
        if (action.neighbours) this.soon({ type: 'neighbours', fault: action.fault });
        return;
      case 'ahead':
        this.soon(action);
        return;
      case 'short':
        node.after(world.random.between(0, 20), () => this.step({ ...action, type: 'again' }));
        return;
      case 'fault-error': {
        const { entry, page } = action.fault;
        const { process } = entry;
        world.losses.failed(
          world.layout.pageOf(entry.dataspace.id, page),
          this.wasLost,
          process.vkernel.name,
        );
        process.failed();
        return;
      }
      case 'fetch': {
        const { dataspace, firstPage, pageCount } = world.layout.used(action.run);
        for (let i = 0; i < pageCount; i++)
          node.backing.fetch(world.layout.pageOf(dataspace, firstPage + i), action.lostVersion);
        return;
      }
      case 'page-lost':
        return;
      case 'usable':
        this.operations.get(action.operation)?.usable();
        return;
      case 'again': {
        const operation = this.operations.get(action.operation);
        if (operation !== undefined) again.push(operation);
        return;
      }
      case 'refused':
        this.operations.get(action.operation)?.refused();
    }
  }

  // When what this turn has for others is on its way.
  private soon(event: Event): void {
    this.node.after(this.world.random.between(0, 0.1), () => this.step(event));
  }

  private deliver({
    run,
    receiver,
    version,
    state,
    bytes,
    keep,
  }: Extract<Action, { type: 'deliver' }>): void {
    const { links } = this.node;
    const page = this.world.layout.pageOf(run.dataspace, run.firstPage);
    const identity = links.of(page).identity(receiver);
    if (keep && identity !== undefined)
      for (let i = 0; i < run.pageCount; i++) this.sentTo.set(page + i, identity);
    const values = [...(bytes?.values ?? new Array<number>(run.pageCount).fill(0))];
    links.deliver({
      receiver,
      event: { type: 'data', run, state, version, zero: bytes === undefined },
      values,
    });
  }

  // ---- the backing store

  private use(page: number, usable: (core: Core) => void, refused: () => void): void {
    const operation = ++this.lastOperation;
    const run = this.world.layout.runOf(page);
    const use: Use = { type: 'use', operation, run, mode: 'READ' };
    const end = (): void => {
      this.operations.delete(operation);
      this.core.step({ type: 'end', operation, dataspace: run.dataspace });
    };
    this.operations.set(operation, {
      use,
      usable: () => {
        usable(this.core);
        end();
      },
      refused: () => {
        refused();
        end();
      },
    });
    this.step(use);
  }

  /** Copies a page, when this node may read it, for the store; undefined: it is lost. */
  capture(page: number, then: (captured: (Captured & { value: number }) | undefined) => void): void {
    this.use(
      page,
      (core) => then({ ...core.capture(this.world.layout.runOf(page)), value: this.file.values[page] ?? 0 }),
      () => then(undefined),
    );
  }

  /** What the store has of a page that was LOST at a version. */
  takeStored(page: number, { value, order }: StoredPage, lostVersion: number): void {
    const { dataspace, firstPage } = this.world.layout.runOf(page);
    const bytes = new PageValues([value], true);
    const version = versionOfStored(order);
    this.step({ type: 'found', dataspace, page: firstPage, version, lostVersion, bytes });
  }

  /** The store has nothing of a page that was LOST at a version. @param before when it was looked for */
  failLost(page: number, lostVersion: number, before: { promised: number; wasLost: boolean }): void {
    const { dataspace, firstPage } = this.world.layout.runOf(page);
    if (this.core['holder'].isLost(dataspace, firstPage, lostVersion))
      this.world.durability.neverStored(page, before.promised);
    this.wasLost = before.wasLost;
    this.step({ type: 'not-found', dataspace, page: firstPage, lostVersion, reason: 'it was never stored' });
    this.wasLost = false;
  }

  // ---- leases

  /** Takes all access of all virtual kernels to a shard away; the pages stay. */
  takeShard(shard: number): void {
    if (this.world.duties.takeLapsed) this.step({ type: 'suspend', shard });
  }

  takeAllOf(dataspace: bigint): void {
    this.step({ type: 'suspend-all', dataspace });
  }

  /** The leader of a shard said who this node is: all that waits for it tries again. */
  retryShard(shard: number): void {
    const { layout } = this.world;
    this.step({ type: 'resume', shard });
    for (const dataspace of layout.dataspaces)
      if (layout.homeShardOf(dataspace) === shard) this.step({ type: 'resume-all', dataspace });
  }

  // ---- what the checkers look at

  version(page: number): number {
    const { dataspace, firstPage } = this.world.layout.runOf(page);
    return this.core.version(dataspace, firstPage);
  }

  /** What was sent on and is not settled. */
  *retained(): Generator<{ page: number; version: number; receiver: HolderIdentity | undefined }> {
    for (const { id, retained } of this.core.all())
      for (const [number, { version }] of retained) {
        const page = this.world.layout.pageOf(id, number);
        yield { page, version, receiver: this.sentTo.get(page) };
      }
  }

  /** True where death of this node would take the page, or what it is about to get, away. */
  involved(page: number): boolean {
    const { dataspace, firstPage } = this.world.layout.runOf(page);
    if (this.core.state(dataspace, firstPage) !== 'INVALID') return true;
    // A page that arrived waits for its permission in its frame.
    if (this.file.values[page] !== undefined || this.core.isAsked(dataspace, firstPage)) return true;
    return this.core.get(dataspace)?.retained.has(firstPage) === true;
  }

  pending(): number[] {
    const { layout } = this.world;
    return Array.from({ length: layout.pages }, (_, page) => page).filter((page) =>
      this.core.isAsked(layout.dataspaceOf(page), layout.inDataspace(page)),
    );
  }
}
