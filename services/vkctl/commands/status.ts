import type { GetDirectoryStatsResponse } from '@odonata/proto/coherency/v1/coherency';
import type { FaultCounter, GetNodeStatsResponse } from '@odonata/proto/pmap/v1/pmap';
import type { Vkernel } from '@odonata/proto/vkernel/v1/vkernel';
import type { Command } from 'commander';
import { type ClusterRecord, isRouter, type ServiceRecord } from '../cluster/record.ts';
import { type Connection, connectTo, runningRecord } from '../connection.ts';
import { explain } from '../failure.ts';
import { json, print, printError, routersAt, table } from '../output.ts';
import { formatSize, formatSpan } from '../size.ts';
import { type ClusterOption, clusterOf, clusterOption, examples, jsonOption } from './options.ts';

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .summary('services, nodes, faults, virtual kernels')
    .description('Shows services, nodes, faults and virtual kernels. Exit code 1 when something is not well.')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .action(status);
  examples(command, [
    ['vkctl status', 'everything'],
    ['vkctl status --json | jq .nodes', 'for a program'],
  ]);
}

interface NodeStatus {
  name: string;
  stats?: GetNodeStatsResponse;
  vkernels?: Vkernel[];
}

interface ServiceStatus extends ServiceRecord {
  /** What all routers say that answer: undefined for services that do not register (nats, syslinkd itself). */
  connected?: boolean;
}

interface Status {
  services: ServiceStatus[];
  nodes: NodeStatus[];
  directory: GetDirectoryStatsResponse[];
  troubles: string[];
}

async function status(options: ClusterOption & { json?: boolean }): Promise<void> {
  const cluster = clusterOf(options);
  const record = runningRecord(cluster);
  const found = await gather(cluster, record);
  if (options.json) {
    print(json({ cluster, syslink: record.syslink, supervisor: record.supervisor.pid, ...found }));
  } else {
    show(cluster, record, found);
  }
  if (found.troubles.length > 0) process.exitCode = 1;
}

async function gather(cluster: string, record: ClusterRecord): Promise<Status> {
  const found: Status = { services: record.services, nodes: [], directory: [], troubles: [] };
  const trouble = (what: string) => (error: unknown) => {
    found.troubles.push(`${what}: ${explain(error)}`);
    return undefined;
  };
  for (const service of record.services) {
    if (service.state !== 'running') {
      found.troubles.push(
        `${service.name} is ${service.state} (${service.lastEnd ?? 'not started'}): see ${service.logFile}`,
      );
    }
  }
  const routers = await attachToRouters(cluster, record, trouble);
  const [first] = routers;
  if (!first) return found;
  const { to } = first;
  try {
    const lists = await Promise.all(
      routers.map(async ({ name, to }) => ({ router: name, endpoints: await to.listEndpoints() })),
    );
    found.services = record.services.map((service) => {
      if (service.name === 'nats' || isRouter(service)) return service;
      const without = lists
        .filter(({ endpoints }) => !endpoints.some((e) => e.connected && e.name === service.name))
        .map(({ router }) => router);
      if (without.length > 0 && service.state === 'running')
        found.troubles.push(`${service.name} is not connected to the router ${without.join(', ')}`);
      return { ...service, connected: without.length === 0 };
    });
    const nodes = await to.nodes();
    const replicas = record.services.map(({ name }) => name).filter((name) => name.startsWith('cohd'));
    const ask = (name: string) =>
      to.cohd(name).getDirectoryStats({}, { deadlineMs: 3000 }).catch(trouble(name));
    let directory: Awaited<ReturnType<typeof ask>>[];
    [directory, found.nodes] = await Promise.all([
      Promise.all(replicas.map(ask)),
      Promise.all(nodes.map(({ name }) => nodeStatus(to, name, trouble))),
    ]);
    found.directory = directory.filter((stats) => stats !== undefined);
    for (const { name, stats } of found.nodes) {
      if (stats && !stats.directoryConnected) found.troubles.push(`${name} has no lease from the directory`);
    }
  } finally {
    for (const { to } of routers) to.close();
  }
  return found;
}

type Trouble = (what: string) => (error: unknown) => undefined;

/** Those that run and answer. */
async function attachToRouters(
  cluster: string,
  record: ClusterRecord,
  trouble: Trouble,
): Promise<{ name: string; to: Connection }[]> {
  const running = record.services.filter((service) => isRouter(service) && service.state === 'running');
  const attached = await Promise.all(
    running.map(async ({ name, address }) => {
      const to = await connectTo(cluster, address, 2000).catch(trouble(name));
      return to && { name, to };
    }),
  );
  return attached.filter((router) => router !== undefined);
}

async function nodeStatus(to: Connection, name: string, trouble: Trouble): Promise<NodeStatus> {
  const [stats, vkernels] = await Promise.all([
    to
      .pmapd(name)
      .getNodeStats({}, { deadlineMs: 3000 })
      .catch(trouble(`${name}/pmapd`)),
    to
      .vkerneld(name)
      .listVkernels({}, { deadlineMs: 3000 })
      .catch(trouble(`${name}/vkerneld`)),
  ]);
  return { name, stats, vkernels: vkernels?.vkernels };
}

function show(
  cluster: string,
  record: ClusterRecord,
  { services, nodes, directory, troubles }: Status,
): void {
  const age = formatSpan(Date.now() - record.startedMs);
  print(
    `cluster "${cluster}": ${routersAt(record.syslink)}, supervisor ${record.supervisor.pid}, up ${age}\n`,
  );
  print(table(heads('SERVICE', 'STATE', '>PID', '>RESTARTS', 'SINCE', 'ADDRESS'), services.map(serviceRow)));
  if (nodes.length > 0) print(`\n${nodeTable(nodes)}\n\n${faultTable(nodes)}`);
  if (directory.length > 0) print(`\n${directoryTable(directory)}`);
  const vkernels = nodes.flatMap((node) => node.vkernels ?? []);
  if (vkernels.length > 0) {
    print(`\n${table(heads('VKERNEL', 'NODE', '>HOST PID', '>PROCESSES'), vkernels.map(vkernelRow))}`);
  }
  for (const line of troubles) printError(`vkctl: ${line}`);
}

/** A head that starts with > is right-aligned. */
const heads = (...names: string[]) =>
  names.map((name) =>
    name.startsWith('>') ? { head: name.slice(1), align: 'right' as const } : { head: name },
  );

function serviceRow(service: ServiceStatus): (string | number)[] {
  const unconnected = service.state === 'running' && service.connected === false;
  return [
    service.name,
    unconnected ? 'connecting' : service.state,
    service.process?.pid ?? '-',
    service.restarts,
    formatSpan(Date.now() - service.sinceMs),
    service.address,
  ];
}

const vkernelRow = ({ name, node, hostPid, processes }: Vkernel): (string | number)[] => [
  name,
  node,
  hostPid,
  processes,
];

function nodeTable(nodes: NodeStatus[]): string {
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
    const pages = (count: bigint): string => formatSize(count * 4096n);
    return [
      name,
      pages(stats.framesTotal),
      pages(stats.framesPrivate),
      pages(stats.pagesShared),
      stats.pagesIn,
      stats.pagesOut,
      stats.invalidations,
      stats.vmspaces,
    ];
  });
  return table(columns, rows);
}

/** The places that serve a fault, nearest first. */
export const FAULT_PLACES = ['vkernel', 'node', 'remote', 'upgrade'];

function faultTable(nodes: NodeStatus[]): string {
  const columns = heads(
    'FAULTS',
    ...FAULT_PLACES.flatMap((place) => [`>${place.toUpperCase()}`, '>p50/p99 us']),
  );
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

function directoryTable(replicas: GetDirectoryStatsResponse[]): string {
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
