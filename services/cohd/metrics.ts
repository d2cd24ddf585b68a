import type { Bus } from '@odonata/bus/bus.ts';
import { lostPages } from '@odonata/coherency/replica/losses.ts';
import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { CoherencyService } from './coherency-service.ts';
import type { Registry } from './registry.ts';

/** What Prometheus reads of a directory. */
export function cohdMetrics(
  metrics: Metrics,
  service: CoherencyService,
  registry: Registry,
  bus: Pick<Bus, 'refusals'>,
): void {
  metrics.counter('nats_refusals_total', 'What NATS did not let this service do', () => bus.refusals);
  metrics.counter('acquires_total', 'Requests for pages', () => service.counters.acquires);
  metrics.counters('granted_pages_total', 'Pages granted, by the state they were granted in', 'state', () =>
    Object.entries(service.grantedPages),
  );
  metrics.counter(
    'recalls_total',
    'Orders to an owner to send a page to another holder',
    () => service.counters.recalls,
  );
  metrics.counter(
    'invalidations_total',
    'Pages that sharers had to give up',
    () => service.counters.invalidations,
  );
  metrics.counter('invalidation_resends_total', 'Invalidations sent again', () => service.counters.resends);
  metrics.gauge('attached_holders', 'Pmap managers that live', () => service.holders.all().length);
  metrics.gauge('registered_dataspaces', 'Shared dataspaces', () => registry.list().length);
  const lost = (durable: boolean) => (): number =>
    registry
      .list()
      .filter((record) => record.durable === durable)
      .reduce((sum, record) => sum + lostPages(record, service), 0);
  metrics.gauge(
    'lost_pages',
    'Pages of dataspaces without a backing store that died with their nodes, of shards that this replica leads',
    lost(false),
  );
  metrics.gauge(
    'unresident_durable_pages',
    'Pages of durable dataspaces that no node has: stored, or LOST where they were never synced',
    lost(true),
  );
  metrics.gauge(
    'incomplete_dataspaces',
    'Dataspaces with a load that has not ended',
    () => registry.list().filter(({ load }) => load !== undefined).length,
  );
  metrics.gauge('held_locks', 'Range locks that are held', () =>
    registry.list().reduce((sum, { id }) => sum + (service.home(id)?.sync.lockCount(id) ?? 0), 0),
  );
  metrics.gauge('led_shards', 'Shards of the page space that this replica leads', () => service.led.length);
  metrics.gauge('total_shards', 'Shards of the page space, of all replicas', () => service.shards);
  metrics.gauge('parked_events', 'Events that wait for the end of a rebuild', () => service.parkedEvents);
}
