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
import { mayRead, pageCountOf, unreachable } from '@odonata/coherency/page.ts';
import type { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Client } from '@odonata/rpc/client.ts';
import { Code, fromServiceError } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { PeerMeter } from '../peer-meter.ts';
import type { Policy } from '../policy.ts';
import { GatewayHolder, type HolderOptions, type HolderPorts } from './holder.ts';
import type { PageStore } from './page-store.ts';
import { runOf, type Word } from './word.ts';
import type { Words } from './words.ts';

type Taken = Extract<RunEvent, { type: 'invalidate' }>;
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
}

const NOT_LOOKED = 'it was not looked for yet';
const ASK_MS = 5_000;
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
  private timer: NodeJS.Timeout | undefined;

  constructor(options: LendingOptions) {
    this.o = options;
    // As long as its own lease lasts: that is what each of them is told.
    this.machine = new Lender(Number.MAX_SAFE_INTEGER);
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
    const names = new Set([...this.o.policy().peers.values()].flatMap(({ lends }) => [...lends]));
    let changed = false;
    for (const [name, { id }] of [...this.exports]) {
      if (names.has(name)) continue;
      this.exports.delete(name);
      this.step({ type: 'export', dataspace: id, pageCount: 0, to: new Set() });
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
    for (const { name, id, sizeBytes } of this.exports.values())
      if (id !== 0n)
        this.step({
          ...{ type: 'export', dataspace: id, pageCount: pageCountOf(sizeBytes), to: this.peersOf(name) },
        });
    if (changed) this.offerAll();
  }

  /** Another policy is in force: what it takes back goes now. */
  policyChanged(): void {
    for (const { name, id, sizeBytes } of this.exports.values())
      if (id !== 0n)
        this.step({
          ...{ type: 'export', dataspace: id, pageCount: pageCountOf(sizeBytes), to: this.peersOf(name) },
        });
    this.offerAll();
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
      case 'wanted':
        this.step({ type: 'wanted', peer, run: runOf(word.value.pages) });
        return true;
      case 'returned':
        this.step({
          ...{ type: 'returned', peer, run: runOf(word.value.pages) },
          lending: Number(word.value.lending),
        });
        return true;
      default:
        return false;
    }
  }

  close(): void {
    clearTimeout(this.timer);
    this.holder.close();
  }

  private borrower(peer: string): Borrower | undefined {
    const life = this.o.lifeOf(peer);
    return life === undefined ? undefined : borrowerOf(peer, life);
  }

  // ---- the policy

  private peersOf(name: string): ReadonlySet<string> {
    const { peers } = this.o.policy();
    return new Set([...peers.values()].filter(({ lends }) => lends.has(name)).map((peer) => peer.name));
  }

  private offerAll(): void {
    for (const peer of this.o.policy().peers.keys()) this.offer(peer);
  }

  // What was not looked for yet is not said to be gone.
  private offer(peer: string): void {
    const lends = this.o.policy().peers.get(peer)?.lends ?? [];
    for (const name of lends) if ((this.exports.get(name)?.trouble ?? NOT_LOOKED) === NOT_LOOKED) return;
    const dataspaces = [...this.exports.values()]
      .filter(({ name, id, trouble }) => id !== 0n && trouble === '' && this.peersOf(name).has(peer))
      .map(({ name, id, sizeBytes }) => ({ name, id, sizeBytes }));
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
      known.trouble = this.isTooMuch()
        ? 'more than the memory of this gateway: raise memory in its policy'
        : '';
      if (known.trouble === '') this.holder.open(id, pageCountOf(sizeBytes), false);
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

  private isTooMuch(): boolean {
    let bytes = 0n;
    for (const { sizeBytes } of this.exports.values()) bytes += sizeBytes;
    return bytes > BigInt(this.o.policy().memory);
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
        if (event.type !== 'invalidate') return false;
        this.step({ type: 'taken', run: event.run, word: event });
        return true;
      },
      ready: (run) => {
        for (const span of this.holder.spansIn(run, mayRead)) this.step({ type: 'ready', run: span });
      },
      failed: (run) => this.step({ type: 'failed', run }),
      removed: (dataspace) => {
        this.removed(dataspace);
        this.offerAll();
      },
      rejoined: () => this.step({ type: 'rejoined' }),
      suspended: () => this.step({ type: 'voided' }),
      voided: () => this.step({ type: 'voided' }),
    };
  }

  private step(event: Event): void {
    this.performAll(this.machine.step(event, monotonicMs()));
  }

  private performAll(actions: readonly LenderAction<Taken>[]): void {
    for (const action of actions) this.perform(action);
    this.arm();
  }

  private perform(action: LenderAction<Taken>): void {
    const { store } = this.o;
    const words = (peer: Borrower): Words | undefined =>
      this.borrower(clusterOf(peer)) === peer ? this.o.words(clusterOf(peer)) : undefined;
    const meter = (peer: Borrower): PeerMeter => this.o.meter(clusterOf(peer));
    switch (action.type) {
      case 'lend':
        meter(action.peer).lentPages += action.run.pageCount;
        words(action.peer)?.lend(action.run, action.lending, (run) => store.read(run));
        return;
      case 'refuse':
        meter(action.peer).refused += 1;
        words(action.peer)?.sayOf('refused', action.run);
        return;
      case 'revoke':
        words(action.peer)?.sayOfLent('revoked', action.run, action.lending);
        return;
      case 'renewed': {
        const { sentMs, leaseMs } = action;
        // After all that was lent before: it must not make that look new.
        const told = { sentMs: BigInt(sentMs), leaseMs: Math.min(leaseMs, LEASE_MAX_MS) };
        words(action.peer)?.say(() => ({ case: 'renewed', value: told }));
        return;
      }
      case 'want':
        this.holder.want(action.run, 'READ', mayRead);
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
