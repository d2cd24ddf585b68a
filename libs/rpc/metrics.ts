// What a service tells Prometheus. Every name is odonata_<service>_<what>_<unit>, where a counter's unit is `total`.
// Values are read when somebody asks: what counts already is not counted twice.
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { bugsMet } from './bug.ts';
import { type HistogramReading, histogramOf, summaryOf } from './distribution.ts';
import { heapBytes, residentBytes } from './heap.ts';
import type { CallMeter } from './served-call.ts';

/** A value for each value of a label. */
export type Readings = Iterable<readonly [label: string, value: number]>;

const DELAY_RESOLUTION_MS = 20;
const QUANTILES = [0.5, 0.9, 0.99] as const;
/** From a call that touches memory only to one that waits for a lease. */
const DURATION_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export class Metrics {
  readonly registry = new Registry();
  readonly #prefix: string;
  #delay: IntervalHistogram | undefined;

  constructor(service: string) {
    this.#prefix = `odonata_${service}_`;
  }

  /** `what` ends in `_total`. */
  counter(what: string, help: string, read: () => number): void {
    new Counter({
      ...this.#about(what, help),
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  /** One counter with a label. */
  counters(what: string, help: string, label: string, read: () => Readings): void {
    new Counter({
      ...this.#about(what, help),
      labelNames: [label],
      collect() {
        this.reset();
        for (const [name, value] of read()) this.inc({ [label]: name }, value);
      },
    });
  }

  gauge(what: string, help: string, read: () => number): void {
    new Gauge({
      ...this.#about(what, help),
      collect() {
        this.set(read());
      },
    });
  }

  /** A gauge that has no value at times, and then is not told: zero would be one. */
  optionalGauge(what: string, help: string, read: () => number | undefined): void {
    new Gauge({
      ...this.#about(what, help),
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  }

  /** One gauge with labels. */
  gauges(what: string, help: string, labels: readonly string[], read: () => LabelledValue[]): void {
    new Gauge({
      ...this.#about(what, help),
      labelNames: [...labels],
      collect() {
        this.reset();
        for (const { value, ...named } of read()) this.set(named as Record<string, string>, value);
      },
    });
  }

  /** One histogram with labels. `bounds` rise; what the values are in is the end of `what`. */
  histograms(
    what: string,
    help: string,
    bounds: readonly number[],
    read: () => readonly HistogramReading[],
  ): void {
    this.registry.registerMetric(histogramOf(this.#named(what, help), bounds, read));
  }

  /** Counts and times the calls of a server. Streams are counted; how long they live says nothing. */
  callMeter(): CallMeter {
    const labelNames = ['method', 'code'];
    const requests = new Counter({
      ...this.#about('rpc_requests_total', 'Calls and streams that ended'),
      labelNames,
    });
    const durations = new Histogram({
      ...this.#about('rpc_duration_seconds', 'Time from the arrival of a call to its answer'),
      labelNames,
      buckets: DURATION_BUCKETS_SECONDS,
    });
    const running = new Gauge(this.#about('rpc_running_calls', 'Calls and streams that run now'));
    return {
      began: () => running.inc(),
      ended: (method, code, seconds, stream) => {
        running.dec();
        requests.inc({ method, code });
        if (!stream) durations.observe({ method, code }, seconds);
      },
    };
  }

  /** Of the process: memory, CPU time, and how late its event loop runs. */
  watchProcess(): void {
    const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    delay.enable();
    this.#delay = delay;
    this.counter('process_cpu_seconds_total', 'CPU time, user and system', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    this.gauge(
      'process_resident_bytes',
      'Resident memory of the process',
      () => residentBytes() ?? Number.NaN,
    );
    this.counter('bugs_total', 'Bugs met in serving a peer, which was not served further', bugsMet);
    this.gauge('process_heap_bytes', 'JavaScript heap in use', heapBytes);
    this.gauge('process_start_time_seconds', 'Start of the process, seconds since 1970', () =>
      Math.round(performance.timeOrigin / 1000),
    );
    this.#watchDelay(delay);
  }

  #watchDelay(delay: IntervalHistogram): void {
    // The histogram has the time between two timers; what is over the timer's own is delay.
    const overdue = (betweenNs: number) => Math.max(0, betweenNs / 1e9 - DELAY_RESOLUTION_MS / 1e3);
    let count = 0;
    let sum = 0;
    const help = 'How late timers ran: quantiles since the last scrape, count and sum since the start';
    const summary = summaryOf(this.#named('event_loop_delay_seconds', help), () => {
      const quantiles = QUANTILES.map((each) => [each, overdue(delay.percentile(each * 100))] as const);
      if (delay.count > 0) {
        count += delay.count;
        sum += delay.count * overdue(delay.mean);
      }
      delay.reset();
      return { quantiles, count, sum };
    });
    this.registry.registerMetric(summary);
  }

  close(): void {
    this.#delay?.disable();
  }

  #about(what: string, help: string) {
    return { ...this.#named(what, help), registers: [this.registry] };
  }

  #named(what: string, help: string) {
    return { name: this.#prefix + what, help };
  }
}

export type LabelledValue = { readonly value: number } & { readonly [label: string]: string | number };
