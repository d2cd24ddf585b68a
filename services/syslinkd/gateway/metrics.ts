import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { PeerMeter } from './peer-meter.ts';
import type { Policy } from './policy.ts';
import type { Sessions } from './sessions.ts';

/** What Prometheus reads of a gateway: by the cluster at the other end. */
export function gatewayMetrics(metrics: Metrics, policy: () => Policy, sessions: Sessions): void {
  const counters: readonly [string, string, (meter: PeerMeter) => number][] = [
    [
      'received_messages_total',
      'Requests and circuits that a cluster asked for and got',
      (m) => m.receivedMessages,
    ],
    ['sent_messages_total', 'Requests and circuits that a cluster was asked for', (m) => m.sentMessages],
    ['received_bytes_total', 'Bytes that came of a cluster', (m) => m.receivedBytes],
    ['sent_bytes_total', 'Bytes that went to a cluster', (m) => m.sentBytes],
    ['refused_total', 'Requests and circuits of a cluster that the policy refused', (m) => m.refused],
    [
      'rate_limited_total',
      'Requests that were refused, and reads that waited, as it was too much',
      (m) => m.rateLimited,
    ],
    [
      'dropped_hellos_total',
      'Hellos of earlier sessions, sent again, or of another session',
      (m) => m.droppedHellos,
    ],
    ['lent_pages_total', 'Pages that were lent to a cluster', (m) => m.lentPages],
    ['borrowed_pages_total', 'Pages that a cluster lent', (m) => m.borrowedPages],
    [
      'overdue_pages_total',
      'Pages that a writer got when the lease of a cluster had ended',
      (m) => m.overduePages,
    ],
    [
      'lost_pages_total',
      'Pages that were written on one side, and never came to the other one',
      (m) => m.lostPages,
    ],
    ['false_pages_total', 'Lines that ended for what a cluster said of pages', (m) => m.falsePages],
    ['strays_total', 'Frames for requests and circuits that are not there', (m) => m.strays],
  ];
  const names = () => [...policy().peers.keys()];
  for (const [what, help, read] of counters)
    metrics.counters(what, help, 'peer', () =>
      names().map((peer) => [peer, read(sessions.meter(peer))] as const),
    );
  metrics.gauges('connected_peers', '1 where the line to a cluster is up', ['peer'], () =>
    names().map((peer) => ({ peer, value: sessions.of(peer) === undefined ? 0 : 1 })),
  );
  metrics.gauges('open_circuits', 'Circuits to and from a cluster', ['peer'], () =>
    names().map((peer) => ({ peer, value: sessions.of(peer)?.circuits ?? 0 })),
  );
  metrics.gauges('waiting_bytes', 'Bytes that a cluster has not taken yet', ['peer'], () =>
    names().map((peer) => ({ peer, value: sessions.of(peer)?.waitingBytes ?? 0 })),
  );
}
