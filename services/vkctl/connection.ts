// The line of one vkctl command to its cluster: a client at one of the routers, nothing else.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { EventService } from '@odonata/proto/event/v1/event';
import { DataspaceService, PmapService } from '@odonata/proto/pmap/v1/pmap';
import { type Endpoint, EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { isAddress } from '@odonata/rpc/address.ts';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { useTls } from '@odonata/rpc/identity/own.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { routerAddresses } from '@odonata/rpc/syslink/routers.ts';
import { adminFolder } from './cluster/certificates.ts';
import { clusterPaths } from './cluster/paths.ts';
import { type ClusterRecord, isRouter } from './cluster/record.ts';
import { runningSupervisor } from './cluster/supervisors.ts';
import { EXIT, Failure } from './failure.ts';

/** A service that runs answers within this, on a machine that is busy. */
const ANSWER_MS = 5_000;
/** A router answers at once when it runs; after a crash the supervisor has it back within this. */
const ATTACH_MS = 5000;

export interface NodeEndpoints {
  name: string;
  index: number;
  pmapd?: Endpoint;
  vkerneld?: Endpoint;
}

export class Connection {
  readonly cluster: string;
  readonly #syslink: SyslinkEndpoint;
  readonly #routers: string;
  readonly #folder: TlsFolder | undefined;

  /** @param routers their addresses, with commas between */
  constructor(cluster: string, syslink: SyslinkEndpoint, routers: string, folder?: TlsFolder) {
    this.#folder = folder;
    this.cluster = cluster;
    this.#syslink = syslink;
    this.#routers = routers;
  }

  /** Resolves when it is attached to a router, which may be another one by now. @throws RpcError UNAVAILABLE */
  ready(deadlineMs: number): Promise<void> {
    return this.#syslink.ready({ deadlineMs });
  }

  get connected(): boolean {
    return this.#syslink.connected;
  }

  listEndpoints(): Promise<Endpoint[]> {
    return this.#syslink.listEndpoints();
  }

  /** The nodes that the router knows, by index, with what is connected of each. */
  async nodes(): Promise<NodeEndpoints[]> {
    const nodes = new Map<string, NodeEndpoints>();
    for (const endpoint of await this.listEndpoints()) {
      if (!endpoint.node) continue;
      const node = nodes.get(endpoint.node) ?? { name: endpoint.node, index: endpoint.nodeIndex };
      nodes.set(endpoint.node, node);
      if (!endpoint.connected) continue;
      if (endpoint.kind === EndpointKind.PMAP) node.pmapd = endpoint;
      if (endpoint.kind === EndpointKind.VKERNEL) node.vkerneld = endpoint;
    }
    return [...nodes.values()].sort((a, b) => a.index - b.index);
  }

  /** The node of this name; a Failure that lists the others when there is none. */
  async node(name: string): Promise<NodeEndpoints> {
    let nodes = await this.nodes();
    const isKnown = (node: NodeEndpoints): boolean => node.name === name;
    // A router that has just started does not know all yet.
    for (const endMs = Date.now() + KNOWN_MS; !nodes.some(isKnown) && Date.now() < endMs; ) {
      if (nodes.length > 0 && nodes.every(({ pmapd, vkerneld }) => pmapd && vkerneld)) break;
      await sleep(100);
      nodes = await this.nodes();
    }
    const found = nodes.find(isKnown);
    if (found) return found;
    const names = nodes.map((node) => node.name).join(', ') || 'none';
    throw new Failure(`no node "${name}" in cluster "${this.cluster}"`, { fix: `Nodes: ${names}.` });
  }

  /**
   * The nodes whose pmapd answers, in order: a router takes one that stopped for connected for a while. With `name`, that
   * node. @throws what the last one answered; a Failure where none is connected
   */
  async answeringNode(name?: string): Promise<string> {
    const nodes = name === undefined ? await this.nodes() : [await this.node(name)];
    const asked = nodes
      .filter(({ pmapd }) => pmapd !== undefined)
      .map(({ name }) => ({ name, answer: this.pmapd(name).getNodeStats({}, { deadlineMs: ANSWER_MS }) }));
    for (const { answer } of asked) answer.catch(() => {}); // All are asked at once, and looked at in turn.
    let silent: unknown;
    for (const { name, answer } of asked) {
      try {
        await answer;
        return name;
      } catch (error) {
        silent = error;
      }
    }
    if (silent !== undefined) throw silent;
    const what =
      name === undefined
        ? `no node of cluster "${this.cluster}" has its pmapd now`
        : `node "${name}" has no pmapd now`;
    throw new Failure(what, { fix: 'See: vkctl status' });
  }

  vkerneld(node: string): Client<typeof VkernelService> {
    return this.#syslink.client(VkernelService, { name: `${node}/vkerneld` });
  }

  pmapd(node: string): Client<typeof PmapService> {
    return this.#syslink.client(PmapService, { name: `${node}/pmapd` });
  }

  dataspaces(node: string): Client<typeof DataspaceService> {
    return this.#syslink.client(DataspaceService, { name: `${node}/pmapd` });
  }

  /** One replica of the directory. */
  cohd(replica: string): Client<typeof DirectoryService> {
    return this.#syslink.client(DirectoryService, { name: replica });
  }

  /** A replica of the directory that is connected, for what any of them answers. */
  async directory(): Promise<Client<typeof DirectoryService>> {
    const replicas = (await this.listEndpoints()).filter(({ kind }) => kind === EndpointKind.DIRECTORY);
    const [known] = replicas;
    const { name } = replicas.find(({ connected }) => connected) ?? known ?? { name: 'cohd' };
    return this.cohd(name);
  }

  /** The events of every service, by its name. Routers are asked themselves; the others through one of them. */
  async eventLogs(): Promise<[name: string, Client<typeof EventService>][]> {
    const others = (await this.listEndpoints()).filter(({ kind, name }) => {
      return kind !== EndpointKind.CLIENT && name !== '';
    });
    return [
      ...routerAddresses(this.#routers).map((address): [string, Client<typeof EventService>] => [
        `the router at ${address}`,
        createClient(EventService, address, { folder: this.#folder }),
      ]),
      ...others.map(({ name }): [string, Client<typeof EventService>] => [
        name,
        this.#syslink.client(EventService, { name }),
      ]),
    ];
  }

  close(): void {
    this.#syslink.close();
  }
}

/** Within this a router that started hears of every node. */
const KNOWN_MS = 4_000;
/** How long a supervisor may take to write a record that somebody deleted. */
const RECORD_MS = 3000;

/** The record of a cluster that runs; else a Failure that says how to start it. */
export async function runningRecord(cluster: string): Promise<ClusterRecord> {
  const paths = clusterPaths(cluster);
  const endMs = Date.now() + RECORD_MS;
  const flag = cluster === 'default' ? '' : ` --cluster ${cluster}`;
  for (;;) {
    const running = runningSupervisor(paths);
    if (running?.record?.stopping) throw new Failure(`cluster "${cluster}" goes down`);
    if (running?.record) return running.record;
    if (!running)
      throw new Failure(`cluster "${cluster}" is not up`, { fix: `Start it with: vkctl up${flag}` });
    if (Date.now() > endMs) {
      const { pid } = running.identity;
      throw new Failure(
        `cluster "${cluster}" runs (supervisor ${pid}), but cannot write its record ${paths.clusterFile}`,
        { fix: `End it with: vkctl down${flag}` },
      );
    }
    await sleep(50);
  }
}

/** The routers of a cluster that runs elsewhere (ODONATA_SYSLINK), or undefined: commands mean one of this machine. */
export function elsewhere(): string | undefined {
  const list = process.env.ODONATA_SYSLINK;
  if (!list) return undefined;
  const addresses = routerAddresses(list);
  const wrong = addresses.find((address) => !isAddress(address));
  if (wrong !== undefined || addresses.length === 0) {
    throw new Failure(`ODONATA_SYSLINK: "${wrong ?? list}" is no address`, {
      fix: 'Use host:port, several with commas.',
      exitCode: EXIT.usage,
    });
  }
  useTls(process.env.ODONATA_TLS_DIR ?? '');
  return addresses.join();
}

/** For what only the supervisor of a cluster of this machine can do. @throws Failure where another is meant */
export function expectHere(command: string, flag: string | undefined): void {
  const list = process.env.ODONATA_SYSLINK;
  if (!list || flag !== undefined || process.env.ODONATA_CLUSTER) return;
  throw new Failure(
    `${command} is for clusters of this machine, and ODONATA_SYSLINK names another (${list})`,
    {
      fix: 'Name the one of this machine with -c, or unset ODONATA_SYSLINK.',
      exitCode: EXIT.usage,
    },
  );
}

/** To a cluster of this machine, as whoever started it. */
export async function connectHere(
  { plan, services }: Pick<ClusterRecord, 'plan' | 'services'>,
  timeoutMs?: number,
): Promise<Connection> {
  const sockets = services.filter(isRouter).map(({ address, socket = address }) => socket);
  return await connectTo(plan.cluster, sockets.join(), { timeoutMs, folder: adminFolder(plan) });
}

/** @param address of the routers, host:port each, with commas between: to any one of them */
export async function connectTo(
  cluster: string,
  address: string,
  { timeoutMs = ATTACH_MS, folder }: { timeoutMs?: number | undefined; folder?: TlsFolder | undefined } = {},
): Promise<Connection> {
  const syslink = attachSyslink({
    address,
    name: '',
    kind: EndpointKind.CLIENT,
    requestId: process.env.ODONATA_REQUEST_ID || randomUUID(),
    log: silentLog(),
    folder,
  });
  try {
    await syslink.ready({ deadlineMs: timeoutMs });
    return new Connection(cluster, syslink, address, folder);
  } catch (cause) {
    syslink.close();
    throw notAnswering(cluster, address, cause);
  }
}

function notAnswering(cluster: string, address: string, cause: unknown): Failure {
  const list = address.replaceAll(',', ', ');
  const several = address.includes(',');
  if (process.env.ODONATA_SYSLINK) {
    return new Failure(
      `${several ? 'no router' : 'the router'} at ${list} (ODONATA_SYSLINK) ${several ? 'answers' : 'does not answer'}`,
      {
        fix: 'Is the cluster there up, and the address right?',
        cause,
      },
    );
  }
  const who = several
    ? `no router of cluster "${cluster}" answers at ${list}`
    : `the router of cluster "${cluster}" does not answer at ${list}`;
  return new Failure(who, { fix: 'See: vkctl status, vkctl doctor.', cause });
}

/** Runs `use` with a connection to the cluster (ODONATA_SYSLINK: to one that runs elsewhere), and closes it. */
export async function withConnection<T>(cluster: string, use: (to: Connection) => Promise<T>): Promise<T> {
  const address = elsewhere();
  const connection =
    address === undefined
      ? await connectHere(await runningRecord(cluster))
      : await connectTo(cluster, address);
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

/** Every item of a list that comes in pages. */
export async function allPages<R extends { nextPageToken: string }, T>(
  fetch: (pageToken: string) => Promise<R>,
  items: (response: R) => T[],
): Promise<T[]> {
  const all: T[] = [];
  let pageToken = '';
  do {
    const response = await fetch(pageToken);
    all.push(...items(response));
    pageToken = response.nextPageToken;
  } while (pageToken !== '');
  return all;
}
