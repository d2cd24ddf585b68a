// Over plain HTTP, for Prometheus and for probes: /metrics, /healthz (the process answers), /readyz (it can serve).
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ListenError, splitAddress } from './address.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { ownTracer } from './trace/own.ts';

export interface MetricsServer {
  /** What it is bound to; empty when it is off. */
  readonly address: string;
  /** Why the service cannot serve now; undefined when it can. */
  notReady: () => string | undefined;
  close(): Promise<void>;
}

export interface MetricsServerOptions {
  /** `host:port`, port 0: any; empty: off. */
  readonly listen: string;
  readonly metrics: Metrics;
  /** Until it is told another one. */
  readonly notReady: () => string | undefined;
  readonly log: Logger;
}

/** Where it traces. */
function countTraces(metrics: Metrics): void {
  const tracer = ownTracer();
  if (tracer === undefined) return;
  metrics.counter('trace_spans_sent_total', 'Spans that the collector took', () => tracer.sent);
  const dropped = 'Spans that were dropped: too many waited, or the collector did not take them';
  metrics.counter('trace_spans_dropped_total', dropped, () => tracer.dropped);
}

export async function serveMetrics(options: MetricsServerOptions): Promise<MetricsServer> {
  const { listen, metrics, notReady, log } = options;
  if (listen === '') return { address: '', notReady, close: async () => {} };
  const { host, port } = splitAddress(listen);
  // Not imported where it is off: to a module, Node gives its WebSocket client with it, a twentieth of a service's start.
  const { createServer } = await import('node:http');
  metrics.watchProcess();
  countTraces(metrics);
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answer(response, 405, 'GET /metrics, /healthz or /readyz\n');
    } else if (path === '/metrics') {
      metrics.registry.metrics().then(
        (text) => answer(response, 200, text, metrics.registry.contentType),
        (error) => {
          log.error({ err: error }, 'metrics cannot be read');
          answer(response, 500, 'metrics cannot be read; see the log\n');
        },
      );
    } else if (path === '/healthz') {
      answer(response, 200, 'ok\n');
    } else if (path === '/readyz') {
      const reason = metricsServer.notReady();
      answer(response, reason === undefined ? 200 : 503, `${reason ?? 'ok'}\n`);
    } else {
      answer(response, 404, 'there are /metrics, /healthz and /readyz\n');
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(listen, 'metrics-listen', error)));
    server.listen({ host, port }, resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  const address = `${listen.slice(0, listen.lastIndexOf(':'))}:${bound}`;
  log.info({ address }, 'metrics');
  const metricsServer: MetricsServer = {
    address,
    notReady,
    async close() {
      metrics.close();
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
  return metricsServer;
}

function answer(response: ServerResponse, status: number, text: string, type = 'text/plain'): void {
  response.writeHead(status, { 'content-type': type });
  response.end(text);
}
