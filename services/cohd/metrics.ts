import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { CoherencyService } from './coherency-service.ts';
import type { Registry } from './registry.ts';
import type { ShardLeader } from './shard-leader.ts';

/** What Prometheus reads of a replica of the directory. */
export function cohdMetrics(metrics: Metrics, service: CoherencyService, registry: Registry): void {
  const counters = new ShardCounters(() => service.led);
  const counter = (what: string, help: string, name: keyof ShardLeader['directory']['counters']) =>
    metrics.counter(what, help, () => counters.totals().get(name) ?? 0);
  counter('acquires_total', 'Requests for pages', 'acquires');
  counter('recalls_total', 'Orders to an owner to send a page to another holder', 'recalls');
  counter('invalidations_total', 'Pages that sharers had to give up', 'invalidations');
  counter('invalidation_resends_total', 'Invalidations sent again', 'resends');
  metrics.counters('granted_pages_total', 'Pages granted, by the state they were granted in', 'state', () =>
    [...counters.totals()].flatMap(([name, value]) =>
      name.startsWith(GRANTED) ? [[name.slice(GRANTED.length), value] as const] : [],
    ),
  );
  metrics.gauge('led_shards', 'Shards that this replica leads', () => service.led.length);
  metrics.gauge('attached_holders', 'Pmap managers that live', () => service.holders.all().length);
  metrics.gauge('registered_dataspaces', 'Shared dataspaces', () => registry.list().length);
  metrics.gauge('held_locks', 'Range locks that are held in shards that this replica leads', () =>
    service.led.reduce(
      (sum, { sync }) => sum + registry.list().reduce((of, { id }) => of + sync.lockCount(id), 0),
      0,
    ),
  );
  metrics.gauge('parked_events', 'Events that wait for a rebuild or for a dataspace', () =>
    service.led.reduce((sum, { parkedEvents }) => sum + parkedEvents, 0),
  );
}

const GRANTED = 'granted ';

/** Sums over shards that never fall: what a shard had counted stays when another replica leads it. */
class ShardCounters {
  readonly #led: () => ShardLeader[];
  /** Of shards that were led at the last look. */
  readonly #seen = new Map<ShardLeader, Map<string, number>>();
  readonly #past = new Map<string, number>();

  constructor(led: () => ShardLeader[]) {
    this.#led = led;
  }

  totals(): Map<string, number> {
    const led = this.#led();
    for (const [leader, counted] of this.#seen) {
      if (led.includes(leader)) continue;
      this.#seen.delete(leader);
      add(this.#past, counted);
    }
    const totals = new Map(this.#past);
    for (const leader of led) {
      const granted = Object.entries(leader.grantedPages).map(
        ([state, pages]) => [GRANTED + state, pages] as const,
      );
      const counted = new Map([...Object.entries(leader.directory.counters), ...granted]);
      this.#seen.set(leader, counted);
      add(totals, counted);
    }
    return totals;
  }
}

function add(to: Map<string, number>, counted: ReadonlyMap<string, number>): void {
  for (const [name, value] of counted) to.set(name, (to.get(name) ?? 0) + value);
}
