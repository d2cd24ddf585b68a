// Pages of dataspaces that leave this node when its frames run short: which of them `libs/coherency/node/pageout` says, by the same
// queues as private ones; what becomes of them `libs/coherency/node/pool`. Here it is carried out.
//
//   room for shared pages below HIGH    pages are taken out of the page tables, so that used ones have time to show
//                         below LOW     pages leave until HIGH is reached
//
// A node that is alone keeps all: nobody else could have them.
import { PageoutPolicy, type PageoutStep } from '@odonata/coherency/node/pageout/pageout.ts';
import { NodePool, type PoolAction, type PoolEvent, WAITING_MAX } from '@odonata/coherency/node/pool/pool.ts';
import { type PageSpan, spansOf, unreachable } from '@odonata/coherency/page.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { type Frames, LEAVING_PART } from '../frames/frames.ts';
import type { CoherentMemory } from '../memory/coherent-memory.ts';
import type { SharedDataspace } from '../memory/shared-dataspace.ts';
import type { LodgedPages } from './lodged-pages.ts';
import type { NeighbourNodes } from './neighbours.ts';

/** Of all frames. */
const LOW_PART = 1 / 16;
const INACTIVE_PART = 1 / 8;
/** Pages that leave in one turn, and that are looked for in one memory file. */
const TURN_PAGES = 512;
/** What was told to stay is not asked again before this; where nobody waits, and nothing left since, after longer and longer. */
const STAY_MS = 100;
const STAY_MAX_MS = 6_400;
/** Neighbours say with each renewal of their lease how much room they have. */
const TRY_MS = 3_000;

export interface DataspacePageoutOptions {
  readonly frames: Frames;
  readonly memory: CoherentMemory;
  readonly neighbours: NeighbourNodes;
  readonly lodged: LodgedPages;
  /** It is known who has room: who waits for a frame looks again. */
  onLooked(): void;
  /** A neighbour refused pages. */
  onRefused(reason: string): void;
}

export interface DataspacePageoutCounts {
  given: number;
  spared: number;
  refused: number;
  activations: number;
}

export class DataspacePageout {
  readonly counts: DataspacePageoutCounts = { given: 0, spared: 0, refused: 0, activations: 0 };
  private readonly o: DataspacePageoutOptions;
  private readonly pool: NodePool;
  private readonly policy: PageoutPolicy;
  /** By dataspace: pages before this one are known to the policy. */
  private readonly scanned = new Map<bigint, number>();
  private readonly low: number;
  private readonly high: number;
  private looking = false;
  private stopped = false;
  private stayedMs = Number.NEGATIVE_INFINITY;
  private stayMs = STAY_MS;
  /** Since when nothing left, though somebody waits for it. */
  private triedMs: number | undefined;
  private retry: NodeJS.Timeout | undefined;

  constructor(options: DataspacePageoutOptions) {
    this.o = options;
    const { frames, memory } = options;
    this.low = Math.floor(frames.total * LOW_PART);
    this.high = Math.floor(frames.total * LEAVING_PART);
    this.policy = new PageoutPolicy(Math.floor(frames.total * INACTIVE_PART));
    this.pool = new NodePool({ state: (dataspace, page) => memory.state(dataspace, page) });
  }

  get activePages(): number {
    return this.policy.activePages;
  }

  get inactivePages(): number {
    return this.policy.inactivePages;
  }

  /** Pages that are on their way to neighbours. */
  get leavingPages(): number {
    return this.pool.leavingPages;
  }

  /** True where a neighbour may have room. */
  get mayTake(): boolean {
    return this.pool.mayTake(monotonicMs());
  }

  /** True where there are other nodes, as far as is known. */
  get hasNeighbours(): boolean {
    return this.pool.hasNeighbours;
  }

  /** True where pages may leave soon, to whoever has room, or to whom they are. */
  get mayGetRoom(): boolean {
    if (this.leavingPages > 0 || this.mayTake || this.o.lodged.isReturning) return true;
    if (this.o.lodged.pages === 0) return false;
    this.lookSoon();
    return true;
  }

  /** Asks who has room, where that is not known. */
  lookAround(): void {
    if (!this.stopped) this.step({ type: 'look' });
  }

  // Frames that shared pages may still take.
  private get room(): number {
    return this.o.frames.room(undefined);
  }

  /** Frames were taken. */
  taken(): void {
    if (this.room < this.high) this.lookSoon();
  }

  /** A process used a page that it had to fault for. */
  used(dataspace: bigint, page: number): void {
    if (!this.policy.isInactive(dataspace, page)) return;
    this.counts.activations++;
    this.policy.came(dataspace, page);
  }

  /** True where somebody who waits for a frame of a shared page may get one in time. */
  canMakeRoom(): boolean {
    if (this.stopped) return true;
    if (this.pool.leavingPages > 0) return true;
    // There are frames by count: something else fills the tmpfs. Or there is nothing that could leave.
    if (this.room >= this.low || this.o.memory.residentPages() === 0) return false;
    // It is asked for, where that is not known.
    this.step({ type: 'look' });
    this.stayMs = STAY_MS;
    clearTimeout(this.retry);
    this.retry = undefined;
    this.lookSoon();
    // What is lodged here goes back, if nobody else takes it.
    if (this.mayTake || this.o.lodged.pages > 0) return true;
    // Copies go without anybody's room.
    if (this.pool.sparedPages + this.pool.leavingPages > 0) return true;
    // What neighbours said last may be seconds old.
    const nowMs = monotonicMs();
    this.triedMs ??= nowMs;
    this.lookLater();
    return this.pool.hasNeighbours && nowMs - this.triedMs < TRY_MS;
  }

  private lookSoon(): void {
    if (this.looking || this.stopped) return;
    this.looking = true;
    setImmediate(
      ownTurn({ turn: 'pageout of dataspaces' }, () => {
        this.looking = false;
        this.look();
      }),
    );
  }

  private look(): void {
    if (this.stopped || this.room >= this.high) return;
    this.step({ type: 'look' });
    if (!this.pool.hasNeighbours) return;
    for (const dataspace of this.o.memory.all()) this.scan(dataspace);
    this.perform(this.policy.age((id) => this.residentPages(id)));
    if (this.room >= this.low) return;
    // Nobody takes them: who looks again soon is told the same.
    const nowMs = monotonicMs();
    if (nowMs - this.stayedMs < this.pauseMs) {
      this.lookLater();
      return;
    }
    this.stayMs = Math.min(STAY_MAX_MS, 2 * this.stayMs);
    const want = Math.min(TURN_PAGES, this.high - this.room, WAITING_MAX) - this.pool.leavingPages;
    // Where nobody takes what is here alone, copies leave; most of those came lately.
    const freshFirst = !this.mayTake;
    if (want > 0) this.perform(this.policy.reclaim(want, (id) => this.residentPages(id), freshFirst));
  }

  private get pauseMs(): number {
    return this.triedMs === undefined ? this.stayMs : STAY_MS;
  }

  private lookLater(): void {
    this.retry ??= setTimeout(
      ownTurn({ timer: 'pageout of dataspaces' }, () => {
        this.retry = undefined;
        this.look();
      }),
      this.pauseMs,
    ).unref();
  }

  // What is lodged here leaves before what is ours.
  private residentPages(id: bigint): number {
    const dataspace = this.o.memory.get(id);
    if (dataspace === undefined) return 0;
    const { name, file } = dataspace;
    return this.o.lodged.has(name) ? this.o.frames.total + file.residentPages : file.residentPages;
  }

  // What was here before is found some at a time; what comes and goes from then on is told.
  private scan({ id, file }: SharedDataspace): void {
    const from = this.scanned.get(id);
    if (from === undefined) {
      this.policy.open(id);
      file.onPage = (page, resident) => this.pageChanged(id, page, resident);
    }
    let at = from ?? 0;
    if (at >= file.pageCount) return;
    for (let found = 0; at < file.pageCount && found < TURN_PAGES; at++) {
      if (!file.has(at)) {
        at = file.nextResident(at) - 1;
        continue;
      }
      this.policy.came(id, at);
      found++;
    }
    this.scanned.set(id, at);
  }

  private pageChanged(id: bigint, page: number, resident: boolean): void {
    if (resident) this.policy.came(id, page);
    else {
      this.triedMs = undefined;
      this.stayMs = STAY_MS;
      this.policy.gone(id, page);
      if (this.pool.isSpared(id, page)) this.counts.spared++;
      this.step({ type: 'gone', dataspace: id, page });
    }
  }

  /** A dataspace is not known here any more. */
  closed(id: bigint): void {
    this.policy.close(id);
    this.scanned.delete(id);
  }

  /** Pages of a dataspace are to leave before all others: they are kept for a process that is short of frames itself. */
  leave(dataspace: bigint, pages: readonly number[]): void {
    if (!this.stopped) this.step({ type: 'leave', dataspace, pages });
  }

  private perform(steps: readonly PageoutStep[]): void {
    const out: Record<PageoutStep['type'], Map<bigint, number[]>> = {
      deactivate: new Map(),
      evict: new Map(),
    };
    for (const { type, space, page } of steps) {
      const pages = out[type].get(space);
      if (pages === undefined) out[type].set(space, [page]);
      else pages.push(page);
    }
    for (const [dataspace, pages] of out.deactivate) this.empty(dataspace, pages);
    for (const [dataspace, pages] of out.evict) this.step({ type: 'leave', dataspace, pages });
  }

  private empty(dataspace: bigint, pages: number[]): void {
    const spans: PageSpan[] = spansOf(pages.sort((a, b) => a - b));
    for (const span of spans) this.o.memory.step({ type: 'empty', run: { dataspace, ...span } });
  }

  // ---- the pool

  private step(event: PoolEvent): void {
    for (const action of this.pool.step(event, monotonicMs())) this.carryOut(action);
  }

  private carryOut(action: PoolAction): void {
    switch (action.type) {
      case 'look':
        void this.list();
        return;
      case 'spare':
        this.o.memory.step({ type: 'spare', run: action.run });
        return;
      case 'offer':
        void this.offer(action);
        return;
      case 'stay':
        this.stayedMs = monotonicMs();
        this.giveBack(action.dataspace, action.pages);
        for (const page of action.pages)
          if (this.o.memory.get(action.dataspace)?.file.has(page)) this.policy.came(action.dataspace, page);
        if (this.room < this.low) this.lookLater();
        return;
      default:
        unreachable(action);
    }
  }

  // Nobody else has room for them.
  private giveBack(dataspace: bigint, pages: readonly number[]): void {
    const { memory, lodged } = this.o;
    if (this.room >= this.low || !lodged.has(memory.get(dataspace)?.name ?? '')) return;
    const runs = spansOf([...pages].sort((a, b) => a - b)).map((span) => ({ dataspace, ...span }));
    lodged.giveBack(dataspace, runs, () => this.taken());
  }

  private async list(): Promise<void> {
    try {
      const neighbours = await this.o.neighbours.list();
      this.step({ type: 'neighbours', neighbours });
      this.taken();
    } catch {
      this.step({ type: 'nobody' });
    }
    this.o.onLooked();
  }

  private async offer(action: Extract<PoolAction, { type: 'offer' }>): Promise<void> {
    const { offer, to, dataspace, runs, deadlineMs } = action;
    const name = this.o.memory.get(dataspace)?.name;
    try {
      const roomPages =
        name === undefined ? 0 : await this.o.neighbours.offer(to, { dataspace: name, runs }, deadlineMs);
      this.counts.given += runs.reduce((sum, { pageCount }) => sum + pageCount, 0);
      this.step({ type: 'taken', offer, roomPages });
    } catch (error) {
      // One that was removed meanwhile nobody needs.
      const isGone = RpcError.is(error, Code.NotFound);
      if (!isGone) {
        this.counts.refused++;
        this.o.onRefused(error instanceof RpcError ? error.details : String(error));
      }
      this.step({ type: 'refused', offer });
    }
    this.taken();
  }

  /** From now on nothing leaves: another pmap manager goes on, or the node leaves. */
  stop(): void {
    this.stopped = true;
  }

  /** No other pmap manager goes on. */
  goOn(): void {
    this.stopped = false;
  }

  end(): void {
    this.stop();
    clearTimeout(this.retry);
    this.o.neighbours.close();
  }
}
