// What happens where there is no frame for a process. One rule, for private memory and for shared pages:
//
//   1. who is over its quota, or over its share of the node, is refused: it gets the error, and ends
//   2. else the process with the largest overdraft ends (more than its quota or its share, of private memory: shared
//      pages stay when their process ends), and who asked waits for the frames, for a bounded time
//   3. where nobody is over, who asked is refused
//
// So nobody who is within its share is ever ended for others, and nobody waits for ever.

import type { Fault } from '@odonata/coherency/node/memory/waiting.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { MapEntry } from '../sessions/map-entry.ts';
import type { Charge } from './charge.ts';
import type { Frames } from './frames.ts';

/** How long frames of a process that must end may take to come back. */
const WAIT_MS = 15_000;
/** For pages that leave; then somebody ends for it. */
const LEAVING_MS = 8_000;
/** Who writes a file may be told that there is no room, and is told so soon: its thread waits in the call. */
const FILES_WAIT_MS = 2_000;
/** A victim has so long before the next one is chosen. */
const END_MS = 3_000;
const CHECK_MS = 500;
export const SHORT_MAX = 10_000;

/** Somebody who needs a frame that there is not. */
export interface Short {
  /** The same one asks once only. */
  readonly key: string;
  readonly charge: Charge;
  /** What it is for, as in "page 7 of dataspace x". */
  readonly what: string;
  /** Absent: for private memory. */
  readonly fault?: Fault<MapEntry>;
  /** Tries again: frames came back, perhaps enough. */
  retry(): void;
  refuse(reason: string): void;
}

interface Waiting extends Short {
  readonly sinceMs: number;
}

export interface ShortageOptions {
  node: string;
  frames: Frames;
  /** A process ends so that another one goes on. */
  onVictim(charge: Charge, reason: string): void;
  /** Pages leave to make room, in time. */
  makesRoom?(sharedOnly: boolean): boolean;
  /** What is said of pages that leave where they cannot: of swap that is full. */
  noRoom?(): string;
}

export class Shortage {
  private readonly o: ShortageOptions;
  private readonly waiting = new Map<string, Waiting>();
  /** Who was told to end, and when. */
  private readonly victims = new Map<Charge, number>();
  private timer: NodeJS.Timeout | undefined;
  private relieving = false;
  /** Of those who try again just now. */
  private readonly since = new Map<string, number>();

  constructor(options: ShortageOptions) {
    this.o = options;
  }

  /** Who waits, since when. */
  all(): Iterable<Waiting> {
    return this.waiting.values();
  }

  /** @param sharedOnly shared pages have all frames that they may: what others have of private memory would not help */
  ask(short: Short, sharedOnly = false): void {
    const sinceMs = this.since.get(short.key) ?? monotonicMs();
    const why = this.refusal(short, sharedOnly, sinceMs);
    if (why !== undefined) {
      short.refuse(why);
      return;
    }
    this.waiting.set(short.key, { ...short, sinceMs });
    this.timer ??= setInterval(
      ownTurn({ timer: 'shortage' }, () => this.check()),
      CHECK_MS,
    ).unref();
  }

  private refusal({ charge, what, key }: Short, sharedOnly: boolean, sinceMs: number): string | undefined {
    const { frames, node } = this.o;
    const { quotaFrames, quotaRoom } = charge;
    if (quotaRoom === 0)
      return `out of memory: it has all of its quota of ${mib(quotaFrames)} (raise it with --memory)`;
    if (charge.room === 0) return charge.process.vkernelReason();
    const has = `it has ${mib(charge.frames)} of the ${mib(frames.total)} of ${node}`;
    const waitedMs = monotonicMs() - sinceMs;
    const ofFiles = charge.process.filesOf !== undefined;
    const late = waitedMs > (ofFiles ? FILES_WAIT_MS : WAIT_MS);
    if (waitedMs < (ofFiles ? FILES_WAIT_MS : LEAVING_MS) && this.o.makesRoom?.(sharedOnly) === true)
      return undefined;
    const others =
      frames.missingToOthers > 0
        ? `, and other clusters of its machine have ${mib(frames.missingToOthers)}`
        : '';
    const reason = `out of memory: ${node} has no frame for ${what}${this.o.noRoom?.() ?? ''}; ${has}${others} (vkctl up --node-memory gives a node more)`;
    if (sharedOnly || frames.overdraft(charge) >= 0) return reason;
    const full = this.waiting.size >= SHORT_MAX && !this.waiting.has(key);
    if (late || full || !this.findRoom(charge, what)) return reason;
    return undefined;
  }

  // False: there is none to be found.
  private findRoom(asker: Charge, what: string): boolean {
    const { frames, node, onVictim } = this.o;
    const nowMs = monotonicMs();
    for (const [victim, atMs] of this.victims) {
      if (nowMs - atMs < END_MS && [...frames.charges.all()].includes(victim)) return true;
      this.victims.delete(victim);
    }
    let victim: Charge | undefined;
    let most = 0;
    for (const charge of frames.charges.all()) {
      const overdraft = Math.min(frames.overdraft(charge), charge.process.privateFrames());
      if (charge === asker || overdraft <= most) continue;
      victim = charge;
      most = overdraft;
    }
    if (victim === undefined) return false;
    this.victims.set(victim, nowMs);
    const has = `it has ${mib(victim.frames)} of the ${mib(frames.total)} of ${node}, ${mib(most)} more than its share`;
    onVictim(
      victim,
      `out of memory: ${node} has no frame for ${what} of process ${asker.process.pid}; ${has}`,
    );
    return true;
  }

  /** Frames came back: who waits tries again, in order. */
  relieved(): void {
    if (this.waiting.size === 0 || this.relieving) return;
    this.relieving = true;
    // Many come back at once.
    setImmediate(
      ownTurn({ turn: 'frames came back' }, () => {
        this.relieving = false;
        this.retryAll();
      }),
    );
  }

  private retryAll(): void {
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const { key, sinceMs } of all) this.since.set(key, sinceMs);
    for (const short of all)
      ownTurn(
        { turn: 'frames came back', pid: short.charge.process.pid },
        () => short.retry(),
        ({ details }) => short.refuse(details),
      )();
    this.since.clear();
  }

  // A victim that does not end is followed by the next one, and who waited for too long is refused.
  private check(): void {
    this.retryAll();
    if (this.waiting.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}

/** Frames as people say them. */
export const mib = (frames: number): string => {
  const bytes = frames * PAGE_BYTES;
  return bytes < 1 << 20 ? `${Math.round(bytes / 1024)} KiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
};
