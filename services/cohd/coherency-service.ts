// The directory as a service: streams and the bus around the pure machine.
import { create, toBinary } from '@bufbuild/protobuf';
import type { Bus } from '@odonata/bus/bus.ts';
import { Directory } from '@odonata/coherency/directory.ts';
import type { DirectoryAction, DirectoryEvent } from '@odonata/coherency/directory-messages.ts';
import { PAGE_BYTES, unreachable } from '@odonata/coherency/page.ts';
import {
  ackWire,
  lockWire,
  modeWire,
  outcomeWire,
  reasonWire,
  runFromWire,
  stateWire,
} from '@odonata/coherency/wire.ts';
import {
  type HolderEvent,
  type HolderHello,
  InvalidateSchema,
  SyncStatus,
} from '@odonata/proto/coherency/v1/coherency';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { KV } from 'nats';
import { type HolderEntry, type HolderStream, HolderTable } from './holder-table.ts';
import type { DataspaceRecord, Registry } from './registry.ts';
import { type SyncAnswer, SyncDesk } from './sync-desk.ts';

const TICK_MS = 20;

type Report = Extract<DirectoryEvent, { type: 'report' }>;

export interface CoherencyOptions {
  epoch: bigint;
  leaseMs: number;
  registry: Registry;
  bus: Bus;
  /** Remembers which holders live, so that a new directory knows whose reports to wait for. */
  members: KV;
  /** Nodes and incarnations that lived under the last directory. */
  expected: Map<string, bigint>;
  log: Logger;
  /** Monotonic milliseconds. */
  now: () => number;
}

interface Parked {
  holder: HolderEntry;
  event: HolderEvent;
}

function isReclaim({ event: { event } }: Parked): boolean {
  return event.case === 'lock' && event.value.reclaim;
}

export class CoherencyService {
  readonly directory = new Directory({ home: false });
  readonly holders = new HolderTable();
  readonly sync = new SyncDesk();
  /** Pages granted, by state. */
  readonly grantedPages: Record<string, number> = {};
  private readonly o: CoherencyOptions;
  private readonly awaited: Map<string, bigint>;
  private readonly parked: Parked[] = [];
  private readonly timer: NodeJS.Timeout;
  private rebuildUntilMs: number;
  private rebuilding = true;
  private readonly reports: Report[] = [];

  constructor(options: CoherencyOptions) {
    this.o = options;
    this.awaited = new Map(options.expected);
    this.rebuildUntilMs = options.now() + options.leaseMs;
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.endRebuildWhenReady();
  }

  get epoch(): bigint {
    return this.o.epoch;
  }

  get parkedEvents(): number {
    return this.parked.length;
  }

  get isRebuilding(): boolean {
    return this.rebuilding;
  }

  /** Takes a holder's stream. @throws RpcError when the node is served under another incarnation that is newer. */
  attach(hello: HolderHello, stream: HolderStream): HolderEntry {
    const { node, incarnation } = hello;
    if (node === '' || node.length > 100)
      throw new RpcError(Code.InvalidArgument, 'hello.node: 1 to 100 characters');
    const before = this.holders.ofNode(node);
    if (before !== undefined && before.incarnation !== incarnation)
      this.bury(before, 'a new pmap manager took its place');
    const known = this.holders.ofNode(node);
    const entry = known ?? this.holders.add(node, incarnation);
    this.holders.attach(entry, stream, hello.transferAddress);
    entry.deadAtMs = Number.POSITIVE_INFINITY;
    if (known === undefined) {
      this.step({ type: 'join', holder: entry.id });
      void this.remember(node, incarnation);
    }
    if (this.awaited.get(node) !== undefined && this.awaited.get(node) !== incarnation)
      this.awaited.delete(node);
    const { epoch, leaseMs } = this.o;
    this.holders.send(entry.id, {
      case: 'welcome',
      value: { epoch, leaseMs, holder: entry.id, report: this.rebuilding },
    });
    this.o.log.info({ node, incarnation, holder: entry.id }, 'holder attached');
    return entry;
  }

  /** The stream of a holder broke. It has the rest of its lease to come back. */
  detach(entry: HolderEntry, stream: HolderStream): void {
    if (entry.stream !== stream) return;
    entry.stream = undefined;
    entry.deadAtMs = this.o.now() + this.o.leaseMs;
    this.o.log.warn({ node: entry.node, leaseMs: this.o.leaseMs }, 'holder lost its stream');
  }

  receive(entry: HolderEntry, event: HolderEvent): void {
    const { event: e } = event;
    switch (e.case) {
      case 'report':
        this.report(
          entry,
          e.value.held.map((h) => ({
            run: runFromWire(h.run),
            state: stateWire.from(h.state),
            version: Number(h.version),
            kept: h.kept,
          })),
          e.value.last,
        );
        return;
      case 'renew':
        this.holders.send(entry.id, { case: 'renewed', value: { sentMs: e.value.sentMs } });
        return;
      case 'interest':
        if (e.value.mapped) entry.mapped.add(e.value.dataspace);
        else entry.mapped.delete(e.value.dataspace);
        return;
      default:
        if (!this.rebuilding) this.apply(entry, event);
        // Answers of before a restart are of no use; requests wait until every report is in.
        else if (e.case !== 'ack') this.parked.push({ holder: entry, event });
    }
  }

  private apply(entry: HolderEntry, { event }: HolderEvent): void {
    const holder = entry.id;
    const now = this.o.now();
    switch (event.case) {
      case 'acquire': {
        const { run, mode, neededPages } = event.value;
        this.step({
          type: 'acquire',
          holder,
          run: runFromWire(run),
          mode: modeWire.from(mode),
          neededPages,
          alone: true,
        });
        return;
      }
      case 'ack': {
        const { run, version, kind, epoch } = event.value;
        if (epoch !== this.o.epoch) return;
        this.step({
          type: 'ack',
          holder,
          run: runFromWire(run),
          version: Number(version),
          kind: ackWire.from(kind),
        });
        return;
      }
      case 'lock': {
        const { request, dataspace, begin, end, mode, owner, timeoutMs, reclaim } = event.value;
        const ask = {
          request,
          dataspace,
          begin,
          end,
          mode: lockWire.from(mode),
          owner,
          timeoutMs: Number(timeoutMs),
          reclaim,
        };
        this.answer(this.sync.lock(holder, ask, now));
        return;
      }
      case 'unlock': {
        const { dataspace, owner, begin, end } = event.value;
        this.answer(this.sync.unlock(dataspace, owner, begin, end));
        return;
      }
      case 'wait': {
        const { request, dataspace, offset, owner, timeoutMs } = event.value;
        this.answer(
          this.sync.wait(holder, { request, dataspace, offset, owner, timeoutMs: Number(timeoutMs) }, now),
        );
        return;
      }
      case 'cancelWait':
        this.sync.cancelWait(holder, event.value.request);
        return;
      case 'wake':
        this.answer(this.sync.wake(holder, event.value));
        return;
      case 'ownerGone':
        this.answer(this.sync.ownerGone(event.value.owner));
        return;
      default:
        throw new RpcError(
          Code.InvalidArgument,
          `holder ${entry.node} sent ${event.case ?? 'an empty event'} where it does not belong`,
        );
    }
  }

  /** Makes a dataspace known to the machine. */
  register(record: DataspaceRecord): void {
    // The end of the rebuild takes all that are in the registry.
    if (!this.rebuilding) this.admit(record);
  }

  private admit(record: DataspaceRecord): void {
    const creator = this.holders.ofNode(record.creator);
    const alive = creator !== undefined && creator.incarnation === record.creatorIncarnation;
    const pageCount = Number((record.sizeBytes + BigInt(PAGE_BYTES) - 1n) / BigInt(PAGE_BYTES));
    this.step({
      type: 'create',
      dataspace: record.id,
      pageCount,
      creator: alive ? creator.id : 0,
      creatorLost: !alive,
    });
  }

  unregister(record: DataspaceRecord): void {
    const by = this.holders.all().filter((h) => h.mapped.has(record.id));
    if (by.length > 0) {
      const nodes = by.map((h) => h.node).join(', ');
      throw new RpcError(
        Code.FailedPrecondition,
        `dataspace ${record.name} is mapped on ${nodes}; end the processes that use it`,
      );
    }
    this.step({ type: 'remove', dataspace: record.id });
    this.sync.removeDataspace(record.id);
    for (const holder of this.holders.all())
      this.holders.send(holder.id, { case: 'removed', value: { dataspace: record.id } });
  }

  private report(entry: HolderEntry, held: Report['held'], last: boolean): void {
    if (!this.rebuilding) return;
    this.reports.push({ type: 'report', holder: entry.id, held });
    if (last) this.awaited.delete(entry.node);
    this.endRebuildWhenReady();
  }

  private endRebuildWhenReady(): void {
    if (!this.rebuilding) return;
    const late = this.o.now() >= this.rebuildUntilMs;
    if (this.awaited.size > 0 && !late) return;
    // Dataspaces come first, when their creators are attached, if they live.
    for (const record of this.o.registry.list()) this.admit(record);
    for (const report of this.reports.splice(0)) this.step(report);
    for (const node of this.awaited.keys()) {
      this.o.log.warn({ node }, 'holder did not report in time: its pages are lost');
      void this.forget(node);
    }
    this.rebuilding = false;
    this.step({ type: 'rebuilt' });
    // Locks that are held before requests that wait for them, whichever node spoke first.
    const parked = this.parked.splice(0);
    const held = parked.filter(isReclaim);
    for (const each of [...held, ...parked.filter((p) => !isReclaim(p))]) {
      if (this.holders.get(each.holder.id) === each.holder) this.apply(each.holder, each.event);
    }
    this.o.log.info({ epoch: this.o.epoch }, 'the directory serves');
  }

  private tick(): void {
    const now = this.o.now();
    if (this.rebuilding) {
      this.endRebuildWhenReady();
      return;
    }
    for (const entry of this.holders.all()) if (entry.deadAtMs <= now) this.bury(entry, 'its lease ended');
    this.step({ type: 'tick', nowMs: now });
    this.answer(this.sync.tick(now));
  }

  private bury(entry: HolderEntry, reason: string): void {
    this.o.log.warn({ node: entry.node, holder: entry.id, reason }, 'holder is dead');
    this.holders.remove(entry);
    void this.forget(entry.node);
    this.step({ type: 'leave', holder: entry.id });
    this.answer(this.sync.holderGone(entry.id));
  }

  private async remember(node: string, incarnation: bigint): Promise<void> {
    await this.o.members.put(Buffer.from(node).toString('hex'), incarnation.toString()).catch((error) => {
      this.o.log.warn(
        { err: error, node },
        'could not note a holder; a restart of the directory would not wait for it',
      );
    });
  }

  private async forget(node: string): Promise<void> {
    if (this.holders.ofNode(node) !== undefined) return;
    await this.o.members.purge(Buffer.from(node).toString('hex')).catch((error) => {
      this.o.log.warn(
        { err: error, node },
        'could not strike a holder out; a restart of the directory waits for it for a lease',
      );
    });
  }

  private step(event: DirectoryEvent): void {
    for (const action of this.directory.step(event)) this.perform(action);
  }

  private perform(action: DirectoryAction): void {
    const { epoch } = this.o;
    const { run } = action;
    switch (action.type) {
      case 'grant':
        this.grantedPages[action.state] = (this.grantedPages[action.state] ?? 0) + run.pageCount;
        this.holders.send(action.holder, {
          case: 'grant',
          value: {
            run,
            state: stateWire.to(action.state),
            version: BigInt(action.version),
            zero: action.zero,
            restore: action.restore,
            epoch,
          },
        });
        return;
      case 'recall': {
        const receiver = this.holders.get(action.receiver);
        this.holders.send(action.holder, {
          case: 'recall',
          value: {
            run,
            mode: modeWire.to(action.mode),
            version: BigInt(action.version),
            epoch,
            receiver: action.receiver,
            receiverAddress: receiver?.transferAddress ?? '',
            receiverState: stateWire.to(action.receiverState),
          },
        });
        return;
      }
      case 'invalidate': {
        const value = {
          run,
          version: BigInt(action.version),
          epoch,
          exceptHolder: action.except,
          sourceHolder: action.source,
        };
        this.o.bus.invalidate(run.dataspace, toBinary(InvalidateSchema, create(InvalidateSchema, value)));
        // Where the broadcast went unanswered, the stream carries it too.
        if (action.resend)
          for (const holder of action.holders) this.holders.send(holder, { case: 'invalidate', value });
        return;
      }
      case 'refuse':
        this.holders.send(action.holder, {
          case: 'refuse',
          value: { run, mode: modeWire.to(action.mode), reason: reasonWire.to(action.reason) },
        });
        return;
      case 'settled':
        this.holders.send(action.holder, {
          case: 'settled',
          value: { run, version: BigInt(action.version) },
        });
        return;
      default:
        unreachable(action);
    }
  }

  private answer(answers: SyncAnswer[]): void {
    for (const a of answers) {
      if (a.type === 'lock')
        this.holders.send(a.holder, {
          case: 'lockResult',
          value: { request: a.request, status: outcomeWire.to(a.outcome) },
        });
      else if (a.type === 'wake')
        this.holders.send(a.holder, { case: 'wakeResult', value: { request: a.request, woken: a.woken } });
      else
        this.holders.send(a.holder, {
          case: 'waitResult',
          value: { request: a.request, status: SyncStatus[a.outcome] },
        });
    }
  }

  close(): void {
    clearInterval(this.timer);
    for (const entry of this.holders.all()) entry.stream?.end();
  }
}
