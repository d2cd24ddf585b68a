// What Prometheus reads of services on a node.
import type { Metrics } from '@odonata/rpc/metrics.ts';
import { STATES } from '@odonata/services/record.ts';
import type { Keeping } from './keeping.ts';

export function serviceMetrics(metrics: Metrics, keeping: Keeping): void {
  metrics.gauges('service_instances', 'Instances of services here, by their state', ['state'], () => {
    const { states } = keeping;
    return STATES.map((state) => ({ state, value: states.get(state) ?? 0 }));
  });
  metrics.gauge('held_service_leases', '1: this node may run instances of services', () =>
    keeping.holdsLease ? 1 : 0,
  );
  metrics.counter(
    'service_starts_total',
    'Instances of services that began to run here',
    () => keeping.counts.starts,
  );
  metrics.counter('service_ends_total', 'Instances of services that ended here', () => keeping.counts.ends);
  metrics.counter(
    'service_moves_total',
    'Instances of services that this node took from another one',
    () => keeping.counts.moves,
  );
}
