// The shared memory of a node: the holder towards cohd, the directory towards the virtual kernels, and the frames between
// them. Its caller must
//   1. perform actions in order, and only then step the next event; `ahead`, `neighbours` and `again` are events of later,
//   2. say `resume` when permissions may be used again that were suspended,
//   3. drop what leaders of other epochs say before it comes here.
// What is done to page tables and frames is done through ports within the step: what leaves the node comes out as actions.
import type { HolderAction } from '../../holder/holder-messages.ts';
import type { HolderSnapshot } from '../../holder/holder-snapshot.ts';
import { ShardedHolder } from '../../holder/sharded-holder.ts';
import { type HolderId, type PageRun, type PageSpan, type PageState, unreachable } from '../../page.ts';
import { runsOfShard } from '../../shard.ts';
import { Home } from '../home.ts';
import { LOST_LATELY_MAX } from '../readahead/lost-lately.ts';
import { Faults } from './faults.ts';
import { KeptPages } from './kept-pages.ts';
import { LostPages } from './lost-pages.ts';
import { MemoryContext, type MemoryPorts } from './memory-context.ts';
import type { EventOf, MemoryAction, MemoryEvent, PageData } from './memory-messages.ts';
import type { NodeDataspace } from './node-dataspace.ts';
import { type Captured, Operations } from './operations.ts';
import { PageCopies } from './page-copies.ts';
import type { PageBytes } from './page-frames.ts';
import type { Mapping } from './page-tables.ts';
import { Waking } from './waking.ts';

export class NodeMemory<M extends Mapping, B extends PageBytes<B>> {
  readonly home: Home;
  protected readonly context: MemoryContext<M, B>;
  protected readonly faults: Faults<M, B>;
  protected readonly copies: PageCopies<M, B>;
  protected readonly kept: KeptPages<M, B>;
  protected readonly operations: Operations<M, B>;
  protected readonly losses: LostPages<M, B>;
  protected readonly waking: Waking<M, B>;
  private readonly holder: ShardedHolder;

  constructor(ports: MemoryPorts<M>, machines: { holder: ShardedHolder; home?: Home } | { shards: number }) {
    this.holder = 'shards' in machines ? new ShardedHolder(machines.shards) : machines.holder;
    this.home = ('home' in machines ? machines.home : undefined) ?? new Home(ports.tables);
    this.context = new MemoryContext(ports, this.holder, this.home);
    this.faults = this.makeFaults();
    this.copies = this.makeCopies();
    this.kept = this.makeKept();
    this.operations = this.makeOperations();
    this.waking = new Waking(this.context, this.faults);
    this.losses = this.makeLosses();
  }

  protected makeFaults(): Faults<M, B> {
    return new Faults(this.context);
  }

  protected makeCopies(): PageCopies<M, B> {
    return new PageCopies(this.context);
  }

  protected makeOperations(): Operations<M, B> {
    return new Operations(this.context, this.kept);
  }

  protected makeKept(): KeptPages<M, B> {
    return new KeptPages(this.context);
  }

  protected makeLosses(): LostPages<M, B> {
    return new LostPages(this.context, this.waking);
  }

  // ---- what is known

  get(id: bigint): NodeDataspace<M, B> | undefined {
    return this.context.dataspaces.get(id);
  }

  all(): Iterable<NodeDataspace<M, B>> {
    return this.context.dataspaces.values();
  }

  residentPages(): number {
    let pages = 0;
    for (const { frames } of this.all()) pages += frames.residentPages;
    return pages;
  }

  /** What the cluster lets this node do with a page. */
  state(dataspace: bigint, page: number): PageState {
    return this.holder.state(dataspace, page);
  }

  version(dataspace: bigint, page: number): number {
    return this.holder.version(dataspace, page);
  }

  /** @see Holder.lineage */
  lineage(dataspace: bigint, page: number): number {
    return this.holder.lineage(dataspace, page);
  }

  /** True while the directory was asked for a page, and has not answered. */
  isAsked(dataspace: bigint, page: number): boolean {
    return this.holder.pending(dataspace, page);
  }

  /** Pages that this node may be the only holder of; but not those of a whole dataspace that nobody asked for. */
  ownedRuns(dataspace: bigint): PageRun[] {
    return this.holder.ownedRuns(dataspace);
  }

  /** Pages of a whole dataspace that nobody asked for: zeros, but only this node knows. */
  plainRuns(dataspace: bigint): PageRun[] {
    return this.holder.plainRuns(dataspace);
  }

  // ---- another pmap manager of this node

  /** Of one shard. @see Holder.resume */
  resumeHolder(shard: number, snapshot: HolderSnapshot): void {
    this.holder.resumeShard(shard, snapshot);
  }

  /** What is known of the pages of a shard; `freeze` tells what is new since then. */
  followHolder(shard: number): HolderSnapshot {
    return this.holder.follow(shard);
  }

  /** Nobody wants to know any more what is new. */
  unfollow(): void {
    this.holder.unfollow();
  }

  /**
   * Another pmap manager goes on with what is here: from now on nothing changes, neither here nor in the page tables of
   * virtual kernels. They can write nothing any more.
   * @returns what is new of pages, by shard, where they were followed; else all
   */
  freeze(): HolderSnapshot[] {
    this.context.frozen = true;
    this.kept.forgetAll();
    for (const { id } of this.all()) this.context.ports.tables.protectAll(id);
    return this.holder.changed();
  }

  /** Nobody goes on but this one. Who waits looks again. */
  thaw(): MemoryAction<M, B>[] {
    this.context.frozen = false;
    this.unfollow();
    for (const dataspace of this.all()) this.waking.all(dataspace);
    return this.context.take();
  }

  /** Of another pmap manager of this node: what has frames may be mapped in a virtual kernel. */
  claim(holder: HolderId, dataspace: bigint, spans: readonly PageSpan[]): void {
    this.home.claim(holder, dataspace, spans);
  }

  // ---- events

  /** Applies one event. */
  step(event: MemoryEvent<M, B>): MemoryAction<M, B>[] {
    // The next pmap manager lets who waits fault once more, and asks the directory anew.
    if (this.context.frozen) this.stepFrozen(event);
    else this.stepThawed(event);
    return this.context.take();
  }

  private stepFrozen(event: MemoryEvent<M, B>): void {
    if (event.type === 'use') this.operations.use(event);
    else if (event.type === 'end') this.operations.end(event.operation, event.dataspace);
    else if (event.type === 'adopt') this.adopt(event.dataspace);
    else if (event.type === 'disown') this.disown(event.dataspace);
    else if (event.type === 'remove') this.remove(event.dataspace);
  }

  private stepThawed(event: MemoryEvent<M, B>): void {
    switch (event.type) {
      case 'fault':
        this.faults.serve(event);
        return;
      case 'again':
        this.faults.again(event.fault, event.place);
        return;
      case 'denied':
        this.faults.fail(event.fault, event.reason);
        return;
      case 'neighbours':
        this.faults.mapNeighbours(event.fault);
        return;
      case 'ahead':
        this.faults.askAhead(event);
        return;
      case 'advise':
        this.faults.advise(event);
        return;
      case 'arrive':
        this.performAll(this.holder.step(event.data), undefined, event.data, event.bytes);
        return;
      case 'recall':
      case 'invalidate':
        for (const word of this.kept.sift(event)) this.performAll(this.holder.step(word));
        return;
      case 'grant':
      case 'refuse':
      case 'settled':
      case 'spare':
        this.performAll(this.holder.step(event));
        return;
      case 'forsake':
        this.performAll(this.holder.stepShard(event.shard, event), event.shard);
        return;
      case 'rejoin':
      case 'expire':
        if (event.type === 'expire' || !event.sameDirectory) this.kept.forgetShard(event.shard);
        this.performAll(this.holder.stepShard(event.shard, event), event.shard);
        return;
      case 'use':
        this.operations.use(event);
        return;
      case 'end':
        for (const word of this.operations.end(event.operation, event.dataspace))
          this.performAll(this.holder.step(word));
        return;
      case 'found':
        this.losses.found(event);
        return;
      case 'not-found':
        this.losses.notFound(event);
        return;
      case 'open':
        this.open(event);
        return;
      case 'adopt':
        this.adopt(event.dataspace);
        return;
      case 'disown':
        this.disown(event.dataspace);
        return;
      case 'remove':
        this.remove(event.dataspace);
        return;
      case 'suspend':
        this.kept.forgetShard(event.shard);
        for (const dataspace of this.all())
          for (const run of this.runsOf(event.shard, dataspace)) this.home.takeForNode(run, 'WRITE');
        return;
      case 'suspend-all':
        this.suspendAll(event.dataspace);
        return;
      case 'resume':
        this.resume(event.shard);
        return;
      case 'resume-all': {
        const dataspace = this.get(event.dataspace);
        if (dataspace !== undefined) this.waking.all(dataspace);
        return;
      }
      case 'empty':
        this.home.takeForNode(event.run, 'WRITE');
        return;
      default:
        unreachable(event);
    }
  }

  // ---- dataspaces come and go

  private open({ dataspace, whole }: EventOf<'open', M, B>): void {
    const { id, pageCount } = dataspace;
    this.adopt(dataspace);
    this.performAll(this.holder.step({ type: 'open', dataspace: id, pageCount, whole }));
  }

  private adopt(dataspace: NodeDataspace<M, B>): void {
    this.context.dataspaces.set(dataspace.id, dataspace);
    this.home.create(dataspace.id, dataspace.pageCount);
  }

  private disown(id: bigint): void {
    this.home.remove(id);
    this.kept.forgetDataspace(id);
    this.context.dataspaces.delete(id);
  }

  private remove(id: bigint): void {
    const dataspace = this.get(id);
    if (dataspace === undefined) return;
    // What another pmap manager goes on with it hears of anew.
    if (!this.context.frozen) this.performAll(this.holder.step({ type: 'remove', dataspace: id }));
    this.disown(id);
    this.context.room.forget(dataspace);
  }

  // ---- leases

  private suspendAll(id: bigint): void {
    const dataspace = this.get(id);
    if (dataspace === undefined) return;
    this.home.takeForNode({ dataspace: id, firstPage: 0, pageCount: dataspace.pageCount }, 'WRITE');
  }

  private resume(shard: number): void {
    for (const dataspace of this.all()) {
      if (dataspace.waiting.size === 0) continue;
      for (const { firstPage, pageCount } of this.runsOf(shard, dataspace))
        this.waking.run(dataspace, firstPage, pageCount);
    }
  }

  private runsOf(shard: number, { id, pageCount }: NodeDataspace<M, B>): PageRun[] {
    return runsOfShard(shard, this.holder.shards, id, pageCount);
  }

  // ---- the backing store

  /** What is to be stored of pages that are `usable`, beside their bytes; `holds` says, when they are, whether it counts. */
  capture(run: PageRun): Captured {
    return this.operations.capture(run);
  }

  /** @see Operations.holds */
  holds(captured: Captured): boolean {
    return this.operations.holds(captured);
  }

  // ---- what the holder's machine says

  // Of those that are removed most were never here.
  private drop({ frames }: NodeDataspace<M, B>, { firstPage, pageCount }: PageRun): void {
    const had = frames.residentPages;
    frames.drop(firstPage, pageCount);
    this.context.ports.tally.invalidations += had - frames.residentPages;
  }

  private performAll(actions: readonly HolderAction[], shard?: number, data?: PageData, bytes?: B): void {
    for (const action of actions) this.perform(action, shard, data, bytes);
  }

  private perform(action: HolderAction, shard?: number, data?: PageData, bytes?: B): void {
    if (action.type === 'acquire' || action.type === 'ack' || action.type === 'report') {
      this.context.sayToDirectory(action, shard);
      return;
    }
    const { run } = action;
    const { firstPage, pageCount } = run;
    const dataspace = this.get(run.dataspace);
    if (dataspace === undefined) return;
    switch (action.type) {
      case 'revoke':
        this.revoke(run);
        return;
      case 'send':
        this.copies.send(dataspace, action);
        return;
      case 'resend':
        this.copies.resend(dataspace, action);
        return;
      case 'drop':
        this.rememberLost(dataspace, run);
        if (this.home.hasMapped(run.dataspace, firstPage)) dataspace.contested.note(firstPage, pageCount);
        dataspace.prediction.gone(firstPage, pageCount);
        this.drop(dataspace, run);
        this.home.takeForNode(run, 'WRITE');
        return;
      case 'install':
        this.copies.install(dataspace, action, data?.run.firstPage ?? 0, bytes);
        return;
      case 'install-stored':
        this.copies.installStored(dataspace, run);
        return;
      case 'restore':
        this.copies.restore(dataspace, action);
        return;
      case 'forget':
        dataspace.forget(run, action.version);
        return;
      case 'ready':
        this.waking.ready(dataspace, run);
        return;
      case 'failed':
        this.context.room.settle(dataspace, run);
        this.losses.refused(dataspace, action);
        return;
      default:
        unreachable(action);
    }
  }

  /** Of a long run the last pages: who lost all of it reads them in order, if at all. */
  protected rememberLost(
    { id, dense, lostLately, prediction }: NodeDataspace<M, B>,
    { firstPage, pageCount }: PageRun,
  ): void {
    for (
      let page = firstPage + Math.max(0, pageCount - LOST_LATELY_MAX);
      page < firstPage + pageCount;
      page++
    )
      if (prediction.isOnlyRead(page)) {
        if (this.home.hasMapped(id, page)) lostLately.lost(page);
        else dense.lostUnused(page);
      }
  }

  /** No virtual kernel writes the pages any more, before they are read, sent or dropped. */
  protected revoke(run: PageRun): void {
    this.home.takeForNode(run, 'READ');
  }
}
