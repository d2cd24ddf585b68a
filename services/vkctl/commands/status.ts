import type { Cluster } from '@odonata/client/cluster.ts';
import type { Connection, Node } from '@odonata/client/connection.ts';
import type { Credential } from '@odonata/client/credential.ts';
import { credentialHere } from '@odonata/client/local/identity-folder.ts';
import { credentialFor } from '@odonata/client/location.ts';
import { restingNodes } from '@odonata/client/resting-nodes.ts';
import { isBorrowed } from '@odonata/coherency/gateway.ts';
import type { GetDirectoryStatsResponse } from '@odonata/proto/coherency/v1/coherency';
import type { DataspaceLoss } from '@odonata/proto/pmap/v1/pmap';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { isRefusal } from '@odonata/rpc/refusal.ts';
import type { Command } from 'commander';
import { isRouter } from '../cluster/record.ts';
import { attachTo, type Elsewhere, elsewhere, runningRecord } from '../connection.ts';
import { explain, Failure, oneLine } from '../failure.ts';
import { printJson } from '../json.ts';
import { plural, print, printError, routersAt } from '../output.ts';
import { formatSpan } from '../size.ts';
import { table } from '../table.ts';
import { type WatchOption, watchable, watched } from '../watch.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  jsonOption,
  type QuietOption,
  quietOption,
} from './options.ts';
import {
  directoryTable,
  faultTable,
  heads,
  lossTable,
  type NodeStatus,
  nodeTable,
  pageoutTable,
  poolTable,
  type ServiceStatus,
  serviceRow,
  vkernelTable,
} from './status-tables.ts';

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .summary('services, nodes, faults, virtual kernels')
    .description('Shows services, nodes, faults and virtual kernels. Exit code 1 when something is not well.')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('print only what is not well'))
    .action((options: StatusOptions) => watched(options, () => status(options)));
  watchable(command);
  examples(command, [
    ['vkctl status', 'everything'],
    ['vkctl status --watch', 'again every 2 s'],
    ['vkctl status -q', 'for its exit code'],
    ['vkctl status --json | jq .nodes', 'for a program'],
  ]);
}

interface StatusOptions extends ClusterOption, QuietOption, WatchOption {}

interface Status {
  services: ServiceStatus[];
  nodes: NodeStatus[];
  directory: GetDirectoryStatsResponse[];
  losses: DataspaceLoss[];
  troubles: string[];
}

interface Router {
  name: string;
  to: Cluster;
}

async function status(options: StatusOptions): Promise<void> {
  const cluster = clusterOf(options);
  const away = elsewhere(options.cluster);
  const found =
    away === undefined ? await statusHere(cluster, options) : await statusOf(cluster, away, options);
  if (found.troubles.length > 0) process.exitCode = 1;
}

async function statusHere(cluster: string, { json: asJson, quiet }: StatusOptions): Promise<Status> {
  const record = await runningRecord(cluster);
  const found: Status = { services: record.services, nodes: [], directory: [], losses: [], troubles: [] };
  const running = record.services.filter((service) => isRouter(service) && service.state === 'running');
  const routers = await attach(cluster, running, found, credentialHere(record.plan));
  const resting = await restingOf(routers, record.services.some(isAway));
  found.services = record.services.map((service) => asResting(service, resting));
  for (const { name, state, lastEnd = 'not started', logFile } of found.services)
    if (state !== 'running' && state !== 'drained')
      found.troubles.push(`${name} is ${state} (${lastEnd}): see ${logFile}`);
  await gather(routers, found, resting);
  if (asJson) {
    const tlsDir = credentialHere(record.plan)?.tlsDir;
    const { syslink, supervisor, startedMs } = record;
    printJson({ cluster, syslink, tlsDir, supervisor: supervisor.pid, startedMs, ...found });
  } else if (quiet) showTroubles(found);
  else {
    const age = formatSpan(Date.now() - record.startedMs);
    show(
      `cluster "${cluster}": ${routersAt(record.syslink)}, supervisor ${record.supervisor.pid}, up ${age}`,
      found,
    );
  }
  return found;
}

/** Of a cluster that runs elsewhere: what its routers say. */
async function statusOf(
  name: string,
  { routers: syslink, by, cluster = name, credential: given }: Elsewhere,
  { json: asJson, quiet }: StatusOptions,
): Promise<Status> {
  const found: Status = { services: [], nodes: [], directory: [], losses: [], troubles: [] };
  const addresses = syslink.split(',').map((address) => ({ name: `router at ${address}`, address }));
  const credential = given ?? credentialFor(cluster, syslink);
  const refused: Failure[] = [];
  const routers = await attach(cluster, addresses, found, credential, (failure) => refused.push(failure));
  const [first] = routers;
  if (first === undefined) {
    if (refused[0] !== undefined) throw refused[0];
    await attachTo(cluster, syslink, 1, credential); // Its failure says what is wrong.
    return found;
  }
  const kinds = new Set([EndpointKind.DIRECTORY, EndpointKind.PMAP, EndpointKind.VKERNEL]);
  const known = (await first.to.connection.listEndpoints()).filter(
    ({ kind, name }) => kinds.has(kind) && name !== '',
  );
  found.services = known.map(({ name, node, connected }) => ({
    ...{ name, ...(node ? { node } : {}), address: '', state: connected ? 'running' : 'gone' },
    ...{ restarts: 0, sinceMs: 0, logFile: '' },
  }));
  const resting = await restingOf(routers, found.services.some(isAway));
  found.services = found.services.map((service) => asResting(service, resting));
  for (const { name, state } of found.services) if (state === 'gone') found.troubles.push(`${name} is gone`);
  await gather(routers, found, resting);
  if (asJson) {
    const services = found.services.map(({ name, node, state, connected }) => ({
      name,
      node,
      state,
      connected,
    }));
    printJson({ cluster, syslink, by, tlsDir: credential?.tlsDir, ...found, services });
  } else if (quiet) showTroubles(found);
  else show(`cluster elsewhere (${by}): ${routersAt(syslink)}`, found);
  return found;
}

const troubleOf =
  (found: Status): Trouble =>
  (what) =>
  (error) => {
    found.troubles.push(`${what}: ${explain(error)}`);
    return undefined;
  };

const isAway = ({ state }: { state: string }): boolean => state !== 'running';

/** Nodes that were drained: what of them does not run is as it is to be. */
async function restingOf([first]: Router[], asks: boolean): Promise<ReadonlySet<string>> {
  if (first === undefined) return new Set();
  const { connection } = first.to;
  const isWhole = ({ pmapd, vkerneld }: Node): boolean => pmapd !== undefined && vkerneld !== undefined;
  const nodes = await connection.nodes().catch(() => []);
  return asks || !nodes.every(isWhole) ? await restingNodes(connection) : new Set();
}

const asResting = (service: ServiceStatus, resting: ReadonlySet<string>): ServiceStatus =>
  service.node !== undefined && resting.has(service.node) && isAway(service)
    ? { ...service, state: 'drained' }
    : service;

async function gather(routers: Router[], found: Status, resting: ReadonlySet<string>): Promise<void> {
  const trouble = troubleOf(found);
  const [first] = routers;
  if (!first) return;
  const { connection, dataspaces } = first.to;
  try {
    const lists = await Promise.all(
      routers.map(async ({ name, to }) => {
        const endpoints = await to.connection.listEndpoints().catch(trouble(name));
        return { router: name, endpoints: endpoints ?? [] };
      }),
    );
    found.services = found.services.map((service) => {
      if (service.name === 'nats' || isRouter(service)) return service;
      const without = lists
        .filter(({ endpoints }) => !endpoints.some((e) => e.connected && e.name === service.name))
        .map(({ router }) => router);
      if (without.length > 0 && service.state === 'running')
        found.troubles.push(`${service.name} is not connected to the router ${without.join(', ')}`);
      return { ...service, connected: without.length === 0 };
    });
    const known = (await connection.nodes().catch(trouble(first.name))) ?? [];
    const nodes = known.filter(({ name }) => !resting.has(name));
    const replicas = found.services.map(({ name }) => name).filter((name) => name.startsWith('cohd'));
    const ask = (name: string) =>
      connection.cohd(name).getDirectoryStats({}, { deadlineMs: 3000 }).catch(trouble(name));
    let directory: Awaited<ReturnType<typeof ask>>[];
    [directory, found.nodes] = await Promise.all([
      Promise.all(replicas.map(ask)),
      Promise.all(nodes.map(({ name }) => nodeStatus(connection, name, trouble))),
    ]);
    found.directory = directory.filter((stats) => stats !== undefined);
    for (const { name, stats } of found.nodes) {
      if (stats && !stats.directoryConnected) found.troubles.push(`${name} has no lease from the directory`);
    }
    // Who asks for losses asks the directory: where that does not answer it was said already.
    if (found.directory.length > 0) found.losses = (await dataspaces.losses().catch(trouble('losses'))) ?? [];
    found.troubles.push(...found.losses.filter(({ lostPages }) => lostPages > 0n).map(lossLine));
  } finally {
    for (const { to } of routers) to.close();
  }
}

function lossLine({ name, lostPages }: DataspaceLoss): string {
  const lost = `dataspace ${name}: ${plural(Number(lostPages), 'page')} ${lostPages === 1n ? 'is' : 'are'} LOST.`;
  // What becomes of it is its owner's to say.
  if (isBorrowed(name)) {
    const [at, cluster] = name.split('@');
    return `${lost} It is of cluster "${cluster}", where its owner writes it anew, or says vkctl ds accept-loss ${at}`;
  }
  return (
    `${lost} Remove it (vkctl ds rm ${name}), write it anew (vkctl ds load ${name} FILE), ` +
    `or have ${lostPages === 1n ? 'it' : 'them'} read as zeros (vkctl ds accept-loss ${name})`
  );
}

type Trouble = (what: string) => (error: unknown) => undefined;

/** Those that answer. */
async function attach(
  cluster: string,
  routers: readonly { name: string; address: string; socket?: string | undefined }[],
  found: Status,
  credential: Credential | undefined,
  onRefused: (failure: Failure) => void = () => {},
): Promise<Router[]> {
  const trouble = (name: string) => (error: unknown) => {
    if (isRefusal(error)) onRefused(new Failure(explain(error), { cause: error }));
    return troubleOf(found)(name)(error);
  };
  const attached = await Promise.all(
    routers.map(async ({ name, address, socket = address }) => {
      const to = await attachTo(cluster, socket, 2000, credential).catch(trouble(name));
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
  const running = vkernels?.vkernels.filter(({ hostPid, lodger }) => hostPid > 0 && lodger === undefined);
  return { name, stats, vkernels: running, missingLayers: vkernels?.missingLayers ?? [] };
}

/** Of what answers; two where one is rolled to another. */
const releases = ({ nodes, directory }: Pick<Status, 'nodes' | 'directory'>): string => {
  const said = [...nodes.map(({ stats }) => stats?.wire), ...directory.map(({ wire }) => wire)];
  const known = [...new Set(said.flatMap((wire) => (wire?.release ? [wire.release] : [])))].sort();
  return known.length === 0 ? '' : `, version ${known.map(oneLine).join(' and ')}`;
};

function show(title: string, { services, nodes, directory, losses, troubles }: Status): void {
  print(`${title}${releases({ nodes, directory })}\n`);
  print(table(heads('SERVICE', 'STATE', '>PID', '>RESTARTS', 'SINCE', 'ADDRESS'), services.map(serviceRow)));
  if (nodes.length > 0) print(`\n${nodeTable(nodes)}\n\n${faultTable(nodes)}`);
  if (nodes.some(({ stats }) => stats?.pageout !== undefined)) print(`\n${pageoutTable(nodes)}`);
  if (nodes.some(({ stats }) => stats?.pool !== undefined)) print(`\n${poolTable(nodes)}`);
  if (directory.length > 0) print(`\n${directoryTable(directory)}`);
  const vkernels = nodes.flatMap((node) => node.vkernels ?? []);
  if (vkernels.length > 0) {
    print(`\n${vkernelTable(vkernels)}`);
  }
  const less = lessConfined(nodes);
  if (less !== undefined) print(`\n${less}`);
  if (losses.length > 0) print(`\n${lossTable(losses)}`);
  showTroubles({ troubles });
}

function showTroubles({ troubles }: Pick<Status, 'troubles'>): void {
  for (const line of troubles) printError(`vkctl: ${line}`);
}

/** Undefined: every node has all its walls. */
function lessConfined(nodes: NodeStatus[]): string | undefined {
  const lacks = nodes.filter(({ missingLayers }) => missingLayers.length > 0);
  if (lacks.length === 0) return undefined;
  const layers = [...new Set(lacks.flatMap(({ missingLayers }) => missingLayers.map(oneLine)))].join(', ');
  return `virtual kernels are less confined on ${lacks.map(({ name }) => name).join(', ')}: no ${layers} (see: vkctl doctor)`;
}
