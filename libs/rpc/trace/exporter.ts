// OpenTelemetry's SDK: its queue of spans, and OTLP over gRPC. Loaded only where somebody traces: it takes a tenth of a second.
import { type Link, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace';
import { delay } from '../backoff.ts';
import { RELEASE } from '../wire-version.ts';
import { spanIdOf, type TraceContext, traceIdOf } from './context.ts';
import type { Span } from './span.ts';

/** Spans that wait for the collector. */
export const SPANS_MAX = 4_096;
const BATCH_SPANS = 512;
/** They wait for others that long. */
const BATCH_MS = 1_000;
/** What the collector has not taken by then is dropped. */
export const EXPORT_MS = 5_000;

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};
const SCOPE = { name: 'odonata', version: RELEASE };

export interface ExporterOptions {
  /** Of the collector. */
  readonly url: string;
  readonly service: string;
  readonly instance: string;
  readonly node: string | undefined;
  /** So many were taken, or dropped for an error. */
  onExported(spans: number, error: Error | undefined): void;
}

export class TraceExporter {
  readonly #o: ExporterOptions;
  readonly #processor: BatchSpanProcessor;
  /** By the service and instance that they are of. */
  readonly #resources = new Map<string, Resource>();
  /** The wall clock is so far ahead of the monotonic one. */
  readonly #offsetNs = wallOffsetNs();

  constructor(options: ExporterOptions) {
    this.#o = options;
    const otlp = new OTLPTraceExporter({ url: options.url, timeoutMillis: EXPORT_MS });
    const exporter: SpanExporter = {
      export: (spans, done) =>
        otlp.export(spans, (result) => {
          options.onExported(
            spans.length,
            result.code === 0 ? undefined : (result.error ?? new Error('unknown')),
          );
          done(result);
        }),
      shutdown: () => otlp.shutdown(),
      forceFlush: () => otlp.forceFlush(),
    };
    this.#processor = new BatchSpanProcessor({
      ...{ exporter, maxQueueSize: SPANS_MAX, maxExportBatchSize: BATCH_SPANS },
      ...{ scheduledDelayMillis: BATCH_MS, exportTimeoutMillis: 2 * EXPORT_MS },
    });
  }

  /** Takes a span; whoever calls keeps no more than `SPANS_MAX` of them waiting. */
  take(span: Span): void {
    this.#processor.onEnd(this.#readable(span));
  }

  #readable({ name, kind = 'internal', context, parent, startNs, endNs, ...more }: Span): ReadableSpan {
    const { attributes = {}, links = [], error, of } = more;
    const spanContext = spanContextOf(context);
    return {
      ...{ name, kind: KINDS[kind], spanContext: () => spanContext },
      ...(parent !== undefined && { parentSpanContext: { ...spanContextOf(parent), isRemote: true } }),
      ...{ startTime: this.#timeOf(startNs), endTime: this.#timeOf(endNs) },
      duration: timeOfNs(endNs > startNs ? endNs - startNs : 0n),
      status:
        error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
      attributes: { ...attributes },
      links: links.map((link): Link => ({ context: spanContextOf(link) })),
      ...{ events: [], ended: true, instrumentationScope: SCOPE },
      resource: this.#resourceOf(of?.service ?? this.#o.service, of?.instance ?? this.#o.instance),
      ...{ droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0 },
    };
  }

  #resourceOf(service: string, instance: string): Resource {
    const key = `${service} ${instance}`;
    let resource = this.#resources.get(key);
    if (resource === undefined) {
      // Of one node there are few virtual kernels at a time, and any number in the course of time.
      if (this.#resources.size > 1_000) this.#resources.clear();
      const { node } = this.#o;
      resource = resourceFromAttributes({
        ...{ 'service.name': service, 'service.instance.id': instance, 'service.namespace': 'odonata' },
        ...{ 'service.version': RELEASE, ...(node !== undefined && { 'odonata.node': node }) },
      });
      this.#resources.set(key, resource);
    }
    return resource;
  }

  #timeOf(ns: bigint): [number, number] {
    return timeOfNs(ns + this.#offsetNs);
  }

  /** Sends what waits, for so long at most. */
  async close(timeoutMs: number): Promise<void> {
    const sent = this.#processor.forceFlush().catch(() => {}); // told by onExported
    await Promise.race([sent, delay(timeoutMs)]);
  }
}

const timeOfNs = (ns: bigint): [number, number] => [Number(ns / 1_000_000_000n), Number(ns % 1_000_000_000n)];

const spanContextOf = (context: TraceContext): SpanContext => ({
  ...{ traceId: traceIdOf(context), spanId: spanIdOf(context), traceFlags: TraceFlags.SAMPLED },
});

/**
 * Where two processes of one machine must agree to microseconds on what came first, a clock of milliseconds is read where it
 * turns to the next one.
 */
function wallOffsetNs(): bigint {
  const from = Date.now();
  let now = from;
  while (now === from) now = Date.now();
  return BigInt(now) * 1_000_000n - process.hrtime.bigint();
}
