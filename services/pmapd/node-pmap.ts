// The node level: this pmap manager as the directory of its virtual kernels. The machine is the same
// as cohd's; here its actions are performed at once, on the virtual kernels' page tables themselves,
// through the userfaultfd that each of them handed over.
import { Directory } from '@odonata/coherency/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory-messages.ts';
import type { AccessMode, PageRun, PageSpan } from '@odonata/coherency/page.ts';
import { PAGE_BYTES, unreachable } from '@odonata/coherency/page.ts';
import { Errno } from '@odonata/userfault/libc.ts';
import type { Session } from './session.ts';
import type { SharedDataspace } from './shared-dataspace.ts';
import type { MapEntry } from './vmspace.ts';

/** The pmap manager itself among the holders of its directory: it reads and writes frames for transfers. */
const NODE = 1;
const SESSIONS_FROM = 2;

type Grant = Extract<DirectoryAction, { type: 'grant' }>;

export class NodePmap {
  private readonly directory = new Directory({ home: true });
  private readonly dataspaces = new Map<bigint, SharedDataspace>();
  private readonly sessions = new Map<number, Session>();
  private nextSession = SESSIONS_FROM;

  constructor() {
    this.directory.step({ type: 'join', holder: NODE });
  }

  addDataspace(dataspace: SharedDataspace): void {
    this.dataspaces.set(dataspace.id, dataspace);
    this.directory.step({
      type: 'create',
      dataspace: dataspace.id,
      pageCount: dataspace.pageCount,
      creator: 0,
    });
  }

  removeDataspace(id: bigint): void {
    this.directory.step({ type: 'remove', dataspace: id });
    this.dataspaces.delete(id);
  }

  join(session: Session): number {
    const holder = this.nextSession++;
    this.sessions.set(holder, session);
    this.directory.step({ type: 'join', holder });
    return holder;
  }

  leave(holder: number): void {
    this.sessions.delete(holder);
    this.step({ type: 'leave', holder });
  }

  /** Takes access away from all virtual kernels: to writing (READ) or to everything the node then writes (WRITE). */
  takeForNode(run: PageRun, mode: AccessMode): void {
    // What no process maps, nobody can have. Claims of those who mapped it once are never more than what a
    // fault then gets of the cluster.
    if (this.dataspaces.get(run.dataspace)?.entries.size === 0) return;
    this.step({ type: 'acquire', holder: NODE, run, mode, neededPages: run.pageCount, alone: false });
    // It uses the pages at once, and keeps no claim on them.
    this.step({ type: 'release', holder: NODE, run });
  }

  /** Takes write access away from all that map a dataspace, at once and in the page tables only. */
  protectAll(dataspace: SharedDataspace): void {
    for (const entry of dataspace.entries) entry.protect();
  }

  /** Of another pmap manager of this node: what has frames may be mapped in a session, for reading. */
  claim(session: Session, dataspace: bigint, spans: readonly PageSpan[]): void {
    for (const span of spans) this.takeFor(session, { dataspace, ...span }, 'READ', span.pageCount, false);
  }

  /** Gives a virtual kernel access to the first page of a run, and to the others that disturb nobody. */
  takeFor(session: Session, run: PageRun, mode: AccessMode, neededPages: number, alone: boolean): Grant[] {
    return this.step({ type: 'acquire', holder: session.holder, run, mode, neededPages, alone });
  }

  /**
   * Maps pages that were granted into the entry whose fault asked for them.
   * @returns how many
   */
  map(entry: MapEntry, firstPage: number, pageCount: number, writable: boolean): number {
    const { userfault } = entry.vmspace.session;
    const end = firstPage + pageCount;
    let page = firstPage;
    let raced = false;
    while (page < end) {
      const at = entry.addressOf(page);
      const errno = userfault.continue(at, (end - page) * PAGE_BYTES, !writable);
      if (errno === 0) break;
      const doneBytes = userfault.doneBytes();
      if (doneBytes > 0) {
        page += doneBytes / PAGE_BYTES;
        continue;
      }
      // Mapped already, perhaps read-only: then all that are, at once.
      if (writable && !raced) userfault.writeProtect(at, (end - page) * PAGE_BYTES, false);
      raced = true;
      // Anything else: the mapping changed under the fault (ENOENT), or the process ends (ESRCH).
      if (errno !== Errno.EEXIST) break;
      page++;
    }
    // Whoever waits and was not woken by a page of its own looks again.
    if (raced) userfault.wake(entry.addressOf(firstPage), pageCount * PAGE_BYTES);
    return pageCount;
  }

  // Recalls and invalidations of a home are served on the spot; their acks are events of the same step.
  private step(event: DirectoryEvent): Grant[] {
    const grants: Grant[] = [];
    const events = [event];
    for (let next = events.shift(); next !== undefined; next = events.shift()) {
      for (const action of this.directory.step(next)) {
        switch (action.type) {
          case 'grant':
            grants.push(action);
            break;
          case 'recall':
            this.protect(action.holder, action.run);
            events.push({
              type: 'ack',
              holder: action.holder,
              run: action.run,
              version: action.version,
              kind: 'SENT',
            });
            break;
          case 'invalidate':
            this.unmap(action.holders, action.run);
            for (const holder of action.holders) {
              events.push({
                type: 'ack',
                holder,
                run: action.run,
                version: action.version,
                kind: 'INVALIDATED',
              });
            }
            break;
          case 'refuse':
          case 'settled':
            break;
          default:
            unreachable(action);
        }
      }
    }
    return grants;
  }

  // No write slips between: the kernel takes the write bit and flushes before the ioctl returns.
  private protect(holder: number, run: PageRun): void {
    const session = this.sessions.get(holder);
    const dataspace = this.dataspaces.get(run.dataspace);
    if (session === undefined || dataspace === undefined) return;
    for (const entry of dataspace.entries) {
      if (entry.vmspace.session !== session || !entry.writable) continue;
      const part = entry.clip(run.firstPage, run.pageCount);
      if (part === undefined) continue;
      session.userfault.writeProtect(entry.addressOf(part.firstPage), part.pageCount * PAGE_BYTES, true);
    }
  }

  private unmap(holders: readonly number[], run: PageRun): void {
    const mapped = holders.filter((h) => this.sessions.has(h));
    if (mapped.length === 0) return;
    for (const holder of mapped) this.protect(holder, run);
    this.dataspaces.get(run.dataspace)?.file.unmapAll(run.firstPage, run.pageCount);
  }
}
