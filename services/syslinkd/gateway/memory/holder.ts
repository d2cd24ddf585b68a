// A gateway as a holder of its own cluster's directory: the machines of libs/coherency decide, here they get streams, bytes and time. What
// the directory says of pages may be kept back, and is heeded later: until then it waits for the answer.
import type { HolderAction, HolderEvent } from '@odonata/coherency/holder/holder-messages.ts';
import { ShardedHolder } from '@odonata/coherency/holder/sharded-holder.ts';
import type { WordAnswer } from '@odonata/coherency/lending/held-words.ts';
import type { RunEvent } from '@odonata/coherency/node/lines/holder-wire.ts';
import type { NodeAction } from '@odonata/coherency/node/lines/lines-messages.ts';
import type { RelayEvent } from '@odonata/coherency/node/relay/relay-messages.ts';
import { mayWrite, type PageRun, type PageState, spansOf, unreachable } from '@odonata/coherency/page.ts';
import type { Arrived } from '@odonata/pmap/wire/arriving.ts';
import { Directories } from '@odonata/pmap/wire/directories.ts';
import { PageBuffer } from '@odonata/pmap/wire/page-buffer.ts';
import type { Transfers } from '@odonata/pmap/wire/transfer.ts';
import type { DeskLetter } from '@odonata/proto/coherency/v1/coherency';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { PageStore } from './page-store.ts';

/** What a line to the directory says of locks and waits. */
export type LineEvent = Extract<RelayEvent, { type: 'answered' | 'confirmed' | 'voided' | 'rejoined' }>;
type Step = Parameters<ShardedHolder['step']>[0];

export interface HolderPorts {
  /** True: it is kept back, and `heed` follows. */
  keeps(event: RunEvent): boolean;
  /** More may be done with pages than before. */
  ready(run: PageRun): void;
  /** What was asked for does not come. */
  failed(run: PageRun): void;
  /** They are lost at their directory, at this version. */
  lost(run: PageRun, version: number): void;
  removed(dataspace: bigint): void;
  /** Between the nodes that have a borrowed dataspace and its home. */
  letter?(letter: DeskLetter): void;
  /** Of locks and waits that were asked for here. */
  locks?(event: LineEvent): void;
  /** What the directory waits for it says again; another leader may use versions of before anew. */
  rejoined(sameLeader: boolean): void;
  /** The lease of some shard is over. */
  suspended(): void;
  /** What was had of some shard is had no more. */
  voided(): void;
}

/** In a lease: what other clusters borrow they may use for what is left of it, so that is never to be little. */
const RENEWALS = 6;

export interface HolderOptions {
  /** As the directory knows it. */
  readonly name: string;
  readonly incarnation: bigint;
  readonly shards: number;
  /** Replicas of the directory. */
  readonly directory: readonly string[];
  /** Where nodes bring pages; empty: they bring none. */
  readonly transferAddress: string;
  readonly store: PageStore;
  readonly transfers: Transfers;
  readonly log: Logger;
  readonly ports: HolderPorts;
}

export class GatewayHolder {
  readonly directories: Directories;
  private readonly machine: ShardedHolder;
  private readonly o: HolderOptions;

  /** Bytes that were sent on, until it is certain that they arrived. */
  private readonly sent = new PageStore();

  constructor(options: HolderOptions) {
    this.o = options;
    const { name: node, incarnation, shards, transferAddress, log } = options;
    this.machine = new ShardedHolder(shards);
    const about = { node, incarnation, shards, transferAddress, renewals: RENEWALS, log };
    this.directories = new Directories(about, (action) => this.line(action));
    this.directories.connectTo(options.directory);
  }

  /** Milliseconds for which the directory believes this holder; 0: it does not. */
  get leftMs(): number {
    return Math.max(0, this.directories.usableUntilMs - monotonicMs());
  }

  open(dataspace: bigint, pageCount: number, whole: boolean): void {
    this.step({ type: 'open', dataspace, pageCount, whole });
  }

  remove(dataspace: bigint): void {
    this.step({ type: 'remove', dataspace });
    this.o.store.remove(dataspace);
    this.sent.remove(dataspace);
  }

  state(dataspace: bigint, page: number): PageState {
    return this.machine.state(dataspace, page);
  }

  version(dataspace: bigint, page: number): number {
    return this.machine.version(dataspace, page);
  }

  /** Somebody may write pages that are here to write. */
  wrote(run: PageRun): void {
    this.step({ type: 'wrote', run });
  }

  /** Copies that are here to read are given up. */
  release(run: PageRun): void {
    this.step({ type: 'release', run });
  }

  /** Pages that nobody else has. */
  ownedRuns(dataspace: bigint): PageRun[] {
    return this.machine.ownedRuns(dataspace).flatMap((run) => this.spansIn(run, isOwn));
  }

  /** What was here to write does not come back: the directory hears so. */
  forfeit(run: PageRun): void {
    this.step({ type: 'forfeit', run });
  }

  /** Makes pages that are lost at a version its own again, whatever is in them. */
  beginAnew(run: PageRun, lostVersion: number): void {
    this.step({ type: 'stored', run, version: 0, lostVersion });
  }

  /** Asks for pages; what may be used already is `ready` at once. */
  want(run: PageRun, mode: 'READ' | 'WRITE', may: (state: PageState) => boolean): void {
    this.step({ type: 'want', run, mode, neededPages: run.pageCount });
    for (const span of this.spansIn(run, may)) this.o.ports.ready(span);
  }

  /** Parts of a run that are in some state. */
  spansIn({ dataspace, firstPage, pageCount }: PageRun, is: (state: PageState) => boolean): PageRun[] {
    const pages = Array.from({ length: pageCount }, (_, i) => firstPage + i);
    return spansOf(pages.filter((page) => is(this.state(dataspace, page)))).map((span) => ({
      dataspace,
      ...span,
    }));
  }

  /** What was kept back. */
  heed(event: RunEvent): void {
    this.step(event);
  }

  /** What no holder says by itself. */
  answer(answer: WordAnswer): void {
    this.directories.say({ type: 'ack', ...answer });
  }

  /** Pages that a node brought. */
  arrived({ data, bytes }: Arrived): void {
    for (const action of this.machine.step(data)) this.perform(action, undefined, { run: data.run, bytes });
  }

  /** True where pages that were sent to a holder are for who this one is now. */
  acceptsFor(dataspace: bigint, page: number, epoch: bigint, receiver: number): boolean {
    return this.directories.lines.acceptsFor(dataspace, page, epoch, receiver, monotonicMs());
  }

  close(): void {
    this.directories.close();
  }

  private step(event: Step): void {
    for (const action of this.machine.step(event)) this.perform(action);
  }

  private stepShard(
    shard: number,
    event: Extract<HolderEvent, { type: 'rejoin' | 'expire' | 'forsake' }>,
  ): void {
    for (const action of this.machine.stepShard(shard, event)) this.perform(action, shard);
  }

  private line(action: NodeAction): void {
    const { ports } = this.o;
    switch (action.type) {
      case 'page':
      case 'overheard':
        if (!ports.keeps(action.event)) this.step(action.event);
        return;
      case 'removed':
        ports.removed(action.dataspace);
        return;
      case 'led':
        if (action.voided) this.stepShard(action.shard, { type: 'expire' });
        this.stepShard(action.shard, { type: 'rejoin', sameDirectory: action.sameLeader });
        if (action.voided) ports.voided();
        else ports.rejoined(action.sameLeader);
        if (action.voided) ports.locks?.({ type: 'voided', shard: action.shard });
        ports.locks?.({ type: 'rejoined', shard: action.shard, newLeader: !action.sameLeader });
        return;
      case 'desk':
        ports.letter?.(action.letter);
        return;
      case 'sync':
        ports.locks?.({ type: 'answered', event: action.event, shards: action.shards });
        return;
      case 'confirmed':
        ports.locks?.(action);
        return;
      case 'resume':
        this.stepShard(action.shard, { type: 'rejoin', sameDirectory: true });
        ports.rejoined(true);
        return;
      case 'suspend':
        ports.suspended();
        return;
      case 'retired':
      case 'deadline':
        return;
      default:
        unreachable(action);
    }
  }

  private perform(action: HolderAction, shard?: number, came?: { run: PageRun; bytes: PageBuffer }): void {
    const { store, ports } = this.o;
    switch (action.type) {
      case 'acquire':
      case 'ack':
      case 'report':
        this.directories.say(action, shard);
        return;
      case 'install': {
        if (action.zero || came === undefined) return;
        const { firstPage, pageCount } = action.run;
        store.write(action.run, came.bytes.part(firstPage - came.run.firstPage, pageCount).data);
        return;
      }
      case 'send':
        if (action.retain) this.sent.write(action.run, store.read(action.run));
        this.send(action, store);
        return;
      case 'resend':
        this.send(action, this.sent);
        return;
      case 'restore':
        store.write(action.run, this.sent.read(action.run));
        this.sent.drop(action.run);
        return;
      case 'forget':
        this.sent.drop(action.run);
        return;
      case 'drop':
        store.drop(action.run);
        return;
      case 'ready':
        ports.ready(action.run);
        return;
      case 'failed':
        if (action.reason === 'LOST' || action.reason === 'WITHDRAWN') ports.lost(action.run, action.version);
        else ports.failed(action.run);
        return;
      case 'revoke':
      case 'install-stored':
        return; // Nobody uses pages here, or reads what began anew.
      default:
        unreachable(action);
    }
  }

  private send(
    { run, receiver, version, state }: Extract<HolderAction, { type: 'send' | 'resend' }>,
    bytes: PageStore,
  ): void {
    const way = this.directories.lines.wayTo(run.dataspace, run.firstPage, receiver);
    // Who is not known any more asks anew.
    if (way === undefined) return;
    const { address, epoch, sender } = way;
    // As many as nodes send each other in one message: the machine cuts what is more.
    const sent = new PageBuffer(bytes.read(run));
    this.o.transfers.send(address, run, { version, state, epoch, sender, receiver }, sent, true);
  }
}

const isOwn = (state: PageState): boolean => mayWrite(state) || state === 'MASTER';
