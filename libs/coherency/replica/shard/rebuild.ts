// How the leader of a shard learns, when it starts, who has what: whose reports it takes, whom it waits for and how long,
// and of whom it knows that he had nothing.
//
//   expected     noted by the last leader, in this incarnation: asked for its report, under the life that was noted
//   newcomer     any other: it has nothing of the shard, whatever it says, and cannot tell what it had before
//   leased       lives at a replica that led the shard since, and did not get to serve it: asked as well, under no life, so that it
//                gives up what it had before that, and keeps what it made since
//   awaited      an expected one, or a leased one, that has not reported; for one lease, or for as long as its lease is held
//   silent       taken in here, asked, and late: its lease is not renewed any more, so it dies, and comes back as new
//   buried       here: what the last leader permitted it may use as long as that lease may last; then it is absent
//   absent       not here, and late: its death is noted; later where the last leader had noted that its lease is held
//
// What nobody reports nobody has. A creator has what nobody ever asked for, unless it is a newcomer, or voided it.
import assert from 'node:assert/strict';
import type { DirectoryEvent } from '../../directory/directory-messages.ts';
import type { Dataspace } from '../dataspaces.ts';
import type { HolderEntry, HolderTable } from '../holders.ts';
import type { Membership } from '../members.ts';

export type ReportEvent = Extract<DirectoryEvent, { type: 'report' }>;

/** A life that no holder ever had: whoever is asked for its report under it gives up what it had when the last leader served. */
const NO_LIFE = 0n;

/** Names a start of a pmap manager. */
const startOf = (node: string, incarnation: bigint): string => `${node} ${incarnation}`;

export interface RebuildOptions {
  /** By node: the holders that lived under the last leader, as it noted them. */
  expected: ReadonlyMap<string, Membership>;
  /** By node: those that have a lease of a leader which did not get to serve the shard, and are not expected. */
  leased?: ReadonlyMap<string, Membership> | undefined;
  holders: HolderTable;
  leaseMs: number;
  nowMs: number;
}

export class ShardRebuild {
  private readonly holders: HolderTable;
  private readonly leaseMs: number;
  private readonly startMs: number;
  private readonly untilMs: number;
  /** Of the last leader's holders, those that did not die since. */
  private readonly expected: Map<string, Membership>;
  private readonly leased: ReadonlyMap<string, Membership>;
  private readonly awaited: Set<string>;
  /** Whose death is noted, or being noted. */
  private readonly absentees = new Set<string>();
  /** Of those, who died here and did not report: until when the lease of the last leader may last. */
  private readonly buriedEarly = new Map<string, number>();
  private reports: ReportEvent[] = [];
  private readonly reported = new Set<HolderEntry>();
  /** Since when a report is waited for. */
  private readonly askedAtMs = new Map<HolderEntry, number>();
  /** Holders that had nothing of this shard when they came, with the newest dataspace that was made before that. */
  private readonly newcomers = new Map<HolderEntry, bigint>();
  /** Dataspaces of which a creator's start has not all that it made. */
  private readonly voided = new Map<string, Set<bigint>>();

  constructor({ expected, leased = new Map(), holders, leaseMs, nowMs }: RebuildOptions) {
    this.expected = new Map(expected);
    this.leased = leased;
    this.awaited = new Set([...expected.keys(), ...leased.keys()]);
    this.holders = holders;
    this.leaseMs = leaseMs;
    this.startMs = nowMs;
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
    const leased = this.leased.get(entry.node);
    if (leased?.incarnation === entry.incarnation && this.awaited.has(entry.node)) {
      this.hearAnew(entry, nowMs);
      return NO_LIFE;
    }
    if (this.isInItsPlace(entry, latestOf(expected, leased))) this.awaited.delete(entry.node);
    if (!this.reported.has(entry)) this.reports.push(this.reportOfNewcomer(entry));
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

  // An earlier start of the node may be here still, while the one that the last leader had noted is on its way.
  protected isInItsPlace({ node, incarnation }: HolderEntry, expected: Membership | undefined): boolean {
    if (this.buriedEarly.has(node)) return false;
    return expected === undefined || incarnation > expected.incarnation;
  }

  // What was sent on to it, and it had before it was buried, nobody has.
  protected reportOfNewcomer({ id: holder }: HolderEntry): ReportEvent {
    return { type: 'report', holder, held: [], voided: [], reborn: true };
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
    if (this.isOne(entry)) this.absentees.add(entry.node);
  }

  /** True of the start of a node that is expected, or leased. */
  private isOne({ node, incarnation }: HolderEntry): boolean {
    return [this.expected, this.leased].some((of) => of.get(node)?.incarnation === incarnation);
  }

  /** The death of a holder is noted. */
  buried(entry: HolderEntry): void {
    if (this.isOne(entry)) this.isAbsent(entry);
    this.forget(entry);
    this.askedAtMs.delete(entry);
  }

  // It may not have heard who leads now, and use what the last leader permitted.
  protected isAbsent(entry: HolderEntry): void {
    if (entry.left) this.absent(entry.node);
    else if (this.awaited.has(entry.node)) this.buriedEarly.set(entry.node, this.lateAtMs(entry.node));
    this.expected.delete(entry.node);
  }

  /** The death of a node that did not report is noted. */
  absent(node: string): void {
    this.expected.delete(node);
    this.awaited.delete(node);
    this.buriedEarly.delete(node);
  }

  /** All have reported who could have something. */
  get isComplete(): boolean {
    return this.awaited.size === 0 && !this.holders.all().some((entry) => this.isOwing(entry));
  }

  private isOwing(entry: HolderEntry): boolean {
    return entry.welcomed && !this.reported.has(entry);
  }

  /** True of a holder that is here, and owes its report for too long: what it has nobody knows of. */
  isSilent(entry: HolderEntry, nowMs: number): boolean {
    return nowMs >= this.untilMs && this.isOwing(entry) && this.isLate(entry, nowMs);
  }

  // Of one whose lease is held nobody may say that it is late.
  protected isLate(entry: HolderEntry, nowMs: number): boolean {
    if (entry.heldUntilMs > nowMs) return false;
    return nowMs - (this.askedAtMs.get(entry) ?? nowMs) >= this.leaseMs;
  }

  /** Nodes that did not come for a lease, each once. Until their death is noted they are waited for. */
  missing(nowMs: number): string[] {
    if (nowMs < this.untilMs) return [];
    for (const [node, untilMs] of this.buriedEarly) if (nowMs >= untilMs) this.absent(node);
    const late = [...this.awaited].filter((node) => {
      return !this.absentees.has(node) && !this.isHere(node) && nowMs >= this.lateAtMs(node);
    });
    const absent = late.filter((node) => this.expected.has(node) && !this.holders.ofNode(node));
    for (const node of absent) this.absentees.add(node);
    // Of what these had nobody believes anything; or another start of the node is here, of which more is noted.
    for (const node of late) if (!absent.includes(node)) this.absent(node);
    return absent;
  }

  private isHere(node: string): boolean {
    const entry = this.holders.ofNode(node);
    return entry !== undefined && this.isOne(entry);
  }

  // Where the last leader held its lease, another process takes its place, and is not late before that is over.
  protected lateAtMs(node: string): number {
    const held = [this.expected, this.leased].map((of) => of.get(node)?.heldMs ?? 0);
    return this.startMs + Math.max(this.leaseMs, ...held);
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

function latestOf(one: Membership | undefined, other: Membership | undefined): Membership | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one.incarnation > other.incarnation ? one : other;
}
