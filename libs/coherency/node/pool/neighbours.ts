// Who has room for pages of a node that is short of frames, as far as that node knows.

/** Of all frames: a node takes pages only while so much stays free, and so much of what pages of dataspaces may have. */
const FREE_PART = 1 / 4;
const SHARED_PART = 1 / 8;
/** What is known of the others is asked for again after this. */
const OLD_MS = 1_000;
/** An answer that does not come is asked for again. */
const ANSWER_MS = 3_000;
/** Who refused, or did not answer, is left alone for so long. */
const REFUSED_MS = 2_000;

/** Another node that lives. */
export interface Neighbour {
  /** Where it takes pages. */
  readonly name: string;
  /** Pages that it takes, as it said last. */
  readonly roomPages: number;
}

/**
 * How many pages a node takes of others.
 * @param sharedRoomPages frames that pages of dataspaces may still have
 */
export const roomForOthers = (frames: {
  freePages: number;
  sharedRoomPages: number;
  totalPages: number;
}): number => {
  const { freePages, sharedRoomPages, totalPages } = frames;
  const ofShared = sharedRoomPages - Math.ceil(totalPages * SHARED_PART);
  return Math.max(0, Math.min(ofShared, freePages - Math.ceil(totalPages * FREE_PART)));
};

export class Neighbours {
  private readonly rooms = new Map<string, number>();
  /** Until when who refused is left alone. */
  private readonly alone = new Map<string, number>();
  private knownMs = Number.NEGATIVE_INFINITY;
  private askedMs = Number.NEGATIVE_INFINITY;

  get count(): number {
    return this.rooms.size;
  }

  isOld(nowMs: number): boolean {
    return nowMs - this.knownMs > OLD_MS;
  }

  /** @returns false: that was asked a moment ago, and is not answered */
  ask(nowMs: number): boolean {
    if (nowMs - this.askedMs < ANSWER_MS) return false;
    this.askedMs = nowMs;
    return true;
  }

  learn(neighbours: readonly Neighbour[], nowMs: number): void {
    this.rooms.clear();
    for (const { name, roomPages } of neighbours) this.rooms.set(name, roomPages);
    for (const [name, untilMs] of this.alone) if (untilMs <= nowMs) this.alone.delete(name);
    this.knownMs = nowMs;
    this.askedMs = Number.NEGATIVE_INFINITY;
  }

  has(name: string, roomPages: number): void {
    if (this.rooms.has(name)) this.rooms.set(name, roomPages);
  }

  refused(name: string, nowMs: number): void {
    this.alone.set(name, nowMs + REFUSED_MS);
  }

  best(nowMs: number): { name: string; roomPages: number } | undefined {
    let found: { name: string; roomPages: number } | undefined;
    for (const [name, roomPages] of this.rooms)
      if (roomPages > (found?.roomPages ?? 0) && (this.alone.get(name) ?? 0) <= nowMs)
        found = { name, roomPages };
    return found;
  }

  mayTake(nowMs: number): boolean {
    const isAsked = nowMs - this.askedMs < ANSWER_MS;
    return isAsked || this.best(nowMs) !== undefined;
  }
}
