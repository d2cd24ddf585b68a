// Range locks, waits and wakes of the processes of a node on their way to the directory and back; remembered, so that what
// a broken stream lost is said again, and a new directory hears of locks that are held.
import type { LockOutcome } from '@odonata/coherency/range-lock.ts';
import type { LockAsk, SyncAnswer, SyncAsk } from '../messages.ts';
import type { Process } from '../process.ts';
import type { PmapPart } from './pmap.ts';

interface UnderWay {
  process: Process | undefined;
  ask: Exclude<SyncAsk, { type: 'cancelWait' }>;
  /** A wait that sleeps. */
  registered: boolean;
  answered: (outcome: LockOutcome | 'REGISTERED') => void;
}

export class SyncRelay {
  private readonly node: PmapPart;
  private readonly underWay = new Map<bigint, UnderWay>();
  private readonly held = new Map<string, LockAsk>();
  private next = 1n;

  constructor(node: PmapPart) {
    this.node = node;
  }

  lock(process: Process, ask: Omit<LockAsk, 'request'>, answered: UnderWay['answered']): void {
    const request = this.next++;
    const full = { ...ask, request };
    this.begin({ type: 'lock', ask: full, reclaim: false }, request, process, answered);
  }

  unlock(process: Process, { dataspace, owner, begin, end }: Omit<LockAsk, 'request'>): void {
    this.held.delete(lockKey(dataspace, owner, begin, end));
    const request = this.next++;
    this.begin({ type: 'unlock', request, dataspace, owner, begin, end }, request, process, () => {});
  }

  wait(process: Process, dataspace: bigint, offset: bigint, answered: UnderWay['answered']): () => void {
    const request = this.next++;
    this.begin({ type: 'wait', request, dataspace, offset, owner: process.pid }, request, process, answered);
    return () => {
      if (this.underWay.delete(request)) this.node.link.ask({ type: 'cancelWait', request });
    };
  }

  wake(process: Process, dataspace: bigint, offset: bigint, count: number, answered: () => void): void {
    const request = this.next++;
    this.begin({ type: 'wake', request, dataspace, offset, count }, request, process, answered);
  }

  ownerGone(owner: bigint): void {
    for (const [key, lock] of this.held) if (lock.owner === owner) this.held.delete(key);
    for (const [id, asked] of this.underWay) if (asked.process?.pid === owner) this.underWay.delete(id);
    const request = this.next++;
    this.begin({ type: 'ownerGone', request, owner }, request, undefined, () => {});
  }

  private begin(
    ask: UnderWay['ask'],
    request: bigint,
    process: Process | undefined,
    answered: UnderWay['answered'],
  ): void {
    const once = ask.type === 'unlock' && !this.node.world.duties.repeatUnlock;
    if (!once) this.underWay.set(request, { process, ask, registered: false, answered });
    this.node.link.ask(ask);
  }

  answer(answer: SyncAnswer): void {
    const asked = this.underWay.get(answer.request);
    if (asked === undefined) return;
    if (answer.type === 'wait' && answer.outcome === 'REGISTERED') asked.registered = true;
    else this.underWay.delete(answer.request);
    if (asked.ask.type === 'lock' && answer.type === 'lock' && answer.outcome === 'OK') {
      const { ask } = asked.ask;
      this.held.set(lockKey(ask.dataspace, ask.owner, ask.begin, ask.end), ask);
    }
    asked.answered('outcome' in answer ? answer.outcome : 'OK');
  }

  /** Says again what a broken stream may have lost; a new directory hears of held locks first. */
  rejoin(newDirectory: boolean): void {
    if (newDirectory)
      for (const ask of this.held.values()) this.node.link.ask({ type: 'lock', ask, reclaim: true });
    for (const [id, asked] of [...this.underWay]) {
      if (!asked.registered) {
        this.node.link.ask(asked.ask);
        continue;
      }
      // It may have been woken, and the wake lost: it looks at its word again.
      this.underWay.delete(id);
      if (!newDirectory) this.node.link.ask({ type: 'cancelWait', request: id });
      asked.answered('OK');
    }
  }

  /** The directory had buried this node: its locks are others' by now. Their owners learn it before they go on. */
  expire(): void {
    const owners = new Set([...this.held.values()].map((l) => l.owner));
    this.held.clear();
    for (const vkernel of this.node.vkernels)
      for (const process of vkernel.processes) if (owners.has(process.pid)) process.locksLost();
    // What is dead need not be said.
    for (const [id, { ask }] of this.underWay) if (ask.type === 'unlock') this.underWay.delete(id);
  }
}

function lockKey(dataspace: bigint, owner: bigint, begin: bigint, end: bigint): string {
  return `${dataspace} ${owner} ${begin} ${end}`;
}
