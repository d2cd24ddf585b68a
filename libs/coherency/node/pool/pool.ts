// The memory of the cluster as one pool: what becomes of pages of dataspaces that leave a node which is short of frames. A pure
// policy: it moves nothing itself, and nothing is lost by it, whatever it says and whoever dies.
//
//   the page here is                 it leaves by
//   a copy; others have it, too      a word to the directory, which takes it (directory/spared-copies.ts)
//   still here when it is to leave   an offer, since nobody else has it after all
//     once more
//   the only one                     an offer: a neighbour that has room asks the directory for it, to write. It comes to own it,
//                                    as whoever writes a page does
//
// Who takes pages: those that say that they have room, the one with most of it first. A node gives pages away below LOW, and takes them
// only while more than twice that stays free: so none goes round between nodes that are full, and what was taken leaves
// again only where that one runs short itself, for a third one that has room. Who refuses, or does not answer, is left alone for a while.
import { type PageRun, type PageState, spansOf, unreachable } from '../../page.ts';
import { GivenAway } from './given-away.ts';
import { type Neighbour, Neighbours } from './neighbours.ts';

/** Pages of one offer. */
export const OFFER_PAGES_MAX = 256;
/** Offers under way. */
const OFFERS_MAX = 4;
/** Pages that wait to be offered. */
export const WAITING_MAX = 4_096;
/** How long a neighbour may take for an offer. */
export const OFFER_MS = 5_000;

export interface PoolPorts {
  /** What the cluster lets this node do with a page. */
  state(dataspace: bigint, page: number): PageState;
}

export type PoolEvent =
  /** Frames run short: who else is there? */
  | { type: 'look' }
  /** Pages of one dataspace are to leave, those first that nobody uses. */
  | { type: 'leave'; dataspace: bigint; pages: readonly number[] }
  /** A page went: nobody waits for it to leave any more. */
  | { type: 'gone'; dataspace: bigint; page: number }
  /** Other nodes that live, and how many frames they have. */
  | { type: 'neighbours'; neighbours: readonly Neighbour[] }
  /** They cannot be asked for. */
  | { type: 'nobody' }
  /** Each page of an offer is at the neighbour, was lost before, or is gone. */
  | { type: 'taken'; offer: number; roomPages: number }
  /** It takes them not, or not now. */
  | { type: 'refused'; offer: number };

export type PoolAction =
  /** `neighbours`, or `nobody`, follows. */
  | { type: 'look' }
  /** An event of the memory. */
  | { type: 'spare'; run: PageRun }
  /** Of one dataspace. `taken` or `refused` follows. */
  | { type: 'offer'; offer: number; to: string; dataspace: bigint; runs: PageRun[]; deadlineMs: number }
  /** They do not leave by this now. */
  | { type: 'stay'; dataspace: bigint; pages: readonly number[] };

interface Offer {
  readonly to: string;
  readonly dataspace: bigint;
  readonly pages: readonly number[];
}

export class NodePool {
  private readonly ports: PoolPorts;
  private readonly neighbours = new Neighbours();
  private readonly waiting = new GivenAway(WAITING_MAX);
  /** Copies of which the directory was told. */
  private readonly spared = new GivenAway(WAITING_MAX);
  private readonly offers = new Map<number, Offer>();
  private lastOffer = 0;
  private out: PoolAction[] = [];

  constructor(ports: PoolPorts) {
    this.ports = ports;
  }

  /** Pages that are offered, or wait to be. */
  get leavingPages(): number {
    let pages = this.waiting.size;
    for (const offer of this.offers.values()) pages += offer.pages.length;
    return pages;
  }

  /** Copies of which the directory was told, that are here still. */
  get sparedPages(): number {
    return this.spared.size;
  }

  /** The directory was told of it. */
  isSpared(dataspace: bigint, page: number): boolean {
    return this.spared.has(dataspace, page);
  }

  /** True where there are other nodes, as far as is known. */
  get hasNeighbours(): boolean {
    return this.neighbours.count > 0;
  }

  /** True where somebody may have room, as far as is known. */
  mayTake(nowMs: number): boolean {
    return this.neighbours.mayTake(nowMs);
  }

  step(event: PoolEvent, nowMs: number): PoolAction[] {
    switch (event.type) {
      case 'look':
        this.look(nowMs);
        break;
      case 'leave':
        this.leave(event.dataspace, event.pages);
        break;
      case 'gone':
        this.waiting.delete(event.dataspace, event.page);
        this.spared.delete(event.dataspace, event.page);
        return [];
      case 'neighbours':
        this.neighbours.learn(event.neighbours, nowMs);
        break;
      case 'nobody':
        this.neighbours.learn([], nowMs);
        break;
      case 'taken': {
        const offer = this.close(event.offer);
        if (offer !== undefined) this.neighbours.has(offer.to, event.roomPages);
        break;
      }
      case 'refused': {
        const offer = this.close(event.offer);
        if (offer === undefined) break;
        this.neighbours.refused(offer.to, nowMs);
        this.stay(offer.dataspace, offer.pages);
        break;
      }
      default:
        unreachable(event);
    }
    this.offer(nowMs);
    const { out } = this;
    this.out = [];
    return out;
  }

  private close(number: number): Offer | undefined {
    const offer = this.offers.get(number);
    this.offers.delete(number);
    return offer;
  }

  private stay(dataspace: bigint, pages: readonly number[]): void {
    if (pages.length > 0) this.out.push({ type: 'stay', dataspace, pages });
  }

  private leave(dataspace: bigint, pages: readonly number[]): void {
    const copies: number[] = [];
    const stay: number[] = [];
    for (const page of pages)
      switch (this.isCopy(dataspace, page) ? 'copy' : this.ports.state(dataspace, page)) {
        case 'copy':
          if (this.spared.add(dataspace, page)) copies.push(page);
          stay.push(page);
          break;
        case 'INVALID':
          // It arrives, or waits for its permission.
          stay.push(page);
          break;
        default:
          if (!this.waiting.add(dataspace, page)) stay.push(page);
      }
    for (const span of spansOf(copies.sort((a, b) => a - b)))
      this.out.push({ type: 'spare', run: { dataspace, ...span } });
    this.stay(dataspace, stay);
  }

  /** Others have it as well, as far as this node knows; not where it was told so before, and is here still. */
  protected isCopy(dataspace: bigint, page: number): boolean {
    const state = this.ports.state(dataspace, page);
    if (state !== 'SHARED' && state !== 'SLAVE' && state !== 'MASTER') return false;
    return !this.spared.delete(dataspace, page);
  }

  // True: it is not known who is there, and that is asked for.
  private look(nowMs: number): boolean {
    if (!this.neighbours.isOld(nowMs)) return false;
    if (this.neighbours.ask(nowMs)) this.out.push({ type: 'look' });
    return true;
  }

  private offer(nowMs: number): void {
    while (this.waiting.size > 0 && this.offers.size < OFFERS_MAX) {
      if (this.look(nowMs)) return;
      const best = this.neighbours.best(nowMs);
      if (best === undefined) {
        for (const { dataspace, pages } of this.waiting.takeAll()) this.stay(dataspace, pages);
        return;
      }
      const { dataspace, pages } = this.waiting.take(Math.min(OFFER_PAGES_MAX, best.roomPages));
      this.neighbours.has(best.name, best.roomPages - pages.length);
      const offer = ++this.lastOffer;
      this.offers.set(offer, { to: best.name, dataspace, pages });
      const runs = spansOf([...pages].sort((a, b) => a - b)).map((span) => ({ dataspace, ...span }));
      this.out.push({ type: 'offer', offer, to: best.name, dataspace, runs, deadlineMs: OFFER_MS });
    }
  }
}
