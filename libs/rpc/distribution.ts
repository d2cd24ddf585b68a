// Distributions that something else counts, as Prometheus reads them: prom-client's own want to be told each value, which costs
// a fault more than all the rest of its count.
import type { Metric } from 'prom-client';

export interface HistogramReading {
  readonly labels: Readonly<Record<string, string>>;
  /** How many values were at most `bounds[i]` and above the bound before; one more at the end, for what is above all. */
  readonly counts: readonly number[];
  readonly sum: number;
}

export interface SummaryReading {
  readonly quantiles: readonly (readonly [quantile: number, value: number])[];
  readonly sum: number;
  readonly count: number;
}

interface Sample {
  metricName: string;
  labels: Readonly<Record<string, string>>;
  value: number;
}

export interface About {
  readonly name: string;
  readonly help: string;
}

const metricOf = ({ name, help }: About, type: 'histogram' | 'summary', values: () => Sample[]): Metric =>
  ({ name, help, type, get: async () => ({ name, help, type, values: values() }) }) as unknown as Metric;

export const histogramOf = (
  about: About,
  bounds: readonly number[],
  read: () => readonly HistogramReading[],
): Metric =>
  metricOf(about, 'histogram', () => read().flatMap((each) => histogram(about.name, bounds, each)));

function histogram(name: string, bounds: readonly number[], reading: HistogramReading): Sample[] {
  const { labels, counts, sum } = reading;
  let count = 0;
  const buckets = [...bounds, Number.POSITIVE_INFINITY].map((bound, i) => {
    count += counts[i]!;
    const le = bound === Number.POSITIVE_INFINITY ? '+Inf' : String(bound);
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}

export const summaryOf = (about: About, read: () => SummaryReading): Metric =>
  metricOf(about, 'summary', () => {
    const { quantiles, sum, count } = read();
    return [
      ...quantiles.map(([quantile, value]) => ({
        metricName: about.name,
        labels: { quantile: String(quantile) },
        value,
      })),
      { metricName: `${about.name}_sum`, labels: {}, value: sum },
      { metricName: `${about.name}_count`, labels: {}, value: count },
    ];
  });
