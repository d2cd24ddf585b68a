// Breaks things, as the profile says how often, and mends them.

import { LEASE_MS } from './lease-ms.ts';
import type { Part } from './part.ts';
import type { DirectoryPart } from './parts/directory.ts';
import type { Fault } from './profiles.ts';
import type { Replica, World } from './world.ts';

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
    for (const directory of world.directories.flat()) directory.wake();
    for (const replica of world.replicas) replica.down = false;
    for (const copy of world.stores) {
      copy.wake();
      if (!copy.alive) copy.restart();
    }
    for (let shard = 0; shard < world.layout.shards; shard++)
      if (!world.leaderOf(shard).alive) world.startDirectory(shard);
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
        random.pick(node.links.all).connection?.break();
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
        for (const leader of this.leadersAt(replica)) this.pause(leader, ms);
        return;
      case 'move shard':
        this.moveShard(random.below(world.layout.shards), replica);
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
      case 'crash vkernel':
        if (node.runs && node.vkernels.length > 0) node.crashVkernel(random.pick(node.vkernels));
        return;
      case 'crash directory':
        this.crashReplica(replica);
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

  private leadersAt(replica: Replica): DirectoryPart[] {
    return this.world.directories.flat().filter(({ place, alive }) => place === replica.place && alive);
  }

  // What it led goes to others, or back to it, shard by shard.
  private crashReplica(replica: Replica): void {
    const { world } = this;
    replica.down = true;
    world.later(world.random.between(1, LEASE_MS), () => {
      replica.down = false;
    });
    for (const leader of this.leadersAt(replica)) {
      leader.crash();
      world.later(world.random.between(1, LEASE_MS / 2), () => {
        if (world.leaderOf(leader.shard) === leader) world.startDirectory(leader.shard);
      });
    }
  }

  // Its leader stops first; the other replica leads as soon as it hears of that.
  private moveShard(shard: number, to: Replica): void {
    const { world } = this;
    const leader = world.leaderOf(shard);
    if (to.down || !leader.runs || leader.place === to.place) return;
    leader.crash();
    world.later(world.network.delayMs(), () => {
      if (world.leaderOf(shard) === leader) world.startDirectory(shard, to.index);
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
