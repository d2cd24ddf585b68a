// pmapd: the pmap manager of a node, with the virtual kernels on it.
import { LEASE_MS } from '../lease-ms.ts';
import { Part, type Place } from '../part.ts';
import type { World } from '../world.ts';
import { Backing } from './backing.ts';
import { Drain } from './drain.ts';
import { Links } from './links.ts';
import { MemoryPart } from './memory.ts';
import { SyncRelay } from './sync-relay.ts';
import { VkernelPart } from './vkernel.ts';

/** A virtual kernel notices the death of its pmap manager within this time, or its deadline comes first. */
const NOTICE_MS = 500;

/** Until when a node may use what it holds, on its clock: shared with its virtual kernels. */
export interface Deadline {
  endMs: number;
}

export class PmapPart extends Part {
  readonly nodeIndex: number;
  incarnation = 0;
  deadline: Deadline = { endMs: Number.NEGATIVE_INFINITY };
  memory!: MemoryPart;
  links!: Links;
  relay!: SyncRelay;
  backing!: Backing;
  vkernels: VkernelPart[] = [];
  /** Once it hands over what it has. */
  leaving: Drain | undefined;
  private replacing = false;

  constructor(world: World, place: Place) {
    super(world, place.name, place);
    this.nodeIndex = world.nodes.length;
  }

  start(): void {
    const { world } = this;
    this.alive = true;
    this.generation++;
    this.incarnation++;
    if (world.duties.emptyLeftovers && this.incarnation > 1) this.memory.file.empty();
    this.deadline = { endMs: Number.NEGATIVE_INFINITY };
    this.memory = new MemoryPart(this);
    this.links = new Links(this);
    this.relay = new SyncRelay(this);
    this.backing = new Backing(this);
    this.leaving = undefined;
    this.replacing = false;
    for (const record of world.cluster.dataspaces) {
      const whole = record.creatorNode === this.nodeIndex && record.creatorIncarnation === this.incarnation;
      this.memory.open(record.id, record.pageCount, whole);
    }
    this.vkernels = [];
    const count = 1 + world.random.below(2);
    for (let i = 0; i < count; i++) this.startVkernel(i);
    this.note('starts', { incarnation: this.incarnation });
    this.links.start();
  }

  private note(what: string, about?: object): void {
    this.world.history.note(this.world, this.name, what, undefined, about);
  }

  private startVkernel(slot: number): void {
    this.vkernels[slot] = new VkernelPart(this, `${this.name}/vkernel${slot + 1}`);
    this.vkernels[slot].start();
  }

  override crash(): void {
    if (!this.alive) return;
    this.note('crashes');
    this.world.losses.nodeDied(this.nodeIndex);
    this.links.break();
    super.crash();
    for (const vkernel of this.vkernels)
      vkernel.after(this.world.random.between(0, NOTICE_MS), () => vkernel.crash());
  }

  crashVkernel(vkernel: VkernelPart): void {
    const slot = this.vkernels.indexOf(vkernel);
    if (slot === -1 || !vkernel.alive) return;
    vkernel.crash();
    // The pmap manager sees the end of the stream.
    this.after(this.world.random.between(0, 5), () => {
      this.forget(vkernel);
      if (this.leaving === undefined) this.startVkernel(slot);
    });
  }

  private forget(vkernel: VkernelPart): void {
    this.memory.leave(vkernel);
    for (const process of vkernel.processes) this.relay.ownerGone(process.pid);
  }

  /**
   * Another pmap manager takes its place, and goes on with what it had after a while: to the directory its streams broke.
   */
  replace(): void {
    if (!this.runs || this.leaving !== undefined) return;
    this.note('is replaced');
    this.memory.freeze();
    this.links.break();
    for (const other of this.world.nodes) {
      this.world.network.breakTransfer(this.place.index, other.place.index);
      this.world.network.breakTransfer(other.place.index, this.place.index);
    }
    this.replacing = true;
    this.pause();
    this.world.later(this.world.random.between(0.5, LEASE_MS / 3), () => this.wake());
  }

  override wake(): void {
    if (this.runs || !this.alive) return;
    if (this.replacing) this.memory.takeOver(this.vkernels);
    this.replacing = false;
    super.wake();
  }

  /** It hands over what it has, and leaves. */
  drain(): void {
    if (!this.runs || this.leaving !== undefined) return;
    this.note('leaves');
    this.leaving = new Drain(this);
    this.leaving.start();
  }

  endVkernel(vkernel: VkernelPart): void {
    if (!vkernel.alive) return;
    vkernel.crash();
    this.forget(vkernel);
  }

  /** It could not hand over everything in time. */
  giveUp(): void {
    this.crash();
    this.startLater();
  }

  /** It has left: nothing is lost by its end. */
  gone(): void {
    this.note('is gone');
    this.links.break();
    super.crash();
    this.startLater();
  }

  private startLater(): void {
    this.world.later(this.world.random.between(1, LEASE_MS), () => {
      if (!this.alive) this.start();
    });
  }
}
