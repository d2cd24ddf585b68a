// What becomes of many samples.
import assert from 'node:assert/strict';

/** The value below which a share (0 to 1) of the samples lies: always one of the samples. */
export function percentile(samples: readonly number[], share: number): number {
  assert(samples.length > 0, 'a percentile needs samples');
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)]!;
}

/** The middle sample, or the mean of the two in the middle. */
export function median(samples: readonly number[]): number {
  assert(samples.length > 0, 'a median needs samples');
  const sorted = [...samples].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

export function geometricMean(samples: readonly number[]): number {
  assert(
    samples.every((sample) => sample > 0),
    'a geometric mean needs positive samples',
  );
  return Math.exp(samples.reduce((sum, sample) => sum + Math.log(sample), 0) / samples.length);
}

export interface Latency {
  samples: number;
  p50Us: number;
  p99Us: number;
}

/** Of samples in nanoseconds. */
export function latencyOf(samplesNs: readonly number[]): Latency {
  return {
    samples: samplesNs.length,
    p50Us: percentile(samplesNs, 0.5) / 1e3,
    p99Us: percentile(samplesNs, 0.99) / 1e3,
  };
}
