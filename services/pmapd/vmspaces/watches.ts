// Who watches which vmspace. What happens there goes to each of them that wants such events, in order; a slow one loses those
// that come while its backlog is full, and is told how many.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type {
  EventKind,
  VmspaceEventSchema,
  WatchVmspaceResponseSchema,
} from '@odonata/proto/vmspace/v1/vmspace';
import type { Limits } from '@odonata/rpc/limits.ts';

/** Watches of one vmspace, of one person, and of a node. */
export const WATCHES_OF_VMSPACE = 16;
export const WATCHES_OF_ONE = 64;
export const WATCHES_MAX = 1_024;
/** Events that wait for a reader, where it does not say; and at most. */
export const BACKLOG = 1_000;
export const BACKLOG_MAX = 10_000;

export type EventInit = Omit<MessageInitShape<typeof VmspaceEventSchema>, 'time' | '$typeName'> & {
  kind: EventKind;
};
type Told = MessageInitShape<typeof WatchVmspaceResponseSchema>;

export interface WatchOptions {
  vmspace: bigint;
  /** Who watches. */
  who: string;
  /** Empty: all. */
  kinds: readonly EventKind[];
  /** 0: the default. */
  backlog: number;
  /** 0: none. */
  limit: bigint;
}

class Watch {
  readonly o: WatchOptions;
  private readonly kinds: ReadonlySet<EventKind>;
  private readonly backlog: number;
  private waiting: Told[] = [];
  private dropped = 0;
  private wake: () => void = () => {};
  private ended = false;
  onDrop: () => void = () => {};

  constructor(options: WatchOptions) {
    this.o = options;
    this.kinds = new Set(options.kinds);
    this.backlog = Math.min(options.backlog || BACKLOG, BACKLOG_MAX);
  }

  add(event: EventInit, atMs: number, droppedBefore = 0): void {
    if (this.ended || (this.kinds.size > 0 && !this.kinds.has(event.kind))) return;
    this.dropped += droppedBefore;
    if (this.waiting.length >= this.backlog) {
      if (this.dropped++ === 0) this.onDrop();
      return;
    }
    this.waiting.push({
      event: { ...event, time: timestampFromMs(atMs) },
      droppedEvents: BigInt(this.dropped),
    });
    this.dropped = 0;
    this.wake();
  }

  /** Somebody else lost some, before they came here. */
  lost(count: number): void {
    this.dropped += count;
  }

  end(): void {
    this.ended = true;
    this.wake();
  }

  async *events(signal: AbortSignal): AsyncGenerator<Told> {
    let left = this.o.limit === 0n ? -1n : this.o.limit;
    const aborted = () => this.wake();
    signal.addEventListener('abort', aborted, { once: true });
    try {
      for (;;) {
        for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
          yield next;
          if (--left === 0n) return;
        }
        if (this.ended || signal.aborted) {
          if (this.dropped > 0) yield { droppedEvents: BigInt(this.dropped) };
          return;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        this.wake = resolve;
        await promise;
      }
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }
}

export interface WatchesOptions {
  readonly limits: Limits;
  /** Somebody watches a vmspace, or nobody does any more. */
  onWatched(vmspace: bigint, on: boolean): void;
}

export class Watches {
  private readonly o: WatchesOptions;
  private readonly byVmspace = new Map<bigint, Set<Watch>>();
  private count = 0;

  constructor(options: WatchesOptions) {
    this.o = options;
  }

  get size(): number {
    return this.count;
  }

  isWatched(vmspace: bigint): boolean {
    return this.byVmspace.has(vmspace);
  }

  /** Vmspaces that somebody watches. */
  watched(): Iterable<bigint> {
    return this.byVmspace.keys();
  }

  private ofPerson(who: string): number {
    let count = 0;
    for (const all of this.byVmspace.values()) for (const watch of all) if (watch.o.who === who) count++;
    return count;
  }

  /** First an empty answer: what happens from then on is told. @throws RpcError RESOURCE_EXHAUSTED */
  async *follow(options: WatchOptions, signal: AbortSignal): AsyncGenerator<Told> {
    const { vmspace, who } = options;
    const { limits } = this.o;
    const ofVmspace = this.byVmspace.get(vmspace) ?? new Set();
    const most = (limit: string, what: string) =>
      limits.hit(limit, who, `${what}; end one of them (they end with their calls)`);
    if (ofVmspace.size >= WATCHES_OF_VMSPACE)
      throw most(
        'watches-vmspace',
        `vmspace ${vmspace} is watched ${WATCHES_OF_VMSPACE} times, the most of one`,
      );
    if (this.ofPerson(who) >= WATCHES_OF_ONE)
      throw most('watches-person', `they watch ${WATCHES_OF_ONE} vmspaces, the most of one person`);
    if (this.count >= WATCHES_MAX)
      throw most('watches-node', `${WATCHES_MAX} watches are the most of a node`);
    const watch = new Watch(options);
    watch.onDrop = () =>
      limits.count(
        'watch-backlog',
        who,
        `reads the events of vmspace ${vmspace} too slowly, and loses some; raise backlog, or filter by kinds`,
        {
          vmspace,
        },
      );
    ofVmspace.add(watch);
    this.byVmspace.set(vmspace, ofVmspace);
    this.count++;
    try {
      if (ofVmspace.size === 1) this.o.onWatched(vmspace, true);
      yield {};
      yield* watch.events(signal);
    } finally {
      this.count--;
      ofVmspace.delete(watch);
      if (ofVmspace.size === 0 && this.byVmspace.get(vmspace) === ofVmspace) {
        this.byVmspace.delete(vmspace);
        this.o.onWatched(vmspace, false);
      }
    }
  }

  tell(vmspace: bigint, event: EventInit): void {
    const watches = this.byVmspace.get(vmspace);
    if (watches === undefined) return;
    const nowMs = Date.now();
    for (const watch of watches) watch.add(event, nowMs);
  }

  /** So many events were dropped before they came here. */
  lost(vmspace: bigint, count: number): void {
    for (const watch of this.byVmspace.get(vmspace) ?? []) watch.lost(count);
  }

  /** The vmspace is gone. */
  end(vmspace: bigint): void {
    for (const watch of this.byVmspace.get(vmspace) ?? []) watch.end();
  }

  close(): void {
    for (const vmspace of this.byVmspace.keys()) this.end(vmspace);
  }
}
