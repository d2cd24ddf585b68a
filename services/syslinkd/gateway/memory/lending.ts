// Dataspaces of this cluster that others borrow: opened by name as the policy lists them, lent as libs/coherency/lending/lender.ts decides.
import { Lender } from '@odonata/coherency/lending/lender.ts';
import {
  type Borrower,
  borrowerOf,
  clusterOf,
  type LenderAction,
  type LenderEvent,
} from '@odonata/coherency/lending/lender-messages.ts';
import type { RunEvent } from '@odonata/coherency/node/lines/holder-wire.ts';
import {
  type AccessMode,
  mayRead,
  mayWrite,
  PAGE_BYTES,
  type PageRun,
  type PageState,
  pageCountOf,
  unreachable,
} from '@odonata/coherency/page.ts';
import type { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, fromServiceError } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { PeerMeter } from '../peer-meter.ts';
import type { Peer, Policy } from '../policy.ts';
import { HandOver } from './hand-over.ts';
import { GatewayHolder, type HolderOptions, type HolderPorts } from './holder.ts';
import { LentDesk } from './lent-desk.ts';
import type { PageStore } from './page-store.ts';
import { returnedAs, runOf, type Word } from './word.ts';
import type { Words } from './words.ts';

type Taken = Extract<RunEvent, { type: 'invalidate' | 'recall' }>;
type Event = LenderEvent<Taken>;

/** A dataspace that some cluster may borrow. */
interface Export {
  readonly name: string;
  id: bigint;
  sizeBytes: bigint;
  trouble: string;
  /** When it is looked for again. */
  lookAtMs: number;
}

export interface LendingOptions {
  readonly policy: () => Policy;
  readonly life: bigint;
  readonly holder: Omit<HolderOptions, 'ports'>;
  readonly store: PageStore;
  readonly client: () => Client<typeof DirectoryService> | undefined;
  /** To a cluster, while its line is up. */
  readonly words: (peer: string) => Words | undefined;
  /** Of the gateway at the other end of that line. */
  readonly lifeOf: (peer: string) => string | undefined;
  readonly meter: (peer: string) => PeerMeter;
  /** Pages that another cluster wrote, and that do not come back. */
  readonly lost: (peer: string, dataspace: string, run: PageRun) => void;
}

/** Bytes that came with a word. */
interface Came {
  readonly run: PageRun;
  readonly data: Uint8Array;
}

const NOBODY: ReadonlySet<string> = new Set();
const NOT_LOOKED = 'it was not looked for yet';
const ASK_MS = 5_000;
/** A gateway that ends waits so long for others to bring pages back, and for nodes to take them. */
const STOP_MS = 5_000;
const STOP_LOOK_MS = 20;
/** One that is there is looked for so often, and one that is not. */
const KNOWN_MS = 5_000;
const UNKNOWN_MS = 500;
/** Of a message. */
const LEASE_MAX_MS = 600_000;

export class Lending {
  private readonly o: LendingOptions;
  private readonly machine: Lender<Taken>;
  private readonly holder: GatewayHolder;
  private readonly exports = new Map<string, Export>();
  private readonly gives: HandOver;
  private readonly desk: LentDesk;
  private timer: NodeJS.Timeout | undefined;
  private stopping = false;

  constructor(options: LendingOptions) {
    this.o = options;
    // As long as its own lease lasts: that is what each of them is told.
    this.machine = new Lender(Number.MAX_SAFE_INTEGER, Math.floor(options.policy().memory / PAGE_BYTES));
    this.gives = new HandOver({ client: options.client, log: options.holder.log });
    this.desk = new LentDesk({
      shards: options.holder.shards,
      life: options.life,
      may: ({ cluster, dataspace }) => this.mayLock(cluster, dataspace),
      words: options.words,
      directories: () => this.holder.directories,
    });
    this.holder = new GatewayHolder({ ...options.holder, ports: this.ports() });
  }

  /** A replica of the own directory that is there. */
  get replica(): string | undefined {
    return this.holder.directories.lines.anyReplica;
  }

  /** Takes pages that nodes bring. */
  get receiver(): GatewayHolder {
    return this.holder;
  }

  /** What a cluster may borrow. */
  of(peer: string): { name: string; sizeBytes: bigint; pages: bigint; trouble: string }[] {
    return [...this.exports.values()]
      .filter(({ name }) => this.peersOf(name).has(peer))
      .map(({ name, id, sizeBytes, trouble }) => {
        return { name, sizeBytes, pages: BigInt(this.machine.lentTo(peer, id)), trouble };
      });
  }

  /** The policy may be another one, and dataspaces may have come and gone. */
  async look(): Promise<void> {
    if (this.stopping) return;
    const names = new Set([...this.o.policy().peers.values()].flatMap(({ lends }) => [...lends.keys()]));
    let changed = false;
    for (const [name, { id }] of [...this.exports]) {
      if (names.has(name)) continue;
      this.exports.delete(name);
      this.step({ type: 'export', dataspace: id, pageCount: 0, to: NOBODY, writers: NOBODY });
      changed = true;
    }
    for (const name of names) {
      const known = this.exports.get(name) ?? {
        name,
        id: 0n,
        sizeBytes: 0n,
        trouble: NOT_LOOKED,
        lookAtMs: 0,
      };
      this.exports.set(name, known);
      if (monotonicMs() < known.lookAtMs) continue;
      changed = (await this.find(known)) || changed;
      known.lookAtMs = monotonicMs() + (known.trouble === '' ? KNOWN_MS : UNKNOWN_MS);
    }
    // Who may borrow may be others, of what is there.
    this.exportAll();
    if (changed) this.offerAll();
  }

  /** Another policy is in force: what it takes back goes now. */
  policyChanged(): void {
    this.exportAll();
    this.offerAll();
  }

  private exportAll(): void {
    if (this.stopping) return;
    this.desk.policyChanged();
    for (const { name, id, sizeBytes } of this.exports.values())
      if (id !== 0n)
        this.step({
          ...{ type: 'export', dataspace: id, pageCount: pageCountOf(sizeBytes) },
          ...{ to: this.peersOf(name), writers: this.peersOf(name, 'WRITE') },
        });
  }

  /** There is a line to a cluster. */
  joined(peer: string): void {
    this.offer(peer);
    const borrower = this.borrower(peer);
    if (borrower !== undefined) this.step({ type: 'joined', peer: borrower });
  }

  /** @throws RangeError where it must not be said */
  heard(cluster: string, word: Word): boolean {
    const peer = this.borrower(cluster);
    if (peer === undefined) return false;
    switch (word.case) {
      case 'renew': {
        const sentMs = Number(word.value.sentMs);
        this.step({ type: 'renew', peer, sentMs, homeLeaseMs: this.holder.leftMs });
        return true;
      }
      case 'wanted': {
        const mode = word.value.writing ? 'WRITE' : 'READ';
        this.step({ type: 'wanted', peer, run: runOf(word.value.pages), mode });
        return true;
      }
      case 'returned': {
        const { pages, lending, data } = word.value;
        const run = runOf(pages);
        const as = returnedAs(run, word.value);
        this.step({ type: 'returned', peer, run, lending: Number(lending), as }, { run, data });
        return true;
      }
      case 'deskAsked': {
        const { dataspace, node, words } = word.value;
        if (words !== undefined) this.desk.heard({ cluster, dataspace, node }, words, this.holder.leftMs);
        return true;
      }
      default:
        return false;
    }
  }

  /** What others have is taken back, and what nobody else has goes to nodes, as far as that is possible at all. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.desk.policyChanged();
    for (const { id } of this.exports.values())
      this.step({ type: 'export', dataspace: id, pageCount: 0, to: NOBODY, writers: NOBODY });
    const endMs = monotonicMs() + STOP_MS;
    while (monotonicMs() < endMs && this.machine.isLent) await delay(STOP_LOOK_MS);
    for (const { id } of this.exports.values())
      for (const run of this.holder.ownedRuns(id)) if (monotonicMs() < endMs) await this.handOver(run);
    this.close();
  }

  close(): void {
    clearTimeout(this.timer);
    this.desk.close();
    this.gives.close();
    this.holder.close();
  }

  // A page that some node asked for meanwhile is its own by then.
  private async handOver(run: PageRun): Promise<void> {
    const name = this.nameOf(run.dataspace);
    for (const owned of this.holder.spansIn(run, isOwned)) await this.gives.give(name, owned);
  }

  private borrower(peer: string): Borrower | undefined {
    const life = this.o.lifeOf(peer);
    return life === undefined ? undefined : borrowerOf(peer, life);
  }

  // ---- the policy

  private peersOf(name: string, mode: AccessMode = 'READ'): ReadonlySet<string> {
    const { peers } = this.o.policy();
    const may = ({ lends }: Peer): boolean =>
      lends.has(name) && (mode === 'READ' || lends.get(name) === mode);
    return new Set([...peers.values()].filter(may).map((peer) => peer.name));
  }

  private mayLock(peer: string, dataspace: bigint): 'NOTHING' | 'READ' | 'WRITE' {
    const known = [...this.exports.values()].find(({ id }) => id === dataspace);
    if (this.stopping || known === undefined || known.trouble !== '') return 'NOTHING';
    if (this.peersOf(known.name, 'WRITE').has(peer)) return 'WRITE';
    return this.peersOf(known.name).has(peer) ? 'READ' : 'NOTHING';
  }

  private offerAll(): void {
    for (const peer of this.o.policy().peers.keys()) this.offer(peer);
  }

  // What was not looked for yet is not said to be gone.
  private offer(peer: string): void {
    const lends = this.o.policy().peers.get(peer)?.lends;
    for (const name of lends?.keys() ?? [])
      if ((this.exports.get(name)?.trouble ?? NOT_LOOKED) === NOT_LOOKED) return;
    const dataspaces = [...this.exports.values()]
      .filter(({ name, id, trouble }) => id !== 0n && trouble === '' && this.peersOf(name).has(peer))
      .map(({ name, id, sizeBytes }) => ({ name, id, sizeBytes, writable: lends?.get(name) === 'WRITE' }));
    this.o.words(peer)?.say(() => ({ case: 'offer', value: { life: this.o.life, dataspaces } }));
  }

  /** @returns true where it is another one, or not there any more */
  private async find(known: Export): Promise<boolean> {
    const before = { ...known };
    try {
      const client = this.o.client();
      if (client === undefined) return false;
      const { dataspace } = await client.getDataspace(
        { name: known.name, withoutUsage: true },
        { deadlineMs: ASK_MS },
      );
      const { id, sizeBytes } = dataspace!;
      if (id !== known.id) {
        if (known.id !== 0n) this.removed(known.id);
        Object.assign(known, { id, sizeBytes });
      }
      known.trouble = '';
      this.holder.open(id, pageCountOf(sizeBytes), false);
    } catch (error) {
      const { code, details } = fromServiceError(error);
      // What the directory cannot say now stays as it was.
      if (code === Code.NotFound && known.id !== 0n) this.removed(known.id);
      if (code === Code.NotFound) known.trouble = details;
      if (code === Code.PermissionDenied)
        known.trouble = `it is not for everybody, as what is exported has to be (vkctl ds chmod): ${details.split(';')[0]}`;
    }
    return before.id !== known.id || before.trouble !== known.trouble;
  }

  private removed(dataspace: bigint): void {
    for (const known of this.exports.values())
      if (known.id === dataspace) Object.assign(known, { id: 0n, trouble: 'it was removed' });
    this.step({ type: 'remove', dataspace });
    this.holder.remove(dataspace);
  }

  // ---- the machine

  private ports(): HolderPorts {
    return {
      keeps: (event) => {
        if (event.type !== 'invalidate' && event.type !== 'recall') return false;
        this.taken(event);
        return true;
      },
      ready: (run) => {
        for (const span of this.holder.spansIn(run, mayWrite))
          this.step({ type: 'ready', run: span, mode: 'WRITE' });
        for (const span of this.holder.spansIn(run, isReadOnly))
          this.step({ type: 'ready', run: span, mode: 'READ' });
      },
      failed: (run) => this.step({ type: 'failed', run, lost: false }),
      lost: (run) => this.step({ type: 'failed', run, lost: true }),
      removed: (dataspace) => {
        this.removed(dataspace);
        this.offerAll();
      },
      rejoined: () => this.step({ type: 'rejoined' }),
      locks: (event) => this.desk.line(event),
      suspended: () => this.step({ type: 'voided' }),
      voided: () => this.step({ type: 'voided' }),
    };
  }

  // What was heeded before is said again since the answer was lost: it is heeded again.
  private taken(word: Taken): void {
    const { dataspace } = word.run;
    const mode = word.type === 'recall' ? word.mode : 'WRITE';
    const isAnswered = (page: number): boolean =>
      mode === 'WRITE' && this.holder.version(dataspace, page) >= word.version;
    for (const { isDone, run } of partsOf(word.run, isAnswered))
      if (isDone) this.holder.heed({ ...word, run });
      else this.step({ type: 'taken', run, mode, word });
  }

  private step(event: Event, came?: Came): void {
    this.performAll(this.machine.step(event, monotonicMs()), came);
  }

  private performAll(actions: readonly LenderAction<Taken>[], came?: Came): void {
    for (const action of actions) this.perform(action, came);
    this.arm();
  }

  private perform(action: LenderAction<Taken>, came?: Came): void {
    const { store } = this.o;
    const words = (peer: Borrower): Words | undefined =>
      this.borrower(clusterOf(peer)) === peer ? this.o.words(clusterOf(peer)) : undefined;
    const meter = (peer: Borrower): PeerMeter => this.o.meter(clusterOf(peer));
    switch (action.type) {
      case 'lend':
        meter(action.peer).lentPages += action.run.pageCount;
        if (action.mode === 'WRITE') this.holder.wrote(action.run);
        words(action.peer)?.lend(action.run, action.lending, action.mode === 'WRITE', (run) =>
          store.read(run),
        );
        return;
      case 'refuse':
        meter(action.peer).refused += 1;
        words(action.peer)?.refuse(action.run, action.withdrawn);
        return;
      case 'revoke':
        words(action.peer)?.revoke(action.run, action.lending);
        return;
      case 'settle':
        words(action.peer)?.settle(action.run, action.lending, action.gone);
        return;
      case 'take':
        store.write(action.run, bytesIn(came!, action.run));
        return;
      case 'leave':
        this.holder.release(action.run);
        void this.handOver(action.run);
        return;
      case 'lose':
        meter(action.peer).lostPages += action.run.pageCount;
        this.o.lost(clusterOf(action.peer), this.nameOf(action.run.dataspace), action.run);
        this.holder.forfeit(action.run);
        return;
      case 'renewed': {
        const { sentMs, leaseMs } = action;
        // After all that was lent before: it must not make that look new.
        const told = { sentMs: BigInt(sentMs), leaseMs: Math.min(leaseMs, LEASE_MAX_MS) };
        words(action.peer)?.say(() => ({ case: 'renewed', value: told }));
        return;
      }
      case 'want':
        this.holder.want(action.run, action.mode, action.mode === 'WRITE' ? mayWrite : mayRead);
        return;
      case 'release':
        this.holder.heed({ ...action.word, run: action.run });
        return;
      case 'overdue':
        meter(action.peer).overduePages += action.pages;
        return;
      default:
        unreachable(action);
    }
  }

  private nameOf(dataspace: bigint): string {
    return [...this.exports.values()].find(({ id }) => id === dataspace)?.name ?? String(dataspace);
  }

  private arm(): void {
    clearTimeout(this.timer);
    const { nextMs } = this.machine;
    if (!Number.isFinite(nextMs)) return;
    this.timer = setTimeout(
      ownTurn({ timer: 'leases of other clusters' }, () => this.performAll(this.machine.tick(monotonicMs()))),
      Math.max(1, nextMs - monotonicMs() + 1),
    );
  }
}

const isOwned = (state: PageState): boolean => mayWrite(state) || state === 'MASTER';
const isReadOnly = (state: PageState): boolean => mayRead(state) && !mayWrite(state);

function bytesIn({ run, data }: Came, { firstPage, pageCount }: PageRun): Uint8Array {
  const from = (firstPage - run.firstPage) * PAGE_BYTES;
  return data.subarray(from, from + pageCount * PAGE_BYTES);
}

/** A run by what is so of its pages. */
function partsOf(run: PageRun, is: (page: number) => boolean): { isDone: boolean; run: PageRun }[] {
  const parts: { isDone: boolean; run: PageRun }[] = [];
  for (let page = run.firstPage; page < run.firstPage + run.pageCount; page++) {
    const last = parts.at(-1);
    const isDone = is(page);
    if (last?.isDone === isDone) last.run.pageCount++;
    else parts.push({ isDone, run: { ...run, firstPage: page, pageCount: 1 } });
  }
  return parts;
}
