// A holder without a node: the line to the directory and the holder's machines of a pmap manager, and no frames. Pages go
// from one simulated holder to another as calls within this process; the directory sees the same messages.
import { Bus } from '@odonata/bus/bus.ts';
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder/holder-messages.ts';
import { ShardedHolder } from '@odonata/coherency/holder/sharded-holder.ts';
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import { type AccessMode, mayRead, mayWrite, PAGE_BYTES, type PageRun } from '@odonata/coherency/page.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { Directories } from '../../../libs/pmap/wire/directories.ts';
import { followReplicas } from '../../../services/pmapd/wire/discovery.ts';
import { Failure } from '../../../services/vkctl/failure.ts';

export interface SharedPages {
  id: bigint;
  sizeBytes: bigint;
}

export interface HolderOptions {
  name: string;
  incarnation: bigint;
  /** nats://host:port */
  nats: string;
  /** File with a user and a password. */
  natsCredentials?: string | undefined;
  cluster: string;
  /** Where a replica is reached that says it is at an address; there, unless told otherwise. */
  reach?: (address: string) => string;
  shards: number;
  /** All holders of this process, by transfer address. */
  exchange: Map<string, SimulatedHolder>;
}

type Data = Extract<HolderEvent, { type: 'data' }>;

interface Waiter {
  mode: AccessMode;
  resolve: () => void;
  reject: (reason: Failure) => void;
}

export class SimulatedHolder {
  readonly name: string;
  readonly incarnation: bigint;
  readonly directories: Directories;
  private readonly machine: ShardedHolder;
  private readonly bus: Bus;
  private readonly exchange: Map<string, SimulatedHolder>;
  private readonly waiters = new Map<bigint, Map<number, Waiter>>();
  /** Pages that others sent, for the next turn. */
  private arriving: { data: Data; epoch: bigint }[] = [];
  private stopDiscovery: () => void = () => {};
  private readonly allLed = Promise.withResolvers<void>();

  /** Resolves when every shard has a leader that this holder is connected to. */
  static async join(options: HolderOptions): Promise<SimulatedHolder> {
    const { nats: url, natsCredentials: credentials, cluster, name, reach = (address) => address } = options;
    const log = silentLog();
    const bus = await Bus.connect({ url, credentials, cluster, name, log });
    const holder = new SimulatedHolder(options, bus);
    holder.stopDiscovery = await followReplicas(bus, log, (addresses) =>
      holder.directories.connectTo([...addresses].map(reach)),
    );
    await holder.allLed.promise;
    return holder;
  }

  private constructor({ name, incarnation, shards, exchange }: HolderOptions, bus: Bus) {
    this.name = name;
    this.incarnation = incarnation;
    this.exchange = exchange;
    this.bus = bus;
    this.machine = new ShardedHolder(shards);
    exchange.set(name, this);
    const about = { node: name, incarnation, shards, transferAddress: name, log: silentLog() };
    this.directories = new Directories(about, (action) => this.performLine(action));
  }

  private performLine(action: NodeAction): void {
    switch (action.type) {
      case 'page':
      case 'overheard':
        this.step(action.event as Parameters<ShardedHolder['step']>[0]);
        return;
      case 'led':
        if (action.voided) this.stepShard(action.shard, { type: 'expire' });
        this.stepShard(action.shard, { type: 'rejoin', sameDirectory: action.sameLeader });
        if (this.directories.connected) this.allLed.resolve();
        return;
      case 'resume':
        this.stepShard(action.shard, { type: 'rejoin', sameDirectory: true });
        return;
      default:
      // Nobody uses a page but for the moment that it is asked for, and there are no locks.
    }
  }

  /** Knows a dataspace from now on, and follows its invalidations. `whole`: this holder made it. */
  open({ id, sizeBytes }: SharedPages, whole: boolean): void {
    const pageCount = Number(sizeBytes / BigInt(PAGE_BYTES));
    this.waiters.set(id, new Map());
    this.step({ type: 'open', dataspace: id, pageCount, whole });
    this.bus.follow(id, (bytes) => this.directories.overhear(bytes));
  }

  /** Asks for what it does not have of a run; resolves when it may use all of it. */
  async acquire(run: PageRun, mode: AccessMode): Promise<void> {
    const waits: Promise<void>[] = [];
    const waiters = this.waiters.get(run.dataspace)!;
    for (let page = run.firstPage; page < run.firstPage + run.pageCount; page++) {
      if (this.permits(run.dataspace, page, mode)) continue;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      waiters.set(page, { mode, resolve, reject });
      waits.push(promise);
    }
    this.step({ type: 'want', run, mode, neededPages: run.pageCount });
    if (waits.length === 1) await waits[0];
    else await Promise.all(waits);
  }

  private permits(dataspace: bigint, page: number, mode: AccessMode): boolean {
    const state = this.machine.state(dataspace, page);
    return mode === 'WRITE' ? mayWrite(state) : mayRead(state);
  }

  private step(event: Parameters<ShardedHolder['step']>[0]): void {
    for (const action of this.machine.step(event)) this.perform(action);
  }

  private stepShard(shard: number, event: Parameters<ShardedHolder['stepShard']>[1]): void {
    for (const action of this.machine.stepShard(shard, event)) this.perform(action, shard);
  }

  private perform(action: HolderAction, shard?: number): void {
    switch (action.type) {
      case 'acquire':
      case 'ack':
      case 'report':
        this.directories.say(action, shard);
        return;
      case 'send':
      case 'resend':
        this.send(action);
        return;
      case 'ready':
        this.ready(action.run);
        return;
      case 'failed':
        for (const waiter of this.take(action.run))
          waiter.reject(new Failure(`the directory refused pages of ${this.name}: ${action.reason}`));
        return;
      default:
      // What concerns frames: there are none.
    }
  }

  private send({ run, receiver, version, state }: Extract<HolderAction, { type: 'send' | 'resend' }>): void {
    const way = this.directories.lines.wayTo(run.dataspace, run.firstPage, receiver);
    if (way === undefined) return;
    // Whoever is not there is dead to the directory soon; it asks again.
    const to = this.exchange.get(way.address);
    to?.arrive({ type: 'data', run, version, state, zero: false }, way.epoch);
  }

  private arrive(data: Data, epoch: bigint): void {
    if (this.arriving.push({ data, epoch }) > 1) return;
    setImmediate(() => {
      const arriving = this.arriving;
      this.arriving = [];
      for (const each of arriving) {
        const { dataspace, firstPage } = each.data.run;
        const { lines } = this.directories;
        if (lines.accepts(dataspace, firstPage, each.epoch, monotonicMs())) this.step(each.data);
      }
    });
  }

  // What came may be less than what is waited for, or have been taken away again: then it asks once more.
  private ready(run: PageRun): void {
    const waiters = this.waiters.get(run.dataspace)!;
    for (let page = run.firstPage; page < run.firstPage + run.pageCount; page++) {
      const waiter = waiters.get(page);
      if (waiter === undefined) continue;
      if (this.permits(run.dataspace, page, waiter.mode)) {
        waiters.delete(page);
        waiter.resolve();
      } else {
        const again = { dataspace: run.dataspace, firstPage: page, pageCount: 1 };
        this.step({ type: 'want', run: again, mode: waiter.mode, neededPages: 1 });
      }
    }
  }

  private take({ dataspace, firstPage, pageCount }: PageRun): Waiter[] {
    const waiters = this.waiters.get(dataspace)!;
    const taken: Waiter[] = [];
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      const waiter = waiters.get(page);
      if (waiter !== undefined) taken.push(waiter);
      waiters.delete(page);
    }
    return taken;
  }

  async close(): Promise<void> {
    this.exchange.delete(this.name);
    this.stopDiscovery();
    this.directories.close();
    await this.bus.close();
  }
}
