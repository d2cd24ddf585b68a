// A virtual kernel: the mappings of its processes, and the watch over the lease of its node.
import { renewEveryMs } from '@odonata/coherency/lease.ts';
import type { HolderId } from '@odonata/coherency/page.ts';
import { BarrierGoer } from '../barrier-goer.ts';
import { Process, type ProcessNode } from '../process.ts';
import { MAPPED_READ, MAPPED_WRITE, type MemoryFile, NOT_MAPPED } from '../stores/memory-file.ts';
import { LEASE_MS } from '../world/lease-ms.ts';
import { Part } from '../world/part.ts';
import type { Place } from '../world/place.ts';
import type { Surroundings } from '../world/surroundings.ts';
import type { Answer, AskingVkernel } from './sync.ts';

/** Until it notices that its deadline has come: what lease.ts leaves for that, behind what the node itself may be late. */
const LATE_MS = LEASE_MS / 50;

/** Until when a node may use what it holds, on its clock: shared with its virtual kernels. */
export interface Deadline {
  endMs: number;
}

/** The pmap manager of its node. */
export interface HostingNode extends ProcessNode {
  readonly place: Place;
  readonly deadline: Deadline;
  join(vkernel: VkernelPart): HolderId;
}

export class VkernelPart extends Part implements AskingVkernel {
  readonly world: Surroundings;
  readonly node: HostingNode;
  readonly file: MemoryFile;
  readonly maps: Uint8Array;
  session: HolderId;
  readonly processes: Process[] = [];
  readonly goers: BarrierGoer[] = [];
  private readonly deadline: Deadline;
  /** What its processes asked of range locks, waits and wakes. */
  readonly asked = new Map<bigint, (answer: Answer) => void>();
  atBarrier: bigint | undefined;
  private lastRequest = 0n;
  private watches = 0;

  constructor(world: Surroundings, node: HostingNode, name: string) {
    super(world, name, node.place);
    this.world = world;
    this.node = node;
    this.file = node.memory.file;
    this.deadline = node.deadline;
    this.maps = new Uint8Array(this.world.layout.pages);
    this.session = node.join(this);
  }

  start(): void {
    this.world.vkernels.add(this);
    const count = 1 + this.world.random.below(2);
    for (let i = 0; i < count; i++) this.processes.push(new Process(this, this.world.nextPid()));
    if (this.world.barriers.wanted) this.goers.push(new BarrierGoer(this, this.world.nextPid()));
    for (const process of [...this.processes, ...this.goers]) process.start();
    this.watch();
  }

  nextRequest(): bigint {
    return ++this.lastRequest;
  }

  /** Its node was dead for the directory: what these had locked is locked by others by now. */
  locksLost(owners: ReadonlySet<bigint>): void {
    for (const process of this.processes) if (owners.has(process.pid)) process.locksLost();
  }

  /** True while the lease of the node it knows lasts. */
  get trusts(): boolean {
    return this.localMs < this.deadline.endMs;
  }

  map(page: number, writable: boolean): void {
    if (!this.alive) return;
    const before = this.maps[page]!;
    const now = writable ? MAPPED_WRITE : MAPPED_READ;
    if (now <= before) return;
    this.maps[page] = now;
    this.world.access.gained(this, page);
  }

  /** Takes write access away. */
  protect(firstPage: number, pageCount: number): void {
    for (let page = firstPage; page < firstPage + pageCount; page++) {
      if (this.maps[page] === MAPPED_WRITE) this.maps[page] = MAPPED_READ;
    }
  }

  // The lease of the node ends here too, even if the pmap manager is stopped and takes nothing away. It looks anew where
  // that comes to be sooner: a shard that was joined late may have an earlier end.
  watch(): void {
    const watch = ++this.watches;
    const leftMs = this.deadline.endMs - this.localMs;
    const againMs = leftMs > 0 ? Math.min(leftMs, LEASE_MS) : renewEveryMs(LEASE_MS, this.world.renewals);
    this.timer(againMs + this.world.random.between(0, LATE_MS), () => {
      if (watch !== this.watches) return;
      this.checkDeadline();
      this.watch();
    });
  }

  private checkDeadline(): void {
    if (this.world.duties.watchDeadline && !this.trusts) this.maps.fill(NOT_MAPPED);
  }

  // It looks at the time before its guests run on.
  override wake(): void {
    if (!this.alive || !this.paused) return;
    this.checkDeadline();
    super.wake();
    for (let page = 0; page < this.maps.length; page++) {
      if (this.maps[page] !== NOT_MAPPED) this.world.access.gained(this, page);
    }
  }

  override crash(): void {
    if (!this.alive) return;
    super.crash();
    this.maps.fill(NOT_MAPPED);
    this.world.vkernels.delete(this);
    this.asked.clear();
    for (const process of [...this.processes, ...this.goers]) process.end();
  }
}
