// The shared memory of a node: what pmapd runs (libs/coherency/node), with page tables and frames of numbers. Nothing is
// decided here: what comes is handed on, and what the core says is carried out.

import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import type {
  DirectoryWord,
  MemoryAction,
  MemoryEvent,
  PageData,
  ShardEvent,
  Use,
  UseRefusal,
} from '@odonata/coherency/node/memory/memory-messages.ts';
import { NodeDataspace } from '@odonata/coherency/node/memory/node-dataspace.ts';
import type { AccessMode, HolderId, PageRun } from '@odonata/coherency/page.ts';
import { spansOf, unreachable } from '@odonata/coherency/page.ts';
import { type ShardSnapshot, ShardSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import { MemoryFile } from '../stores/memory-file.ts';
import type { CapturedValues, Memory } from '../world/machines.ts';
import type { PageTransfer } from '../world/page-transfer.ts';
import type { Surroundings } from '../world/surroundings.ts';
import { FramesOfNode } from './frames.ts';
import { type MappingProcess, ProcessMapping } from './mapping.ts';
import { PageValues } from './page-values.ts';
import { SeenMemory } from './seen-memory.ts';
import { SoughtPages } from './sought-pages.ts';
import { type TabledVkernel, Tables } from './tables.ts';
import { Uses } from './uses.ts';

type Event = MemoryEvent<ProcessMapping, PageValues>;
type Action = MemoryAction<ProcessMapping, PageValues>;

/** For the leaders of shards. */
export type WordOfMemory = Extract<Action, { type: 'acquire' | 'ack' | 'report' }>;

/** There is no end of frames here; now and then there is none for a moment. */
const FRAMES = 1_000_000;
const SHORT_ONE_IN = 300;

/** The node around its memory. */
interface Outside {
  readonly name: string;
  after(delayMs: number, work: () => void): void;
  usable(dataspace: bigint, page: number): boolean;
  epochOf(dataspace: bigint, page: number): bigint;
  modifies(mapping: ProcessMapping, page: number): boolean;
  say(word: WordOfMemory): void;
  deliver(run: PageRun, receiver: HolderId, data: PageData, values: number[]): void;
  readonly backing: { fetch(run: PageRun, lostVersion: number): void };
}

interface Mapper extends TabledVkernel {
  session: HolderId;
  readonly processes: readonly (MappingProcess & { faultAnew(): void })[];
}

export class MemoryPart {
  core: Memory;
  readonly file: MemoryFile;
  readonly seen: SeenMemory;
  private tables: Tables;
  private readonly node: Outside;
  private readonly world: Surroundings;
  private readonly mappings = new Map<MappingProcess, Map<bigint, ProcessMapping>>();
  private readonly uses = new Uses();
  private copied: ShardSnapshot[] | undefined;
  private readonly sought: SoughtPages;
  /** While a page is said not to be found: whether it was lost when it was looked for. */
  private wasLost = false;

  constructor(world: Surroundings, node: Outside) {
    this.node = node;
    this.world = world;
    this.file = new MemoryFile(this.world.layout.pages);
    this.seen = new SeenMemory(world.layout, this.file, () => this.core);
    this.sought = new SoughtPages(world);
    this.tables = new Tables(this.world, this.file);
    this.core = this.make();
  }

  private make(): Memory {
    const { world, node, tables } = this;
    const { random, layout, machines } = world;
    return machines.memory(
      {
        tables,
        budget: {
          roomFor: () => (random.oneIn(SHORT_ONE_IN) ? 0 : FRAMES),
          spareFor: () => FRAMES,
          reserve: () => {},
          unreserve: () => {},
          sharedIsFull: false,
        },
        permissions: {
          usable: (dataspace, page) => node.usable(dataspace, page),
          epochOf: (dataspace, page) => node.epochOf(dataspace, page),
          modifies: (mapping, page) => node.modifies(mapping, page),
        },
        tally: { pagesIn: 0, pagesOut: 0, invalidations: 0 },
      },
      layout.shards,
    );
  }

  private dataspace(id: bigint, pageCount: number): NodeDataspace<ProcessMapping, PageValues> {
    const durable = this.world.layout.isDurableDataspace(id);
    const frames = new FramesOfNode(this.world, this.node.name, this.file, id);
    return new NodeDataspace({ id, name: String(id), pageCount, durable, frames });
  }

  open(id: bigint, pageCount: number, whole: boolean): void {
    this.step({ type: 'open', dataspace: this.dataspace(id, pageCount), whole });
  }

  join(vkernel: TabledVkernel): HolderId {
    const holder = this.core.home.join();
    this.tables.join(holder, vkernel);
    return holder;
  }

  leave(vkernel: Mapper): void {
    this.core.home.leave(vkernel.session);
    this.tables.leave(vkernel);
    for (const process of vkernel.processes) this.mappings.delete(process);
  }

  // ---- another pmap manager of the node

  private wire(shard: number, holder: HolderSnapshot): ShardSnapshot {
    const { wire } = this.world.machines;
    const message = create(ShardSnapshotSchema, { shard, ...wire.holder(holder) });
    return fromBinary(ShardSnapshotSchema, toBinary(ShardSnapshotSchema, message));
  }

  /** What is large goes ahead. */
  copyAhead(): void {
    this.copied = Array.from({ length: this.world.layout.shards }, (_, shard) =>
      this.wire(shard, this.core.followHolder(shard)),
    );
  }

  /** Nobody here writes any more, until another pmap manager goes on. @returns what is handed over of each shard */
  freeze(): ShardSnapshot[] {
    return this.core.freeze().map((snapshot, shard) => this.wire(shard, snapshot));
  }

  /** No other pmap manager goes on, but this one. */
  thaw(): void {
    this.copied = undefined;
    const again: Use[] = [];
    for (const action of this.core.thaw()) this.perform(action, again);
    for (const use of again) this.step(use);
  }

  /** What another pmap manager of the node does that takes the place of the one that froze. */
  takeOver(vkernels: readonly Mapper[], frozen: readonly ShardSnapshot[]): void {
    const { core: last, world } = this;
    const { wire } = world.machines;
    this.tables = new Tables(world, this.file);
    this.core = this.make();
    for (const { id, pageCount, retained, stored } of last.all()) {
      const dataspace = this.dataspace(id, pageCount);
      for (const [page, kept] of retained) dataspace.retained.set(page, kept);
      for (const [page, bytes] of stored) dataspace.stored.set(page, bytes);
      this.step({ type: 'adopt', dataspace });
    }
    frozen.forEach((snapshot, shard) => {
      const ahead = this.copied?.[shard];
      if (ahead !== undefined) this.core.resumeHolder(shard, wire.holderFrom(ahead));
      this.core.resumeHolder(shard, wire.holderFrom(snapshot));
    });
    this.copied = undefined;
    for (const vkernel of vkernels) {
      vkernel.session = this.join(vkernel);
      for (const { id } of this.core.all()) this.claim(vkernel, id);
      for (const process of vkernel.processes) process.faultAnew();
    }
    for (const use of this.uses.all()) this.node.after(world.random.between(0, 1), () => this.step(use));
  }

  // What has a frame may be mapped there, for reading.
  private claim({ session }: TabledVkernel, dataspace: bigint): void {
    const { layout, duties } = this.world;
    if (!duties.claimFrames) return;
    const { firstPage, pageCount } = layout.allOf(dataspace);
    const pages = Array.from({ length: pageCount }, (_, i) => firstPage + i);
    const resident = pages.filter((page) => this.file.values[layout.pageOf(dataspace, page)] !== undefined);
    this.core.claim(session, dataspace, spansOf(resident));
  }

  // ---- events

  /** An access that the page tables do not allow. */
  fault(process: MappingProcess, page: number, write: boolean): void {
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

  private mapping(process: MappingProcess, dataspace: bigint): ProcessMapping {
    const mappings = this.mappings.get(process) ?? new Map<bigint, ProcessMapping>();
    this.mappings.set(process, mappings);
    const mapping =
      mappings.get(dataspace) ?? new ProcessMapping(process, dataspace, this.world.layout, this.world.random);
    mappings.set(dataspace, mapping);
    return mapping;
  }

  arrive({ event: data, values }: PageTransfer): void {
    this.step({ type: 'arrive', data, bytes: new PageValues(values) });
  }

  /** What the leader of a shard says of pages. */
  hear(event: DirectoryWord): void {
    this.world.history.note(this.world, this.node.name, 'hears', event.run, event);
    if (event.type === 'recall') this.seen.onward.recalled(this.world.layout, event);
    this.step(event);
  }

  /** What leases and leaders make of what is here. */
  stepShard(event: ShardEvent): void {
    this.step(event);
  }

  private step(event: Event): void {
    if (event.type === 'expire') this.seen.reborn.add(event.shard);
    const again: Use[] = [];
    for (const action of this.core.step(event)) this.perform(action, again);
    for (const end of this.uses.takeEnded()) this.step(end);
    for (const use of again) this.step(use);
  }

  private perform(action: Action, again: Use[]): void {
    const { node, world } = this;
    if ('run' in action) world.history.note(world, node.name, 'does', action.run, action);
    switch (action.type) {
      case 'acquire':
      case 'ack':
      case 'report':
        node.say(action);
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
        node.backing.fetch(world.layout.used(action.run), action.lostVersion);
        return;
      }
      case 'page-lost':
      case 'page-withdrawn':
        return;
      case 'usable':
        this.uses.get(action.operation)?.usable();
        return;
      case 'again': {
        const use = this.uses.get(action.operation)?.use;
        if (use !== undefined) again.push(use);
        return;
      }
      case 'refused':
        this.uses.get(action.operation)?.refused(action.refusal);
        return;
      default:
        unreachable(action);
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
    const page = this.world.layout.pageOf(run.dataspace, run.firstPage);
    if (keep) this.seen.onward.sent(page, run.pageCount, receiver);
    const values = [...(bytes?.values ?? new Array<number>(run.pageCount).fill(0))];
    this.node.deliver(
      run,
      receiver,
      { type: 'data', run, state, version, zero: bytes === undefined },
      values,
    );
  }

  // ---- the backing store

  private use(
    run: PageRun,
    usable: (core: Memory) => void,
    refused: (refusal: UseRefusal) => void,
    mode: AccessMode = 'READ',
  ): void {
    this.step(this.uses.begin(run, mode, { usable: () => usable(this.core), refused }));
  }

  /** Copies pages, when this node may read them, for the store; undefined: they are not to be had. */
  capture(run: PageRun, then: (captured: CapturedValues | undefined) => void): void {
    const first = this.world.layout.pageOf(run.dataspace, run.firstPage);
    this.use(
      run,
      (core) => {
        const values = Array.from({ length: run.pageCount }, (_, i) => this.file.values[first + i] ?? 0);
        then({ ...core.capture(run), values });
      },
      () => then(undefined),
    );
  }

  /** Somebody writes pages by hand, all of them at one time. */
  writeByHand(run: PageRun, written: () => void): void {
    const first = this.world.layout.pageOf(run.dataspace, run.firstPage);
    const write = (): void => {
      for (let page = first; page < first + run.pageCount; page++)
        this.file.values[page] = this.world.latest.wrote(page, this.file.values[page] ?? 0, this.node.name);
      written();
    };
    this.use(run, write, () => written(), 'WRITE');
  }

  holds(captured: CapturedValues): boolean {
    return this.core.holds(captured);
  }

  /** Fetches copies of pages that another node is about to leave behind. Those that are lost are lost already. */
  adopt(runs: readonly PageRun[], mode: AccessMode, adopted: () => void, refused: () => void): void {
    const { layout } = this.world;
    const pages = runs.flatMap((run) =>
      Array.from({ length: run.pageCount }, (_, i) => layout.pageOf(run.dataspace, run.firstPage + i)),
    );
    const next = (): void => {
      const page = pages.pop();
      if (page === undefined) adopted();
      else this.use(layout.runOf(page), next, (refusal) => (refusal === 'LOST' ? next() : refused()), mode);
    };
    next();
  }

  /** Copies are not needed here. */
  spare(run: PageRun): void {
    this.step({ type: 'spare', run });
  }

  /** A page is about to be looked for in the store. */
  lookedFor(page: number, lostVersion: number): void {
    this.sought.lookedFor(page, lostVersion);
  }

  /** What the store has of a page that was LOST at a version. */
  found(event: Extract<Event, { type: 'found' }>): void {
    this.sought.take(this.world.layout.pageOf(event.dataspace, event.page), event.lostVersion);
    this.step(event);
  }

  /** The store has nothing of a page that was LOST at a version. */
  notFound(event: Extract<Event, { type: 'not-found' }>): void {
    const { dataspace, page: inDataspace, lostVersion } = event;
    const page = this.world.layout.pageOf(dataspace, inDataspace);
    const look = this.sought.take(page, lostVersion);
    if (this.core['holder'].isLost(dataspace, inDataspace, lostVersion))
      this.world.durability.neverStored(page, look?.promised ?? 0);
    this.wasLost = look?.wasLost ?? false;
    this.step(event);
    this.wasLost = false;
  }
}
