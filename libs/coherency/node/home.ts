// The node level: a pmap manager as the directory of its virtual kernels. The machine is the same as cohd's; here recalls
// and invalidations are served at once, on the page tables, and their acks are events of the same step.
//
//   asked of the directory       what is done to the page tables
//   recall from a writer         protect: it may read on, and the bytes are at home
//   invalidate of holders        protect each of them, then empty every mapping of the pages
//   grant                        the caller maps the pages
import { Directory } from '../directory/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '../directory/directory-messages.ts';
import { type AccessMode, type HolderId, type PageRun, type PageSpan, unreachable } from '../page.ts';
import type { HomeTables } from './memory/page-tables.ts';

/** The pmap manager itself among the holders of its directory: it reads and writes frames for transfers. */
const NODE: HolderId = 1;

export type HomeGrant = Extract<DirectoryAction, { type: 'grant' }>;

export class Home {
  private readonly directory: Directory;
  private readonly tables: HomeTables;
  private readonly sessions = new Set<HolderId>();
  private nextSession = NODE + 1;

  constructor(tables: HomeTables, directory = new Directory({ home: true })) {
    this.tables = tables;
    this.directory = directory;
    this.directory.step({ type: 'join', holder: NODE });
  }

  create(dataspace: bigint, pageCount: number): void {
    this.directory.step({ type: 'create', dataspace, pageCount, creator: 0 });
  }

  remove(dataspace: bigint): void {
    this.directory.step({ type: 'remove', dataspace });
  }

  /** A virtual kernel comes. @returns its number among the holders */
  join(): HolderId {
    const holder = this.nextSession++;
    this.sessions.add(holder);
    this.directory.step({ type: 'join', holder });
    return holder;
  }

  leave(holder: HolderId): void {
    this.sessions.delete(holder);
    this.step({ type: 'leave', holder });
  }

  has(holder: HolderId): boolean {
    return this.sessions.has(holder);
  }

  /** Takes access away from all virtual kernels: to writing (READ) or to everything the node then writes (WRITE). */
  takeForNode(run: PageRun, mode: AccessMode): void {
    // What no process maps, nobody can have. Claims of those who mapped it once are never more than what a
    // fault then gets of the cluster.
    if (!this.tables.isMapped(run.dataspace)) return;
    this.step({ type: 'acquire', holder: NODE, run, mode, neededPages: run.pageCount, alone: false });
    // It uses the pages at once, and keeps no claim on them.
    this.step({ type: 'release', holder: NODE, run });
  }

  /** Of another pmap manager of this node: what has frames may be mapped in a virtual kernel, for reading. */
  claim(holder: HolderId, dataspace: bigint, spans: readonly PageSpan[]): void {
    for (const span of spans) this.takeFor(holder, { dataspace, ...span }, 'READ', span.pageCount, false);
  }

  /** Gives a virtual kernel access to the first pages of a run, and to the others that disturb nobody. */
  takeFor(
    holder: HolderId,
    run: PageRun,
    mode: AccessMode,
    neededPages: number,
    alone: boolean,
  ): HomeGrant[] {
    return this.step({ type: 'acquire', holder, run, mode, neededPages, alone });
  }

  /** True where a virtual kernel has a page mapped, as far as is known. */
  hasMapped(dataspace: bigint, page: number): boolean {
    return this.directory.isHeld(dataspace, page);
  }

  /** What the directory knows of a page. */
  inspect(dataspace: bigint, page: number): ReturnType<Directory['inspect']> {
    return this.directory.inspect(dataspace, page);
  }

  private step(event: DirectoryEvent): HomeGrant[] {
    const grants: HomeGrant[] = [];
    const events = [event];
    for (let next = events.shift(); next !== undefined; next = events.shift()) {
      for (const action of this.directory.step(next)) {
        switch (action.type) {
          case 'grant':
            grants.push(action);
            break;
          case 'recall': {
            const { holder, run, version } = action;
            this.recall(holder, run);
            events.push({ type: 'ack', holder, run, version, kind: 'SENT' });
            break;
          }
          case 'invalidate': {
            const { holders, run, version } = action;
            this.invalidate(holders, run);
            for (const holder of holders)
              events.push({ type: 'ack', holder, run, version, kind: 'INVALIDATED' });
            break;
          }
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

  protected recall(holder: HolderId, run: PageRun): void {
    if (this.sessions.has(holder)) this.tables.protect(holder, run);
  }

  protected invalidate(holders: readonly HolderId[], run: PageRun): void {
    let mapped = false;
    for (const holder of holders) {
      if (!this.sessions.has(holder)) continue;
      mapped = true;
      this.tables.protect(holder, run);
    }
    if (mapped) this.tables.unmap(run);
  }
}
