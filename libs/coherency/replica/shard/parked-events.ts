// Events of holders that wait for the end of a rebuild, or for a dataspace that this replica has not heard of yet.
import type { HolderEntry } from '../holders.ts';
import type { ShardEvent } from './shard-events.ts';

/** Events of one shard that wait. */
export const PARKED_MAX = 200_000;

export interface Parked {
  readonly entry: HolderEntry;
  readonly event: ShardEvent;
  readonly untilMs: number;
}

export class ParkedEvents {
  private parked: Parked[] = [];

  get length(): number {
    return this.parked.length;
  }

  /** @returns false: too many wait, and this one does not */
  park(entry: HolderEntry, event: ShardEvent, untilMs: number): boolean {
    if (this.parked.length >= PARKED_MAX) return false;
    this.parked.push({ entry, event, untilMs });
    return true;
  }

  forget(entry: HolderEntry): void {
    if (this.parked.length > 0) this.parked = this.parked.filter((each) => each.entry !== entry);
  }

  /** Takes all, in order. */
  take(): Parked[] {
    const { parked } = this;
    this.parked = [];
    return parked;
  }
}
