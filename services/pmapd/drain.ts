// A node leaves the cluster and takes nothing along.
//
//   1. its processes end: nobody can use the memory of a node without its pmap manager
//   2. other nodes fetch copies of the pages that this one may be the only holder of: first those that were asked for, then
//      the rest of the dataspaces that it made, zeros that cost no frames
//   3. it retires from each shard; what the leader says is still only here, others fetch, and it asks again
//   4. it says goodbye
//
// Up to the end it serves recalls, and keeps its leases. What does not come to an end in time is lost, as if it had died.
import type { PageRun } from '@odonata/coherency/page.ts';
import type { DirectoryService, Retired } from '@odonata/proto/coherency/v1/coherency';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Client } from '@odonata/rpc/client.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { Adopters } from './adopters.ts';
import type { Backing } from './backing.ts';
import type { CoherentMemory } from './coherent-memory.ts';
import type { Directories } from './directories.ts';
import type { Session } from './session.ts';

/** How long processes may take to end, of the time for the whole. */
const PROCESSES_SHARE = 0.25;
const POLL_MS = 10;
/** A retire that is not answered, because its shard has no leader or a new one, is said again. */
const RETIRE_AGAIN_MS = 250;
const GOODBYE_MS = 500;

export interface DrainOptions {
  node: string;
  memory: CoherentMemory;
  backing: Backing;
  sessions: Set<Session>;
  directories: Directories;
  directory: () => Client<typeof DirectoryService>;
  shards: number;
  log: Logger;
}

export class Drain {
  private readonly o: DrainOptions;
  private readonly left = new Set<number>();
  /** Shards whose leader was asked and has not answered: whether it let this node go is not known. */
  private readonly asked = new Set<number>();
  private answered: () => void = () => {};
  private remaining: PageRun[] = [];

  constructor(options: DrainOptions) {
    this.o = options;
  }

  /** Resolves when the node has left, or the time is over. @returns true: nothing is lost */
  async run(drainMs: number): Promise<boolean> {
    const { log } = this.o;
    const startMs = monotonicMs();
    const endMs = startMs + drainMs;
    await this.endProcesses(startMs + drainMs * PROCESSES_SHARE);
    try {
      await this.leave(endMs);
    } catch (error) {
      const pages = this.ownedRuns().reduce((sum, run) => sum + run.pageCount, 0);
      log.warn(
        { err: error, pages },
        'could not hand everything over: pages that only this node has are lost',
      );
      return false;
    }
    log.info({ tookMs: monotonicMs() - startMs }, 'left the cluster; nothing is lost');
    return true;
  }

  private async endProcesses(untilMs: number): Promise<void> {
    const { node, sessions, memory } = this.o;
    const reason = `the pmap manager of ${node} stops`;
    for (const session of sessions)
      for (const { id } of session.vmspaces.values()) session.endProcess(id, 'SIGKILL', reason);
    const running = () => [...sessions].some(({ vmspaces }) => vmspaces.size > 0);
    while (running() && monotonicMs() < untilMs) await delay(POLL_MS);
    // Whoever is still there waits in its next fault, for good.
    for (const { id: dataspace } of memory.all()) memory.step({ type: 'suspend-all', dataspace });
    for (const session of [...sessions]) {
      sessions.delete(session);
      session.close();
    }
  }

  private async leave(endMs: number): Promise<void> {
    const { directory, node, memory, log } = this.o;
    const { holders } = await directory().listHolders({ pageSize: 1_000 });
    const others = holders.filter((holder) => holder.node !== node && holder.connected);
    const adopters = new Adopters(
      others.map(({ transferAddress }) => transferAddress),
      log,
    );
    try {
      const adopt = (runs: PageRun[]) => adopters.adopt(memory, runs, endMs);
      if (others.length === 0) await this.store(endMs);
      await adopt(this.ownedRuns());
      await adopt([...memory.all()].flatMap((dataspace) => memory.plainRuns(dataspace)));
      await this.retire(adopt, endMs);
    } finally {
      adopters.close();
    }
    await this.sayGoodbye();
  }

  private ownedRuns(): PageRun[] {
    const { memory } = this.o;
    return [...memory.all()].flatMap((dataspace) => memory.ownedRuns(dataspace));
  }

  /** The last node of a cluster: what has a backing store goes there. */
  private async store(endMs: number): Promise<void> {
    const { memory, backing } = this.o;
    const late = delay(endMs - monotonicMs()).then(() => {
      throw new Error('the backing store took too long');
    });
    const durable = [...memory.all()].filter((dataspace) => dataspace.durable);
    await Promise.race([
      late,
      Promise.all(durable.map((dataspace) => backing.sync(memory, dataspace, 0n, 0n))),
    ]);
    throw new Error('there is no other node to take pages');
  }

  private async retire(adopt: (runs: PageRun[]) => Promise<void>, endMs: number): Promise<void> {
    const { directories, shards } = this.o;
    for (;;) {
      const answer = new Promise<void>((resolve) => {
        this.answered = resolve;
      });
      for (let shard = 0; shard < shards; shard++)
        if (!this.left.has(shard) && directories.retire(shard)) this.asked.add(shard);
      await Promise.race([answer, delay(RETIRE_AGAIN_MS)]);
      if (this.left.size === shards) return;
      if (monotonicMs() > endMs)
        throw new Error(`${shards - this.left.size} of ${shards} shards did not let this node go in time`);
      await adopt(this.remaining.splice(0));
    }
  }

  /** True where an invalidation is not for this node any more, or comes again, in order with the answer. */
  isAsked(shard: number): boolean {
    return this.asked.has(shard);
  }

  /** Another leader took the place of one that was asked: it may have let this node go, and others write since. */
  ledAnew(shard: number): void {
    if (this.asked.delete(shard)) this.o.memory.step({ type: 'expire', shard });
  }

  /** What a leader answers. */
  retired({ shard, epoch, remaining }: Retired): void {
    const { directories, memory, shards } = this.o;
    if (!directories.isEpochOf(shard, epoch)) return;
    this.asked.delete(shard);
    for (const run of remaining) this.remaining.push(run);
    if (remaining.length === 0) {
      this.left.add(shard);
      memory.step({ type: 'expire', shard });
    }
    if (this.left.size === shards || remaining.length > 0) this.answered();
  }

  private async sayGoodbye(): Promise<void> {
    const { directories } = this.o;
    directories.sayGoodbye();
    // A replica that heard it ends the stream.
    const endMs = monotonicMs() + GOODBYE_MS;
    while (directories.anyConnected && monotonicMs() < endMs) await delay(POLL_MS);
  }
}
