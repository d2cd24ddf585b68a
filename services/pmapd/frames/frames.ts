// The frames of a node, and who pays for them.
//
//   private   granted ahead to virtual kernels, who fill them by themselves and account for them
//   shared    pages of dataspaces that are here: each charged to the process that brought it
//   reserved  pages of dataspaces that were asked for: who asks has the frame first, so what arrives always has room
//
// A process that ends gives its private frames back. What it brought of dataspaces stays, since the dataspace stays: the
// node pays for it from then on. So the last part of the frames is kept for private memory (a program can always start),
// and the part before it for those who have little of the node so far.
import type { FrameBudget } from '@odonata/coherency/node/memory/page-frames.ts';
import type { Charge, Charges } from './charge.ts';
import type { FramePool } from './frame-pool.ts';

/** Of all frames: not for shared pages. */
const PRIVATE_PART = 1 / 8;
/** Of all frames: shared pages only of those within their share. */
const SPARE_PART = 1 / 8;
/** Of all frames: pages leave to neighbours until there is room for so many (dataspace-pageout.ts). */
export const LEAVING_PART = 1 / 8;
/** Frames granted ahead are so much of what is free at most: what one virtual kernel has ahead no other one has. */
const AHEAD_PART = 1 / 8;
const AHEAD_MIN = 64;

/** What memory files tell of their pages. */
export interface FrameLedger {
  /** A page is resident, charged to this number. */
  taken(number: number): void;
  /** So many pages that were charged to this number are not resident any more. */
  dropped(number: number, pages: number): void;
}

export class Frames implements FrameLedger, FrameBudget {
  readonly charges: Charges;
  /** What this cluster may have of the machine. */
  total: number;
  /** Of a machine that several clusters share; absent: all is ours. */
  private readonly pool: FramePool | undefined;
  private granted = 0;
  private shared = 0;
  private reserved = 0;
  /** Of the node itself: pages may come although there is no frame, so many at one time, each of which goes on at once. */
  passing = 0;
  /** Frames came back. */
  onRoom: () => void = () => {};
  /** Frames were taken. */
  onTaken: () => void = () => {};

  constructor(total: number, charges: Charges, pool?: FramePool) {
    this.total = total;
    this.charges = charges;
    this.pool = pool;
    pool?.add(-pool.had);
  }

  /** Frames granted for private memory. */
  get privateFrames(): number {
    return this.granted;
  }

  /** Pages of dataspaces that are here. */
  get sharedFrames(): number {
    return this.shared;
  }

  get free(): number {
    const left = this.total - this.granted - this.shared - this.reserved;
    return Math.max(0, Math.min(left, this.pool?.left ?? left));
  }

  /** Frames that other clusters of this machine have, where those are why there are none here; else 0. */
  get missingToOthers(): number {
    const own = this.total - this.granted - this.shared - this.reserved;
    return this.pool !== undefined && this.pool.left < own ? this.othersFrames : 0;
  }

  /** Frames that other clusters of this machine have. */
  get othersFrames(): number {
    return this.pool?.elsewhere ?? 0;
  }

  /** Frames that shared pages may take. */
  get sharedMax(): number {
    return this.total - Math.floor(this.total * PRIVATE_PART);
  }

  /** True where shared pages have all frames that they may: what others give back of private memory does not help. */
  get sharedIsFull(): boolean {
    return this.shared + this.reserved >= this.sharedMax - Math.floor(this.total * SPARE_PART);
  }

  /** Grants frames for private memory ahead, as many as there are, and not all that there are. */
  grant(want: number): number {
    const { free } = this;
    const asked = Math.min(want, free, Math.max(AHEAD_MIN, Math.floor(free * AHEAD_PART)));
    const frames = this.pool?.take(asked) ?? asked;
    this.granted += frames;
    this.onTaken();
    return frames;
  }

  /** Those of a virtual kernel that had them from another pmap manager. */
  resume(frames: number): void {
    this.granted += frames;
    this.pool?.add(frames);
  }

  giveBack(frames: number): void {
    const back = Math.min(this.granted, frames);
    this.granted -= back;
    this.pool?.add(-back);
    if (frames > 0) this.onRoom();
  }

  /** A fair part of the node for a process. */
  get share(): number {
    return Math.floor(this.total / Math.max(1, this.charges.count));
  }

  /** What a process has of the node beyond its quota or its share. */
  overdraft(charge: Charge): number {
    return charge.frames - Math.min(charge.quotaFrames, this.share);
  }

  /** How many more shared pages a process, or the node itself, may bring. */
  room(charge: Charge | undefined): number {
    const within = charge !== undefined && charge.sharedFrames < this.share * SPARE_PART;
    const most = this.sharedMax - (within ? 0 : Math.floor(this.total * SPARE_PART));
    const room = Math.max(0, Math.min(this.free, most - this.shared - this.reserved));
    return charge === undefined ? Math.max(this.passing, room) : room;
  }

  roomFor(charged: number): number {
    const charge = this.charges.get(charged);
    return Math.min(this.room(charge), charge?.room ?? Number.POSITIVE_INFINITY);
  }

  spareFor(charged: number): number {
    const ofNode = this.room(this.charges.get(charged)) - Math.floor(this.total * LEAVING_PART);
    return Math.max(0, Math.min(ofNode, this.roomFor(charged)));
  }

  /** Runs something meanwhile for which `passing` frames are there. */
  whilePassing(frames: number, run: () => void): void {
    const before = this.passing;
    this.passing = Math.max(before, frames);
    run();
    this.passing = before;
  }

  /** A page was asked for. */
  reserve(number: number): void {
    this.reserved++;
    this.pool?.add(1);
    this.onTaken();
    this.charges.add(number, 1);
  }

  /** It came, or will not come. */
  unreserve(number: number): void {
    this.reserved--;
    this.pool?.add(-1);
    this.charges.add(number, -1);
  }

  taken(number: number): void {
    this.shared++;
    this.pool?.add(1);
    this.onTaken();
    this.charges.add(number, 1);
  }

  dropped(number: number, pages: number): void {
    this.shared -= pages;
    this.pool?.add(-pages);
    this.charges.add(number, -pages);
    this.onRoom();
  }
}
