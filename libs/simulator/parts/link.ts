// A node's line to the directory of one shard: finds it, renews the lease, and lets nothing through without one.

import { type HolderLease, renewEveryMs } from '@odonata/coherency/lease.ts';
import { type DirectoryWord, isDirectoryWord } from '@odonata/coherency/node/memory-messages.ts';
import { type HolderId, type HolderIdentity, unreachable } from '@odonata/coherency/page.ts';
import { Connection } from '../connection.ts';
import { LEASE_MS } from '../lease-ms.ts';
import type { Down, HolderWord, PageTransfer, SyncAsk } from '../messages.ts';
import type { PmapPart } from './pmap.ts';

const CONNECT_MS = 150;
const BACKOFF_MS = 30;
/** Until a lease is seen to have ended; lease.ts leaves a tenth of it for that. */
const LATE_MS = LEASE_MS / 20;

export class Link {
  readonly shard: number;
  connection: Connection | undefined;
  epoch = 0;
  holder: HolderId = 0;
  joined = false;
  private life = 0;
  private closed = false;
  private readonly node: PmapPart;
  private readonly lease: HolderLease;
  private readonly nodeOf = new Map<HolderId, number>();
  private readonly identityOf = new Map<HolderId, HolderIdentity>();

  constructor(node: PmapPart, shard: number) {
    this.node = node;
    this.shard = shard;
    this.lease = node.world.machines.holderLease();
  }

  start(): void {
    this.node.every(renewEveryMs(LEASE_MS), () => {
      if (this.serves()) this.connection?.up.send({ type: 'renew', sentMs: this.node.localMs });
    });
    this.node.timer(0, () => this.connect());
    this.watch();
  }

  private note(what: string, about?: object): void {
    const { world, name } = this.node;
    world.history.note(world, name, what, undefined, { shard: this.shard, ...about });
  }

  get leaseEndMs(): number {
    return this.lease.endMs;
  }

  /** True while permissions may be used; ends them where the lease is over. */
  serves(): boolean {
    if (!this.joined) return false;
    if (this.lease.valid(this.node.localMs)) return true;
    this.lapse('its lease ended');
    return false;
  }

  private lapse(reason: string): void {
    this.note('stops', { reason });
    this.joined = false;
    this.lease.end();
    this.node.links.lapsed(this.shard);
    this.connection?.break();
  }

  // The end of the lease is seen in time, whatever else happens.
  private watch(): void {
    const untilMs = this.joined ? this.lease.endMs - this.node.localMs : LATE_MS;
    const lateMs = this.node.world.random.between(0, LATE_MS);
    this.node.timer(Math.min(LEASE_MS, Math.max(0, untilMs)) + lateMs, () => {
      this.serves();
      this.watch();
    });
  }

  private connect(): void {
    const { world } = this.node;
    const { random } = world;
    const target = random.oneIn(6) ? random.pick(world.directories[this.shard]!) : world.leaderOf(this.shard);
    const connection = new Connection(world, this.node, target);
    this.connection = connection;
    const { nodeIndex, incarnation } = this.node;
    connection.up.send({ type: 'hello', node: nodeIndex, incarnation, life: this.life });
    this.node.timer(random.between(CONNECT_MS / 2, CONNECT_MS), () => {
      if (this.connection === connection && !this.welcomed) connection.break();
    });
  }

  private welcomed = false;

  /** The stream broke. Permissions last as long as the lease. */
  lost(connection: Connection): void {
    if (this.connection !== connection) return;
    this.connection = undefined;
    this.welcomed = false;
    this.node.timer(this.node.world.random.between(1, BACKOFF_MS), () => {
      if (this.connection === undefined && !this.closed) this.connect();
    });
  }

  receive(connection: Connection, message: Down): void {
    if (this.connection !== connection) return;
    if (message.type === 'welcome') {
      this.join(connection, message);
      return;
    }
    if (!this.serves()) return;
    switch (message.type) {
      case 'renewed':
        this.lease.renewed(message.sentMs);
        this.node.links.tellDeadline();
        return;
      case 'page':
        if (this.otherEpoch(message.epoch)) return;
        if (message.event.type === 'recall') {
          this.nodeOf.set(message.event.receiver, message.receiverNode);
          this.identityOf.set(message.event.receiver, message.event.receiverIdentity);
        }
        if (isDirectoryWord(message.event)) this.node.memory.hear(message.event);
        return;
      case 'sync':
        this.node.relay.answer(message.answer);
        return;
      case 'retired':
        if (message.epoch === this.epoch) this.node.leaving?.retired(this.shard, message.remaining);
        return;
      default:
        unreachable(message);
    }
  }

  private otherEpoch(epoch: number): boolean {
    const { fenceEpochs, epochOfShard } = this.node.world.duties;
    if (!fenceEpochs) return false;
    if (epochOfShard) return epoch !== this.epoch;
    return this.node.links.all.every((link) => epoch < link.epoch);
  }

  /** A broadcast. */
  overhear(epoch: number, except: HolderId, source: HolderId, event: DirectoryWord): void {
    if (!this.serves() || this.otherEpoch(epoch)) return;
    // Whoever may be let go already is not asked; else it is told again, in order with the answer.
    if (this.node.leaving?.isAsked(this.shard)) return;
    if (except !== this.holder && source !== this.holder) this.node.memory.hear(event);
  }

  /** Pages of another node. */
  arrive(transfer: PageTransfer): void {
    if (!this.serves() || this.otherEpoch(transfer.epoch)) return;
    if (this.node.world.duties.nameReceiver && transfer.receiver !== this.holder) return;
    this.node.memory.arrive(transfer);
  }

  private join(connection: Connection, welcome: Extract<Down, { type: 'welcome' }>): void {
    const { epoch, holder, leaseMs, report } = welcome;
    const old = this.node.world.duties.fenceEpochs && epoch < this.epoch;
    const wasJoined = this.serves();
    const { helloSentMs } = connection;
    const begun = this.node.world.machines.holderLease();
    begun.begin(leaseMs, helloSentMs);
    // An old directory, or a welcome that took longer than the lease that it gives.
    if (old || !begun.valid(this.node.localMs)) {
      connection.break();
      return;
    }
    this.lease.begin(leaseMs, helloSentMs);
    // A directory that has not heard its report yet is a new one still.
    const same = this.epoch === epoch && this.holder === holder && !report;
    this.note('is taken in', { epoch, holder, report, same });
    this.epoch = epoch;
    this.holder = holder;
    this.life = welcome.life;
    this.joined = true;
    this.welcomed = true;
    this.nodeOf.clear();
    this.identityOf.clear();
    this.node.links.tellDeadline();
    if (!same) this.node.leaving?.ledAnew(this.shard);
    const expired = !same && !report;
    if (expired) {
      this.node.memory.step({ type: 'expire', shard: this.shard });
      this.node.relay.expire(this.shard);
    }
    this.node.relay.rejoin(this.shard, !same);
    this.node.memory.step({ type: 'rejoin', shard: this.shard, sameDirectory: same });
    if (!wasJoined) this.node.memory.retryShard(this.shard);
  }

  say(word: HolderWord): void {
    const { world, name } = this.node;
    if (word.type !== 'report') world.history.note(world, name, 'says', word.run, word);
    if (this.welcomed && this.joined) this.connection?.up.send({ type: 'holder', epoch: this.epoch, word });
  }

  /** Asks to be let go. @returns false: there is nobody to ask */
  retire(): boolean {
    if (!this.welcomed || !this.serves() || this.connection === undefined) return false;
    this.connection.up.send({ type: 'retire', epoch: this.epoch });
    return true;
  }

  /** For good. */
  sayGoodbye(): void {
    this.closed = this.node.world.duties.stayGone;
    if (this.welcomed && this.joined) this.connection?.up.send({ type: 'goodbye' });
  }

  ask(ask: SyncAsk): void {
    if (this.welcomed && this.joined) this.connection?.up.send({ type: 'sync', ask });
  }

  /** For good, of a receiver that a recall named. */
  identity(receiver: HolderId): HolderIdentity | undefined {
    return this.identityOf.get(receiver);
  }

  /** Sends pages, or drops them where the receiver is not known: they are recalled again. */
  deliver(transfer: Omit<PageTransfer, 'epoch'>): void {
    const { world } = this.node;
    const target = world.nodes[this.nodeOf.get(transfer.receiver) ?? -1];
    if (target === undefined) return;
    const stream = world.network.transfer<PageTransfer>(this.node, target, (message) =>
      target.links.ofRun(message.event.run).arrive(message),
    );
    stream.send({ ...transfer, epoch: this.epoch });
  }
}
