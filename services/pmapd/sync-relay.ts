// Range locks, waits and wakes of virtual kernels, relayed to the directory and back; remembered, so
// that a new directory hears of locks that are held and of requests that are under way.
import { OwnedRanges } from '@odonata/coherency/owned-ranges.ts';
import { HELD_MAX } from '@odonata/coherency/range-lock.ts';
import { lockWire } from '@odonata/coherency/wire.ts';
import type { DirectoryEvent } from '@odonata/proto/coherency/v1/coherency';
import { SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import type { VkernelEvent } from '@odonata/proto/pmap/v1/pmap';
import { Code } from '@odonata/rpc/error.ts';
import type { HolderEventInit } from './directory-link.ts';
import type { Session } from './session.ts';

type SyncEvent = Extract<VkernelEvent['event'], { case: 'lock' | 'unlock' | 'wait' | 'cancelWait' | 'wake' }>;
type Unlock = Extract<SyncEvent, { case: 'unlock' }>['value'];

interface UnderWay {
  session: Session;
  /** The vkernel's number for it. */
  request: bigint;
  event: HolderEventInit;
  owner: bigint;
  /** A wait that sleeps. */
  registered: boolean;
}

export class SyncRelay {
  private readonly send: (event: HolderEventInit) => void;
  private readonly underWay = new Map<bigint, UnderWay>();
  private readonly byVkernelRequest = new Map<string, bigint>();
  private readonly idsOfOwner = new Map<bigint, Set<bigint>>();
  private readonly idsOfSession = new Map<Session, Set<bigint>>();
  /** By owner and dataspace: what the directory granted and nobody gave back. */
  private readonly held = new Map<bigint, Map<bigint, OwnedRanges>>();
  private next = 1n;
  private lastOrder = 0;

  constructor(send: (event: HolderEventInit) => void) {
    this.send = send;
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
        this.remember(id, { session, request, event: relayed, owner, registered: false });
        this.send(relayed);
        return;
      }
      case 'unlock':
        this.unlock(session, request, event.value);
        return;
      case 'cancelWait': {
        const key = `${session.holder} ${event.value.request}`;
        const id = this.byVkernelRequest.get(key);
        if (id === undefined) return;
        this.finish(id);
        this.send({ case: 'cancelWait', value: { request: id } });
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
        if (status === SyncStatus.OK && asked.event?.case === 'lock') {
          const { dataspace = 0n, begin = 0n, end = 0n, mode = 0 } = asked.event.value;
          this.rangesOf(asked.owner, dataspace).set(begin, end, lockWire.from(mode));
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

  /** True where a process holds bytes of a range for writing: what it reads there it will write. */
  modifies(owner: bigint, dataspace: bigint, begin: bigint, end: bigint): boolean {
    const ranges = this.held.get(owner)?.get(dataspace);
    return ranges?.first(begin, end, ({ mode }) => mode === 'MODIFYING') !== undefined;
  }

  private unlock(session: Session, request: bigint, unlock: Unlock): void {
    const { owner, dataspace, begin, end } = unlock;
    const ranges = this.held.get(owner)?.get(dataspace);
    // An unlock in the middle of a range makes two of it.
    if (ranges !== undefined && ranges.count >= HELD_MAX) {
      const reason = `the process holds ${HELD_MAX} ranges of dataspace ${dataspace}; unlock whole ranges`;
      session.send({ request, event: { case: 'failed', value: { code: Code.ResourceExhausted, reason } } });
      return;
    }
    ranges?.clear(begin, end);
    this.send({ case: 'unlock', value: unlock });
    session.send({ request, event: { case: 'done', value: {} } });
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
    this.underWay.delete(id);
    this.byVkernelRequest.delete(`${asked.session.holder} ${asked.request}`);
    this.idsOfOwner.get(asked.owner)?.delete(id);
    this.idsOfSession.get(asked.session)?.delete(id);
    return asked;
  }

  /** Says again what a broken stream may have lost; a new directory hears of held locks first. */
  rejoin(newDirectory: boolean): void {
    if (newDirectory) this.reclaim();
    for (const [id, asked] of [...this.underWay]) {
      if (!asked.registered) {
        this.send(asked.event);
        continue;
      }
      // It may have been woken, and the wake lost: it looks at its word again.
      this.finish(id);
      answerWait(asked, SyncStatus.OK);
      if (!newDirectory) this.send({ case: 'cancelWait', value: { request: id } });
    }
  }

  private reclaim(): void {
    for (const [owner, ofOwner] of this.held) {
      for (const [dataspace, ranges] of ofOwner) {
        for (const { begin, end, mode } of ranges) {
          const value = { dataspace, owner, begin, end, mode: lockWire.to(mode), reclaim: true };
          this.send({ case: 'lock', value });
        }
      }
    }
  }

  /** A process ended. */
  ownerGone(owner: bigint): void {
    this.held.delete(owner);
    for (const id of this.idsOfOwner.get(owner) ?? []) this.finish(id);
    this.idsOfOwner.delete(owner);
    this.send({ case: 'ownerGone', value: { owner } });
  }

  sessionGone(session: Session): void {
    for (const id of this.idsOfSession.get(session) ?? []) this.finish(id);
    this.idsOfSession.delete(session);
  }
}

function answerWait({ session, request }: UnderWay, status: SyncStatus): void {
  session.send({ request, event: { case: 'wait', value: { request, status } } });
}
