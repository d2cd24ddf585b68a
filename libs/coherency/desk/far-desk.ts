// The desk of range locks, waits and barriers of a dataspace that another cluster owns, as a node has it: it stands at the home of the
// dataspace, behind the directory of the own cluster and two gateways, which pass on what is said and remember nothing.
//
//   node -- relay -- FarDesk ~~~ directory ~~~ gateway ====== gateway -- HomeDesk -- relay -- directory of home
//
// What is said may be lost on each part of the way, and is said again (sure-line.ts): so it is heard once, and in order, as long as the
// session lasts. A session lasts as long as home renews it: that is a lease of this node, which it reckons from when it asked, and less a
// guard (../lease.ts). So where home gives to others what processes of this node had locked, they have heard before that they lost it:
//
//   |<------------------ lease, from when it was asked for ------------------>|<-- guard -->|
//   |   locks are held                                                        |  they end   |  home gives them to others
//
// After that a new session begins, in which all that waits is asked for anew. Pure.
import { guardMs } from '../lease.ts';
import { type Part, SureSender, SureTaker } from './sure-line.ts';

/** One message to home. */
export interface ToHome<Ask> {
  session: bigint;
  /** Which life of home the session is with; 0: none has answered. */
  home: bigint;
  first: number;
  asks: readonly Ask[];
  /** Answers up to that number were taken. */
  taken: number;
  /** By the node's clock; 0: no answer is wanted. */
  sentMs: number;
}

/** One message of home. */
export interface FromHome<Answer> {
  session: bigint;
  /** Of the gateway at home: another life of it knows nothing of what this one granted. */
  home: bigint;
  first: number;
  answers: readonly Answer[];
  /** What was asked up to that number was taken. */
  taken: number;
  /** Of the message that it answers. */
  sentMs: number;
  /** 0: it renews nothing. */
  leaseMs: number;
  /** Home does not know of that session, or has ended it. */
  over: boolean;
}

/** For another process. */
export interface FarDeskState<Ask> extends Part<Ask> {
  session: bigint;
  home: bigint;
  taken: number;
  untilMs: number;
}

export type FarDeskAction<Ask, Answer> =
  | { type: 'send'; message: ToHome<Ask> }
  | { type: 'answered'; answer: Answer }
  /** What was held is held no more, and all that waits is to be said anew. */
  | { type: 'over' };

/** What is not answered is said again after that. */
export const AGAIN_MS = 500;
/** A session is renewed so often, before there is a lease to reckon with. */
const RENEW_FIRST_MS = 1_000;
const RENEW_MIN_MS = 250;
/** Of a lease. */
const RENEWALS = 4;
/** One that ended is not followed by the next one before that. */
const PAUSE_MS = 250;

export class FarDesk<Ask, Answer> {
  private session: bigint;
  private home = 0n;
  private asks = new SureSender<Ask>();
  private answers = new SureTaker();
  private isOpen = false;
  private untilMs = Number.POSITIVE_INFINITY;
  private renewMs = RENEW_FIRST_MS;
  private renewAtMs = Number.POSITIVE_INFINITY;
  private againAtMs = Number.POSITIVE_INFINITY;
  private notBeforeMs = Number.NEGATIVE_INFINITY;
  private nowMs = 0;
  private actions: FarDeskAction<Ask, Answer>[] = [];

  /** @param session later than each one that this node had before for this dataspace */
  constructor(session: bigint) {
    this.session = session;
  }

  /** Goes on where that of another process of the node was. */
  static resume<Ask, Answer>(state: FarDeskState<Ask>, nowMs: number): FarDesk<Ask, Answer> {
    const desk = new FarDesk<Ask, Answer>(state.session);
    desk.asks = new SureSender(state);
    desk.answers.taken = state.taken;
    desk.untilMs = state.untilMs;
    desk.home = state.home;
    desk.isOpen = true;
    // At once.
    desk.renewAtMs = desk.againAtMs = nowMs;
    return desk;
  }

  /** All that another process needs to go on; undefined: nothing was asked. */
  get state(): FarDeskState<Ask> | undefined {
    const { session, home, asks, answers, untilMs } = this;
    return this.isOpen ? { session, home, ...asks.state, taken: answers.taken, untilMs } : undefined;
  }

  /** When `tick` is to be called. */
  get nextMs(): number {
    if (!this.isOpen) return Number.POSITIVE_INFINITY;
    return Math.min(this.untilMs, this.renewAtMs, this.againAtMs);
  }

  /** What home granted may be used. */
  isHeld(nowMs: number): boolean {
    return nowMs < this.untilMs && Number.isFinite(this.untilMs);
  }

  /** Asks home; also what waits for no answer. */
  ask(asks: readonly Ask[], nowMs: number): FarDeskAction<Ask, Answer>[] {
    this.begin(nowMs);
    // All that waits is said anew, and so is this.
    if (this.actions.length > 0) return this.actions;
    for (const each of asks) this.asks.push(each);
    if (!this.isOpen) {
      this.isOpen = true;
      this.renewAtMs = Math.max(nowMs, this.notBeforeMs) + this.renewMs;
    }
    this.sayNext();
    return this.actions;
  }

  heard(message: FromHome<Answer>, nowMs: number): FarDeskAction<Ask, Answer>[] {
    this.begin(nowMs);
    if (!this.isOpen || message.session !== this.session) return this.actions;
    // What was asked of the one before may have come to the next one late: that is a session of nobody.
    if (message.over || (this.home !== 0n && message.home !== this.home)) {
      // Of what has not begun there is nothing to end: it is said again.
      if (Number.isFinite(this.untilMs)) this.restart();
      return this.actions;
    }
    this.home = message.home;
    const { sentMs, leaseMs } = message;
    if (leaseMs > 0 && sentMs > 0 && sentMs <= nowMs) {
      const untilMs = sentMs + leaseMs - guardMs(leaseMs);
      this.untilMs = Number.isFinite(this.untilMs) ? Math.max(this.untilMs, untilMs) : untilMs;
      this.renewMs = Math.max(RENEW_MIN_MS, leaseMs / RENEWALS);
      this.renewAtMs = Math.min(this.renewAtMs, nowMs + this.renewMs);
    }
    // What was said while the lease lasted may come after that.
    if (this.look()) return this.actions;
    if (this.asks.heard(message.taken)) this.againAtMs = nowMs + AGAIN_MS;
    const fresh = this.answers.take({ first: message.first, items: message.answers });
    for (const answer of fresh) this.actions.push({ type: 'answered', answer });
    // That it was taken is said with what is asked next, or by itself.
    if (!this.sayNext() && message.answers.length > 0) this.send({ first: 0, items: [] }, 0);
    return this.actions;
  }

  tick(nowMs: number): FarDeskAction<Ask, Answer>[] {
    this.begin(nowMs);
    if (!this.isOpen || nowMs < this.notBeforeMs) return this.actions;
    this.sayNext();
    if (nowMs >= this.againAtMs) {
      const part = this.asks.again();
      if (part === undefined) this.againAtMs = Number.POSITIVE_INFINITY;
      else this.send(part, nowMs);
    }
    if (nowMs >= this.renewAtMs) this.send({ first: 0, items: [] }, nowMs);
    return this.actions;
  }

  private begin(nowMs: number): void {
    this.actions = [];
    this.nowMs = nowMs;
    if (this.isOpen) this.look();
  }

  private look(): boolean {
    if (this.nowMs < this.untilMs) return false;
    this.restart();
    return true;
  }

  private restart(): void {
    this.session++;
    this.home = 0n;
    this.asks = new SureSender();
    this.answers = new SureTaker();
    this.isOpen = false;
    this.untilMs = Number.POSITIVE_INFINITY;
    this.renewMs = RENEW_FIRST_MS;
    this.renewAtMs = this.againAtMs = Number.POSITIVE_INFINITY;
    this.notBeforeMs = this.nowMs + PAUSE_MS;
    this.actions.push({ type: 'over' });
  }

  private sayNext(): boolean {
    if (this.nowMs < this.notBeforeMs) {
      this.againAtMs = Math.min(this.againAtMs, this.notBeforeMs);
      return false;
    }
    const parts = this.asks.next();
    for (const part of parts) this.send(part, this.nowMs);
    return parts.length > 0;
  }

  private send({ first, items }: Part<Ask>, sentMs: number): void {
    const { session, home, answers } = this;
    if (items.length > 0) this.againAtMs = this.nowMs + AGAIN_MS;
    if (sentMs > 0) this.renewAtMs = this.nowMs + this.renewMs;
    const message = { session, home, first, asks: items, taken: answers.taken, sentMs: Math.floor(sentMs) };
    this.actions.push({ type: 'send', message });
  }
}
