// The frames of a node, ports of `memory.ts`: the bytes of its pages, and how many more it may have. All of it is done when
// the call returns; the order of the calls is the order in which a page is protected, read, sent and dropped.

/** Bytes of a run of pages; what they are made of only the caller knows. */
export interface PageBytes<B> {
  /** Those of some pages of the run, by their place in it. */
  part(firstIndex: number, pageCount: number): B;
}

/** Tells who pays for a page. */
export type ChargedTo = (page: number) => number;

/** Those of one dataspace. A page that has no frame reads as zeros. */
export interface PageFrames<B> {
  readonly residentPages: number;
  has(page: number): boolean;
  /** A copy of pages as they are now. */
  read(firstPage: number, pageCount: number): B;
  /** Puts bytes into frames. What came must not get lost: it always succeeds. */
  write(firstPage: number, pageCount: number, bytes: B, chargedTo: ChargedTo): void;
  /** Gives holes frames of zeros. @returns how many pages from the first on have frames; there is no room for the next */
  fillHoles(firstPage: number, pageCount: number, chargedTo: ChargedTo): number;
  /** Takes frames away; every mapping of them is emptied in the same step. */
  drop(firstPage: number, pageCount: number): void;
}

/** How many frames there are, and who pays. */
export interface FrameBudget {
  /** How many more frames somebody, by their number, may bring for shared pages. */
  roomFor(charged: number): number;
  /** How many of those it may bring before other pages have to leave for them. */
  spareFor(charged: number): number;
  /** A frame is kept for a page that will be asked for. */
  reserve(charged: number): void;
  /** It came, or will not come. */
  unreserve(charged: number): void;
  /** Shared pages have all frames that they may: what others give back of private memory does not help. */
  readonly sharedIsFull: boolean;
}

/** Pages that no process brought: loaded, taken over from another node, or of another pmap manager. */
export const CHARGED_TO_NODE = 1;
