// The node's lines to the directory: opened when others can reach the node, kept while its replicas come and go, closed while
// another pmap manager takes its place; and calls that any replica answers.
import type { Bus } from '@odonata/bus/bus.ts';
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import { Directories, type TracedWords } from '@odonata/pmap/wire/directories.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { type Client, createClient } from '@odonata/rpc/client.ts';
import { Code } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { MappedDataspace } from '../sessions/map-entry.ts';
import type { PageTraces } from '../traces/page-traces.ts';
import { followReplicas } from './discovery.ts';
import { heardInTrace, saidInTrace } from './traced-words.ts';

/** A call that any replica answers. */
const CALL_MS = 20_000;

export interface DirectoryLineOptions {
  node: string;
  incarnation: bigint;
  shards: number;
  /** Addresses of the replicas; none: they are looked for on the bus. */
  directory: readonly string[];
  bus: Bus;
  log: Logger;
  traces?: PageTraces | undefined;
  /** Pages that the node takes of others. */
  room(): number;
  /** What the lines decide. */
  perform(action: NodeAction): void;
}

export class DirectoryLine {
  private readonly o: DirectoryLineOptions;
  directories: Directories | undefined;
  private readonly mapped = new Set<bigint>();
  /** Opens lines to the directory; the leaders may be known. */
  private openLines: (led: readonly LedShard[] | undefined) => Directories = () => {
    throw new Error('bug: the node has not joined');
  };
  /** Addresses of the replicas of the directory. */
  private replicas: readonly string[] = [];
  private asked: { address: string; client: Client<typeof DirectoryService> } | undefined;
  private stopDiscovery: (() => void) | undefined;
  private isFrozen = false;
  private inherited: LedShard[] | undefined;
  private frozenShards: LedShard[] = [];

  constructor(options: DirectoryLineOptions) {
    this.o = options;
  }

  /** A line to a replica of the directory, for calls that any of them answers. */
  get directory(): Client<typeof DirectoryService> {
    const address = this.directories?.lines.anyReplica;
    if (address === undefined) throw tryAgain(Code.Unavailable, 'no replica of the directory is known yet');
    if (this.asked?.address !== address) {
      this.asked?.client.close();
      const client = createClient(DirectoryService, address, { log: this.o.log, deadlineMs: CALL_MS });
      this.asked = { address, client };
    }
    return this.asked.client;
  }

  /** True where pages that were sent to a holder are for who we are now at the leader of their shard. */
  acceptsFor(dataspace: bigint, page: number, epoch: bigint, receiver: number): boolean {
    return this.directories?.lines.acceptsFor(dataspace, page, epoch, receiver, monotonicMs()) ?? false;
  }

  private tracedWords(): TracedWords | undefined {
    const { traces } = this.o;
    if (traces === undefined) return undefined;
    return {
      said: (event) => saidInTrace(traces, event),
      heard: (event, follow) => heardInTrace(traces, event, follow),
    };
  }

  get connected(): boolean {
    return this.directories?.connected ?? false;
  }

  /** Joins the directory, once others can reach this node at `transferAddress`. */
  async join(transferAddress: string, stopping: AbortSignal): Promise<void> {
    const { node, shards } = this.o;
    const about = { node, shards, transferAddress, incarnation: this.o.incarnation, log: this.o.log };
    this.openLines = (inherited) => {
      const { mapped } = this;
      const { room } = this.o;
      const traces = this.tracedWords();
      const directories = new Directories({ ...about, inherited, mapped, traces, room }, (action) =>
        this.o.perform(action),
      );
      directories.connectTo(this.replicas);
      return directories;
    };
    this.directories = this.openLines(this.inherited);
    await this.discover(stopping);
  }

  /** Looks for the replicas of the directory; the next pmap manager of a node does before it joins. */
  async discover(stopping: AbortSignal): Promise<void> {
    if (this.stopDiscovery !== undefined) return;
    const connectTo = (addresses: readonly string[]) => {
      this.replicas = addresses;
      if (!this.isFrozen) this.directories?.connectTo(addresses);
    };
    const { directory } = this.o;
    if (directory.length > 0) {
      this.stopDiscovery = () => {};
      connectTo(directory);
    } else this.stopDiscovery = await followReplicas(this.o.bus, this.o.log, connectTo, stopping);
  }

  /** Tells the directory when the first process maps a dataspace here, and when the last one let it go. */
  interest(dataspace: MappedDataspace): void {
    const mapped = dataspace.entries.size > 0;
    if (mapped === this.mapped.has(dataspace.id)) return;
    if (mapped) this.mapped.add(dataspace.id);
    else this.mapped.delete(dataspace.id);
    this.directories?.interest(dataspace.id, mapped);
  }

  /** Asks the directory to hold the lease, and waits for its answer for so long at most. @see Directories.hold */
  async hold(holdMs: number, waitMs: number): Promise<void> {
    await this.directories?.hold(holdMs, waitMs);
  }

  /** @see Directories.usableUntilMs */
  get usableUntilMs(): number {
    return this.directories?.usableUntilMs ?? Number.NEGATIVE_INFINITY;
  }

  /** Goes on with the leaders that another pmap manager of this node knew; `join` follows. */
  inherit(shards: LedShard[]): void {
    this.inherited = shards;
  }

  /** Says nothing more. @returns the leaders, for whoever goes on */
  freeze(): LedShard[] {
    this.isFrozen = true;
    const shards = this.directories?.lines.snapshot() ?? [];
    this.frozenShards = shards;
    this.directories?.close();
    return shards;
  }

  /** To the directory as if another one had taken its place. @param first what is done before the lines say anything */
  thaw(first: () => void): void {
    this.isFrozen = false;
    first();
    this.directories = this.openLines(this.frozenShards);
  }

  /** Another pmap manager goes on: its lines stay as they are. */
  letGo(): void {
    this.stopDiscovery?.();
    this.asked?.client.close();
  }

  close(): void {
    this.letGo();
    this.directories?.close();
  }
}
