// Counters and latencies of a node.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { FaultPlace as ServedPlace } from '@odonata/coherency/node/waiting.ts';

/** Where a fault was served: in its virtual kernel alone, or as the core says. */
type FaultPlace = ServedPlace | 'vkernel';

export class Statistics {
  pagesIn = 0;
  pagesOut = 0;
  invalidations = 0;
  /** Pmaps of vmspaces that were emptied because somebody wanted that. */
  pmapFlushes = 0;
  /** Accesses that became errors since their page is LOST. */
  lostAccesses = 0;
  private readonly counts = new Map<FaultPlace, number>();
  private readonly latencies = new Map<FaultPlace, RecordableHistogram>();

  /** One fault, with the nanoseconds from its arrival at the handler to the waking of the guest. */
  fault(place: FaultPlace, latencyNs: number): void {
    this.counts.set(place, (this.counts.get(place) ?? 0) + 1);
    this.sample(place, latencyNs);
  }

  /** Faults of which only some were timed. */
  faults(place: FaultPlace, count: number, samplesNs: readonly number[]): void {
    this.counts.set(place, (this.counts.get(place) ?? 0) + count);
    for (const ns of samplesNs) this.sample(place, ns);
  }

  private sample(place: FaultPlace, latencyNs: number): void {
    let histogram = this.latencies.get(place);
    if (histogram === undefined) {
      histogram = createHistogram({ lowest: 1, highest: 3_600_000_000_000, figures: 3 });
      this.latencies.set(place, histogram);
    }
    histogram.record(Math.max(1, Math.round(latencyNs)));
  }

  summary(): Record<string, { count: bigint; p50Us: number; p99Us: number }> {
    const faults: Record<string, { count: bigint; p50Us: number; p99Us: number }> = {};
    for (const [place, count] of this.counts) {
      const histogram = this.latencies.get(place);
      faults[place] = {
        count: BigInt(count),
        p50Us: (histogram?.percentile(50) ?? 0) / 1e3,
        p99Us: (histogram?.percentile(99) ?? 0) / 1e3,
      };
    }
    return faults;
  }
}
