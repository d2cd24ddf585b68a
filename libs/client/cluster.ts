// The one way in: a cluster that is found by itself, and what can be done there.
//
//   await using cluster = await connect();
//   const { stdout } = await (await cluster.programs.run({ module })).collect();
import type { Logger } from '@odonata/rpc/silent-log.ts';
import { anyOf } from './abort.ts';
import { type Connection, connectTo, type Node } from './connection.ts';
import { folderOf } from './credential.ts';
import { Dataspaces } from './dataspaces.ts';
import { Events } from './events.ts';
import { type Location, locate, type Where } from './location.ts';
import { Memory, type OpenOptions } from './memory/memory.ts';
import type { OpenDataspace } from './memory/open-dataspace.ts';
import { overRouters } from './over-routers.ts';
import { Programs } from './programs.ts';
import { Services } from './services.ts';
import { Snapshots } from './snapshots/snapshots.ts';
import { Vkernels } from './vkernels.ts';

export interface AttachOptions {
  /** Gives up, while it is not connected yet. */
  signal?: AbortSignal;
  /** How long the routers may take; 5 s. */
  deadlineMs?: number;
  /** Goes with all calls through the logs of the services; else ODONATA_REQUEST_ID, else a new one. */
  requestId?: string;
  /** Of the line to the routers; silent unless told otherwise. */
  log?: Logger;
}
export interface ConnectOptions extends Where, AttachOptions {}

/**
 * Finds a cluster and attaches to one of its routers; it goes on through another one when that goes away.
 * @throws RpcError UNAVAILABLE: it does not run, or none of its routers answers; INVALID_ARGUMENT: no name, no address;
 * UNAUTHENTICATED: no identity to show
 */
export async function connect(options: ConnectOptions = {}): Promise<Cluster> {
  const cluster = await attach(await locate(options, options.signal), options);
  await cluster.connection.known(options.signal);
  return cluster;
}

/** The same where it is known where its routers are. */
export async function attach(
  { cluster, routers, credential }: Location,
  { signal, deadlineMs, requestId, log }: AttachOptions = {},
): Promise<Cluster> {
  const line = { timeoutMs: deadlineMs, folder: folderOf(credential), signal, requestId, log };
  return new Cluster(await connectTo(cluster, routers, line));
}

/** Closing it, by hand or by `await using`, ends what runs and waits on it: then nothing of it keeps a process alive. */
export class Cluster implements AsyncDisposable {
  readonly programs: Programs;
  readonly dataspaces: Dataspaces;
  readonly events: Events;
  readonly vkernels: Vkernels;
  /** What the cluster keeps running. */
  readonly services: Services;
  /** Programs as they were, to be started from there. */
  readonly snapshots: Snapshots;
  /** The services themselves, for what has no noun here. */
  readonly connection: Connection;
  readonly #memory: Memory;

  constructor(connection: Connection) {
    this.connection = connection;
    this.programs = new Programs(connection);
    this.dataspaces = new Dataspaces(connection);
    this.events = new Events(connection);
    this.vkernels = new Vkernels(connection);
    this.services = new Services(connection);
    this.snapshots = new Snapshots(connection, this.dataspaces);
    this.#memory = new Memory(connection, this.dataspaces);
  }

  get name(): string {
    return this.connection.cluster;
  }

  /** host:port or unix:/path each, with commas between. */
  get routers(): string {
    return this.connection.routers;
  }

  /** False while the router went away and no other one is there yet. */
  get connected(): boolean {
    return this.connection.connected;
  }

  /** By index, with what is connected of each. */
  nodes({ signal }: { signal?: AbortSignal } = {}): Promise<Node[]> {
    const either = anyOf(this.connection.closed, signal);
    return overRouters(this.connection, () => this.connection.nodes(either), either);
  }

  /** @throws RpcError NOT_FOUND, with the names of the others */
  node(name: string, { signal }: { signal?: AbortSignal } = {}): Promise<Node> {
    const either = anyOf(this.connection.closed, signal);
    return overRouters(this.connection, () => this.connection.node(name, either), either);
  }

  /**
   * Opens a dataspace to have its memory: on a node of the cluster, `map` makes it a SharedArrayBuffer that is coherent with
   * every guest.
   * @throws RpcError NOT_FOUND, PERMISSION_DENIED; FAILED_PRECONDITION where a node is named that is not on this machine
   */
  open(name: string, options: OpenOptions = {}): Promise<OpenDataspace> {
    return this.#memory.open(name, options);
  }

  close(): void {
    this.connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#memory.close();
  }
}
