import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { CoherencyService } from './coherency-service.ts';
import type { Registry } from './registry.ts';

/** What Prometheus reads of a directory. */
export function cohdMetrics(metrics: Metrics, service: CoherencyService, registry: Registry): void {
  const { counters } = service.directory;
  metrics.counter('acquires_total', 'Requests for pages', () => counters.acquires);
  metrics.counters('granted_pages_total', 'Pages granted, by the state they were granted in', 'state', () =>
    Object.entries(service.grantedPages),
  );
  metrics.counter(
    'recalls_total',
    'Orders to an owner to send a page to another holder',
    () => counters.recalls,
  );
  metrics.counter('invalidations_total', 'Pages that sharers had to give up', () => counters.invalidations);
  metrics.counter('invalidation_resends_total', 'Invalidations sent again', () => counters.resends);
  metrics.gauge('attached_holders', 'Pmap managers that live', () => service.holders.all().length);
  metrics.gauge('registered_dataspaces', 'Shared dataspaces', () => registry.list().length);
  metrics.gauge('held_locks', 'Range locks that are held', () =>
    registry.list().reduce((sum, { id }) => sum + service.sync.lockCount(id), 0),
  );
  metrics.gauge('parked_events', 'Events that wait for the end of a rebuild', () => service.parkedEvents);
}
