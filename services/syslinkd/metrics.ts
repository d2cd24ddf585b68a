import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { Peers } from './peers/peers.ts';
import type { Connection } from './registry.ts';
import type { Router } from './router.ts';

/** What Prometheus reads of a router. */
export function syslinkdMetrics(
  metrics: Metrics,
  router: Router,
  connections: ReadonlySet<Connection>,
  peers: Peers,
): void {
  metrics.gauges('connected_endpoints', 'Endpoints with a line, by kind', ['kind'], () => {
    const counts = new Map<string, number>();
    for (const { kind, connection } of router.endpoints()) {
      const name = EndpointKind[kind]?.toLowerCase() ?? 'unknown';
      if (connection !== undefined) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return [...counts].map(([kind, value]) => ({ kind, value }));
  });
  const { counters } = router;
  metrics.counter('requests_total', 'Requests that endpoints sent', () => counters.requests);
  metrics.counter('circuit_pieces_total', 'Messages within circuits', () => counters.circuitPieces);
  metrics.gauge('unanswered_requests', 'Requests that their endpoints have not answered yet', () =>
    router.endpoints().reduce((sum, { owed }) => sum + owed.size, 0),
  );
  metrics.gauge(
    'open_circuits',
    'Circuits between endpoints',
    () =>
      // Each has a leg at both ends.
      router.endpoints().reduce((sum, { legs }) => sum + legs.size, 0) / 2,
  );
  metrics.gauge('peer_lines', 'Lines to other routers', () => peers.lines);
  metrics.gauge('reachable_routers', 'Other routers that there is a way to', () => peers.reachable);
  metrics.counter(
    'route_messages_total',
    'Messages about routes sent to other routers',
    () => peers.counters.messages,
  );
  metrics.counter('routes_told_total', 'Targets told of in these', () => peers.counters.targets);
  metrics.gauge('waiting_bytes', 'Bytes that endpoints have not taken yet', () =>
    [...connections].reduce((sum, { waitingBytes }) => sum + waitingBytes, 0),
  );
}
