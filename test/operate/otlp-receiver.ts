// A collector of traces: the service of OpenTelemetry's own .proto files, which keeps what it gets.
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PROTO = 'opentelemetry/proto/collector/trace/v1/trace_service.proto';

export interface ReceivedSpan {
  readonly service: string;
  readonly instance: string;
  readonly trace: string;
  readonly id: string;
  /** Empty: it is the first of its trace. */
  readonly parent: string;
  readonly name: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly links: readonly { trace: string; id: string }[];
  readonly error: string;
}

interface Bytes {
  toString(encoding: 'hex'): string;
}
interface Attribute {
  key: string;
  value: Record<string, unknown> & { value: string };
}
interface Exported {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: {
      spans: {
        traceId: Bytes;
        spanId: Bytes;
        parentSpanId: Bytes;
        name: string;
        startTimeUnixNano: string;
        endTimeUnixNano: string;
        attributes: Attribute[];
        links: { traceId: Bytes; spanId: Bytes }[];
        status: { message: string; code: number } | null;
      }[];
    }[];
  }[];
}

export class OtlpReceiver {
  readonly #server: grpc.Server;
  readonly #spans: ReceivedSpan[] = [];
  readonly port: number;

  private constructor(server: grpc.Server, port: number, spans: ReceivedSpan[]) {
    this.#server = server;
    this.port = port;
    this.#spans = spans;
  }

  static async start(port = 0): Promise<OtlpReceiver> {
    const definition = loadSync(PROTO, {
      includeDirs: [join(import.meta.dirname, 'testdata')],
      ...{ longs: String, defaults: true, oneofs: true },
    });
    const service = definition[
      'opentelemetry.proto.collector.trace.v1.TraceService'
    ] as grpc.ServiceDefinition;
    const server = new grpc.Server();
    const spans: ReceivedSpan[] = [];
    server.addService(service, {
      Export: (call: { request: Exported }, answer: grpc.sendUnaryData<object>) => {
        spans.push(...spansOf(call.request));
        answer(null, {});
      },
    });
    const bound = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, at) =>
        error === null ? resolve(at) : reject(error),
      ),
    );
    return new OtlpReceiver(server, bound, spans);
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get spans(): readonly ReceivedSpan[] {
    return this.#spans;
  }

  /** By the trace that they are of. */
  get traces(): ReceivedSpan[][] {
    return [...Map.groupBy(this.#spans, ({ trace }) => trace).values()];
  }

  close(): void {
    this.#server.forceShutdown();
  }
}

const named = (attributes: Attribute[]): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value[value.value]]));

function* spansOf({ resourceSpans }: Exported): Generator<ReceivedSpan> {
  for (const { resource, scopeSpans } of resourceSpans) {
    const about = named(resource.attributes);
    for (const span of scopeSpans.flatMap(({ spans }) => spans))
      yield {
        service: String(about['service.name']),
        instance: String(about['service.instance.id']),
        ...{ trace: span.traceId.toString('hex'), id: span.spanId.toString('hex') },
        ...{ parent: span.parentSpanId.toString('hex'), name: span.name },
        ...{ startNs: BigInt(span.startTimeUnixNano), endNs: BigInt(span.endTimeUnixNano) },
        attributes: named(span.attributes),
        links: span.links.map((link) => ({
          trace: link.traceId.toString('hex'),
          id: link.spanId.toString('hex'),
        })),
        error: span.status?.message ?? '',
      };
  }
}

/** A trace as a tree of lines: how long each took, who it was, what it did. */
export function treeOf(spans: readonly ReceivedSpan[]): string {
  const ids = new Set(spans.map(({ id }) => id));
  const below = (parent: string | undefined, depth: number): string[] =>
    spans
      .filter((span) => (parent === undefined ? !ids.has(span.parent) : span.parent === parent))
      .sort((a, b) => (a.startNs < b.startNs ? -1 : 1))
      .flatMap((span) => {
        const us = (Number(span.endNs - span.startNs) / 1_000).toFixed(0);
        const what = `${'  '.repeat(depth)}${span.name}`;
        return [`${us.padStart(8)} us  ${what.padEnd(44)} ${span.instance}`, ...below(span.id, depth + 1)];
      });
  return below(undefined, 0).join('\n');
}
