// Pages that come from other nodes: how far each transfer is, so that a stream that broke is gone on with.

/** Transfers that are remembered; of the others everything is taken that comes, also a second time. */
export const TRANSFERS_MAX = 1_024;

/** What a chunk is: the next one, one that is here already, or one before which another one misses. */
export type Arrived = 'next' | 'known' | 'gap';

/** Of one transfer, over all of its streams. */
export class Arrival {
  private last: number;

  constructor(last: number) {
    this.last = last;
  }

  /** All chunks up to this one are here. */
  get received(): number {
    return this.last;
  }

  /** The sender gave up what is before the first chunk of a stream. */
  begin(sequence: number): void {
    this.last = Math.max(this.last, sequence - 1);
  }

  look(sequence: number): Arrived {
    if (sequence <= this.last) return 'known';
    return sequence === this.last + 1 ? 'next' : 'gap';
  }

  /** The chunk is in its place. */
  took(sequence: number): void {
    this.last = Math.max(this.last, sequence);
  }
}

export class Arrivals {
  /** The one that nobody went on with for longest is first. */
  private readonly byTransfer = new Map<bigint, Arrival>();

  get size(): number {
    return this.byTransfer.size;
  }

  /** A stream begins with this chunk. */
  begin(transfer: bigint, sequence: number): Arrival {
    const arrival = this.byTransfer.get(transfer) ?? new Arrival(sequence - 1);
    arrival.begin(sequence);
    this.byTransfer.delete(transfer);
    if (this.byTransfer.size >= TRANSFERS_MAX) this.byTransfer.delete(this.byTransfer.keys().next().value!);
    this.byTransfer.set(transfer, arrival);
    return arrival;
  }
}
