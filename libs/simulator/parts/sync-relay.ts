// Range locks, waits and wakes of the processes of a node on their way to the directory and back; remembered, so that what
// a broken stream lost is said again, and a new directory hears of locks that are held.
import type { LockOutcome } from '@odonata/coherency/range-lock.ts';
import type { LockAsk, SyncAnswer, SyncAsk } from '../messages.ts';
import type { Process } from '../process.ts';
import type { PmapPart } from './pmap.ts';

interface UnderWay {
  process: Process | undefined;
  shard: number;
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
    const begun = { type: 'lock', ask: full, reclaim: false } as const;
    this.begin(begun, this.lockShard(ask), process, answered);
  }

  unlock(process: Process, lock: Omit<LockAsk, 'request'>): void {
    const { dataspace, owner, begin, end } = lock;
    this.held.delete(lockKey(dataspace, owner, begin, end));
    const request = this.next++;
    const ask = { type: 'unlock', request, dataspace, owner, begin, end } as const;
    this.begin(ask, this.lockShard(lock), process, () => {});
  }

  wait(process: Process, dataspace: bigint, offset: bigint, answered: UnderWay['answered']): () => void {
    const request = this.next++;
    const shard = this.homeOf(dataspace);
    this.begin({ type: 'wait', request, dataspace, offset, owner: process.pid }, shard, process, answered);
    return () => {
      if (this.underWay.delete(request)) this.node.links.ask({ type: 'cancelWait', request }, shard);
    };
  }

  wake(process: Process, dataspace: bigint, offset: bigint, count: number, answered: () => void): void {
    const request = this.next++;
    this.begin(
      { type: 'wake', request, dataspace, offset, count },
      this.homeOf(dataspace),
      process,
      answered,
    );
  }

  ownerGone(owner: bigint): void {
    for (const [key, lock] of this.held) if (lock.owner === owner) this.held.delete(key);
    for (const [id, asked] of this.underWay) if (asked.process?.pid === owner) this.underWay.delete(id);
    // Any of them may know it.
    for (const { shard } of this.node.links.all) {
      const request = this.next++;
      this.begin({ type: 'ownerGone', request, owner }, shard, undefined, () => {});
    }
  }

  private begin(
    ask: UnderWay['ask'],
    shard: number,
    process: Process | undefined,
    answered: UnderWay['answered'],
  ): void {
    const once = ask.type === 'unlock' && !this.node.world.duties.repeatUnlock;
    const request = ask.type === 'lock' ? ask.ask.request : ask.request;
    if (!once) this.underWay.set(request, { process, shard, ask, registered: false, answered });
    this.node.links.ask(ask, shard);
  }

  private homeOf(dataspace: bigint): number {
    return this.node.world.layout.homeShardOf(dataspace);
  }

  private lockShard({ dataspace, begin }: Pick<LockAsk, 'dataspace' | 'begin'>): number {
    const { layout, duties } = this.node.world;
    return duties.lockAtHome ? this.homeOf(dataspace) : Number(begin) % layout.shards;
  }

  /** True while a process here holds locks in a dataspace. */
  holdsIn(dataspace: bigint): boolean {
    for (const lock of this.held.values()) if (lock.dataspace === dataspace) return true;
    return false;
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

  /** Says again what a broken stream to a shard may have lost; a new directory hears of held locks first. */
  rejoin(shard: number, newDirectory: boolean): void {
    if (newDirectory)
      for (const ask of this.heldAt(shard)) this.node.links.ask({ type: 'lock', ask, reclaim: true }, shard);
    for (const [id, asked] of [...this.underWay]) {
      if (asked.shard !== shard) continue;
      if (!asked.registered) {
        this.node.links.ask(asked.ask, shard);
        continue;
      }
      // It may have been woken, and the wake lost: it looks at its word again.
      this.underWay.delete(id);
      if (!newDirectory) this.node.links.ask({ type: 'cancelWait', request: id }, shard);
      asked.answered('OK');
    }
  }

  /** The directory of a shard had buried this node: its locks there are others' by now. Their owners learn it before they go on. */
  expire(shard: number): void {
    const lost = this.heldAt(shard);
    const owners = new Set(lost.map((l) => l.owner));
    for (const { dataspace, owner, begin, end } of lost)
      this.held.delete(lockKey(dataspace, owner, begin, end));
    for (const vkernel of this.node.vkernels)
      for (const process of vkernel.processes) if (owners.has(process.pid)) process.locksLost();
    // What is dead need not be said.
    for (const [id, asked] of this.underWay)
      if (asked.shard === shard && asked.ask.type === 'unlock') this.underWay.delete(id);
  }

  private heldAt(shard: number): LockAsk[] {
    return [...this.held.values()].filter((lock) => this.lockShard(lock) === shard);
  }
}

function lockKey(dataspace: bigint, owner: bigint, begin: bigint, end: bigint): string {
  return `${dataspace} ${owner} ${begin} ${end}`;
}
