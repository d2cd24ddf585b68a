// The directory of a node towards its virtual kernels. It is served on the spot: the pmap manager edits their page tables
// itself.
import type { Directory } from '@odonata/coherency/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory-messages.ts';
import type { AccessMode, HolderId, PageRun } from '@odonata/coherency/page.ts';
import type { MemoryFile } from '../memory-file.ts';
import type { World } from '../world.ts';
import type { VkernelPart } from './vkernel.ts';

/** The pmap manager itself among the holders. */
const NODE = 1;

type Grant = Extract<DirectoryAction, { type: 'grant' }>;

export class Home {
  private readonly world: World;
  private readonly file: MemoryFile;
  private readonly machine: Directory;
  private readonly sessions = new Map<HolderId, VkernelPart>();
  private nextSession = NODE + 1;

  constructor(world: World, file: MemoryFile) {
    this.world = world;
    this.file = file;
    this.machine = world.machines.home();
    this.machine.step({ type: 'join', holder: NODE });
  }

  create(dataspace: bigint, pageCount: number): void {
    this.machine.step({ type: 'create', dataspace, pageCount, creator: 0 });
  }

  join(vkernel: VkernelPart): HolderId {
    const session = this.nextSession++;
    this.sessions.set(session, vkernel);
    this.file.mapped.add(vkernel);
    this.machine.step({ type: 'join', holder: session });
    return session;
  }

  leave(vkernel: VkernelPart): void {
    this.sessions.delete(vkernel.session);
    this.file.mapped.delete(vkernel);
    this.step({ type: 'leave', holder: vkernel.session });
  }

  has(vkernel: VkernelPart): boolean {
    return this.sessions.get(vkernel.session) === vkernel;
  }

  /** Takes pages for a virtual kernel, from the others as far as needed. @returns what it may map */
  takeFor(vkernel: VkernelPart, run: PageRun, mode: AccessMode, alone: boolean): Grant[] {
    const holder = vkernel.session;
    const grants = this.step({ type: 'acquire', holder, run, mode, neededPages: 1, alone });
    return grants.filter((grant) => grant.holder === holder);
  }

  /** Takes access away from all virtual kernels: to writing (READ), or all of it (WRITE). */
  takeForNode(run: PageRun, mode: AccessMode): void {
    this.step({ type: 'acquire', holder: NODE, run, mode, neededPages: run.pageCount, alone: false });
    // It uses the pages at once, and keeps no claim on them.
    this.step({ type: 'release', holder: NODE, run });
  }

  // Recalls and invalidations are served on the spot; their acks are events of the same step.
  private step(event: DirectoryEvent): Grant[] {
    const { layout } = this.world;
    const grants: Grant[] = [];
    const events = [event];
    for (let next = events.shift(); next !== undefined; next = events.shift()) {
      for (const action of this.machine.step(next)) {
        if (action.type === 'grant') grants.push(action);
        else if (action.type === 'recall') {
          const { holder, run, version } = action;
          this.sessions.get(holder)?.protect(layout.pageOf(run.dataspace, run.firstPage), run.pageCount);
          events.push({ type: 'ack', holder, run, version, kind: 'SENT' });
        } else if (action.type === 'invalidate') {
          const { run, version } = action;
          const from = layout.pageOf(run.dataspace, run.firstPage);
          for (let i = 0; i < run.pageCount; i++) this.file.unmap(from + i);
          for (const holder of action.holders)
            events.push({ type: 'ack', holder, run, version, kind: 'INVALIDATED' });
        }
      }
    }
    return grants;
  }
}
