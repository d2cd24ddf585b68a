// The shared memory of this node: the core decides, the memory files and page tables do as it says at once, and what
// leaves it goes to `perform`.

import { join } from 'node:path';
import type { PageToStore } from '@odonata/backing-store/page-store.ts';
import type { HolderSnapshot } from '@odonata/coherency/holder/holder-snapshot.ts';
import type { Home } from '@odonata/coherency/node/home.ts';
import { NodeMemory } from '@odonata/coherency/node/memory/memory.ts';
import type {
  MemoryAction,
  MemoryEvent,
  MemoryTally,
  Permissions,
  Use,
  UseRefusal,
} from '@odonata/coherency/node/memory/memory-messages.ts';
import type { AccessMode, PageRun, PageSpan, PageState } from '@odonata/coherency/page.ts';
import { PAGE_BYTES, pageCountOf } from '@odonata/coherency/page.ts';
import type { PageBuffer, PagePool } from '@odonata/pmap/wire/page-buffer.ts';
import { doAll, ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { notFound, tryAgain } from '@odonata/rpc/refusal.ts';
import type { Frames } from '../frames/frames.ts';
import { MemoryFile } from '../frames/memory-file.ts';
import { mib } from '../frames/shortage.ts';
import { ofLimit } from '../limit-of.ts';
import type { MapEntry } from '../sessions/map-entry.ts';
import { UserfaultTables } from './page-tables.ts';
import { SharedDataspace } from './shared-dataspace.ts';

export type NodeEvent = MemoryEvent<MapEntry, PageBuffer>;
export type NodeAction = MemoryAction<MapEntry, PageBuffer>;

/** Actions of the core that this file does not perform itself. */
export type OutsideAction = Exclude<NodeAction, { operation: number }>;

export interface DataspaceAbout {
  id: bigint;
  name: string;
  sizeBytes: bigint;
  durable: boolean;
}

/** How long an operation may wait for room that pages make which leave; and how often it looks. */
const ROOM_MS = 10_000;
const ROOM_LOOK_MS = 20;
/** What nobody uses is known after that. */
const NEIGHBOURS_MS = 2_000;

/** An operation of the node itself that waits for its pages. */
interface Operation {
  event: Use;
  /** Since when it waits for room. */
  shortMs?: number;
  usable(): void;
  /** A bug ends it. */
  failed(error: RpcError): void;
  refused(refusal: UseRefusal, reason: string): void;
}

export interface CoherentMemoryOptions {
  memoryDir: string;
  shards: number;
  frames: Frames;
  pool: PagePool;
  permissions: Permissions<MapEntry>;
  tally: MemoryTally;
  perform(action: OutsideAction): void;
  /** A page had to be put into its memory file anew. */
  onMended(dataspace: SharedDataspace, page: number): void;
  /** Pages leave to make room, in time. */
  makesRoom?(): boolean;
  /** Copies of pages may go, which takes a while to be found. */
  hasNeighbours?(): boolean;
  /** A dataspace is not known here any more. */
  onClosed?(dataspace: bigint): void;
  /** The node has no frames for pages that somebody asked it for. */
  onNoFrames(reason: string, dataspace: string): void;
}

export class CoherentMemory {
  private readonly o: CoherentMemoryOptions;
  private readonly core: NodeMemory<MapEntry, PageBuffer>;
  private readonly dataspaces = new Map<bigint, SharedDataspace>();
  private readonly operations = new Map<number, Operation>();
  private lastOperation = 0;

  constructor(options: CoherentMemoryOptions) {
    this.o = options;
    const { frames: budget, permissions, tally, shards } = options;
    const tables = new UserfaultTables(this.dataspaces, options.onMended);
    this.core = new NodeMemory({ tables, budget, permissions, tally }, { shards });
  }

  /** This node as the directory of its virtual kernels. */
  get home(): Home {
    return this.core.home;
  }

  get(id: bigint): SharedDataspace | undefined {
    return this.dataspaces.get(id);
  }

  all(): Iterable<SharedDataspace> {
    return this.dataspaces.values();
  }

  /** Dataspaces that are known here. */
  get count(): number {
    return this.dataspaces.size;
  }

  /** @see NodeMemory.isAsked */
  isAsked(dataspace: bigint, page: number): boolean {
    return this.core.isAsked(dataspace, page);
  }

  /** @see NodeMemory.state */
  state(dataspace: bigint, page: number): PageState {
    return this.core.state(dataspace, page);
  }

  residentPages(): number {
    return this.core.residentPages();
  }

  /** Those that wait for a page, and operations of the node itself that do. */
  faultsWaiting(): number {
    let count = 0;
    for (const { waiting } of this.dataspaces.values()) count += waiting.count;
    return count;
  }

  /** @see NodeMemory.ownedRuns */
  ownedRuns({ id }: SharedDataspace): PageRun[] {
    return this.core.ownedRuns(id);
  }

  /** @see NodeMemory.plainRuns */
  plainRuns({ id }: SharedDataspace): PageRun[] {
    return this.core.plainRuns(id);
  }

  step(event: NodeEvent): void {
    this.performAll(this.core.step(event));
  }

  private performAll(actions: readonly NodeAction[]): void {
    doAll(actions, (action) => {
      if ('operation' in action) this.proceed(action);
      else this.o.perform(action);
    });
  }

  // ---- dataspaces come and go

  private create(about: DataspaceAbout, exists: boolean): SharedDataspace {
    const { memoryDir, frames, pool } = this.o;
    const pageCount = pageCountOf(about.sizeBytes);
    const file = new MemoryFile(join(memoryDir, `ds-${about.id}`), pageCount, exists, frames);
    const dataspace = new SharedDataspace({ ...about, pageCount, file, pool });
    this.dataspaces.set(about.id, dataspace);
    return dataspace;
  }

  /** Makes a dataspace known on this node. `whole`: this node made it and holds all of it. */
  open(about: DataspaceAbout, whole: boolean): SharedDataspace {
    const known = this.dataspaces.get(about.id);
    if (known !== undefined) return known;
    const dataspace = this.create(about, false);
    this.step({ type: 'open', dataspace, whole });
    return dataspace;
  }

  /**
   * Goes on with a dataspace of another pmap manager of this node: its frames are in the memory file. `resumeHolder`
   * follows.
   */
  adopt(about: DataspaceAbout): SharedDataspace {
    const dataspace = this.create(about, true);
    this.step({ type: 'adopt', dataspace });
    return dataspace;
  }

  /** The cluster removed a dataspace before this pmap manager went on with it. */
  disown(dataspace: SharedDataspace): void {
    dataspace.unfollow();
    this.step({ type: 'disown', dataspace: dataspace.id });
    this.dataspaces.delete(dataspace.id);
    this.o.onClosed?.(dataspace.id);
    dataspace.file.close();
  }

  /** The cluster removed a dataspace. */
  remove(id: bigint): void {
    const dataspace = this.dataspaces.get(id);
    if (dataspace === undefined) return;
    dataspace.unfollow();
    this.step({ type: 'remove', dataspace: id });
    this.dataspaces.delete(id);
    this.o.onClosed?.(id);
    dataspace.file.remove();
  }

  // ---- another pmap manager of this node

  /** @see NodeMemory.resumeHolder */
  resumeHolder(shard: number, snapshot: HolderSnapshot): void {
    this.core.resumeHolder(shard, snapshot);
  }

  /** @see NodeMemory.followHolder */
  followHolder(shard: number): HolderSnapshot {
    return this.core.followHolder(shard);
  }

  /** @see NodeMemory.freeze */
  freeze(): HolderSnapshot[] {
    return this.core.freeze();
  }

  /** False: some pages have no room in the memory files, and only this process has them. */
  placeAll(): boolean {
    return [...this.dataspaces.values()].every(({ file }) => file.placeAll());
  }

  /** Nobody goes on but this one. Who waits looks again. */
  unfreeze(): void {
    this.unfollow();
    this.performAll(this.core.thaw());
  }

  /** Nobody wants to know any more what is new. */
  unfollow(): void {
    this.core.unfollow();
    for (const { file } of this.dataspaces.values()) file.unfollow();
  }

  // ---- operations of the node itself

  /**
   * Runs `use` while the node itself may read or write a run of pages; it must not wait for anything. Where such pages
   * are LOST, those of `anew` begin anew with zeros: somebody accepts that, or writes them whole.
   * @throws RpcError DATA_LOSS where pages are LOST, NOT_FOUND where the dataspace goes away, RESOURCE_EXHAUSTED where the
   * node has no frames for them, UNAVAILABLE where another pmap manager takes the place of this one
   */
  async withPages<T>(
    dataspace: SharedDataspace,
    firstPage: number,
    pageCount: number,
    mode: AccessMode,
    use: () => T,
    anew?: PageSpan,
  ): Promise<T> {
    const operation = ++this.lastOperation;
    const run = { dataspace: dataspace.id, firstPage, pageCount };
    try {
      return await new Promise<T>((resolve, reject) => {
        const event: Use = { type: 'use', operation, run, mode, anew };
        const usable = (): void => {
          try {
            resolve(use());
          } catch (error) {
            reject(error);
          }
        };
        const refused = (refusal: UseRefusal, reason: string): void =>
          reject(this.refusal(refusal, reason, dataspace));
        this.operations.set(operation, { event, usable, refused, failed: reject });
        this.step(event);
      });
    } finally {
      this.operations.delete(operation);
      this.step({ type: 'end', operation, dataspace: dataspace.id });
    }
  }

  private proceed(action: Extract<NodeAction, { operation: number }>): void {
    const operation = this.operations.get(action.operation);
    if (operation === undefined) return;
    if (action.type === 'usable') operation.usable();
    else if (action.type === 'refused' && action.refusal === 'NO_FRAMES' && this.mayWait(operation))
      setTimeout(
        ownTurn({ operation: 'room' }, () => this.step(operation.event), operation.failed),
        ROOM_LOOK_MS,
      );
    else if (action.type === 'refused') operation.refused(action.refusal, action.reason);
    // After the other actions of its step.
    else queueMicrotask(ownTurn({ operation: 'again' }, () => this.step(operation.event), operation.failed));
  }

  // Its frames may come.
  private mayWait(operation: Operation): boolean {
    operation.shortMs ??= monotonicMs();
    const waitedMs = monotonicMs() - operation.shortMs;
    if (waitedMs < ROOM_MS && this.o.makesRoom?.() === true) return true;
    return waitedMs < NEIGHBOURS_MS && this.o.hasNeighbours?.() === true;
  }

  private refusal(refusal: UseRefusal, reason: string, { name }: SharedDataspace): RpcError {
    switch (refusal) {
      case 'AGAIN':
        return tryAgain(Code.Unavailable, reason);
      case 'BUSY':
        return ofLimit('page-waiters', tryAgain(Code.ResourceExhausted, `${reason}; try again`));
      case 'LOST':
        return new RpcError(Code.DataLoss, reason);
      case 'REMOVED':
        return notFound({ type: 'dataspace', name }, `dataspace ${name} was removed, or made anew`);
      case 'NO_FRAMES': {
        const { total, sharedFrames } = this.o.frames;
        const why = `${reason}: shared pages have ${mib(sharedFrames)} of its ${mib(total)}`;
        this.o.onNoFrames(why, name);
        return new RpcError(Code.ResourceExhausted, `${why} (vkctl up --node-memory gives a node more)`);
      }
    }
  }

  /** Copies of pages as they are now, for the backing store. `holds` says, when they are stored, whether that counts. */
  capture(
    dataspace: SharedDataspace,
    firstPage: number,
    pageCount: number,
  ): Promise<{ pages: PageToStore[]; holds: () => boolean }> {
    return this.withPages(dataspace, firstPage, pageCount, 'READ', () => {
      const bytes = Uint8Array.from(dataspace.file.read(firstPage, pageCount));
      const captured = this.core.capture({ dataspace: dataspace.id, firstPage, pageCount });
      const pages = captured.versions.map((version, i) => {
        return { page: firstPage + i, version, bytes: bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES) };
      });
      return { pages, holds: () => this.core.holds(captured) };
    });
  }
}
