// The tables of vkctl status.
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import type { GetDirectoryStatsResponse } from '@odonata/proto/coherency/v1/coherency';
import type { DataspaceLoss, FaultCounter, GetNodeStatsResponse } from '@odonata/proto/pmap/v1/pmap';
import type { Vkernel } from '@odonata/proto/vkernel/v1/vkernel';
import type { ServiceRecord } from '../cluster/record.ts';
import { formatSize, formatSpan } from '../size.ts';
import { table } from '../table.ts';
import { ofSeveral, userText } from './ps.ts';

export interface NodeStatus {
  name: string;
  stats?: GetNodeStatsResponse;
  vkernels?: Vkernel[];
  /** Walls around its virtual kernels that its machine lacks. */
  missingLayers: string[];
}

export interface ServiceStatus extends Omit<ServiceRecord, 'state'> {
  /** gone: of a cluster that runs elsewhere, and not connected there; drained: of a node that rests. */
  state: ServiceRecord['state'] | 'gone' | 'drained';
  /** What all routers say that answer: undefined for services that do not register (nats, syslinkd itself). */
  connected?: boolean;
}

export const lossTable = (losses: DataspaceLoss[]): string =>
  table(
    heads('DATASPACE', '>LOST', '>STORED, NOT RESIDENT', '>NOT KNOWN'),
    losses.map(({ name, lostPages, storedPages, unknownPages }) => [
      name,
      lostPages,
      storedPages,
      unknownPages,
    ]),
  );

/** A head that starts with > is right-aligned. */
export const heads = (...names: string[]) =>
  names.map((name) =>
    name.startsWith('>') ? { head: name.slice(1), align: 'right' as const } : { head: name },
  );

export function serviceRow(service: ServiceStatus): (string | number)[] {
  const unconnected = service.state === 'running' && service.connected === false;
  return [
    service.name,
    unconnected ? 'connecting' : service.state,
    service.process?.pid ?? '-',
    service.sinceMs === 0 ? '-' : service.restarts,
    service.sinceMs === 0 ? '-' : formatSpan(Date.now() - service.sinceMs),
    service.address || '-',
  ];
}

/** Each person has a `default` of their own: where there are several people, whose it is. */
export function vkernelTable(vkernels: Vkernel[]): string {
  const several = ofSeveral(vkernels);
  return table(
    heads('VKERNEL', ...(several ? ['USER'] : []), 'NODE', '>HOST PID', '>PROCESSES'),
    vkernels.map((each) => [
      ...[each.name, ...(several ? [userText(each)] : [])],
      ...[each.node, each.hostPid, each.processes],
    ]),
  );
}

export function nodeTable(nodes: NodeStatus[]): string {
  const columns = heads(
    'NODE',
    '>FRAMES',
    '>PRIVATE',
    '>SHARED',
    '>PAGES IN',
    '>PAGES OUT',
    '>INVALIDATIONS',
    '>VMSPACES',
  );
  const rows = nodes.map(({ name, stats }) => {
    if (!stats) return [name, ...Array<string>(7).fill('?')];
    const pages = (count: bigint): string => formatSize(count * BigInt(PAGE_BYTES));
    return [
      name,
      pages(stats.framesTotal),
      pages(stats.framesPrivate),
      pages(stats.pagesShared),
      stats.pagesIn,
      stats.pagesOut,
      stats.invalidations,
      stats.vmspaces + stats.handmadeVmspaces,
    ];
  });
  return table(columns, rows);
}

/** Of the nodes that have swap. */
export function pageoutTable(nodes: NodeStatus[]): string {
  const columns = heads(
    ...['PAGEOUT', '>ACTIVE', '>INACTIVE', '>ACTIVATED', '>PAGEOUTS', '>DROPPED', '>SWAP-INS', '>REFAULTS'],
    ...['>SWAP', '>OF'],
  );
  const rows = nodes.flatMap(({ name, stats }) => {
    const of = stats?.pageout;
    if (of === undefined) return [];
    const pages = (count: bigint): string => formatSize(count * BigInt(PAGE_BYTES));
    return [
      [
        ...[name, pages(of.activePages), pages(of.inactivePages), of.activations, of.pageouts],
        ...[of.droppedPages, of.swapIns, of.refaults, formatSize(of.swapUsedBytes), formatSize(of.swapBytes)],
      ],
    ];
  });
  return table(columns, rows);
}

/** Of the nodes whose memory went to others, or that have some of theirs. */
export function poolTable(nodes: NodeStatus[]): string {
  const columns = heads(
    ...['POOL', '>GIVEN', '>SPARED', '>REFUSED', '>LEAVING', '>AT NEIGHBOURS', '>OUT', '>IN'],
    ...['>LODGED', '>GIVEN BACK'],
  );
  const rows = nodes.flatMap(({ name, stats }) => {
    const of = stats?.pool;
    if (of === undefined) return [];
    const pages = (count: bigint): string => formatSize(count * BigInt(PAGE_BYTES));
    return [
      [
        ...[name, of.givenPages, of.sparedPages, of.offersRefused, pages(of.leavingPages)],
        ...[pages(of.neighbourPages), of.neighbourOuts, of.neighbourIns, pages(of.lodgedPages), of.givenBack],
      ],
    ];
  });
  return table(columns, rows);
}

/** The places that serve a fault, nearest first. */
export const FAULT_PLACES = ['vkernel', 'node', 'remote', 'upgrade'];

export function faultTable(nodes: NodeStatus[]): string {
  const columns = heads(
    'FAULTS',
    ...FAULT_PLACES.flatMap((place) => [`>${place.toUpperCase()}`, '>p50/p99 us']),
  ).map((column) => ({ ...column, beside: column.head.startsWith('p50') }));
  const rows = nodes.map(({ name, stats }) => [
    name,
    ...FAULT_PLACES.flatMap((place) => faultCells(stats?.faults[place])),
  ]);
  return table(columns, rows);
}

function faultCells(counter: FaultCounter | undefined): string[] {
  if (!counter || counter.count === 0n) return ['0', '-'];
  return [String(counter.count), latency(counter)];
}

export const latency = ({ p50Us, p99Us }: FaultCounter): string =>
  `${Math.round(p50Us)}/${Math.round(p99Us)}`;

export function directoryTable(replicas: GetDirectoryStatsResponse[]): string {
  const columns = heads(
    'DIRECTORY',
    '>SHARDS',
    '>HOLDERS',
    '>DATASPACES',
    '>ACQUIRES',
    '>GRANTS',
    '>RECALLS',
    '>INVALIDATIONS',
    '>SENT AGAIN',
  );
  const rows = replicas.map((stats) => [
    stats.rebuilding ? `${stats.replica} (rebuilding)` : stats.replica,
    `${stats.shardsLed.length}/${stats.shards}`,
    stats.holders.length,
    stats.dataspaces,
    stats.acquires,
    stats.grants,
    stats.recalls,
    stats.invalidations,
    stats.resends,
  ]);
  return table(columns, rows);
}
