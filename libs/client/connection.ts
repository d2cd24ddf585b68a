// The line of one program to its cluster: a client at one of the routers, nothing else.
import { randomUUID } from 'node:crypto';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { DoorService } from '@odonata/proto/door/v1/door';
import { EventService } from '@odonata/proto/event/v1/event';
import { GatewayStateService, type ListPeersResponse } from '@odonata/proto/gateway/v1/gateway';
import { DataspaceService, PmapService } from '@odonata/proto/pmap/v1/pmap';
import { KeeperService } from '@odonata/proto/service/v1/service';
import { type Endpoint, EndpointKind, type NamedEndpoint } from '@odonata/proto/syslink/v1/syslink';
import { VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { WantedService } from '@odonata/proto/vkernel/v1/wanted';
import { VmspaceService } from '@odonata/proto/vmspace/v1/vmspace';
import { delay } from '@odonata/rpc/backoff.ts';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder, TlsIdentity } from '@odonata/rpc/identity/tls-folder.ts';
import { isStrange } from '@odonata/rpc/plain-words.ts';
import { isRefusal } from '@odonata/rpc/refusal.ts';
import { type Logger, silentLog } from '@odonata/rpc/silent-log.ts';
import { attachSyslink, type SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { routerAddresses } from '@odonata/rpc/syslink/routers.ts';
import { anyOf, orAborted } from './abort.ts';
import { clientError } from './client-error.ts';
import { listRoutes, type RouteList } from './routes.ts';

/** A service that runs answers within this, on a machine that is busy. */
const ANSWER_MS = 5_000;
/** A router answers at once when it runs; after a crash the supervisor has it back within this. */
const ATTACH_MS = 5_000;
/** Within this a router that started hears of every node. */
const KNOWN_MS = 4_000;

/** One node, with what is connected of it. */
export interface Node {
  name: string;
  index: number;
  pmapd?: Endpoint;
  vkerneld?: Endpoint;
}

const isWhole = ({ pmapd, vkerneld }: Node): boolean => pmapd !== undefined && vkerneld !== undefined;

/** Every method ends with CANCELLED when its signal aborts, or when the connection is closed. */
export class Connection {
  /** The name of the cluster. */
  readonly cluster: string;
  /** host:port or unix:/path each, with commas between. */
  readonly routers: string;
  readonly #syslink: SyslinkEndpoint;
  readonly #closing = new AbortController();
  readonly #folder: TlsFolder | undefined;
  /** Nodes that were whole once. */
  readonly #seen = new Set<string>();

  constructor(cluster: string, syslink: SyslinkEndpoint, routers: string, folder?: TlsFolder) {
    this.cluster = cluster;
    this.routers = routers;
    this.#syslink = syslink;
    this.#folder = folder;
  }

  /** Resolves when it is attached to a router, which may be another one by now. @throws RpcError UNAVAILABLE */
  ready(deadlineMs: number, signal?: AbortSignal): Promise<void> {
    return this.#syslink.ready({ deadlineMs, signal });
  }

  get connected(): boolean {
    return this.#syslink.connected;
  }

  /** Who we are there, by our certificate; undefined: the cluster has no identities, and asks for none. */
  get identity(): TlsIdentity | undefined {
    return this.#folder?.identity;
  }

  /** The folder that holds it. */
  get tlsDir(): string | undefined {
    return this.#folder?.dir;
  }

  /** Aborts with `close`. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** What the router knows: every service and client that is attached somewhere. */
  listEndpoints(signal?: AbortSignal): Promise<Endpoint[]> {
    return orAborted(this.#syslink.listEndpoints(), anyOf(signal, this.closed));
  }

  /** The nodes that the router knows, by index. */
  async nodes(signal?: AbortSignal): Promise<Node[]> {
    const nodes = await this.#nodes(signal);
    for (const node of nodes) if (isWhole(node)) this.#seen.add(node.name);
    return nodes;
  }

  /** After the start of a router: until it knows the nodes that were there before, for a few seconds. */
  async settled(signal?: AbortSignal): Promise<void> {
    const endMs = performance.now() + KNOWN_MS;
    for (;;) {
      const whole = new Set((await this.#nodes(signal)).filter(isWhole).map(({ name }) => name));
      const missing = [...this.#seen].filter((name) => !whole.has(name));
      if (missing.length === 0) return;
      if (performance.now() > endMs) {
        // They are gone.
        for (const name of missing) this.#seen.delete(name);
        return;
      }
      await delay(100, anyOf(signal, this.closed));
    }
  }

  /** At a router that has just started: until it knows a directory and all of each node, as far as they come in a few seconds. */
  async known(signal?: AbortSignal): Promise<void> {
    const endMs = performance.now() + KNOWN_MS;
    while (this.#syslink.settling && performance.now() < endMs) {
      const endpoints = await this.listEndpoints(signal).catch((): Endpoint[] => []);
      const nodes = nodesOf(endpoints);
      const isDirected = endpoints.some(
        ({ kind, connected }) => connected && kind === EndpointKind.DIRECTORY,
      );
      if (isDirected && nodes.length > 0 && nodes.every(isWhole)) return;
      await delay(100, anyOf(signal, this.closed));
      if (signal?.aborted || this.closed.aborted) return;
    }
  }

  async #nodes(signal: AbortSignal | undefined): Promise<Node[]> {
    return nodesOf(await this.listEndpoints(signal));
  }

  /** The node of this name. @throws RpcError NOT_FOUND that lists the others when there is none */
  async node(name: string, signal?: AbortSignal): Promise<Node> {
    const endMs = Date.now() + KNOWN_MS;
    let nodes = await this.nodes(signal);
    // A router that has just started does not know all yet, nor all of each.
    const isKnown = (node: Node): boolean => node.name === name && (isWhole(node) || !this.#syslink.settling);
    while (!nodes.some(isKnown) && Date.now() <= endMs) {
      if (nodes.length > 0 && nodes.every(isWhole)) break;
      await delay(100, anyOf(signal, this.closed));
      nodes = await this.nodes(signal);
    }
    const found = nodes.find((node) => node.name === name);
    if (found) return found;
    const names = nodes.map((node) => node.name).join(', ') || 'none';
    throw clientError(
      Code.NotFound,
      'NO_NODE',
      { cluster: this.cluster, node: name, nodes: names },
      `no node "${name}" in cluster "${this.cluster}"; nodes: ${names}`,
    );
  }

  /**
   * The nodes whose pmapd answers, in order: a router takes one that stopped for connected for a while. With `name`, that
   * node. @param known that node, where it was just looked for
   * @throws what the last one answered; RpcError UNAVAILABLE where none is connected
   */
  async answeringNode(name?: string, signal?: AbortSignal, known?: Node): Promise<string> {
    const nodes = name === undefined ? await this.nodes(signal) : [known ?? (await this.node(name, signal))];
    const asked = nodes
      .filter(({ pmapd }) => pmapd !== undefined)
      .map(({ name }) => ({
        name,
        answer: this.pmapd(name).getNodeStats({}, { deadlineMs: ANSWER_MS, signal }),
      }));
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
    throw clientError(
      Code.Unavailable,
      'NO_PMAPD',
      { cluster: this.cluster, node: name ?? '' },
      name === undefined
        ? `no node of cluster "${this.cluster}" has its pmapd now`
        : `node "${name}" has no pmapd now`,
    );
  }

  vkerneld(node: string): Client<typeof VkernelService> {
    return this.#syslink.client(VkernelService, { name: `${node}/vkerneld` });
  }

  /** Of any node: what is kept running is known to all. */
  keeper(node: string): Client<typeof KeeperService> {
    return this.#syslink.client(KeeperService, { name: `${node}/vkerneld` });
  }

  pmapd(node: string): Client<typeof PmapService> {
    return this.#syslink.client(PmapService, { name: `${node}/pmapd` });
  }

  dataspaces(node: string): Client<typeof DataspaceService> {
    return this.#syslink.client(DataspaceService, { name: `${node}/pmapd` });
  }

  vmspaces(node: string): Client<typeof VmspaceService> {
    return this.#syslink.client(VmspaceService, { name: `${node}/pmapd` });
  }

  /** One replica of the directory. */
  cohd(replica: string): Client<typeof DirectoryService> {
    return this.#syslink.client(DirectoryService, { name: replica });
  }

  /** Who lets machines into the cluster: where it began. */
  door(): Client<typeof DoorService> {
    return this.#syslink.client(DoorService, { name: 'door' });
  }

  /** A replica of the directory that is connected, for what any of them answers. */
  async directory(signal?: AbortSignal): Promise<Client<typeof DirectoryService>> {
    const replicas = (await this.listEndpoints(signal)).filter(({ kind }) => kind === EndpointKind.DIRECTORY);
    const [known] = replicas;
    const { name } = replicas.find(({ connected }) => connected) ?? known ?? { name: 'cohd' };
    return this.cohd(name);
  }

  /** Each replica, those that are connected first: what nodes are told is kept there. */
  async wanted(signal?: AbortSignal): Promise<Client<typeof WantedService>[]> {
    const replicas = (await this.listEndpoints(signal)).filter(({ kind }) => kind === EndpointKind.DIRECTORY);
    return [...replicas.filter((each) => each.connected), ...replicas.filter((each) => !each.connected)].map(
      ({ name }) => this.#syslink.client(WantedService, { name }),
    );
  }

  /** The events of every service, by its name. Routers are asked themselves; the others through one of them. */
  async eventLogs(signal?: AbortSignal): Promise<[name: string, Client<typeof EventService>][]> {
    const others = (await this.listEndpoints(signal)).filter(({ kind, name }) => {
      return kind !== EndpointKind.CLIENT && name !== '';
    });
    return [
      ...routerAddresses(this.routers).map((address): [string, Client<typeof EventService>] => [
        `the router at ${address}`,
        createClient(EventService, address, { folder: this.#folder }),
      ]),
      ...others.map(({ name }): [string, Client<typeof EventService>] => [
        name,
        this.#syslink.client(EventService, { name }),
      ]),
    ];
  }

  /** What each router knows of the others. */
  routes(signal?: AbortSignal): Promise<RouteList> {
    return listRoutes(this.routers, { folder: this.#folder, signal: anyOf(signal, this.closed) });
  }

  /** Names that endpoints have registered and we may use: who gets the next request first. @param only this one */
  names(only = '', signal?: AbortSignal): Promise<NamedEndpoint[]> {
    return orAborted(this.#syslink.listNames(only), anyOf(signal, this.closed));
  }

  /** Each gateway to other clusters, and how it stands with them. */
  async gateways(signal?: AbortSignal): Promise<[name: string, state: ListPeersResponse][]> {
    const known = await this.listEndpoints(signal);
    const gateways = known.filter(({ kind, connected }) => kind === EndpointKind.GATEWAY && connected);
    return await Promise.all(
      gateways.map(async ({ name }): Promise<[string, ListPeersResponse]> => {
        const gateway = this.#syslink.client(GatewayStateService, { name });
        return [
          name,
          await gateway.listPeers({}, { deadlineMs: ANSWER_MS, signal: anyOf(signal, this.closed) }),
        ];
      }),
    );
  }

  /** Ends what waits and runs on it. */
  close(): void {
    this.#closing.abort();
    this.#syslink.close();
  }
}

/** By index. */
function nodesOf(endpoints: readonly Endpoint[]): Node[] {
  const nodes = new Map<string, Node>();
  for (const endpoint of endpoints) {
    if (!endpoint.node) continue;
    const node = nodes.get(endpoint.node) ?? { name: endpoint.node, index: endpoint.nodeIndex };
    nodes.set(endpoint.node, node);
    if (!endpoint.connected) continue;
    if (endpoint.kind === EndpointKind.PMAP) node.pmapd = endpoint;
    if (endpoint.kind === EndpointKind.VKERNEL) node.vkerneld = endpoint;
  }
  return [...nodes.values()].sort((a, b) => a.index - b.index);
}

export interface LineOptions {
  /** How long the routers may take; 5 s. */
  readonly timeoutMs?: number;
  /** Who we are; this process itself unless told otherwise. */
  readonly folder?: TlsFolder;
  readonly signal?: AbortSignal;
  /** Goes with all calls through the logs of the services; else ODONATA_REQUEST_ID, else a new one. */
  readonly requestId?: string;
  /** Of the line to the routers; silent unless told otherwise. */
  readonly log?: Logger;
}

/**
 * @param address of the routers, host:port or unix:/path each, with commas between: to any one of them
 * @throws RpcError UNAVAILABLE: no router answers in time
 */
export async function connectTo(
  cluster: string,
  address: string,
  { timeoutMs = ATTACH_MS, folder, signal, requestId, log = silentLog() }: LineOptions = {},
): Promise<Connection> {
  const syslink = attachSyslink({
    address,
    name: '',
    kind: EndpointKind.CLIENT,
    requestId: requestId || process.env.ODONATA_REQUEST_ID || randomUUID(),
    log,
    folder,
  });
  const connection = new Connection(cluster, syslink, address, folder);
  try {
    await orAborted(syslink.ready({ deadlineMs: timeoutMs }), signal);
    return connection;
  } catch (cause) {
    connection.close();
    throw RpcError.is(cause, Code.Cancelled) ? cause : noRouter(cluster, address, cause, folder);
  }
}

function noRouter(cluster: string, routers: string, cause: unknown, folder: TlsFolder | undefined): RpcError {
  // It answers, and lets us in no more, or we are of another version.
  if (isRefusal(cause)) return fromServiceError(cause);
  const list = routers.replaceAll(',', ', ');
  const untilMs = folder?.identity.certificate.validToDate.getTime() ?? Number.POSITIVE_INFINITY;
  if (folder !== undefined && untilMs <= Date.now()) {
    const day = new Date(untilMs).toISOString().slice(0, 10);
    const about = { cluster, tlsDir: folder.dir, day };
    const over = `our certificate for cluster "${cluster}" is over since ${day} (${folder.dir})`;
    return clientError(Code.Unauthenticated, 'CERTIFICATE_OVER', about, over, { cause });
  }
  if (isStrange(fromServiceError(cause))) {
    const strange = `who answers at ${list} has no certificate of the authority of cluster "${cluster}" that we know`;
    return clientError(Code.Unauthenticated, 'ROUTERS_STRANGE', { cluster, routers }, strange, { cause });
  }
  const what = routers.includes(',')
    ? `no router of cluster "${cluster}" answers at ${list}`
    : `the router of cluster "${cluster}" does not answer at ${list}`;
  return clientError(Code.Unavailable, 'ROUTERS_SILENT', { cluster, routers }, what, { cause });
}
