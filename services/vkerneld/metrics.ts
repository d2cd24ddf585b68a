import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { NamedConnections } from './names/named-connections.ts';
import type { ProcessTable } from './process-table.ts';
import type { VkernelUses } from './vkernel-uses.ts';
import type { Vkernels } from './vkernels.ts';

const nameOf = (state: ProcessState): string => ProcessState[state]?.toLowerCase() ?? 'unknown';

/** What Prometheus reads of a node's supervisor. */
export function vkerneldMetrics(
  metrics: Metrics,
  {
    table,
    vkernels,
    uses,
    named,
  }: { table: ProcessTable; vkernels: Vkernels; uses: VkernelUses; named: NamedConnections },
): void {
  metrics.gauges(
    'known_processes',
    'Processes that run, those that ended lately, and those whose thread does not end',
    ['state'],
    () => {
      const states = [ProcessState.RUNNING, ProcessState.STOPPED, ProcessState.ENDING, ProcessState.EXITED];
      const counts = new Map(states.map((state) => [nameOf(state), 0]));
      for (const { state } of table.list()) {
        const name = nameOf(state);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
      return [...counts].map(([state, value]) => ({ state, value }));
    },
  );
  const running = () => table.running();
  metrics.gauge('process_resident_pages', 'Private pages that running processes touched', () =>
    running().reduce((sum, { residentPages }) => sum + Number(residentPages), 0),
  );
  metrics.gauge('running_vkernels', 'Virtual kernels', () => vkernels.list().length);
  // Those of a node are 64 at most.
  const known = () =>
    vkernels.list().map((child) => ({ vkernel: child.key, child, use: uses.of(child.key) }));
  metrics.counters(
    'vkernel_cpu_seconds_total',
    'Processor time of each virtual kernel, with all that runs in it',
    'vkernel',
    () => known().map(({ vkernel, use }) => [vkernel, use.cpuMs / 1000]),
  );
  metrics.counters(
    'vkernel_throttled_seconds_total',
    'For how long each was held back, as it had all of its processor time',
    'vkernel',
    () => known().map(({ vkernel, child }) => [vkernel, vkernels.throttledMs(child) / 1000]),
  );
  metrics.gauges(
    'vkernel_memory_bytes',
    'Pages of the processes of each, in frames and in swap',
    ['vkernel'],
    () => known().map(({ vkernel, use }) => ({ vkernel, value: use.memoryBytes })),
  );
  metrics.gauges('vkernel_descriptors', 'Descriptors that the processes of each have open', ['vkernel'], () =>
    known().map(({ vkernel, child }) => ({ vkernel, value: child.has.descriptors })),
  );
  metrics.gauges('vkernel_disk_bytes', 'The home of each, where its size is bounded', ['vkernel'], () =>
    known()
      .filter(({ vkernel }) => vkernels.quotas.of(vkernel).diskBytes > 0)
      .map(({ vkernel, child }) => ({ vkernel, value: child.has.diskBytes })),
  );
  metrics.gauges('vkernel_processes', 'Processes that run in each', ['vkernel'], () =>
    known().map(({ vkernel }) => ({ vkernel, value: table.running(vkernel).length })),
  );
  metrics.gauges('vkernel_connections', 'Connections by name of each, of both sides', ['vkernel'], () =>
    known().map(({ vkernel }) => ({ vkernel, value: named.openOf(vkernel) })),
  );
  metrics.gauge('listened_names', 'Names by which programs listen', () => named.names);
  metrics.gauges(
    'vkernel_quota_memory_bytes',
    'What each may have of it, where somebody said',
    ['vkernel'],
    () =>
      known()
        .map(({ vkernel }) => ({ vkernel, value: vkernels.quotas.of(vkernel).memoryBytes }))
        .filter(({ value }) => value > 0),
  );
}
