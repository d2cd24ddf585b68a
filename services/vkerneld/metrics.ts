import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { ProcessTable } from './process-table.ts';
import type { Vkernels } from './vkernels.ts';

const nameOf = (state: ProcessState): string => ProcessState[state]?.toLowerCase() ?? 'unknown';

/** What Prometheus reads of a node's supervisor. */
export function vkerneldMetrics(metrics: Metrics, table: ProcessTable, vkernels: Vkernels): void {
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
}
