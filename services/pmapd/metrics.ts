import type { Bus } from '@odonata/bus/bus.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { Metrics } from '@odonata/rpc/metrics.ts';
import type { Node } from './node.ts';
import { LATENCY_BOUNDS_SECONDS } from './statistics.ts';

/** What Prometheus reads of a node. */
export function pmapdMetrics(metrics: Metrics, node: Node, bus: Pick<Bus, 'refusals'>): void {
  metrics.counter('nats_refusals_total', 'What NATS did not let this service do', () => bus.refusals);
  const { statistics, frames, memory, sessions } = node;
  const faults = () => Object.entries(statistics.summary());
  metrics.counters('faults_total', 'Faults, by where they were served', 'place', () =>
    faults().map(([place, { count }]) => [place, Number(count)]),
  );
  const help =
    'From the arrival of a fault at its handler to the waking of the guest, of those that were timed';
  metrics.histograms('fault_latency_seconds', help, LATENCY_BOUNDS_SECONDS, () =>
    [...statistics.latencyBuckets()].map(([place, { counts, sumSeconds }]) => ({
      labels: { place },
      counts,
      sum: sumSeconds,
    })),
  );
  metrics.counter('pages_in_total', 'Pages that came from other nodes', () => statistics.pagesIn);
  metrics.counter('pages_out_total', 'Pages sent to other nodes', () => statistics.pagesOut);
  const { transfers } = node;
  metrics.counter(
    'transfers_resumed_total',
    'Lines to other nodes that broke and went on',
    () => transfers.resumed,
  );
  metrics.counter(
    'transfer_messages_again_total',
    'Messages of pages that were sent a second time',
    () => transfers.sentAgain,
  );
  const dropped =
    'Pages that were not sent, since too many wait for that node, or its line was away: they are recalled again';
  metrics.counter('transfer_dropped_pages_total', dropped, () => transfers.droppedPages);
  metrics.counter(
    'transfer_spoilt_messages_total',
    'Messages of pages that did not fit their checksum',
    () => node.spoilt.count,
  );
  metrics.gauge(
    'transfer_window_bytes',
    'Pages that may be on their way to other nodes',
    () => transfers.tally.windowBytes,
  );
  metrics.gauge(
    'transfer_in_flight_bytes',
    'Pages that are on their way',
    () => transfers.tally.inFlightBytes,
  );
  metrics.gauge('transfer_waiting_bytes', 'Pages that wait to be sent', () => transfers.tally.waitingBytes);
  metrics.counter('invalidations_total', 'Pages given up for a writer', () => statistics.invalidations);
  metrics.counter('pmap_flushes_total', 'Pmaps emptied: vkctl pmap flush', () => statistics.pmapFlushes);
  metrics.counter(
    'lost_accesses_total',
    'Accesses that became errors since their page is LOST',
    () => statistics.lostAccesses,
  );
  metrics.gauge('total_frames', 'Frames that the node hands out', () => frames.total);
  metrics.gauge(
    'lodger_frames',
    'Frames that other clusters have, which lodge on this machine',
    () => frames.othersFrames,
  );
  metrics.gauge('private_frames', 'Frames granted for private memory', () => frames.privateFrames);
  metrics.gauge('shared_resident_pages', 'Pages of shared dataspaces that are here', () =>
    memory.residentPages(),
  );
  metrics.gauge('image_pages', 'Pages of images of programs', () => node.images.frames);
  metrics.gauge('attached_vkernels', 'Virtual kernels with a session', () => sessions.size);
  metrics.gauge('live_vmspaces', 'Address spaces of processes', () =>
    [...sessions].reduce((sum, session) => sum + session.vmspaces.size, 0),
  );
  metrics.gauge(
    'contended_pages',
    'Pages that other nodes had to give within the last half minute',
    () => node.hotPages.size,
  );
  metrics.gauge('waiting_faults', 'Faults that wait for a page of another node', () =>
    [...memory.all()].reduce((sum, { waiting }) => sum + waiting.count, 0),
  );
  const overdue = 'Faults that have waited for some seconds: vkctl ps and vkctl events say for what';
  metrics.gauge('overdue_faults', overdue, () => node.overdue.all().length);
  pageoutMetrics(metrics, node);
  poolMetrics(metrics, node);
  node.events.countIn(metrics);
  node.security.countIn(metrics);
  node.limits.countIn(metrics);
  metrics.gauge('handmade_vmspaces', 'Vmspaces that people made by hand', () => node.handmade.count);
  metrics.gauge('handmade_frames', 'Frames of their private memory', () => node.handmade.privatePages);
  metrics.gauge('vmspace_watch_calls', 'Streams of events of vmspaces', () => node.watches.size);
  metrics.counters('sync_failures_total', 'Syncs that were not stored, by reason', 'code', () => [
    ...node.backing.failures,
  ]);
  metrics.optionalGauge(
    'store_disk_free_bytes',
    'Free disk under the NATS server, where it is here',
    () => node.backing.diskFreeBytes,
  );
  metrics.gauge('directory_connected_lines', '1 while the directory has this node as a holder', () =>
    node.line.connected ? 1 : 0,
  );
}

function poolMetrics(metrics: Metrics, node: Node): void {
  const { counts } = node.dataspacePageout;
  const { counts: ofPrivate } = node.pageout;
  metrics.gauge(
    'pool_neighbour_pages',
    'Private pages of its processes that are at neighbours',
    () => node.pageout.awayPages,
  );
  const lodged = 'Private pages of processes of other nodes that are here';
  metrics.gauge('pool_lodged_pages', lodged, () => node.lodged.pages);
  const givenBack = 'Those of them that it gave back, since it needed its frames itself';
  metrics.counter('pool_given_back_total', givenBack, () => node.lodged.givenBack);
  metrics.counter(
    'pool_neighbour_outs_total',
    'Private pages that went to a neighbour',
    () => ofPrivate.neighbourOuts,
  );
  metrics.counter(
    'pool_neighbour_ins_total',
    'Private pages that came back from a neighbour',
    () => ofPrivate.neighbourIns,
  );
  metrics.counter(
    'pool_given_pages_total',
    'Pages of dataspaces that neighbours took, since this node was short of frames',
    () => counts.given,
  );
  const spared = 'Copies of pages that the directory was told this node could do without';
  metrics.counter('pool_spared_pages_total', spared, () => counts.spared);
  const refused = 'Offers of pages that a neighbour took not';
  metrics.counter('pool_offers_refused_total', refused, () => counts.refused);
}

// Zeros where the node has no swap.
function pageoutMetrics(metrics: Metrics, { pageout }: Node): void {
  const { counts } = pageout;
  metrics.gauge(
    'pageout_active_pages',
    'Private pages of paged processes that are mapped',
    () => pageout.activePages,
  );
  const inactive = 'Those that are out of the page tables, and leave unless they are used';
  metrics.gauge('pageout_inactive_pages', inactive, () => pageout.inactivePages);
  metrics.counter(
    'pageout_activations_total',
    'Inactive pages that were used again',
    () => counts.activations,
  );
  metrics.counter('pageouts_total', 'Private pages that were written to swap', () => counts.pageouts);
  metrics.counter('pageout_dropped_total', 'Pages of zeros that left', () => counts.dropped);
  metrics.counter('swap_ins_total', 'Private pages that came back from swap', () => counts.swapIns);
  const refaults = 'Those of them that had better stayed: before as many others had left as there are frames';
  metrics.counter('refaults_total', refaults, () => counts.refaults);
  metrics.gauge('swap_used_bytes', 'Bytes in swap', () => (pageout.swap?.usedSlots ?? 0) * PAGE_BYTES);
  metrics.gauge('swap_size_bytes', 'Bytes that swap may have', () => (pageout.swap?.slots ?? 0) * PAGE_BYTES);
}
