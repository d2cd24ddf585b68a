// Which replica leads which shard: keys of a store, changed by compare-and-set only. The revision of a shard's key is its
// epoch.
//
//   replicas/<replica>   {address, incarnation}      put again with each heartbeat
//   shards/<shard>       {replica, incarnation, to}  `to`: given up, for that replica to take
//
// A replica lives while the others see its heartbeats. One that they have not seen for a lease is dead, and its shards
// are taken; by then it has stopped leading by itself, since it trusts its own lease for less (../lease.ts).
// A replica that runs alone (`--standalone`) has no rival, so it leads on when the store is away.
//
// A round: what is noted of holders is read; then shards are taken; when all of that is known, shards are given up. What
// was decided before the read counts only for keys that have not changed since: the notes of who led meanwhile may be
// newer.
import { renewEveryMs } from '../../lease.ts';
import { unreachable } from '../../page.ts';
import { expectedOf, leasedOf } from '../members.ts';
import { Claims, type Key } from './claims.ts';
import type {
  AllMembers,
  ElectionAction,
  ElectionEvent,
  Leadership,
  PeerValue,
  ShardValue,
} from './election-messages.ts';
import { Heartbeats, type HeartbeatsOptions } from './heartbeats.ts';

/** Shards that are on their way from one leader to another at a time: the others are served meanwhile. */
const MOVES_MAX = 8;
const PLAN_MIN_MS = 20;

export interface ElectionOptions extends HeartbeatsOptions {
  shards: number;
  heartbeats?: Heartbeats;
  claims?: Claims;
}

/** A compare-and-set of which the outcome is not known. */
type Swap = {
  shard: number;
  value: ShardValue;
} /** `wasServed`: by the leader of before, or nobody led it. */ & (
  | { why: 'take'; before: Leadership | undefined; wasServed: boolean; members: AllMembers }
  | { why: 'give' }
  | { why: 'rebuilt'; note: number }
);

/** The shards of a round, as they were when it began. */
interface Round {
  read: number;
  take: Map<number, Key | undefined>;
}

export class Election {
  private readonly o: ElectionOptions;
  private readonly heartbeats: Heartbeats;
  private readonly claims: Claims;
  /** With their epochs. */
  private readonly led = new Map<number, bigint>();
  private readonly swaps = new Map<number, Swap>();
  private actions: ElectionAction[] = [];
  private round: Round | undefined;
  private last = 0;
  private beatAtMs: number;
  private planAtMs: number;
  private watched = false;
  private closed = false;

  constructor(options: ElectionOptions, nowMs: number) {
    this.o = options;
    this.heartbeats = options.heartbeats ?? new Heartbeats(options);
    this.claims = options.claims ?? new Claims(options.replica, options.shards, this.heartbeats);
    this.beatAtMs = nowMs;
    this.planAtMs = nowMs;
    if (options.standalone) this.say({ type: 'mayLead', untilMs: Number.POSITIVE_INFINITY });
  }

  // ---- what can be seen

  /** When the next tick is wanted. */
  get nextMs(): number {
    if (this.closed) return Number.POSITIVE_INFINITY;
    return this.watched ? Math.min(this.beatAtMs, this.planAtMs) : this.beatAtMs;
  }

  /** Addresses of replicas that live, by name. */
  live(nowMs: number): Map<string, string> {
    return this.heartbeats.live(nowMs);
  }

  /** False when another replica may have this one's shards by now. */
  mayLead(nowMs: number): boolean {
    return this.heartbeats.mayLead(nowMs);
  }

  /** Epochs of the shards that this replica leads. */
  get epochs(): ReadonlyMap<number, bigint> {
    return this.led;
  }

  /** A shard's key, as it was seen last. */
  keyOf(shard: number): Readonly<Key> | undefined {
    return this.claims.get(shard);
  }

  // ---- what happens

  step(event: ElectionEvent, nowMs: number): ElectionAction[] {
    switch (event.type) {
      case 'watched':
        this.watched = true;
        this.plan(nowMs);
        break;
      case 'peer':
        this.seePeer(event.name, event.value, nowMs);
        break;
      case 'shard':
        this.seeShard(event.shard, event.revision, event.value, nowMs);
        break;
      case 'beaten':
        this.beaten(event.beat, event, nowMs);
        break;
      case 'members':
        this.readMembers(event.read, event.members, nowMs);
        break;
      case 'swapped':
        this.swapped(event.swap, event.revision, nowMs);
        break;
      case 'rebuilt':
        this.rebuilt(event.shard, event.note);
        break;
      case 'stepDown':
        this.stepDown(event.shards, nowMs);
        break;
      case 'close':
        this.close();
        break;
      default:
        unreachable(event);
    }
    return this.flush();
  }

  tick(nowMs: number): ElectionAction[] {
    if (this.closed) return this.flush();
    const everyMs = renewEveryMs(this.o.leaseMs, this.o.renewals);
    if (nowMs >= this.beatAtMs) {
      this.beatAtMs = nowMs + everyMs;
      this.sendBeat(nowMs);
    }
    if (this.watched && nowMs >= this.planAtMs) {
      this.planAtMs = nowMs + Math.max(PLAN_MIN_MS, everyMs / 4);
      this.heartbeats.tick(nowMs);
      this.plan(nowMs);
    }
    return this.flush();
  }

  private flush(): ElectionAction[] {
    const { actions } = this;
    this.actions = [];
    return actions;
  }

  private say(action: ElectionAction): void {
    this.actions.push(action);
  }

  // ---- who lives

  private seePeer(name: string, value: PeerValue | undefined, nowMs: number): void {
    if (!this.heartbeats.see(name, value, nowMs) || value === undefined) return;
    const at = `${name} at ${value.address}`;
    if (name === this.o.replica) {
      const fix = 'give each replica a name of its own (--replica)';
      this.say({
        type: 'conflict',
        reason: `replica ${at} was started later than this one, which ends: ${fix}`,
      });
      return;
    }
    const which = value.standalone ? at : 'this one';
    const reason = `replica ${at} of this cluster's directory runs too, and ${which} was started with --standalone; start all without`;
    this.say({ type: 'conflict', reason });
  }

  private sendBeat(nowMs: number): void {
    const beat = ++this.last;
    const value = this.heartbeats.send(beat, nowMs);
    if (value !== undefined) this.say({ type: 'beat', beat, value });
  }

  private beaten(
    beat: number,
    { kept, reason = '' }: { kept: boolean; reason?: string | undefined },
    nowMs: number,
  ): void {
    const sentMs = this.heartbeats.answered(beat);
    if (sentMs === undefined || this.closed) return;
    if (!kept) {
      const text = 'could not tell JetStream that this replica lives; trying again';
      if (this.heartbeats.lost()) this.say({ type: 'log', level: 'warn', text, about: { reason } });
      return;
    }
    // What was led before a silence may be led by others now.
    if (!this.mayLead(nowMs)) this.leaveAll();
    if (this.heartbeats.kept(sentMs, nowMs))
      this.say({ type: 'log', level: 'info', text: 'JetStream answers again', about: {} });
    this.say({ type: 'mayLead', untilMs: this.heartbeats.leadsUntilMs });
  }

  // ---- who leads

  private seeShard(shard: number, revision: number, value: ShardValue | undefined, nowMs: number): void {
    if (!this.claims.has(shard)) return;
    const known = this.claims.get(shard);
    if (known !== undefined && known.revision >= revision) return;
    // What the first look finds may be old.
    if (this.watched && value !== undefined) this.heartbeats.sign(value, nowMs);
    this.claims.set(shard, value && { value, revision });
    // Somebody else took it: our lease had ended in their eyes.
    if (this.led.has(shard) && !this.isMine(shard)) this.leave(shard);
  }

  private isMine(shard: number): boolean {
    const value = this.claims.get(shard)?.value;
    const { replica, incarnation } = this.o;
    return value?.replica === replica && value.incarnation === incarnation && value.to === undefined;
  }

  private plan(nowMs: number): void {
    if (!this.mayLead(nowMs)) {
      this.leaveAll();
      return;
    }
    if (this.closed || !this.watched || this.round !== undefined || this.isMoving) return;
    const plan = this.claims.planned(nowMs);
    const take = this.claims.toTake(plan, this.led, nowMs);
    if (take.length > 0) {
      this.round = { read: ++this.last, take: new Map(take.map((shard) => [shard, this.claims.get(shard)])) };
      this.say({ type: 'read', read: this.last });
      return;
    }
    const { replica } = this.o;
    // What is being said of a key comes first: it would not be as it was.
    const isGiven = (to: string, shard: number): boolean =>
      to !== replica && this.led.has(shard) && ![...this.swaps.values()].some((swap) => swap.shard === shard);
    const give = plan.flatMap((to, shard) => (isGiven(to, shard) ? [{ shard, to }] : []));
    for (const { shard, to } of give.slice(0, MOVES_MAX)) this.give(shard, to);
  }

  private get isMoving(): boolean {
    return [...this.swaps.values()].some(({ why }) => why !== 'rebuilt');
  }

  private readMembers(read: number, members: AllMembers | undefined, nowMs: number): void {
    const { round } = this;
    if (round?.read !== read) return;
    this.round = undefined;
    if (members === undefined || this.closed || !this.mayLead(nowMs)) return;
    const { claims } = this;
    const wanted = claims.toTake(claims.planned(nowMs), this.led, nowMs);
    for (const shard of wanted)
      if (round.take.has(shard) && claims.isAsRead(round.take.get(shard), claims.get(shard)))
        this.take(shard, members);
  }

  private take(shard: number, members: AllMembers): void {
    const { replica, incarnation } = this.o;
    const known = this.claims.get(shard);
    const before = known && this.claims.servedBy(known);
    const value = { replica, incarnation, before };
    const wasServed = known?.value.before === undefined;
    this.swap({ why: 'take', shard, value, before, wasServed, members }, known?.revision);
  }

  private swap(swap: Swap, revision: number | undefined): void {
    const { shard, value } = swap;
    this.swaps.set(++this.last, swap);
    this.say({ type: 'swap', swap: this.last, shard, value, revision });
  }

  private swapped(number: number, revision: number | undefined, nowMs: number): void {
    const swap = this.swaps.get(number);
    if (swap === undefined) return;
    this.swaps.delete(number);
    const { shard, value } = swap;
    // What was stored later may have been seen already.
    const isNewest = revision !== undefined && revision >= (this.claims.get(shard)?.revision ?? 0);
    if (isNewest && swap.why !== 'take') this.claims.set(shard, { value, revision });
    switch (swap.why) {
      case 'take':
        if (isNewest) this.taken(swap, revision, nowMs);
        break;
      case 'rebuilt': {
        const reason = "the shard's key could not be changed";
        const kept = revision !== undefined;
        this.say({ type: 'noted', note: swap.note, kept, ...(!kept && { reason }) });
        break;
      }
      case 'give':
        break;
      default:
        unreachable(swap);
    }
    if (revision === undefined) {
      // Away, or somebody else was first: the next look tells.
      const text = 'could not change the leader of a shard';
      this.say({ type: 'log', level: 'debug', text, about: { shard, why: swap.why } });
    } else if (swap.why === 'take' && !this.isMoving) this.plan(nowMs);
  }

  private taken(swap: Extract<Swap, { why: 'take' }>, revision: number, nowMs: number): void {
    // Where it is not led it is ours all the same, and taken again when we may.
    if (this.closed || !this.mayLead(nowMs)) return;
    const { shard, value, before, members } = swap;
    const epoch = BigInt(revision);
    this.claims.set(shard, { value, revision });
    this.led.set(shard, epoch);
    // Who the last leader had buried is not asked what it has: others may have that by now.
    const expected = before === undefined ? new Map() : expectedOf(members, before.replica);
    const leased = swap.wasServed ? undefined : leasedOf(members, expected);
    this.say({ type: 'lead', shard, epoch, expected, leased, lastEpoch: before?.epoch ?? 0n });
  }

  /** All holders have reported to this leader of a shard. */
  private rebuilt(shard: number, note: number): void {
    const epoch = this.led.get(shard);
    const key = this.claims.get(shard);
    if (epoch === undefined || key === undefined)
      this.say({ type: 'noted', note, kept: false, reason: `shard ${shard} is not led from here any more` });
    // Nobody served it before: there are no other notes.
    else if (key.value.before === undefined) this.say({ type: 'noted', note, kept: true });
    else this.swap({ why: 'rebuilt', shard, note, value: this.mine({ epoch }) }, key.revision);
  }

  private mine(about: Omit<ShardValue, 'replica' | 'incarnation'>): ShardValue {
    const { replica, incarnation } = this.o;
    return { replica, incarnation, ...about };
  }

  private give(shard: number, to: string): void {
    const key = this.claims.get(shard);
    const epoch = this.led.get(shard);
    if (key === undefined || epoch === undefined) return;
    // It stops first: the other one may lead as soon as it sees the key.
    this.leave(shard);
    const value = this.mine({ to, epoch, before: key.value.before });
    this.swap({ why: 'give', shard, value }, key.revision);
  }

  // Whoever can goes on with what is kept.
  private stepDown(shards: readonly number[], nowMs: number): void {
    const [heir] = [...this.live(nowMs).keys()].filter((name) => name !== this.o.replica);
    for (const shard of shards) {
      if (heir === undefined) this.leave(shard);
      else this.give(shard, heir);
    }
  }

  private leave(shard: number): void {
    if (this.led.delete(shard)) this.say({ type: 'leave', shard });
  }

  private leaveAll(): void {
    for (const shard of [...this.led.keys()]) this.leave(shard);
  }

  /** Gives all up, for the others to take at once. */
  private close(): void {
    if (this.closed) return;
    this.closed = true;
    this.leaveAll();
    this.say({ type: 'retreat' });
  }
}
