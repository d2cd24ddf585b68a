// What the parts of a node's memory share: the machine of the holder, the home, the frames, and what comes out of a step.
import type { HolderAction, HolderEvent } from '../../holder/holder-messages.ts';
import type { ShardedHolder } from '../../holder/sharded-holder.ts';
import { type AccessMode, mayRead, mayWrite, type PageRun, type PageState } from '../../page.ts';
import type { Home } from '../home.ts';
import type { MemoryAction, MemoryTally, Permissions } from './memory-messages.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import type { FrameBudget } from './page-frames.ts';
import { PageRoom } from './page-room.ts';
import type { Mapping, PageTables } from './page-tables.ts';

export interface MemoryPorts<M extends Mapping> {
  tables: PageTables<M>;
  budget: FrameBudget;
  permissions: Permissions<M>;
  tally: MemoryTally;
}

export class MemoryContext<M extends Mapping, B> {
  readonly ports: MemoryPorts<M>;
  readonly holder: ShardedHolder;
  readonly home: Home;
  readonly room: PageRoom<M, B>;
  readonly dataspaces = new Map<bigint, NodeDataspace<M, B>>();
  /** Another pmap manager goes on with what is here: nothing changes any more. */
  frozen = false;
  private out: MemoryAction<M, B>[] = [];

  constructor(ports: MemoryPorts<M>, holder: ShardedHolder, home: Home) {
    this.ports = ports;
    this.holder = holder;
    this.home = home;
    this.room = new PageRoom(ports.budget, holder);
  }

  /** One more action of this step. */
  say(action: MemoryAction<M, B>): void {
    this.out.push(action);
  }

  /** The actions of this step. */
  take(): MemoryAction<M, B>[] {
    const { out } = this;
    if (out.length > 0) this.out = [];
    return out;
  }

  /** Asks for pages, of which the first `neededPages` are needed. */
  want(run: PageRun, mode: AccessMode, neededPages: number): void {
    this.ask({ type: 'want', run, mode, neededPages });
  }

  /** Pages that may be written silently will be. */
  wrote(run: PageRun): void {
    this.ask({ type: 'wrote', run });
  }

  private ask(event: Extract<HolderEvent, { type: 'want' | 'wrote' }>): void {
    for (const action of this.holder.step(event)) this.sayToDirectory(action);
  }

  /** @returns false: it is not for a leader */
  sayToDirectory(action: HolderAction, shard = 0): boolean {
    if (action.type === 'acquire' || action.type === 'ack') this.say(action);
    else if (action.type === 'report') this.say({ ...action, shard });
    else return false;
    return true;
  }

  permits(state: PageState, write: boolean): boolean {
    return write ? mayWrite(state) : mayRead(state);
  }

  /** The first page of a run that may not be used so. */
  firstMissing({ dataspace, firstPage, pageCount }: PageRun, mode: AccessMode): number | undefined {
    for (let page = firstPage; page < firstPage + pageCount; page++)
      if (!this.mayUse(dataspace, page, mode === 'WRITE')) return page;
    return undefined;
  }

  mayUse(dataspace: bigint, page: number, write: boolean): boolean {
    const permitted = this.permits(this.holder.state(dataspace, page), write);
    return permitted && this.ports.permissions.usable(dataspace, page);
  }
}
