// Another pmap manager takes the place of that of a node: what it goes on with has gone through the bytes of the hand-over.
// To the directory the streams of the node break; its virtual kernels wait.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { LedShard } from '@odonata/coherency/node/lines/led-shard.ts';
import {
  type ShardSnapshot,
  ShardSnapshotSchema,
  type SyncSnapshot,
  SyncSnapshotSchema,
} from '@odonata/proto/pmap/v1/handover';
import { LEASE_MS } from '../world/lease-ms.ts';
import type { Place } from '../world/place.ts';
import type { Surroundings } from '../world/surroundings.ts';
import type { Holding } from './holding.ts';
import type { MemoryPart } from './memory.ts';
import type { SyncPart } from './sync.ts';
import type { VkernelPart } from './vkernel.ts';

/** For how long the lease is asked to be held while another pmap manager takes the place of this one. */
const HOLD_MS = 2 * LEASE_MS;
/** How long it waits for the answer to that. */
const HOLD_WAIT_MS = 30;

/** What the next pmap manager of the node goes on with. */
interface HandOver {
  led: ShardSnapshot[];
  held: ShardSnapshot[];
  sync: SyncSnapshot;
  vkernels: VkernelPart[];
}

interface ReplacedNode {
  readonly place: Place;
  readonly memory: MemoryPart;
  readonly holding: Holding;
  readonly sync: SyncPart;
  /** Virtual kernels that were not seen to end. */
  readonly sessions: ReadonlySet<VkernelPart>;
  after(delayMs: number, work: () => void): void;
  note(what: string): void;
  pause(): void;
  wake(): void;
  /** @param fresh another pmap manager's, which goes on */
  joinDirectory(inherited: readonly LedShard[], fresh?: SyncPart): void;
  freshSync(): SyncPart;
}

export class Replacement {
  private readonly world: Surroundings;
  private readonly node: ReplacedNode;
  private handOver: HandOver | undefined;
  private begun = false;

  constructor(world: Surroundings, node: ReplacedNode) {
    this.world = world;
    this.node = node;
  }

  get isUnderWay(): boolean {
    return this.begun;
  }

  begin(): void {
    const { node, world } = this;
    node.note('is replaced');
    this.begun = true;
    node.memory.copyAhead();
    node.holding.step({ type: 'hold', holdMs: HOLD_MS });
    node.after(world.random.between(0, HOLD_WAIT_MS), () => this.freeze());
  }

  private freeze(): void {
    const { node } = this;
    const { network, random, nodes, machines } = this.world;
    node.note('freezes');
    const led = node.holding.handOver().map((shard, number) => {
      const message = create(ShardSnapshotSchema, { shard: number, ...machines.wire.led(shard) });
      return fromBinary(ShardSnapshotSchema, toBinary(ShardSnapshotSchema, message));
    });
    const held = node.memory.freeze();
    const vkernels = [...node.sessions];
    const sync = create(SyncSnapshotSchema, node.sync.core.snapshot(vkernels.map(({ session }) => session)));
    this.handOver = {
      ...{ led, held, vkernels },
      sync: fromBinary(SyncSnapshotSchema, toBinary(SyncSnapshotSchema, sync)),
    };
    for (const other of nodes) {
      network.breakTransfer(node.place.index, other.place.index);
      network.breakTransfer(other.place.index, node.place.index);
    }
    node.pause();
    this.world.later(random.between(0.5, random.oneIn(4) ? 2 * HOLD_MS : LEASE_MS / 3), () => node.wake());
  }

  /** The node runs again. */
  goOn(): void {
    const { handOver } = this;
    if (handOver === undefined) return;
    this.handOver = undefined;
    this.begun = false;
    const { led, held, sync, vkernels } = handOver;
    const { node } = this;
    const { random, machines } = this.world;
    const inherited = led.map((shard) => machines.wire.ledFrom(shard));
    // Now and then no other one takes its place, but it itself.
    if (random.oneIn(4)) {
      // First: what the lines say at once of leases that ended is for a memory that hears it.
      node.memory.thaw();
      node.joinDirectory(inherited);
      return;
    }
    node.memory.takeOver(vkernels, held);
    const fresh = node.freshSync();
    fresh.core.resume(
      sync,
      vkernels.map(({ session }) => session),
    );
    node.joinDirectory(inherited, fresh);
  }
}
