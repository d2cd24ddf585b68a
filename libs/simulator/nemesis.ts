// Breaks things, as the profile says how often, and mends them.

import type { ReplicaPart } from './parts/replica.ts';
import type { Fault } from './profiles.ts';
import { LEASE_MS } from './world/lease-ms.ts';
import type { Part } from './world/part.ts';
import type { World } from './world/world.ts';

export class Nemesis {
  private readonly world: World;
  private readonly faults: Fault[];
  private readonly weights: number[];
  private active = true;
  /** The copy of the store that suffers: the other one must do. */
  private readonly weakCopy: number;

  constructor(world: World) {
    this.world = world;
    this.faults = Object.keys(world.profile.faults) as Fault[];
    this.weights = this.faults.map((fault) => world.profile.faults[fault]);
    this.weakCopy = world.random.below(world.stores.length);
    if (world.profile.faultEveryMs > 0) this.next();
  }

  private next(): void {
    const { random, profile } = this.world;
    this.world.later(random.between(0, 2 * profile.faultEveryMs), () => {
      if (!this.active) return;
      this.strike(this.choose());
      this.next();
    });
  }

  private choose(): Fault {
    let at = this.world.random.between(
      0,
      this.weights.reduce((a, b) => a + b, 0),
    );
    for (const [index, weight] of this.weights.entries()) {
      at -= weight;
      if (at < 0) return this.faults[index]!;
    }
    return this.faults[0]!;
  }

  /** Faults end: everything runs and reaches everything. */
  end(): void {
    const { world } = this;
    this.active = false;
    world.network.heal();
    world.network.weather = { ...world.network.weather, lossOneIn: 0, repeatOneIn: 0, slowOneIn: 0 };
    for (const node of world.nodes) {
      node.wake();
      for (const vkernel of node.vkernels) vkernel.wake();
      if (!node.alive) node.start();
    }
    world.cluster.wake();
    for (const replica of world.replicas) {
      replica.wake();
      if (!replica.alive) replica.start();
    }
    for (const copy of world.stores) {
      copy.wake();
      if (!copy.alive) copy.restart();
    }
    for (const node of world.nodes) node.holding.connectTo(this.addresses());
  }

  private addresses(): string[] {
    return this.world.replicas.map(({ address }) => address);
  }

  /** Goes on after `end`. */
  resume(): void {
    this.active = true;
    this.world.network.weather = this.world.profile.weather;
    if (this.world.profile.faultEveryMs > 0) this.next();
  }

  private durationMs(): number {
    return this.world.random.between(10, this.world.random.oneIn(3) ? 3 * LEASE_MS : LEASE_MS / 2);
  }

  private pause(part: Part, ms: number): void {
    if (!part.runs) return;
    part.pause();
    this.world.later(ms, () => part.wake());
  }

  private strike(fault: Fault): void {
    const { world } = this;
    const { random, network, placeCount } = world;
    const node = random.pick(world.nodes);
    const replica = random.pick(world.replicas);
    const ms = this.durationMs();
    world.history.note(world, 'fault:', fault, undefined, { node: node.name, ms: Math.round(ms) });
    switch (fault) {
      case 'break stream':
        this.breakStream(node.holding.streams);
        return;
      case 'break transfer':
        network.breakTransfer(node.place.index, random.pick(world.nodes).place.index);
        return;
      case 'cut one way':
        network.cut(random.below(placeCount), random.below(placeCount), ms);
        if (random.oneIn(2)) network.cut(node.place.index, replica.place.index, ms);
        else network.cut(replica.place.index, node.place.index, ms);
        return;
      case 'isolate node':
        this.isolate(node.place.index, ms);
        return;
      case 'cut directory':
        if (random.oneIn(2)) this.isolate(replica.place.index, ms);
        else network.cut(replica.place.index, world.cluster.place.index, ms);
        return;
      case 'pause pmap':
        this.pause(node, ms);
        return;
      case 'pause vkernel':
        if (node.vkernels.length > 0) this.pause(random.pick(node.vkernels), ms);
        return;
      case 'pause node':
        this.pause(node, ms);
        for (const vkernel of node.vkernels) this.pause(vkernel, ms * random.between(0.9, 1.1));
        return;
      case 'pause directory':
        this.pause(replica, ms);
        return;
      case 'stop directory':
        replica.stop();
        this.startAgain(replica, ms);
        return;
      case 'pause cluster store':
        this.pause(world.cluster, ms);
        return;
      case 'overlook directory':
        this.overlook(replica, ms);
        return;
      case 'crash pmap':
        if (!node.alive) return;
        node.crash();
        world.later(random.between(1, LEASE_MS), () => {
          if (!node.alive) node.start();
        });
        return;
      case 'drain pmap':
        node.drain();
        return;
      case 'replace pmap':
        node.replace();
        return;
      case 'short of frames':
        node.runShort();
        return;
      case 'crash vkernel':
        if (node.runs && node.vkernels.length > 0) node.crashVkernel(random.pick(node.vkernels));
        return;
      case 'crash directory':
        replica.crash();
        this.startAgain(replica, ms);
        return;
      case 'damage store':
        this.damageStore(ms);
        return;
      case 'store away':
        for (const copy of world.stores) this.isolate(copy.place.index, ms);
        return;
    }
  }

  private isolate(place: number, ms: number): void {
    for (let other = 0; other < this.world.placeCount; other++) {
      if (other === place) continue;
      this.world.network.cut(place, other, ms);
      this.world.network.cut(other, place, ms);
    }
  }

  private breakStream(streams: readonly { break(): void }[]): void {
    if (streams.length > 0) this.world.random.pick(streams).break();
  }

  private startAgain(replica: ReplicaPart, ms: number): void {
    this.world.later(ms, () => {
      if (!replica.alive) replica.start();
    });
  }

  // A node does not find a replica for a while, though that is there.
  private overlook(replica: ReplicaPart, ms: number): void {
    const { world } = this;
    const node = world.random.pick(world.nodes);
    if (!node.runs) return;
    node.holding.connectTo(this.addresses().filter((address) => address !== replica.address));
    world.later(ms, () => {
      if (node.alive) node.holding.connectTo(this.addresses());
    });
  }

  private damageStore(ms: number): void {
    const { world } = this;
    const copy = world.stores[this.weakCopy]!;
    const page = world.random.below(world.layout.pages);
    if (world.random.oneIn(2)) copy.store.spoil(page);
    else {
      const order = (copy.store.get(page)?.order ?? 0n) + 1n;
      copy.store.tear(page, { value: world.latest.latest(page), order });
    }
    if (copy.alive) {
      copy.crash();
      world.later(ms, () => copy.restart());
    }
  }
}
