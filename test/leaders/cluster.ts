// Replicas of cohd and nodes as they ship, over gRPC, in one process; in memory are only the bucket of members, the
// registry, the broadcast, and the pages.
import type { Bus } from '@odonata/bus/bus.ts';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder/holder-messages.ts';
import { ShardedHolder } from '@odonata/coherency/holder/sharded-holder.ts';
import type { HolderWord } from '@odonata/coherency/node/lines/holder-wire.ts';
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import type { AccessMode, PageState } from '@odonata/coherency/page.ts';
import { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { type Logger, silentLog } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { createRpcServer, type RpcServer } from '@odonata/rpc/server.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { Directories } from '../../libs/pmap/wire/directories.ts';
import { CoherencyService } from '../../services/cohd/coherency-service.ts';
import { directoryHandlers } from '../../services/cohd/handlers.ts';
import { Members } from '../../services/cohd/members.ts';
import { OPEN } from '../../services/cohd/ownership.ts';
import type { DataspaceRecord, Registry } from '../../services/cohd/registry.ts';
import { MemberBucket } from './bucket.ts';

export const LEASE_MS = 400;
const PAGES = 2;
const WAIT_MS = 30_000;

type Bytes = Uint8Array;

const noWords = () => {};
const quiet = {
  ...{ info: noWords, warn: noWords, debug: noWords, error: noWords },
  child: () => quiet,
  isLevelEnabled: () => false,
} as unknown as Logger;

/** @throws Error when it does not come to that */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface ReplicaAbout {
  name: string;
  incarnation: bigint;
  alone?: boolean;
}
type Noted = NonNullable<Awaited<ReturnType<Members['takeOver']>>>;

export class Replica {
  readonly service: CoherencyService;
  readonly members: Members;
  /** Shards that it gave up because of a note. */
  readonly steppedDown: number[] = [];
  address = '';
  private readonly server: RpcServer;

  private constructor(cluster: LeadersCluster, about: ReplicaAbout & { members: Members; noted: Noted }) {
    const { name, incarnation, alone, members, noted } = about;
    this.members = members;
    this.service = new CoherencyService({
      ...{ replica: name, incarnation, shards: 1, leaseMs: LEASE_MS, members, noted },
      ...{ registry: cluster.registry, bus: cluster.bus, now: monotonicMs },
      ...(alone !== undefined && { alone }),
      // The only error that a replica tells of is that it steps down, from these shards.
      log: {
        ...quiet,
        error: ({ shards }: { shards: number[] }) => this.steppedDown.push(...shards),
      } as never,
    });
    const gate = new WireGate('cohd', silentLog());
    const handlers = directoryHandlers(this.service, cluster.registry, () => new Map(), gate, {
      userDataspaces: 10,
    });
    this.server = createRpcServer({ name, log: quiet }).add(DirectoryService, handlers);
  }

  static async start(cluster: LeadersCluster, about: ReplicaAbout): Promise<Replica> {
    const members = new Members(cluster.bucket.kv, about.name, about.incarnation);
    const replica = new Replica(cluster, { ...about, members, noted: (await members.takeOver())! });
    replica.address = await replica.server.listen('127.0.0.1:0');
    cluster.replicas.add(replica);
    return replica;
  }

  /** Leads the shard after another replica that led it at an epoch. */
  async leadAfter(other: Replica | undefined, epoch: bigint, lastEpoch: bigint): Promise<void> {
    const name = other?.service.replica ?? '';
    const noted = (await this.members.all()).get(name) ?? new Map();
    this.service.lead(0, epoch, noted, lastEpoch);
  }

  page(number: number, dataspace = 1n) {
    return this.service.led[0]?.directory.inspect(dataspace, number);
  }

  async crash(): Promise<void> {
    this.service.close();
    await this.server.drain(0);
  }
}

export class TestNode {
  readonly name: string;
  readonly holder = new ShardedHolder(1);
  readonly directories: Directories;
  /** Whether each word of a leader that it leads made what was held void. */
  readonly led: boolean[] = [];
  readonly refused: string[] = [];
  private readonly cluster: LeadersCluster;

  constructor(cluster: LeadersCluster, name: string, incarnation: bigint) {
    this.cluster = cluster;
    this.name = name;
    const about = { node: name, incarnation, shards: 1, transferAddress: `${name}:1`, log: quiet };
    this.directories = new Directories(about, (action) => this.performLine(action));
    cluster.nodes.add(this);
  }

  connectTo(...replicas: Replica[]): void {
    this.directories.connectTo(replicas.map(({ address }) => address));
  }

  open(whole: boolean, dataspace = 1n): void {
    this.step({ type: 'open', dataspace, pageCount: PAGES, whole });
  }

  want(mode: AccessMode, firstPage = 0, dataspace = 1n): void {
    this.step({ type: 'want', run: { dataspace, firstPage, pageCount: 1 }, mode, neededPages: 1 });
  }

  wrote(firstPage = 0, dataspace = 1n): void {
    this.step({ type: 'wrote', run: { dataspace, firstPage, pageCount: 1 } });
  }

  state(page = 0, dataspace = 1n): PageState {
    return this.holder.state(dataspace, page);
  }

  /** What may be read here now. */
  reads(page = 0, dataspace = 1n): boolean {
    return this.state(page, dataspace) !== 'INVALID' && this.directories.usable(dataspace, page);
  }

  private performLine(action: NodeAction): void {
    if (action.type === 'page' || action.type === 'overheard') this.step(action.event);
    else if (action.type === 'resume') this.stepShard({ type: 'rejoin', sameDirectory: true });
    else if (action.type === 'led') {
      this.led.push(action.voided);
      if (action.voided) this.stepShard({ type: 'expire' });
      this.stepShard({ type: 'rejoin', sameDirectory: action.sameLeader });
    }
  }

  step(event: Exclude<HolderEvent, { type: 'rejoin' | 'expire' | 'forsake' }>): void {
    for (const action of this.holder.step(event)) this.perform(action);
  }

  private stepShard(event: Extract<HolderEvent, { type: 'rejoin' | 'expire' }>): void {
    for (const action of this.holder.stepShard(0, event)) this.perform(action);
  }

  private perform(action: HolderAction): void {
    if (action.type === 'failed') this.refused.push(action.reason);
    else if (action.type === 'send') this.cluster.deliver(this, action);
    else if (['acquire', 'ack', 'report'].includes(action.type))
      this.directories.say(action as HolderWord, 0);
  }
}

export class LeadersCluster {
  readonly bucket = new MemberBucket();
  readonly nodes = new Set<TestNode>();
  readonly replicas = new Set<Replica>();
  private readonly records: DataspaceRecord[] = [];
  readonly registry: Registry;
  readonly bus: Bus;

  constructor() {
    const { records, nodes } = this;
    this.registry = {
      get revision() {
        return records.at(-1)?.id ?? 0n;
      },
      byId: (id: bigint) => records.find((record) => record.id === id),
      list: () => records,
    } as unknown as Registry;
    this.bus = {
      invalidate(_: bigint, bytes: Bytes) {
        for (const node of nodes) node.directories.overhear(bytes);
      },
    } as unknown as Bus;
  }

  /** The next dataspace. */
  register(creator: string, creatorIncarnation: bigint): bigint {
    const id = BigInt(this.records.length + 1);
    const about = { name: `d${id}`, sizeBytes: BigInt(PAGES * 4096), durable: false, ...OPEN };
    this.records.push({ id, creator, creatorIncarnation, ...about });
    return id;
  }

  deliver(from: TestNode, { run, state, version }: Extract<HolderAction, { type: 'send' }>): void {
    const [to] = [...this.nodes].filter((node) => node !== from);
    to?.step({ type: 'data', run, state, version, zero: false });
  }

  async close(): Promise<void> {
    for (const node of this.nodes) node.directories.close();
    await Promise.all([...this.replicas].map((replica) => replica.crash()));
  }
}
