// How the leader of a shard learns, when it starts, who has what: whose reports it takes, whom it waits for and how long,
// and of whom it knows that he had nothing.
//
//   expected     noted by the last leader, in this incarnation: asked for its report, under the life that was noted
//   newcomer     any other: it has nothing of the shard, whatever it says
//   awaited      an expected one that has not reported; for one lease, or for as long as its lease is held
//   silent       taken in here, asked, and late: it is buried, and comes back as new
//   absent       not here, and late: its death is noted
//
// What nobody reports nobody has. A creator has what nobody ever asked for, unless it is a newcomer, or voided it.
import assert from 'node:assert/strict';
import type { DirectoryEvent } from '../directory-messages.ts';
import type { Dataspace } from './dataspaces.ts';
import type { HolderEntry, HolderTable } from './holders.ts';
import type { Membership } from './members.ts';

export type ReportEvent = Extract<DirectoryEvent, { type: 'report' }>;

/** Names a start of a pmap manager. */
const startOf = (node: string, incarnation: bigint): string => `${node} ${incarnation}`;

export interface RebuildOptions {
  /** By node: the holders that lived under the last leader, as it noted them. */
  expected: ReadonlyMap<string, Membership>;
  holders: HolderTable;
  leaseMs: number;
  nowMs: number;
}

export class ShardRebuild {
  private readonly holders: HolderTable;
  private readonly leaseMs: number;
  private readonly untilMs: number;
  /** Of the last leader's holders, those that did not die since. */
  private readonly expected: Map<string, Membership>;
  private readonly awaited: Set<string>;
  private readonly absentees = new Set<string>();
  private reports: ReportEvent[] = [];
  private readonly reported = new Set<HolderEntry>();
  /** Since when a report is waited for. */
  private readonly askedAtMs = new Map<HolderEntry, number>();
  /** Holders that had nothing of this shard when they came, with the newest dataspace that was made before that. */
  private readonly newcomers = new Map<HolderEntry, bigint>();
  /** Dataspaces of which a creator's start has not all that it made. */
  private readonly voided = new Map<string, Set<bigint>>();

  constructor({ expected, holders, leaseMs, nowMs }: RebuildOptions) {
    this.expected = new Map(expected);
    this.awaited = new Set(expected.keys());
    this.holders = holders;
    this.leaseMs = leaseMs;
    this.untilMs = nowMs + leaseMs;
  }

  /** Nodes whose reports are waited for, though they are not here. */
  get awaitedNodes(): string[] {
    return [...this.awaited];
  }

  /**
   * A holder is here, or here again. @param revision the newest dataspace that is known
   * @returns the life under which it is asked for its report; undefined: it has nothing to report
   */
  attach(entry: HolderEntry, revision: bigint, nowMs: number): bigint | undefined {
    const expected = this.expected.get(entry.node);
    if (expected !== undefined && this.isBelieved(entry, expected)) {
      this.hearAnew(entry, nowMs);
      return expected.life;
    }
    this.awaited.delete(entry.node);
    this.newcomer(entry, revision);
    return undefined;
  }

  /** A holder is here that was not when the reports were taken, or is here again. */
  attachLate(entry: HolderEntry, revision: bigint): void {
    this.newcomer(entry, revision);
  }

  // Another start of its pmap manager has nothing of what the one before had.
  protected isBelieved(entry: HolderEntry, expected: Membership): boolean {
    return expected.incarnation === entry.incarnation;
  }

  // New to this shard, or buried by its last leader: it has nothing.
  private newcomer(entry: HolderEntry, revision: bigint): void {
    if (this.reported.has(entry)) return;
    this.reported.add(entry);
    this.newcomers.set(entry, revision);
  }

  // A broken stream may have taken a part of its report along.
  private hearAnew(entry: HolderEntry, nowMs: number): void {
    this.forget(entry);
    if (!this.askedAtMs.has(entry)) this.askedAtMs.set(entry, nowMs);
  }

  /** What a holder has of this shard, or a part of it. */
  report(entry: HolderEntry, report: ReportEvent, last: boolean): void {
    if (!this.askedAtMs.has(entry)) return; // Nobody asked it.
    this.reports.push(report);
    const start = startOf(entry.node, entry.incarnation);
    for (const dataspace of report.voided)
      this.voided.set(start, (this.voided.get(start) ?? new Set()).add(dataspace));
    if (!last) return;
    this.awaited.delete(entry.node);
    this.reported.add(entry);
  }

  /** What it said is over. */
  forget(entry: HolderEntry): void {
    this.reports = this.reports.filter(({ holder }) => holder !== entry.id);
    this.reported.delete(entry);
    this.newcomers.delete(entry);
  }

  /** A holder is dead, and that is being noted: its node is not missed on top of that. */
  dies(entry: HolderEntry): void {
    if (this.expected.get(entry.node)?.incarnation === entry.incarnation) this.absentees.add(entry.node);
  }

  /** The death of a holder is noted. */
  buried(entry: HolderEntry): void {
    if (this.expected.get(entry.node)?.incarnation === entry.incarnation) this.absent(entry.node);
    this.forget(entry);
    this.askedAtMs.delete(entry);
  }

  /** The death of a node that did not report is noted. */
  absent(node: string): void {
    this.expected.delete(node);
    this.awaited.delete(node);
  }

  /** All have reported who could have something. */
  get isComplete(): boolean {
    return this.awaited.size === 0 && !this.holders.all().some((entry) => this.isOwing(entry));
  }

  private isOwing(entry: HolderEntry): boolean {
    return entry.welcomed && !this.reported.has(entry);
  }

  /** Holders that are here, and owe their report for too long. What they have nobody knows of: they come back as new. */
  silent(nowMs: number): HolderEntry[] {
    if (nowMs < this.untilMs) return [];
    return this.holders.all().filter((entry) => this.isOwing(entry) && this.isLate(entry, nowMs));
  }

  // Of one whose lease is held nobody may say that it is late.
  protected isLate(entry: HolderEntry, nowMs: number): boolean {
    if (entry.heldUntilMs > nowMs) return false;
    return nowMs - (this.askedAtMs.get(entry) ?? nowMs) >= this.leaseMs;
  }

  /** Nodes that did not come for a lease, each once. Until their death is noted they are waited for. */
  missing(nowMs: number): string[] {
    if (nowMs < this.untilMs) return [];
    const absent = [...this.awaited].filter(
      (node) => !this.absentees.has(node) && this.holders.ofNode(node) === undefined,
    );
    for (const node of absent) this.absentees.add(node);
    return absent;
  }

  /** Takes all that was reported, for the directory. */
  takeReports(): ReportEvent[] {
    assert(this.isComplete, 'reports are taken before all are in');
    const { reports } = this;
    this.reports = [];
    return reports;
  }

  /** True where a holder that made a dataspace still has the pages that nobody asked for. */
  isWhole(entry: HolderEntry, { id }: Dataspace): boolean {
    if (this.voided.get(startOf(entry.node, entry.incarnation))?.has(id) === true) return false;
    // One that was buried comes back as a newcomer: what it made before that is lost, and what it makes now is whole.
    const since = this.newcomers.get(entry);
    return since === undefined || id > since;
  }
}
