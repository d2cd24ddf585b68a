// A virtual kernel: the mappings of its processes, and the watch over the lease of its node.
import { renewEveryMs } from '@odonata/coherency/lease.ts';
import type { HolderId } from '@odonata/coherency/page.ts';
import { LEASE_MS } from '../lease-ms.ts';
import { MAPPED_READ, MAPPED_WRITE, type MemoryFile, NOT_MAPPED } from '../memory-file.ts';
import { Part } from '../part.ts';
import { Process } from '../process.ts';
import type { Deadline, PmapPart } from './pmap.ts';

const LATE_MS = LEASE_MS / 20;

export class VkernelPart extends Part {
  readonly node: PmapPart;
  readonly file: MemoryFile;
  readonly maps: Uint8Array;
  session: HolderId;
  readonly processes: Process[] = [];
  private readonly deadline: Deadline;
  private watches = 0;

  constructor(node: PmapPart, name: string) {
    super(node.world, name, node.place);
    this.node = node;
    this.file = node.memory.file;
    this.deadline = node.deadline;
    this.maps = new Uint8Array(this.world.layout.pages);
    this.session = node.memory.join(this);
  }

  start(): void {
    this.world.vkernels.add(this);
    const count = 1 + this.world.random.below(2);
    for (let i = 0; i < count; i++) this.processes.push(new Process(this, this.world.nextPid()));
    for (const process of this.processes) process.start();
    this.watch();
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
    const againMs = leftMs > 0 ? Math.min(leftMs, LEASE_MS) : renewEveryMs(LEASE_MS);
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
    for (const process of this.processes) process.end();
  }
}
