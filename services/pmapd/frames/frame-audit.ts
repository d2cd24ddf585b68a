// What the processes of a virtual kernel really have of private memory, beside what it was granted: it says itself how many
// frames it gives back, and may fill more than it has. Files are looked at a few at a time, and what is there counts.
import type { Vmspace } from '../sessions/vmspace.ts';

/** Files of one look. */
const LOOK_MAX = 256;
/** What is filled is told a little later: 64 MiB of it are not worth a word. */
export const UNCOUNTED_MAX = 16_384;
/** What a virtual kernel may have ahead of what its processes touched: 128 MiB. */
const AHEAD_MAX = 32_768;
/** Where it has all of that, it still gets a little: what was granted may not be touched yet. */
const AHEAD_MORE = 64;
/** It is looked for at most so often; of many files less often. */
const FRESH_MS = 10;
const FILES_A_MS = 100;

export class FrameAudit {
  private readonly vmspaces: ReadonlyMap<bigint, Vmspace>;
  private left: Iterator<Vmspace> | undefined;
  private sum = 0;
  /** Of processes that ended, and whose frames were not given back yet. */
  private ended = 0;
  private used = 0;
  private usedAtMs = Number.NEGATIVE_INFINITY;

  constructor(vmspaces: ReadonlyMap<bigint, Vmspace>) {
    this.vmspaces = vmspaces;
  }

  /** A process is over; its frames come back soon. */
  ends(vmspace: Vmspace): void {
    this.ended += vmspace.peekFrames();
  }

  givenBack(frames: number): void {
    this.ended = Math.max(0, this.ended - frames);
  }

  /** Looks at some files. @returns once all were looked at: how many frames there are more than it was granted */
  look(held: number): number | undefined {
    this.left ??= this.vmspaces.values();
    for (let i = 0; i < LOOK_MAX; i++) {
      const { value, done } = this.left.next();
      if (!done) {
        this.sum += value.peekFrames();
        continue;
      }
      const { sum } = this;
      [this.left, this.sum] = [undefined, 0];
      return Math.max(0, sum - held);
    }
    return undefined;
  }

  /** How many frames it may get ahead, of so many that it wants. */
  mayGet(want: number, held: number, nowMs: number): number {
    if (
      held - this.used + want > AHEAD_MAX &&
      nowMs - this.usedAtMs > FRESH_MS + this.vmspaces.size / FILES_A_MS
    ) {
      this.usedAtMs = nowMs;
      this.used = [...this.vmspaces.values()].reduce((sum, each) => sum + each.peekFrames(), this.ended);
    }
    const room = AHEAD_MAX - (held - this.used);
    if (room > 0) return Math.min(want, room);
    return room > -3 * AHEAD_MAX ? Math.min(want, AHEAD_MORE) : 0;
  }
}
