// Which processes are asked to be paged: those with the largest overdraft first, some at a time. Who does not answer, for its virtual
// kernel is stopped, is left alone for a while.
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Frames } from '../frames/frames.ts';
import type { PagedMemory, PagedSession } from './paged-space.ts';

/** A process with less is not worth it, as long as others have more; and never below the second. */
const LEAST_FRAMES = 64;
const FEWEST_FRAMES = 8;
/** Processes that were asked, and have not answered. */
const ASKED_MAX = 8;
const ANSWER_MS = 3_000;
/** All are looked through at most so often. */
const ASK_MS = 20;
/** Who did not answer is asked again after this. */
const DEAF_MS = 60_000;

export interface AskedOptions {
  readonly frames: Frames;
  sessions(): Iterable<PagedSession>;
}

interface Candidate {
  readonly session: PagedSession;
  readonly vmspace: PagedMemory;
  readonly frames: number;
  readonly overdraft: number;
}

export class AskedProcesses {
  private readonly o: AskedOptions;
  /** When. */
  private readonly asked = new Map<bigint, number>();
  private lookedAtMs = 0;

  constructor(options: AskedOptions) {
    this.o = options;
  }

  /** @returns false: they were looked through a moment ago */
  askSome(): boolean {
    const nowMs = monotonicMs();
    if (nowMs - this.lookedAtMs < ASK_MS) return false;
    this.lookedAtMs = nowMs;
    for (const [id, atMs] of this.asked) if (nowMs - atMs > DEAF_MS) this.asked.delete(id);
    for (const { session, vmspace } of this.candidates()) {
      if (this.count(nowMs) >= ASKED_MAX) break;
      this.asked.set(vmspace.id, nowMs);
      session.send({ event: { case: 'pageVmspace', value: { vmspace: vmspace.id } } });
    }
    return true;
  }

  private candidates(): Candidate[] {
    const found: Candidate[] = [];
    for (const session of this.o.sessions())
      for (const vmspace of session.vmspaces.values()) {
        if (vmspace.paged !== undefined || this.asked.has(vmspace.id)) continue;
        const frames = vmspace.privateFrames();
        if (frames < FEWEST_FRAMES) continue;
        found.push({ session, vmspace, frames, overdraft: this.o.frames.overdraft(vmspace.charge) });
      }
    const large = found.filter(({ frames }) => frames >= LEAST_FRAMES);
    return (large.length > 0 ? large : found).sort((a, b) => b.overdraft - a.overdraft);
  }

  private count(nowMs: number): number {
    let count = 0;
    for (const atMs of this.asked.values()) if (nowMs - atMs < ANSWER_MS) count++;
    return count;
  }

  /** True where one may answer yet. */
  get mayAnswer(): boolean {
    return this.count(monotonicMs()) > 0;
  }

  /** It answered, or is over. @returns false: it was not asked */
  delete(vmspace: bigint): boolean {
    return this.asked.delete(vmspace);
  }

  clear(): void {
    this.asked.clear();
  }
}
