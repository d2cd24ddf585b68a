// What processes of the node know of barriers, so that a new leader can go on with them: which generations they passed, and
// with whom. That of a process that has ended is kept for a while: the answer that it had may be lost for another member, and
// that it died while it waited may be known to nobody else.
import { type BarrierResult, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import type { BarrierWord } from '../../locks/barriers.ts';

type Named = Pick<BarrierWord, 'owner' | 'dataspace' | 'name'>;

interface Known extends BarrierWord {
  /** It has come, and is not answered. */
  waits: boolean;
  /** Since when it is kept: since it has ended, or since it heard that the barrier is broken. */
  endedMs: number;
}

/** Barriers of one process. */
export const BARRIERS_OF_PROCESS_MAX = 1_024;
/** Words of processes that have ended. */
const ENDED_MAX = 10_000;
const ENDED_KEPT_MS = 60_000;

const keyOf = ({ owner, dataspace, name }: Named) => `${owner} ${dataspace} ${name}`;

export class PassedBarriers {
  private readonly living = new Map<string, Known>();
  private readonly ended = new Map<string, Known>();
  private readonly ofOwner = new Map<bigint, Set<string>>();

  /** @returns why it may not come */
  refusal(asked: Named, generation: bigint): 'generation' | 'room' | undefined {
    const known = this.living.get(keyOf(asked));
    if (known === undefined && (this.ofOwner.get(asked.owner)?.size ?? 0) >= BARRIERS_OF_PROCESS_MAX)
      return 'room';
    return known?.waits || generation !== (known?.passed ?? 0n) ? 'generation' : undefined;
  }

  comes(asked: Named): void {
    this.of(asked).waits = true;
  }

  answered(
    asked: Named,
    generation: bigint,
    { status, members }: Pick<BarrierResult, 'status' | 'members'>,
    nowMs: number,
  ): void {
    const known = this.of(asked);
    // Who gave up may come again.
    known.waits = false;
    if (status === SyncStatus.BROKEN && !known.broken) {
      known.broken = true;
      known.endedMs = nowMs;
    }
    if (status !== SyncStatus.OK) return;
    known.passed = generation + 1n;
    if (generation === 0n) known.members = members;
  }

  ownerGone(owner: bigint, nowMs: number): void {
    for (const key of this.ofOwner.get(owner) ?? []) {
      const known = this.living.get(key)!;
      this.living.delete(key);
      const { passed, broken, waits: diedWaiting } = known;
      if (passed === 0n && !broken && !diedWaiting) continue;
      // The name is free again so long after it broke.
      const endedMs = passed === 0n && broken ? known.endedMs : nowMs;
      this.keep({ ...known, waits: false, ended: true, diedWaiting, endedMs });
    }
    this.ofOwner.delete(owner);
  }

  /** What a new leader of these dataspaces is to hear: nothing of who only came, for that is asked anew. */
  words(isWanted: (dataspace: bigint) => boolean, nowMs: number): BarrierWord[] {
    for (const [key, { endedMs }] of this.ended) if (nowMs - endedMs > ENDED_KEPT_MS) this.ended.delete(key);
    return this.all().flatMap(({ waits: _, endedMs: __, ...word }) => {
      return isWanted(word.dataspace) && (word.passed > 0n || word.broken || word.diedWaiting) ? [word] : [];
    });
  }

  all(): Known[] {
    return [...this.living.values(), ...this.ended.values()];
  }

  resume(known: Known): void {
    if (known.ended) this.keep(known);
    else Object.assign(this.of(known), known);
  }

  private keep(known: Known): void {
    this.ended.set(keyOf(known), known);
    if (this.ended.size > ENDED_MAX) this.ended.delete(this.ended.keys().next().value!);
  }

  private of({ owner, dataspace, name }: Named): Known {
    const key = keyOf({ owner, dataspace, name });
    const known = this.living.get(key) ?? {
      ...{ owner, dataspace, name, passed: 0n, members: [], ended: false, broken: false, diedWaiting: false },
      ...{ waits: false, endedMs: 0 },
    };
    this.living.set(key, known);
    this.ofOwner.set(owner, (this.ofOwner.get(owner) ?? new Set()).add(key));
    return known;
  }
}
