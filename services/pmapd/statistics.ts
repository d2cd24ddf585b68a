// Counters and latencies of a node.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import type { FaultPlace as ServedPlace } from '@odonata/coherency/node/memory/waiting.ts';

/** Where a fault was served: in its virtual kernel alone, or as the core says. */
type FaultPlace = ServedPlace | 'vkernel';

/** From a fault that its virtual kernel serves to one that waits for the end of a lease. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 1, 5, 30,
];

/** What a scrape wants to know of the faults of one place: `counts[i]` took at most LATENCY_BOUNDS_SECONDS[i]. */
class LatencyBuckets {
  readonly counts: number[] = Array(LATENCY_BOUNDS_SECONDS.length + 1).fill(0);
  sumSeconds = 0;

  record(seconds: number): void {
    let i = 0;
    while (i < LATENCY_BOUNDS_SECONDS.length && seconds > LATENCY_BOUNDS_SECONDS[i]!) i++;
    this.counts[i]!++;
    this.sumSeconds += seconds;
  }
}

interface Latencies {
  /** Exact to three figures, since the start. */
  readonly histogram: RecordableHistogram;
  readonly buckets: LatencyBuckets;
}

export class Statistics {
  pagesIn = 0;
  pagesOut = 0;
  invalidations = 0;
  /** Pmaps of vmspaces that were emptied because somebody wanted that. */
  pmapFlushes = 0;
  /** Accesses that became errors since their page is LOST. */
  lostAccesses = 0;
  private readonly counts = new Map<FaultPlace, number>();
  private readonly latencies = new Map<FaultPlace, Latencies>();

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
    let latencies = this.latencies.get(place);
    if (latencies === undefined) {
      const histogram = createHistogram({ lowest: 1, highest: 3_600_000_000_000, figures: 3 });
      latencies = { histogram, buckets: new LatencyBuckets() };
      this.latencies.set(place, latencies);
    }
    latencies.histogram.record(Math.max(1, Math.round(latencyNs)));
    latencies.buckets.record(Math.max(0, latencyNs) / 1e9);
  }

  /** Of the faults that were timed, by place. */
  *latencyBuckets(): Generator<readonly [FaultPlace, LatencyBuckets]> {
    for (const [place, { buckets }] of this.latencies) yield [place, buckets];
  }

  summary(): Record<string, { count: bigint; p50Us: number; p99Us: number }> {
    const faults: Record<string, { count: bigint; p50Us: number; p99Us: number }> = {};
    for (const [place, count] of this.counts) {
      const histogram = this.latencies.get(place)?.histogram;
      faults[place] = {
        count: BigInt(count),
        p50Us: (histogram?.percentile(50) ?? 0) / 1e3,
        p99Us: (histogram?.percentile(99) ?? 0) / 1e3,
      };
    }
    return faults;
  }
}
