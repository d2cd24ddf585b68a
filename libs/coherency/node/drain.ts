// A node leaves the cluster and takes nothing along.
//
//   processes   they end: nobody can use the memory of a node without its pmap manager
//   others      who else is there? alone it stores what is durable, and the rest is lost
//   owned       other nodes fetch copies of the pages that this one may be the only holder of
//   plain       the same of the rest of the dataspaces that it made, zeros that cost no frames
//   retiring    it asks the leader of each shard to let it go, and again what is not answered
//   remaining   what the leaders say is still only here, others fetch; then it asks again
//   goodbye     until the replicas have heard it
//
// Up to the end it serves recalls, and keeps its leases. What does not come to an end in time is lost, as if it had died.
import type { PageRun } from '../page.ts';

/** How long processes may take to end, of the time for the whole. */
const PROCESSES_SHARE = 0.25;
const POLL_MS = 10;
/** A retire that is not answered, because its shard has no leader or a new one, is said again. */
const RETIRE_AGAIN_MS = 250;
const GOODBYE_MS = 500;
/** Requests to other nodes under way. */
const ADOPT_PARALLEL = 4;
/** Pages of such a request. */
export const ADOPT_PAGES_MAX = 1_024;

export type DrainPhase =
  | 'idle'
  | 'processes'
  | 'others'
  | 'storing'
  | 'owned'
  | 'plain'
  | 'retiring'
  | 'remaining'
  | 'goodbye'
  | 'over';

/** What it looks at: ports. */
export interface DrainPorts {
  /** Processes of this node that have not ended. */
  processesRun(): boolean;
  /** Pages that this node may be the only holder of. */
  ownedRuns(): PageRun[];
  /** Pages of dataspaces that it made, and that nobody asked for. */
  plainRuns(): PageRun[];
  /** Asks the leader of a shard to let this node go. False: there is nobody to ask. */
  retire(shard: number): boolean;
  /** False where another one leads a shard by now. */
  isEpochOf(shard: number, epoch: bigint): boolean;
  /** A replica of the directory still has this node as a holder. */
  isConnected(): boolean;
}

export type DrainEvent =
  | { type: 'start'; drainMs: number }
  /** Other nodes that are there; a name for each. */
  | { type: 'others'; others: readonly string[] }
  /** They cannot be asked for, or what is durable cannot be stored. */
  | { type: 'failed'; reason: string }
  /** All that is durable is stored. */
  | { type: 'stored' }
  /** Each page of a request has a copy elsewhere, was lost before, or is gone. */
  | { type: 'adopted'; request: number }
  /** That node takes nothing; another one may. */
  | { type: 'not-adopted'; request: number; reason: string }
  /** A leader answers. `remaining`: what is only here still; none: it let this node go. */
  | { type: 'retired'; shard: number; epoch: bigint; remaining: readonly PageRun[] }
  /** Another leader took the place of one. */
  | { type: 'led-anew'; shard: number };

export type DrainAction =
  | { type: 'end-processes' }
  /** Whoever is still there waits in its next fault, for good. */
  | { type: 'close-sessions' }
  /** `others`, or `failed`, follows. */
  | { type: 'list-others' }
  /** `stored`, or `failed`, follows. */
  | { type: 'store-durable' }
  /** Of one dataspace. `adopted` or `not-adopted` follows. */
  | { type: 'adopt'; request: number; other: string; dataspace: bigint; runs: PageRun[]; deadlineMs: number }
  /** An event of the memory: what was held of a shard is not any more. */
  | { type: 'expire'; shard: number }
  | { type: 'goodbye' }
  /** `lostPages` 0, and no reason: nothing is lost. */
  | { type: 'over'; tookMs: number; reason?: string; lostPages: number };

interface Portion {
  dataspace: bigint;
  runs: PageRun[];
}

export class NodeDrain {
  private readonly ports: DrainPorts;
  private readonly shards: number;
  private now: DrainPhase = 'idle';
  private startMs = 0;
  private endMs = 0;
  /** When the phase goes on by itself. */
  private againMs = Number.POSITIVE_INFINITY;
  private goodbyeMs = 0;
  private others: string[] = [];
  private turn = 0;
  private lastRequest = 0;
  private portions: Portion[] = [];
  private readonly requests = new Map<number, Portion & { other: string }>();
  private why = 'there is no other node to take pages';
  private readonly left = new Set<number>();
  /** Shards whose leader was asked and has not answered: whether it let this node go is not known. */
  private readonly asked = new Set<number>();
  private remaining: PageRun[] = [];
  private out: DrainAction[] = [];

  constructor(ports: DrainPorts, shards: number) {
    this.ports = ports;
    this.shards = shards;
  }

  get phase(): DrainPhase {
    return this.now;
  }

  /** Shards that let this node go. */
  get leftShards(): number {
    return this.left.size;
  }

  /** True where an invalidation is not for this node any more, or comes again, in order with the answer. */
  isAsked(shard: number): boolean {
    return this.asked.has(shard);
  }

  /** When `tick` is due; undefined: it has not begun, or is over. */
  get nextMs(): number | undefined {
    if (this.now === 'idle' || this.now === 'over') return undefined;
    return this.now === 'goodbye' ? this.againMs : Math.min(this.againMs, this.endMs);
  }

  step(event: DrainEvent, nowMs: number): DrainAction[] {
    switch (event.type) {
      case 'start':
        this.start(event.drainMs, nowMs);
        break;
      case 'others':
        if (this.now === 'others') this.found(event.others, nowMs);
        break;
      case 'failed':
        if (this.now === 'others' || this.now === 'storing') this.fail(event.reason, nowMs);
        break;
      case 'stored':
        if (this.now === 'storing') this.fail(this.why, nowMs);
        break;
      case 'adopted':
        if (this.requests.delete(event.request)) this.place(nowMs);
        break;
      case 'not-adopted':
        this.notAdopted(event.request, event.reason, nowMs);
        break;
      case 'retired':
        this.retired(event, nowMs);
        break;
      case 'led-anew':
        this.ledAnew(event.shard);
        break;
    }
    return this.take();
  }

  tick(nowMs: number): DrainAction[] {
    if (this.now === 'processes') this.awaitProcesses(nowMs);
    else if (this.now === 'goodbye') this.awaitGoodbye(nowMs);
    else if (this.now === 'idle' || this.now === 'over') return [];
    else if (nowMs > this.endMs) this.fail(this.lateReason(), nowMs);
    else if (this.now === 'retiring' && nowMs >= this.againMs) this.proceed(nowMs);
    return this.take();
  }

  private take(): DrainAction[] {
    const { out } = this;
    this.out = [];
    return out;
  }

  private lateReason(): string {
    switch (this.now) {
      case 'others':
        return 'the directory did not say in time which other nodes there are';
      case 'storing':
        return 'the backing store took too long';
      case 'retiring':
        return `${this.shards - this.left.size} of ${this.shards} shards did not let this node go in time`;
      default:
        return 'other nodes did not take the pages in time';
    }
  }

  // ---- processes end

  private start(drainMs: number, nowMs: number): void {
    if (this.now !== 'idle') return;
    this.startMs = nowMs;
    this.endMs = nowMs + drainMs;
    this.now = 'processes';
    this.out.push({ type: 'end-processes' });
    this.awaitProcesses(nowMs);
  }

  private awaitProcesses(nowMs: number): void {
    const untilMs = this.startMs + (this.endMs - this.startMs) * PROCESSES_SHARE;
    this.againMs = nowMs + POLL_MS;
    if (this.ports.processesRun() && nowMs < untilMs) return;
    this.now = 'others';
    this.againMs = Number.POSITIVE_INFINITY;
    this.out.push({ type: 'close-sessions' }, { type: 'list-others' });
  }

  // ---- others fetch pages

  private found(others: readonly string[], nowMs: number): void {
    this.others = [...others];
    if (others.length === 0) {
      this.now = 'storing';
      this.out.push({ type: 'store-durable' });
      return;
    }
    this.now = 'owned';
    this.adopt(this.ports.ownedRuns(), nowMs);
  }

  private adopt(runs: readonly PageRun[], nowMs: number): void {
    this.portions = portionsOf(runs);
    this.place(nowMs);
  }

  private place(nowMs: number): void {
    while (this.portions.length > 0 && this.requests.size < ADOPT_PARALLEL) {
      if (this.others.length === 0) {
        this.fail(this.why, nowMs);
        return;
      }
      if (nowMs >= this.endMs) {
        this.fail(this.lateReason(), nowMs);
        return;
      }
      const { dataspace, runs } = this.portions.pop()!;
      const other = this.others[this.turn++ % this.others.length]!;
      const request = ++this.lastRequest;
      this.requests.set(request, { dataspace, runs, other });
      this.out.push({ type: 'adopt', request, other, dataspace, runs, deadlineMs: this.endMs - nowMs });
    }
    if (this.requests.size === 0) this.adopted(nowMs);
  }

  private adopted(nowMs: number): void {
    if (this.now === 'owned') {
      this.now = 'plain';
      this.adopt(this.ports.plainRuns(), nowMs);
    } else if (this.now === 'plain' || this.now === 'remaining') this.askAll(nowMs);
  }

  // Each of them once; those that cannot are not asked again.
  private notAdopted(number: number, reason: string, nowMs: number): void {
    const request = this.requests.get(number);
    if (request === undefined) return;
    this.requests.delete(number);
    const { dataspace, runs, other } = request;
    this.why = reason;
    this.others = this.others.filter((each) => each !== other);
    this.portions.push({ dataspace, runs });
    this.place(nowMs);
  }

  // ---- it retires

  private askAll(nowMs: number): void {
    this.now = 'retiring';
    this.againMs = nowMs + RETIRE_AGAIN_MS;
    for (let shard = 0; shard < this.shards; shard++)
      if (!this.left.has(shard) && this.ports.retire(shard)) this.asked.add(shard);
  }

  private retired(
    { shard, epoch, remaining }: Extract<DrainEvent, { type: 'retired' }>,
    nowMs: number,
  ): void {
    if (!this.isAnswer(shard, epoch)) return;
    this.asked.delete(shard);
    this.remaining.push(...remaining);
    if (remaining.length === 0) {
      this.left.add(shard);
      this.out.push({ type: 'expire', shard });
    }
    const decides = this.left.size === this.shards || remaining.length > 0;
    if (this.now === 'retiring' && decides) this.proceed(nowMs);
  }

  /** What an earlier leader said does not bind the one that leads now. */
  protected isAnswer(shard: number, epoch: bigint): boolean {
    return this.ports.isEpochOf(shard, epoch);
  }

  /** The one that was asked may have let this node go, and others write since: what is here is not trusted. */
  protected ledAnew(shard: number): void {
    if (this.asked.delete(shard)) this.out.push({ type: 'expire', shard });
  }

  private proceed(nowMs: number): void {
    this.againMs = Number.POSITIVE_INFINITY;
    if (this.left.size === this.shards) {
      this.now = 'goodbye';
      this.goodbyeMs = nowMs + GOODBYE_MS;
      this.out.push({ type: 'goodbye' });
      this.againMs = nowMs + POLL_MS;
      return;
    }
    this.now = 'remaining';
    this.adopt(this.remaining.splice(0), nowMs);
  }

  // A replica that heard it ends the stream.
  private awaitGoodbye(nowMs: number): void {
    this.againMs = nowMs + POLL_MS;
    if (this.ports.isConnected() && nowMs < this.goodbyeMs) return;
    this.now = 'over';
    this.out.push({ type: 'over', tookMs: nowMs - this.startMs, lostPages: 0 });
  }

  private fail(reason: string, nowMs: number): void {
    this.now = 'over';
    this.portions = [];
    this.requests.clear();
    const lostPages = this.ports.ownedRuns().reduce((sum, { pageCount }) => sum + pageCount, 0);
    this.out.push({ type: 'over', tookMs: nowMs - this.startMs, reason, lostPages });
  }
}

/** Runs as requests: each of one dataspace, and of so many pages at most. */
function portionsOf(runs: readonly PageRun[]): Portion[] {
  const portions: Portion[] = [];
  let room = 0;
  for (const { dataspace, firstPage, pageCount } of runs) {
    for (let done = 0; done < pageCount; ) {
      let last = portions.at(-1);
      if (last?.dataspace !== dataspace || room === 0) {
        last = { dataspace, runs: [] };
        portions.push(last);
        room = ADOPT_PAGES_MAX;
      }
      const part = Math.min(room, pageCount - done);
      last.runs.push({ dataspace, firstPage: firstPage + done, pageCount: part });
      room -= part;
      done += part;
    }
  }
  return portions;
}
