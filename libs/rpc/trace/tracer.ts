// Spans on their way to a collector: a bounded number of them waits, what is more is dropped and counted. That there is no
// collector harms nobody: it is one line in the log, until there is one again.
import type { Logger } from '../log.ts';
import { spanIdOf, traceIdOf } from './context.ts';
import { EXPORT_MS, SPANS_MAX, TraceExporter } from './exporter.ts';
import type { Span } from './span.ts';

export interface TracerOptions {
  /** Of the collector: host:port, http://host:port or https://host:port. */
  readonly collector: string;
  /** What it is, as pmapd. */
  readonly service: string;
  /** Which one, as node1/pmapd. */
  readonly instance: string;
  readonly node?: string | undefined;
  readonly log: Logger;
}

export class Tracer {
  readonly #log: Logger;
  readonly #exporter: TraceExporter;
  readonly #instance: string;
  #waiting = 0;
  #inTrouble = false;
  sent = 0;
  dropped = 0;

  constructor({ collector, service, instance, node, log }: TracerOptions) {
    this.#log = log;
    this.#instance = instance;
    this.#exporter = new TraceExporter({
      url: urlOf(collector),
      ...{ service, instance, node },
      onExported: (spans, error) => this.#exported(spans, error, collector),
    });
  }

  record(span: Span): void {
    if (this.#log.isLevelEnabled('debug')) {
      const about = { trace_id: traceIdOf(span.context), span_id: spanIdOf(span.context) };
      const { name, startNs, endNs, of } = span;
      const service = of?.instance ?? this.#instance;
      this.#log.debug({ ...about, service, durationUs: Number(endNs - startNs) / 1_000 }, `span: ${name}`);
    }
    if (this.#waiting >= SPANS_MAX) {
      this.dropped++;
      return;
    }
    this.#waiting++;
    this.#exporter.take(span);
  }

  #exported(spans: number, error: Error | undefined, collector: string): void {
    this.#waiting -= spans;
    if (error === undefined) {
      this.sent += spans;
      if (this.#inTrouble) this.#log.info({ collector }, 'the collector takes spans again');
      this.#inTrouble = false;
      return;
    }
    this.dropped += spans;
    if (!this.#inTrouble)
      this.#log.warn(
        { collector, reason: error.message },
        'the collector takes no spans, and they are dropped',
      );
    this.#inTrouble = true;
  }

  /** Sends what waits. */
  async close(): Promise<void> {
    await this.#exporter.close(EXPORT_MS / 2);
  }
}

const urlOf = (collector: string): string =>
  /^https?:\/\//.test(collector) ? collector : `http://${collector}`;
