// A node's streams to the replicas of the directory: opened again for ever, and what is sent on them. See lines.ts.
import { HolderLease } from '../../lease.ts';
import {
  ackMessage,
  acquireWire,
  type HolderEventInit,
  type HolderWord,
  reportParts,
} from './holder-wire.ts';
import { Leaders } from './leaders.ts';
import type { LedShard, Shard } from './led-shard.ts';
import type { LinesAction } from './lines-messages.ts';
import { ReplicaLine } from './replica-line.ts';

/** No leader has this epoch. */
const NO_LEADER = 0n;

export interface LinesOptions {
  /** The name of this node. */
  node: string;
  /** A number that no other pmap manager has. */
  incarnation: bigint;
  /** Of the page space. */
  shards: number;
  /** Where others deliver pages. */
  transferAddress: string;
  /** In a lease, where they are others than as ever: of a gateway, or a node of before. */
  renewals?: number | undefined;
  /** Dataspaces that processes of this node map. */
  mapped?: Iterable<bigint>;
}

export class Streams extends Leaders {
  protected readonly lines = new Map<string, ReplicaLine>();
  protected readonly byStream = new Map<number, ReplicaLine>();
  protected readonly mapped: Set<bigint>;
  /** Of the step that is under way. */
  protected actions: LinesAction[] = [];
  /** Something changed on which leases and the time of the next tick depend. */
  protected timesChanged = true;
  private readonly o: LinesOptions;

  /** @param inherited of another pmap manager of this node; its permissions may be used as long as they last */
  constructor(options: LinesOptions, inherited?: readonly LedShard[]) {
    super(options.shards, inherited);
    this.o = options;
    this.mapped = new Set(options.mapped);
  }

  /** True while some replica has this node as a holder. */
  get anyConnected(): boolean {
    for (const { joined } of this.lines.values()) if (joined) return true;
    return false;
  }

  /** A replica that is connected, for calls that any of them answers; else one that is not. */
  get anyReplica(): string | undefined {
    for (const [replica, { joined }] of this.lines) if (joined) return replica;
    return this.lines.keys().next().value;
  }

  /** The longest lease of the replicas; 0: none has welcomed this node. */
  get leaseMs(): number {
    return Math.max(0, ...[...this.lines.values()].map(({ leaseMs }) => leaseMs));
  }

  /** True while a replica that is connected does not hold the lease until then. */
  awaitsLease(untilMs: number): boolean {
    return [...this.lines.values()].some(({ joined, endMs }) => joined && endMs < untilMs);
  }

  protected makeLease(): HolderLease {
    return new HolderLease();
  }

  protected connectTo(wanted: ReadonlySet<string>): void {
    for (const [replica, line] of this.lines) {
      if (wanted.has(replica)) continue;
      this.lines.delete(replica);
      this.close(line);
      this.leftAll(line);
    }
    for (const replica of wanted) {
      if (this.lines.has(replica)) continue;
      this.lines.set(replica, new ReplicaLine(replica, this.makeLease(), this.o.renewals));
      this.actions.push({ type: 'connect', replica, failures: 0 });
    }
    this.timesChanged = true;
  }

  protected close(line: ReplicaLine): void {
    if (line.stream !== undefined) this.byStream.delete(line.stream);
    line.broke();
    this.actions.push({ type: 'close', replica: line.replica });
  }

  protected opened(replica: string, stream: number, nowMs: number): void {
    const line = this.lines.get(replica);
    if (line === undefined || line.leaving) return;
    if (line.stream !== undefined) this.byStream.delete(line.stream);
    line.broke();
    line.stream = stream;
    this.byStream.set(stream, line);
    const { node, incarnation, transferAddress } = this.o;
    const value = { node, incarnation, transferAddress, sentMs: wholeMs(nowMs) };
    this.actions.push({ type: 'send', stream, event: { case: 'hello', value }, epoch: NO_LEADER });
  }

  protected broke(stream: number, reason: string): void {
    const line = this.byStream.get(stream);
    if (line === undefined) return;
    this.byStream.delete(stream);
    const { replica: directory, joined, leaving } = line;
    line.broke();
    this.timesChanged = true;
    if (leaving) return;
    if (joined) this.log('warn', { reason, directory }, 'lost the directory; trying again');
    line.failures++;
    this.actions.push({ type: 'connect', replica: directory, failures: line.failures });
  }

  /** What comes after it may rest on it: all is asked for anew, on another stream. */
  protected notUnderstood(line: ReplicaLine, reason: string): void {
    const { replica, leaving } = line;
    this.log('warn', { reason, directory: replica }, 'the directory cannot be understood; trying again');
    this.close(line);
    this.timesChanged = true;
    if (leaving) return;
    line.failures++;
    this.actions.push({ type: 'connect', replica, failures: line.failures });
  }

  protected sayGoodbye(): void {
    this.sendAll({ case: 'goodbye', value: {} });
    for (const line of this.lines.values()) {
      line.leaving = true;
      if (!line.joined) this.close(line);
      // Else the replica ends the stream when it has heard it.
    }
  }

  protected sendOn({ joined, stream }: ReplicaLine, event: HolderEventInit, epoch = NO_LEADER): void {
    if (joined && stream !== undefined) this.actions.push({ type: 'send', stream, event, epoch });
  }

  /** What names the epoch of the leader itself. */
  protected sendTo({ line }: Shard, event: HolderEventInit): void {
    if (line !== undefined) this.sendOn(line, event);
  }

  /**
   * What the leader of now is asked. It may hear so late that it has led no more in between, and leads again: by then this node may have
   * had its answer from another leader, and nobody waits for this one.
   */
  protected ask({ line, epoch }: Shard, event: HolderEventInit): void {
    if (line !== undefined) this.sendOn(line, event, epoch);
  }

  protected sendAll(event: HolderEventInit): void {
    for (const line of this.lines.values()) this.sendOn(line, event);
  }

  protected say(word: HolderWord, reported?: number): void {
    if (word.type === 'report') {
      const shard = this.byShard[reported!]!;
      for (const part of reportParts(word, reported!, shard.epoch)) this.sendTo(shard, part);
      return;
    }
    const shard = this.ofPage(word.run.dataspace, word.run.firstPage);
    const { epoch } = shard;
    if (word.type === 'acquire') this.ask(shard, acquireWire(word, epoch));
    else this.sendTo(shard, ackMessage(word, epoch));
  }

  protected interest(dataspace: bigint, mapped: boolean): void {
    if (mapped) this.mapped.add(dataspace);
    else this.mapped.delete(dataspace);
    this.sendAll({ case: 'interest', value: { dataspace, mapped } });
  }

  protected log(level: 'info' | 'warn', about: object, text: string): void {
    this.actions.push({ type: 'log', level, about, text });
  }

  protected leftAll(line: ReplicaLine): void {
    for (const shard of this.byShard) if (shard.line === line) this.left(shard);
  }

  protected left(shard: Shard): void {
    const line = shard.line!;
    shard.line = undefined;
    shard.untilMs = line.endMs;
    shard.lastEndMs = line.lastEndMs;
    this.listShards(line);
    this.timesChanged = true;
  }

  protected listShards(line: ReplicaLine): void {
    line.shards = this.byShard.flatMap((shard, number) => (shard.line === line ? [number] : []));
  }

  protected renew(line: ReplicaLine, nowMs: number): void {
    this.sendOn(line, { case: 'renew', value: { sentMs: wholeMs(nowMs) } });
    line.renewsNext(nowMs, this.mapped.size > 0);
    this.timesChanged = true;
  }
}

// Rounded down: a lease runs from when it was asked for.
export const wholeMs = (nowMs: number): bigint => BigInt(Math.floor(nowMs));
