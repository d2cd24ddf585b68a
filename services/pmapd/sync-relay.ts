// Range locks, waits and wakes of virtual kernels, relayed to the directory and back; remembered, so
// that a new directory hears of locks that are held and of requests that are under way.
import type { DirectoryEvent } from '@odonata/proto/coherency/v1/coherency';
import { LockMode, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import type { VkernelEvent } from '@odonata/proto/pmap/v1/pmap';
import type { HolderEventInit } from './directory-link.ts';
import type { Session } from './session.ts';

type SyncEvent = Extract<VkernelEvent['event'], { case: 'lock' | 'unlock' | 'wait' | 'cancelWait' | 'wake' }>;
type LockInit = Extract<HolderEventInit, { case: 'lock' }>['value'];

interface UnderWay {
  session: Session;
  /** The vkernel's number for it. */
  request: bigint;
  event: HolderEventInit;
  owner: bigint;
  dataspace: bigint;
  /** A wait that sleeps. */
  registered: boolean;
}

/** Ends of processes that are said again on a new stream. Pids are never used twice, so that does no harm. */
const GONE_MAX = 10_000;
const GONE_KEPT_MS = 60_000;

const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);

/** Where events for the directory go. */
export interface SyncOutlet {
  /** To the leader of a dataspace's locks and waiters. */
  home(dataspace: bigint, event: HolderEventInit): void;
  /** To all leaders. */
  all(event: HolderEventInit): void;
}

const lockKey = (l: { dataspace?: bigint; owner?: bigint; begin?: bigint; end?: bigint }) =>
  `${l.dataspace} ${l.owner} ${l.begin} ${l.end}`;

export class SyncRelay {
  private readonly to: SyncOutlet;
  private readonly underWay = new Map<bigint, UnderWay>();
  private readonly byVkernelRequest = new Map<string, bigint>();
  private readonly held = new Map<string, LockInit>();
  /** Said without an answer, and perhaps lost with a stream: unlocks in order, and the ends of processes. */
  private unlocks: { event: HolderEventInit; dataspace: bigint; before: bigint; atMs: number }[] = [];
  private readonly gone = new Map<bigint, number>();
  private next = 1n;

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
        this.underWay.set(id, { session, request, event: relayed, owner, dataspace, registered: false });
        this.byVkernelRequest.set(`${session.holder} ${request}`, id);
        this.to.home(dataspace, relayed);
        return;
      }
      case 'unlock':
        this.held.delete(lockKey(event.value));
        this.unlocks.push({
          event,
          dataspace: event.value.dataspace,
          before: this.next,
          atMs: monotonicMs(),
        });
        this.to.home(event.value.dataspace, event);
        session.send({ request, event: { case: 'done', value: {} } });
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
        if (asked === undefined) return;
        if (status === SyncStatus.OK && asked.event?.case === 'lock')
          this.held.set(lockKey(asked.event.value as never), asked.event.value);
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

  /** True where a process holds bytes of a range for writing: what it reads there it will write. */
  modifies(owner: bigint, dataspace: bigint, begin: bigint, end: bigint): boolean {
    for (const lock of this.held.values()) {
      if (lock.owner !== owner || lock.dataspace !== dataspace || lock.mode !== LockMode.MODIFYING) continue;
      if ((lock.begin ?? 0n) <= end && begin <= (lock.end ?? 0n)) return true;
    }
    return false;
  }

  private finish(id: bigint): UnderWay | undefined {
    const asked = this.underWay.get(id);
    if (asked === undefined) return undefined;
    // An answer to a later request: what was said before it was heard.
    this.unlocks = this.unlocks.filter((u) => u.dataspace !== asked.dataspace || u.before > id);
    this.underWay.delete(id);
    this.byVkernelRequest.delete(`${asked.session.holder} ${asked.request}`);
    return asked;
  }

  /** The leaders of these dataspaces heard everything that was said before a time. */
  confirmed(isHome: (dataspace: bigint) => boolean, sentMs: number): void {
    if (this.unlocks.length === 0) return;
    this.unlocks = this.unlocks.filter((u) => u.atMs >= sentMs || !isHome(u.dataspace));
  }

  /**
   * The leader of these dataspaces buried this node: the locks of its processes may be others' by now.
   * @returns the processes that held some
   */
  voided(isHome: (dataspace: bigint) => boolean): Set<bigint> {
    const owners = new Set<bigint>();
    for (const [key, { dataspace = 0n, owner = 0n }] of this.held) {
      if (!isHome(dataspace)) continue;
      owners.add(owner);
      this.held.delete(key);
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
    // A new leader knows only of locks that are held.
    if (newLeader) this.unlocks = this.unlocks.filter((u) => !isHome(u.dataspace));
    else
      for (const { event, dataspace } of this.unlocks) if (isHome(dataspace)) this.to.home(dataspace, event);
    if (newLeader)
      for (const lock of this.held.values()) {
        const { dataspace = 0n } = lock;
        if (isHome(dataspace))
          this.to.home(dataspace, { case: 'lock', value: { ...lock, reclaim: true } as never });
      }
    for (const [id, asked] of [...this.underWay]) {
      if (!isHome(asked.dataspace)) continue;
      if (!asked.registered) {
        this.to.home(asked.dataspace, asked.event);
        continue;
      }
      // It may have been woken, and the wake lost: it looks at its word again.
      this.finish(id);
      answerWait(asked, SyncStatus.OK);
      if (!newLeader) this.to.home(asked.dataspace, { case: 'cancelWait', value: { request: id } });
    }
  }

  /** A process ended. */
  ownerGone(owner: bigint): void {
    for (const [key, lock] of this.held) if (lock.owner === owner) this.held.delete(key);
    for (const [id, asked] of this.underWay) if (asked.owner === owner) this.finish(id);
    this.gone.set(owner, monotonicMs());
    if (this.gone.size > GONE_MAX) this.gone.delete(this.gone.keys().next().value!);
    this.to.all({ case: 'ownerGone', value: { owner } });
  }

  sessionGone(session: Session): void {
    for (const [id, asked] of this.underWay) if (asked.session === session) this.finish(id);
  }
}

function answerWait({ session, request }: UnderWay, status: SyncStatus): void {
  session.send({ request, event: { case: 'wait', value: { request, status } } });
}
