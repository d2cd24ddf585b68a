// What the relay remembers: what is held, under way, and may not have been heard; and the same for another pmap manager.
import type { SyncSnapshot } from '@odonata/proto/pmap/v1/handover';
import type { LockMode } from '../../locks/lock-mode.ts';
import { homeShardOf } from '../../shard.ts';
import { lockWire } from '../../wire.ts';
import { HeldLocks } from './held-locks.ts';
import { LateLocks } from './late-locks.ts';
import { PassedBarriers } from './passed-barriers.ts';
import {
  barriersWire,
  endsWire,
  givenUpWire,
  heldWire,
  type SyncSnapshotInit,
  underWayFrom,
  underWayWire,
  unlocksWire,
  withdrawalsWire,
} from './relay-snapshot.ts';
import { RequestsUnderWay } from './under-way.ts';
import { UnheardEnds, UnheardUnlocks, UnheardWithdrawals } from './unheard-words.ts';

export class RelayRecords {
  readonly shards: number;
  protected readonly held = new HeldLocks();
  protected readonly underWay = new RequestsUnderWay();
  protected readonly unlocks = new UnheardUnlocks();
  protected readonly withdrawals = new UnheardWithdrawals();
  protected readonly ends = new UnheardEnds();
  protected readonly late = new LateLocks();
  protected readonly barriers = new PassedBarriers();
  protected next = 1n;
  private readonly farDesk: (dataspace: bigint) => number | undefined;

  /**
   * @param shards of the page space
   * @param farDesk of a dataspace whose locks and waiters no shard has, but its home: a number past the last shard
   */
  constructor(shards: number, farDesk: (dataspace: bigint) => number | undefined = () => undefined) {
    this.shards = shards;
    this.farDesk = farDesk;
  }

  /** True while a process of this node holds a range of a dataspace. */
  holdsIn(dataspace: bigint): boolean {
    return this.held.holdsIn(dataspace);
  }

  /** Dataspaces whose locks a shard's leader has, and of which a process of this node holds a range. */
  heldDataspaces(shard: number): bigint[] {
    return this.held.dataspaces().filter((dataspace) => this.homeOf(dataspace) === shard);
  }

  /** True where a process holds bytes of a range for writing: what it reads there it will write. */
  modifies(owner: bigint, dataspace: bigint, begin: bigint, end: bigint): boolean {
    return this.held.holds(owner, dataspace, begin, end, ({ mode }) => mode === 'MODIFYING');
  }

  /** Requests that are not answered. */
  get underWayCount(): number {
    return this.underWay.all().length;
  }

  /** Unlocks and withdrawn waits that the directory may not have heard. */
  get unheardCount(): number {
    return this.unlocks.all().length + this.withdrawals.size;
  }

  /** All that processes of this node hold, in the order of owners. */
  heldRanges(): { owner: bigint; dataspace: bigint; begin: bigint; end: bigint; mode: LockMode }[] {
    return [...this.held.of(() => true)].flatMap(({ owner, dataspace, ranges }) =>
      ranges.map(({ begin, end, mode }) => ({ owner, dataspace, begin, end, mode })),
    );
  }

  /** Ranges that a process holds of a dataspace. */
  heldCount(owner: bigint, dataspace: bigint): number {
    return this.held.count(owner, dataspace);
  }

  /** The shard of a dataspace's locks and waiters, or its desk elsewhere. */
  protected homeOf(dataspace: bigint): number {
    return this.farDesk(dataspace) ?? homeShardOf(dataspace, this.shards);
  }

  /** All that is remembered. @param sessions by their place in the snapshot */
  snapshot(sessions: readonly number[]): SyncSnapshotInit {
    return {
      nextRequest: this.next,
      underWay: underWayWire(this.underWay.all(), sessions),
      givenUp: givenUpWire(this.late.givenUp),
      held: heldWire(this.held),
      unlocks: unlocksWire(this.unlocks.all()),
      withdrawals: withdrawalsWire(this.withdrawals),
      gone: endsWire(this.ends),
      barriers: barriersWire(this.barriers),
      reclaims: [...this.late.reclaims].map(([request, about]) => ({ request, ...about })),
    };
  }

  /** Goes on where another relay was; its streams are new ones. @param sessions as in `snapshot`, here */
  resume(snapshot: SyncSnapshot, sessions: readonly number[]): void {
    this.next = snapshot.nextRequest;
    for (const { owner, dataspace, begin, end, mode } of snapshot.held)
      this.held.hold(owner, dataspace, begin, end, lockWire.from(mode));
    for (const wire of snapshot.underWay) {
      const asked = underWayFrom(wire, sessions);
      if (asked !== undefined) this.underWay.add(wire.id, asked);
    }
    for (const { id, event, owner, dataspace } of snapshot.givenUp)
      this.late.giveUp(id, { event: event?.event, owner, dataspace });
    for (const { unlock, before, atMs } of snapshot.unlocks)
      this.unlocks.add({ unlock: unlock!, before, atMs: Number(atMs) });
    for (const { request, dataspace, atMs } of snapshot.withdrawals)
      this.withdrawals.add(request, dataspace, Number(atMs));
    for (const { word, endedMs } of snapshot.barriers)
      if (word !== undefined) this.barriers.resume({ ...word, waits: false, endedMs: Number(endedMs) });
    for (const { event } of snapshot.underWay)
      if (event?.event.case === 'barrier') this.barriers.comes(event.event.value);
    for (const { owner, atMs } of snapshot.gone) this.ends.add(owner, Number(atMs));
    for (const { request, owner, dataspace } of snapshot.reclaims)
      this.late.reclaim(request, { owner, dataspace });
  }
}
