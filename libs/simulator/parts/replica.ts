// A replica of the directory: what cohd runs (libs/coherency/replica), with a simulated store, streams and a clock. Nothing
// is decided here: what comes is handed on, and what the core says is carried out.

import { create } from '@bufbuild/protobuf';
import type { HolderId } from '@odonata/coherency/page.ts';
import { unreachable } from '@odonata/coherency/page.ts';
import type { Dataspace } from '@odonata/coherency/replica/dataspaces.ts';
import { ElectedReplica, type ElectedReplicaAction } from '@odonata/coherency/replica/elected-replica.ts';
import { type Replica, TICK_MS } from '@odonata/coherency/replica/replica.ts';
import type { ShardLeader, ShardLeaderOptions } from '@odonata/coherency/replica/shard/shard-leader.ts';
import { type HolderEvent, InvalidateSchema } from '@odonata/proto/coherency/v1/coherency';
import type { AtStart, Change } from '../stores/cluster-store.ts';
import { check } from '../violation.ts';
import { Alarm } from '../world/alarm.ts';
import type { Connection } from '../world/connection.ts';
import { LEASE_MS } from '../world/lease-ms.ts';
import { Part } from '../world/part.ts';
import type { Place } from '../world/place.ts';
import type { ReplicaAround, Surroundings } from '../world/surroundings.ts';

/** What is not answered at its start is asked again. */
const AGAIN_MS = 20;

/** What this replica has heard of dataspaces. */
class Registry {
  private readonly known = new Map<bigint, Dataspace>();

  constructor(dataspaces: readonly Dataspace[]) {
    for (const dataspace of dataspaces) this.add(dataspace);
  }

  get revision(): bigint {
    let last = 0n;
    for (const id of this.known.keys()) if (id > last) last = id;
    return last;
  }

  byId(id: bigint): Dataspace | undefined {
    return this.known.get(id);
  }

  add(dataspace: Dataspace): void {
    this.known.set(dataspace.id, dataspace);
  }
}

export class ReplicaPart extends Part implements ReplicaAround {
  /** Undefined while it starts. */
  core: ElectedReplica | undefined;
  private readonly world: Surroundings;
  private readonly connections = new Map<number, Connection>();
  /** By node: who it is here. */
  private readonly holders = new Map<string, HolderId>();
  private readonly nodes = new Map<number, string>();
  private registry = new Registry([]);
  /** Of this start: what an earlier one had set does not ring. */
  private alarm!: Alarm;
  private tickedAtMs = 0;

  constructor(world: Surroundings, place: Place) {
    super(world, place.name, place);
    this.world = world;
  }

  get address(): string {
    return this.name;
  }

  get serves(): boolean {
    return this.alive && this.core !== undefined;
  }

  // ---- it starts and ends

  start(): void {
    this.alive = true;
    this.generation++;
    this.note('starts');
    this.read();
  }

  private note(what: string, about?: object): void {
    this.world.history.note(this.world, this.name, what, undefined, about);
  }

  private read(incarnation = this.world.cluster.nextStart()): void {
    const { cluster } = this.world;
    cluster.ask(
      this,
      () => cluster.start(this.name, incarnation),
      (atStart) => this.begin(atStart),
      () => this.timer(AGAIN_MS, () => this.read(incarnation)),
    );
  }

  private begin({ incarnation, noted, dataspaces }: AtStart): void {
    const { machines, layout } = this.world;
    this.registry = new Registry(dataspaces);
    const replica = machines.replica({
      ...{ replica: this.name, incarnation, shards: layout.shards, leaseMs: LEASE_MS },
      ...{ dataspaces: this.registry, noted, elected: true, nowMs: this.clockMs },
      machines: {
        leases: machines.leases,
        members: machines.members,
        notes: machines.notes,
        leader: (options) => this.leader(options),
      },
    });
    this.core = new ElectedReplica(replica);
    const about = { replica: this.name, incarnation, address: this.address, standalone: false };
    const lease = { leaseMs: LEASE_MS, renewals: this.world.renewals };
    this.core.enter(machines.election({ ...about, ...lease, shards: layout.shards }, this.clockMs));
    this.alarm = new Alarm(this, () => this.tick());
    this.tickedAtMs = this.clockMs;
    this.tick();
    this.follow(this.core);
  }

  private leader(options: ShardLeaderOptions): ShardLeader {
    const { machines, locks, cluster } = this.world;
    const { shard, epoch } = options;
    const watch = {
      ...{ shard, locks },
      isNewest: () => cluster.epochOf(shard) === epoch,
      note: (what: string, about: object) => this.note(what, about),
    };
    return machines.leader({
      ...options,
      few: this.world.few,
      machines: {
        directory: machines.directory,
        rebuild: machines.rebuild,
        desk: () => machines.desk(watch),
      },
    });
  }

  private follow(core: ElectedReplica): void {
    const { cluster } = this.world;
    cluster.ask(
      this,
      () => cluster.follow(this, core.replica.epoch, (change) => this.see(core, change)),
      () => {},
      () => this.follow(core),
    );
  }

  private see(core: ElectedReplica, change: Change): void {
    if (this.core !== core) return;
    if (change.type === 'dataspace') this.registry.add(change.dataspace);
    else this.perform(this.core!.elect(change, this.clockMs));
  }

  override crash(): void {
    if (!this.alive) return;
    this.note('crashes');
    this.end();
  }

  private end(): void {
    super.crash();
    this.world.cluster.unfollow(this);
    this.core = undefined;
    for (const connection of [...this.connections.values()]) connection.break();
    this.connections.clear();
    this.holders.clear();
    this.nodes.clear();
  }

  /** Gives all shards up, for the others to take at once, and ends. */
  stop(): void {
    if (!this.runs || this.core === undefined) return;
    this.note('stops');
    this.perform(this.core.elect({ type: 'close' }, this.clockMs));
    this.after(this.world.network.delayMs(), () => this.end());
  }

  // ---- holders

  opened(connection: Connection): void {
    this.connections.set(connection.number, connection);
  }

  received(connection: Connection, event: HolderEvent): void {
    if (event.event.case === 'hello') this.nodes.set(connection.number, event.event.value.node);
    this.perform(this.core!.receive(connection.number, event, this.clockMs));
  }

  closed(connection: Connection): void {
    this.connections.delete(connection.number);
    this.nodes.delete(connection.number);
    if (this.core !== undefined)
      this.perform(this.core.step({ type: 'closed', stream: connection.number }, this.clockMs));
  }

  // ---- time

  private tick(): void {
    const { core } = this;
    if (core === undefined) return;
    const isDue = this.clockMs >= core.replica.nextMs;
    if (this.clockMs >= core.nextMs) {
      this.perform(core.tick(this.clockMs));
      this.checkBounds();
    }
    if (isDue) this.tickedAtMs = this.clockMs;
    else this.tickBeside(core.replica);
    this.alarm.set(Math.min(core.nextMs, this.tickedAtMs + TICK_MS));
  }

  // Ticks that a quiet replica does not ask for: one of them that finds anything was needed.
  private tickBeside(replica: Replica): void {
    if (this.clockMs < this.tickedAtMs + TICK_MS) return;
    this.tickedAtMs = this.clockMs;
    if (!replica.isResting) return;
    const [first] = replica.tick(this.clockMs);
    check(first === undefined, 'liveness', undefined, () => `${this.name} rested, and had to ${first?.type}`);
  }

  // At most one read and one write of each holder wait for a page.
  private checkBounds(): void {
    for (const { directory } of this.core!.replica.led) {
      // Those whose death is not noted yet among them.
      const holders = directory['holders'].size;
      for (const [id, dataspace] of directory['dataspaces'])
        for (const { queue, firstPage } of dataspace.pages)
          check(
            queue.length <= 2 * holders,
            'bounded queues',
            this.world.layout.pageOf(id, firstPage),
            () => `${queue.length} requests of ${holders} holders wait at ${this.name}`,
          );
    }
  }

  // ---- what is done

  private perform(actions: readonly ElectedReplicaAction[]): void {
    for (const action of actions) this.performOne(action);
  }

  private performOne(action: ElectedReplicaAction): void {
    const { cluster } = this.world;
    switch (action.type) {
      case 'send':
        this.send(action);
        return;
      case 'end':
        this.connections.get(action.stream)?.end();
        return;
      case 'fail':
        this.note('fails a stream', action);
        this.connections.get(action.stream)?.end();
        return;
      case 'broadcast':
        this.broadcast(action);
        return;
      case 'note': {
        const { note, what } = action;
        const start = this.core!.replica.epoch;
        this.note('notes', { note, ...what });
        if (what.about === 'dead') this.dies(what.node);
        cluster.ask(
          this,
          () => cluster.keep(this.name, start, what),
          () => this.noted(note, true),
          () => this.noted(note, false),
        );
        return;
      }
      case 'beat': {
        const { beat, value } = action;
        const answer = (kept: boolean) => this.elect({ type: 'beaten', beat, kept });
        cluster.ask(
          this,
          () => cluster.beat(this.name, value),
          () => answer(true),
          () => answer(false),
        );
        return;
      }
      case 'retreat':
        cluster.ask(
          this,
          () => cluster.beat(this.name, undefined),
          () => {},
          () => {},
        );
        return;
      case 'read': {
        const { read } = action;
        cluster.ask(
          this,
          () => cluster.allMembers(),
          (members) => this.elect({ type: 'members', read, members }),
          () => this.elect({ type: 'members', read, members: undefined }),
        );
        return;
      }
      case 'swap': {
        const { swap, shard, value, revision } = action;
        this.note('swaps', { shard, value, revision });
        cluster.ask(
          this,
          () => cluster.swap(shard, value, revision),
          (now) => this.elect({ type: 'swapped', swap, revision: now }),
          () => this.elect({ type: 'swapped', swap, revision: undefined }),
        );
        return;
      }
      case 'conflict':
        throw new Error(action.reason);
      case 'log':
        this.note(action.text, action.about);
        if (action.text === 'the shard is served')
          this.world.losses.keptIsLost(Number(action.about['shard']));
        return;
      case 'event':
        return;
      default:
        unreachable(action);
    }
  }

  private elect(event: Parameters<ElectedReplica['elect']>[0]): void {
    this.perform(this.core!.elect(event, this.clockMs));
  }

  private noted(note: number, kept: boolean): void {
    this.perform(this.core!.step({ type: 'noted', note, kept }, this.clockMs));
  }

  private send({ stream, event }: Extract<ElectedReplicaAction, { type: 'send' }>): void {
    if (event?.case === 'welcome') {
      const node = this.nodes.get(stream);
      if (node !== undefined) this.holders.set(node, event.value.holder ?? 0);
    }
    this.connections.get(stream)?.answer(event);
  }

  private broadcast({ value }: Extract<ElectedReplicaAction, { type: 'broadcast' }>): void {
    const message = create(InvalidateSchema, value);
    for (const node of this.world.nodes)
      this.world.network.datagram(this, node, () => node.overhear(message));
  }

  // Looked at before anything is done about it.
  private dies(node: string): void {
    const { losses, layout, nodes, cluster } = this.world;
    const index = nodes.findIndex(({ name }) => name === node);
    const holder = this.holders.get(node);
    for (let shard = 0; shard < layout.shards; shard++)
      if (cluster.isServedBy(shard, this.name)) losses.nodeDied(index, shard);
    for (const { shard, directory } of this.core!.replica.led) {
      losses.nodeDied(index, shard);
      for (const [id, dataspace] of directory['dataspaces'])
        for (const { change, firstPage, pageCount } of dataspace.pages)
          if (change?.request.holder === holder)
            for (let i = 0; i < pageCount; i++) losses.onItsWay(layout.pageOf(id, firstPage + i));
    }
  }
}
