// Range locks, waits and wakes of virtual kernels, relayed to the directory and back; remembered, so
// that a new directory hears of locks that are held and of requests that are under way.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { OwnedRanges } from '@odonata/coherency/owned-ranges.ts';
import { HELD_MAX, type LockMode } from '@odonata/coherency/range-lock.ts';
import { lockWire } from '@odonata/coherency/wire.ts';
import type { DirectoryEvent } from '@odonata/proto/coherency/v1/coherency';
import { SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import type { SyncSnapshot, SyncSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import type { VkernelEvent } from '@odonata/proto/pmap/v1/pmap';
import { Code } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { HolderEventInit } from './directory-link.ts';
import type { Session } from './session.ts';

type SyncEvent = Extract<VkernelEvent['event'], { case: 'lock' | 'unlock' | 'wait' | 'cancelWait' | 'wake' }>;
type SyncSnapshotInit = MessageInitShape<typeof SyncSnapshotSchema>;
type UnlockEvent = Extract<SyncEvent, { case: 'unlock' }>;

interface UnderWay {
  session: Session;
  /** The vkernel's number for it. */
  request: bigint;
  event: HolderEventInit;
  owner: bigint;
  dataspace: bigint;
  /** A wait that sleeps. */
  registered: boolean;
  /** It was said more than once. */
  repeated?: boolean;
}

/** An unlock that the directory may not have heard. */
interface UnheardUnlock {
  event: UnlockEvent;
  /** The number of the next request after it: an answer to that one, or to a later one, tells that it was heard. */
  before: bigint;
  atMs: number;
}

const GIVEN_UP_MAX = 10_000;
/** Ends of processes that are said again on a new stream. Pids are never used twice, so that does no harm. */
const GONE_MAX = 10_000;
const GONE_KEPT_MS = 60_000;

/** Where events for the directory go. */
export interface SyncOutlet {
  /** To the leader of a dataspace's locks and waiters. */
  home(dataspace: bigint, event: HolderEventInit): void;
  /** To all leaders. */
  all(event: HolderEventInit): void;
  /** A process lost range locks. */
  lost(owner: bigint): void;
}

export class SyncRelay {
  private readonly to: SyncOutlet;
  private readonly underWay = new Map<bigint, UnderWay>();
  private readonly byVkernelRequest = new Map<string, bigint>();
  private readonly idsOfOwner = new Map<bigint, Set<bigint>>();
  private readonly idsOfSession = new Map<Session, Set<bigint>>();
  /** By owner and dataspace: what the directory granted and nobody gave back. */
  private readonly held = new Map<bigint, Map<bigint, OwnedRanges>>();
  /** By dataspace: processes that hold ranges of it. */
  private readonly ownersIn = new Map<bigint, Set<bigint>>();
  /** Said without an answer, and perhaps lost with a stream: unlocks by dataspace in order, and the ends of processes. */
  private readonly unlocks = new Map<bigint, UnheardUnlock[]>();
  private readonly gone = new Map<bigint, number>();
  /** Locks that a new leader was told of: it answers only where somebody else has them. */
  private readonly reclaims = new Map<bigint, { owner: bigint; dataspace: bigint }>();
  /** Locks that were asked for twice and refused. */
  private readonly givenUp = new Map<bigint, Omit<UnderWay, 'session' | 'request' | 'registered'>>();
  private next = 1n;
  private lastOrder = 0;

  constructor(to: SyncOutlet) {
    this.to = to;
  }

  relay(session: Session, request: bigint, event: SyncEvent): void {
    switch (event.case) {
      case 'lock':
      case 'wait':
      case 'wake': {
        const id = this.next++;
        const { $typeName: _, ...fields } = event.value;
        const relayed = { case: event.case, value: { ...fields, request: id } } as HolderEventInit;
        const owner = 'owner' in event.value ? event.value.owner : 0n;
        const { dataspace } = event.value;
        this.remember(id, { session, request, event: relayed, owner, dataspace, registered: false });
        this.to.home(dataspace, relayed);
        return;
      }
      case 'unlock':
        this.unlock(session, request, event);
        return;
      case 'cancelWait': {
        const key = `${session.holder} ${event.value.request}`;
        const id = this.byVkernelRequest.get(key);
        if (id === undefined) return;
        const asked = this.finish(id);
        if (asked !== undefined)
          this.to.home(asked.dataspace, { case: 'cancelWait', value: { request: id } });
      }
    }
  }

  /** An answer of the directory. */
  answer(event: DirectoryEvent['event']): void {
    switch (event.case) {
      case 'lockResult': {
        const { request, status } = event.value;
        const asked = this.finish(request);
        if (asked === undefined) {
          this.lateResult(request, status);
          return;
        }
        // Asked twice, it may be granted after all, to nobody.
        if (asked.repeated && status !== SyncStatus.OK) this.giveUp(request, asked);
        if (status === SyncStatus.OK && asked.event?.case === 'lock') {
          const { begin = 0n, end = 0n, mode = 0 } = asked.event.value;
          this.hold(asked.owner, asked.dataspace, { begin, end, mode: lockWire.from(mode) });
        }
        asked.session.send({
          request: asked.request,
          event: { case: 'lock', value: { request: asked.request, status } },
        });
        return;
      }
      case 'waitResult': {
        const { request, status } = event.value;
        const registered = status === SyncStatus.REGISTERED;
        const asked = registered ? this.underWay.get(request) : this.finish(request);
        if (asked === undefined) return;
        if (registered) asked.registered = true;
        answerWait(asked, status);
        return;
      }
      case 'wakeResult': {
        const asked = this.finish(event.value.request);
        asked?.session.send({
          request: asked.request,
          event: { case: 'wake', value: { request: asked.request, woken: event.value.woken } },
        });
      }
    }
  }

  private giveUp(request: bigint, asked: UnderWay): void {
    this.givenUp.set(request, asked);
    if (this.givenUp.size > GIVEN_UP_MAX) this.givenUp.delete(this.givenUp.keys().next().value!);
  }

  private lateResult(request: bigint, status: SyncStatus): void {
    const reclaimed = this.reclaims.get(request);
    this.reclaims.delete(request);
    if (reclaimed !== undefined && status !== SyncStatus.OK) {
      // Somebody else has it: the process must not go on as if it had it.
      this.forget(reclaimed.owner, reclaimed.dataspace);
      this.to.lost(reclaimed.owner);
    }
    const asked = this.givenUp.get(request);
    this.givenUp.delete(request);
    if (asked?.event?.case !== 'lock' || status !== SyncStatus.OK) return;
    const { dataspace, owner } = asked;
    const { begin = 0n, end = 0n } = asked.event.value;
    // Unless the process got some of it by another request meanwhile.
    if (
      this.held
        .get(owner)
        ?.get(dataspace)
        ?.first(begin, end, () => true) !== undefined
    )
      return;
    this.to.home(dataspace, { case: 'unlock', value: { dataspace, owner, begin, end } });
  }

  /** True where a process holds bytes of a range for writing: what it reads there it will write. */
  modifies(owner: bigint, dataspace: bigint, begin: bigint, end: bigint): boolean {
    const ranges = this.held.get(owner)?.get(dataspace);
    return ranges?.first(begin, end, ({ mode }) => mode === 'MODIFYING') !== undefined;
  }

  private unlock(session: Session, request: bigint, event: UnlockEvent): void {
    const { owner, dataspace, begin, end } = event.value;
    const ranges = this.held.get(owner)?.get(dataspace);
    // An unlock in the middle of a range makes two of it.
    if (ranges !== undefined && ranges.count >= HELD_MAX) {
      const reason = `the process holds ${HELD_MAX} ranges of dataspace ${dataspace}; unlock whole ranges`;
      session.send({ request, event: { case: 'failed', value: { code: Code.ResourceExhausted, reason } } });
      return;
    }
    ranges?.clear(begin, end);
    if (ranges?.count === 0) this.forget(owner, dataspace);
    const unheard = this.unlocks.get(dataspace) ?? [];
    const numbered = { ...event, value: { ...event.value, request: this.next++ } };
    unheard.push({ event: numbered, before: this.next, atMs: monotonicMs() });
    this.unlocks.set(dataspace, unheard);
    this.to.home(dataspace, numbered);
    session.send({ request, event: { case: 'done', value: {} } });
  }

  /** True while a process of this node holds a range of a dataspace. */
  holdsIn(dataspace: bigint): boolean {
    return this.ownersIn.has(dataspace);
  }

  /** Dataspaces of which a process of this node holds a range. */
  heldDataspaces(): bigint[] {
    return [...this.ownersIn.keys()];
  }

  private hold(
    owner: bigint,
    dataspace: bigint,
    { begin, end, mode }: { begin: bigint; end: bigint; mode: LockMode },
  ): void {
    this.rangesOf(owner, dataspace).set(begin, end, mode);
    const owners = this.ownersIn.get(dataspace) ?? new Set();
    this.ownersIn.set(dataspace, owners.add(owner));
  }

  private forget(owner: bigint, dataspace: bigint): void {
    this.held.get(owner)?.delete(dataspace);
    const owners = this.ownersIn.get(dataspace);
    owners?.delete(owner);
    if (owners?.size === 0) this.ownersIn.delete(dataspace);
  }

  private rangesOf(owner: bigint, dataspace: bigint): OwnedRanges {
    const ofOwner = this.held.get(owner) ?? new Map<bigint, OwnedRanges>();
    this.held.set(owner, ofOwner);
    const ranges = ofOwner.get(dataspace) ?? new OwnedRanges(owner, () => ++this.lastOrder);
    ofOwner.set(dataspace, ranges);
    return ranges;
  }

  private remember(id: bigint, asked: UnderWay): void {
    const { session, request, owner } = asked;
    this.underWay.set(id, asked);
    this.byVkernelRequest.set(`${session.holder} ${request}`, id);
    this.idsOfOwner.set(owner, (this.idsOfOwner.get(owner) ?? new Set()).add(id));
    this.idsOfSession.set(session, (this.idsOfSession.get(session) ?? new Set()).add(id));
  }

  private finish(id: bigint): UnderWay | undefined {
    const asked = this.underWay.get(id);
    if (asked === undefined) return undefined;
    // An answer to a later request: what was said before it was heard.
    this.forgetUnlocks(asked.dataspace, (unlock) => unlock.before <= id);
    this.underWay.delete(id);
    this.byVkernelRequest.delete(`${asked.session.holder} ${asked.request}`);
    this.idsOfOwner.get(asked.owner)?.delete(id);
    this.idsOfSession.get(asked.session)?.delete(id);
    return asked;
  }

  // They stand in the order in which they were said, so those that were heard stand first.
  private forgetUnlocks(dataspace: bigint, wasHeard: (unlock: UnheardUnlock) => boolean): void {
    const unheard = this.unlocks.get(dataspace);
    if (unheard === undefined) return;
    const first = unheard.findIndex((unlock) => !wasHeard(unlock));
    if (first === -1) this.unlocks.delete(dataspace);
    else unheard.splice(0, first);
  }

  /** The leaders of these dataspaces heard everything that was said before a time. */
  confirmed(isHome: (dataspace: bigint) => boolean, sentMs: number): void {
    for (const dataspace of this.unlocks.keys())
      if (isHome(dataspace)) this.forgetUnlocks(dataspace, (unlock) => unlock.atMs < sentMs);
  }

  /**
   * The leader of these dataspaces buried this node: the locks of its processes may be others' by now.
   * @returns the processes that held some
   */
  voided(isHome: (dataspace: bigint) => boolean): Set<bigint> {
    const owners = new Set<bigint>();
    for (const [owner, ofOwner] of this.held) {
      for (const [dataspace, { count }] of [...ofOwner]) {
        if (!isHome(dataspace)) continue;
        if (count > 0) owners.add(owner);
        this.forget(owner, dataspace);
      }
    }
    return owners;
  }

  /**
   * Says again what a broken stream may have lost, of dataspaces whose home's leader is back; a new leader hears of
   * held locks first.
   */
  rejoin(isHome: (dataspace: bigint) => boolean, newLeader: boolean): void {
    const nowMs = monotonicMs();
    for (const [owner, atMs] of this.gone) {
      if (nowMs - atMs > GONE_KEPT_MS) this.gone.delete(owner);
      else this.to.all({ case: 'ownerGone', value: { owner } });
    }
    for (const [dataspace, unheard] of this.unlocks) {
      if (!isHome(dataspace)) continue;
      // A new leader knows only of locks that are held.
      if (newLeader) this.unlocks.delete(dataspace);
      else for (const { event } of unheard) this.to.home(dataspace, event);
    }
    if (newLeader) this.reclaim(isHome);
    for (const [id, asked] of [...this.underWay]) {
      if (!isHome(asked.dataspace)) continue;
      if (!asked.registered) {
        asked.repeated = true;
        this.to.home(asked.dataspace, asked.event);
        continue;
      }
      // It may have been woken, and the wake lost: it looks at its word again.
      this.finish(id);
      answerWait(asked, SyncStatus.OK);
      if (!newLeader) this.to.home(asked.dataspace, { case: 'cancelWait', value: { request: id } });
    }
  }

  private reclaim(isHome: (dataspace: bigint) => boolean): void {
    for (const [request, { dataspace }] of this.reclaims)
      if (isHome(dataspace)) this.reclaims.delete(request);
    for (const [owner, ofOwner] of this.held) {
      for (const [dataspace, ranges] of ofOwner) {
        if (!isHome(dataspace)) continue;
        for (const { begin, end, mode } of ranges) {
          const request = this.next++;
          this.reclaims.set(request, { owner, dataspace });
          const value = { request, dataspace, owner, begin, end, mode: lockWire.to(mode), reclaim: true };
          this.to.home(dataspace, { case: 'lock', value });
        }
      }
    }
  }

  /** All that is remembered. `placeOf`: of a session in the snapshot. */
  snapshot(placeOf: (session: Session) => number): SyncSnapshotInit {
    const wire = ({
      event,
      owner,
      dataspace,
      repeated,
    }: Omit<UnderWay, 'session' | 'request' | 'registered'>) => {
      return { event: { event }, owner, dataspace, repeated: repeated ?? false };
    };
    const underWay = [...this.underWay].map(([id, asked]) => {
      const { session, request, registered } = asked;
      return { id, session: placeOf(session), request, registered, ...wire(asked) };
    });
    const givenUp = [...this.givenUp].map(([id, asked]) => ({ id, ...wire(asked) }));
    const held = [...this.held].flatMap(([owner, ofOwner]) =>
      [...ofOwner].flatMap(([dataspace, ranges]) =>
        [...ranges].map(({ begin, end, mode }) => ({
          owner,
          dataspace,
          begin,
          end,
          mode: lockWire.to(mode),
        })),
      ),
    );
    const unlocks = [...this.unlocks.values()]
      .flat()
      .map(({ event, before, atMs }) => ({ unlock: event.value, before, atMs: BigInt(atMs) }));
    const gone = [...this.gone].map(([owner, atMs]) => ({ owner, atMs: BigInt(atMs) }));
    const reclaims = [...this.reclaims].map(([request, about]) => ({ request, ...about }));
    return { nextRequest: this.next, underWay, givenUp, held, unlocks, gone, reclaims };
  }

  /** Goes on where another relay was; the lines to the directory are new ones. */
  resume(snapshot: SyncSnapshot, sessions: readonly Session[]): void {
    this.next = snapshot.nextRequest;
    for (const { owner, dataspace, begin, end, mode } of snapshot.held)
      this.hold(owner, dataspace, { begin, end, mode: lockWire.from(mode) });
    for (const { id, session, request, registered, event, ...about } of snapshot.underWay) {
      const asked = { ...about, event: event?.event, session: sessions[session]!, request, registered };
      this.remember(id, asked);
    }
    for (const { id, event, owner, dataspace } of snapshot.givenUp)
      this.givenUp.set(id, { event: event?.event, owner, dataspace });
    for (const { unlock, before, atMs } of snapshot.unlocks) {
      const event = { case: 'unlock', value: unlock! } as const;
      const unheard = this.unlocks.get(unlock!.dataspace) ?? [];
      unheard.push({ event, before, atMs: Number(atMs) });
      this.unlocks.set(unlock!.dataspace, unheard);
    }
    for (const { owner, atMs } of snapshot.gone) this.gone.set(owner, Number(atMs));
    for (const { request, owner, dataspace } of snapshot.reclaims)
      this.reclaims.set(request, { owner, dataspace });
  }

  /** A process ended. */
  ownerGone(owner: bigint): void {
    for (const dataspace of [...(this.held.get(owner)?.keys() ?? [])]) this.forget(owner, dataspace);
    this.held.delete(owner);
    for (const id of this.idsOfOwner.get(owner) ?? []) this.finish(id);
    this.idsOfOwner.delete(owner);
    this.gone.set(owner, monotonicMs());
    if (this.gone.size > GONE_MAX) this.gone.delete(this.gone.keys().next().value!);
    this.to.all({ case: 'ownerGone', value: { owner } });
  }

  sessionGone(session: Session): void {
    for (const id of this.idsOfSession.get(session) ?? []) this.finish(id);
    this.idsOfSession.delete(session);
  }
}

function answerWait({ session, request }: UnderWay, status: SyncStatus): void {
  session.send({ request, event: { case: 'wait', value: { request, status } } });
}
