// This node leaves the cluster and takes nothing along: the core says what is next, here it is done.

import {
  type DrainAction,
  type DrainEvent,
  type DrainPorts,
  NodeDrain,
} from '@odonata/coherency/node/drain.ts';
import { unreachable } from '@odonata/coherency/page.ts';
import type { Directories } from '@odonata/pmap/wire/directories.ts';
import type { DirectoryService } from '@odonata/proto/coherency/v1/coherency';
import { doAll, ownTurn } from '@odonata/rpc/bug.ts';
import type { Client } from '@odonata/rpc/client.ts';
import { RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Backing } from './backing.ts';
import type { CoherentMemory } from './memory/coherent-memory.ts';
import { Adopters } from './wire/adopters.ts';

/** A virtual kernel whose processes end. */
interface LeavingSession {
  readonly vmspaces: ReadonlyMap<bigint, { readonly id: bigint }>;
  endProcess(vmspace: bigint, signal: string, reason: string): void;
  close(): void;
}

export interface DrainOptions {
  node: string;
  memory: CoherentMemory;
  backing: Backing;
  sessions: Set<LeavingSession>;
  directories: Directories;
  directory: () => Client<typeof DirectoryService>;
  shards: number;
  log: Logger;
}

export class Drain {
  private readonly o: DrainOptions;
  private readonly core: NodeDrain;
  private readonly adopters: Adopters;
  private timer: NodeJS.Timeout | undefined;
  private over: (nothingLost: boolean) => void = () => {};

  constructor(options: DrainOptions) {
    this.o = options;
    this.core = new NodeDrain(this.ports(), options.shards);
    this.adopters = new Adopters(options.log);
  }

  private ports(): DrainPorts {
    const { memory, directories, sessions } = this.o;
    return {
      processesRun: () => [...sessions].some(({ vmspaces }) => vmspaces.size > 0),
      ownedRuns: () => [...memory.all()].flatMap((dataspace) => memory.ownedRuns(dataspace)),
      plainRuns: () => [...memory.all()].flatMap((dataspace) => memory.plainRuns(dataspace)),
      retire: (shard) => directories.retire(shard),
      isEpochOf: (shard, epoch) => directories.isEpochOf(shard, epoch),
      isConnected: () => directories.anyConnected,
    };
  }

  /** Resolves when the node has left, or the time is over. @returns true: nothing is lost */
  run(drainMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      this.over = resolve;
      this.step({ type: 'start', drainMs });
    });
  }

  /** @see NodeDrain.isAsked */
  isAsked(shard: number): boolean {
    return this.core.isAsked(shard);
  }

  step(event: DrainEvent): void {
    this.performAll(this.core.step(event, monotonicMs()));
  }

  private performAll(actions: readonly DrainAction[]): void {
    try {
      doAll(actions, (action) => this.perform(action));
    } finally {
      this.arm();
    }
  }

  private arm(): void {
    clearTimeout(this.timer);
    const { nextMs } = this.core;
    if (nextMs === undefined) return;
    const tick = ownTurn({ timer: 'drain' }, () => this.performAll(this.core.tick(monotonicMs())));
    this.timer = setTimeout(tick, Math.max(1, Math.ceil(nextMs - monotonicMs())));
  }

  private perform(action: DrainAction): void {
    switch (action.type) {
      case 'end-processes':
        this.endProcesses();
        return;
      case 'close-sessions':
        this.closeSessions();
        return;
      case 'list-others':
        this.settle(this.listOthers(), (others) => this.step({ type: 'others', others }));
        return;
      case 'store-durable':
        this.settle(this.storeDurable(), () => this.step({ type: 'stored' }));
        return;
      case 'adopt':
        void this.adopt(action);
        return;
      case 'expire':
        this.o.memory.step({ type: 'expire', shard: action.shard });
        return;
      case 'goodbye':
        this.o.directories.sayGoodbye();
        return;
      case 'over':
        this.end(action);
        return;
      default:
        unreachable(action);
    }
  }

  private settle<T>(work: Promise<T>, done: (result: T) => void): void {
    work.then(done, (error: unknown) => this.step({ type: 'failed', reason: String(error) }));
  }

  private endProcesses(): void {
    const { node, sessions } = this.o;
    const reason = `the pmap manager of ${node} stops`;
    for (const session of sessions)
      for (const { id } of session.vmspaces.values()) session.endProcess(id, 'SIGKILL', reason);
  }

  private closeSessions(): void {
    const { memory, sessions } = this.o;
    for (const { id: dataspace } of memory.all()) memory.step({ type: 'suspend-all', dataspace });
    for (const session of [...sessions]) {
      sessions.delete(session);
      session.close();
    }
  }

  private async listOthers(): Promise<string[]> {
    const { directory, node } = this.o;
    const { holders } = await directory().listHolders({ pageSize: 1_000 });
    const others = holders.filter((holder) => holder.node !== node && holder.connected);
    return others.map(({ transferAddress }) => transferAddress);
  }

  /** The last node of a cluster: what has a backing store goes there. */
  private async storeDurable(): Promise<void> {
    const { memory, backing } = this.o;
    const durable = [...memory.all()].filter((dataspace) => dataspace.durable);
    await Promise.all(durable.map((dataspace) => backing.sync(dataspace, 0n, 0n)));
  }

  private async adopt(action: Extract<DrainAction, { type: 'adopt' }>): Promise<void> {
    const { request, other, dataspace, runs, deadlineMs } = action;
    const name = this.o.memory.get(dataspace)?.name;
    try {
      // One that was removed meanwhile nobody needs.
      if (name !== undefined) await this.adopters.adopt(other, { dataspace: name, runs }, deadlineMs);
      this.step({ type: 'adopted', request });
    } catch (error) {
      const reason = error instanceof RpcError ? error.details : String(error);
      this.step({ type: 'not-adopted', request, reason });
    }
  }

  private end({ tookMs, reason, lostPages: pages }: Extract<DrainAction, { type: 'over' }>): void {
    const { log } = this.o;
    this.adopters.close();
    if (reason === undefined) log.info({ tookMs }, 'left the cluster; nothing is lost');
    else
      log.warn(
        { err: reason, pages },
        'could not hand everything over: pages that only this node has are lost',
      );
    this.over(reason === undefined);
  }
}
