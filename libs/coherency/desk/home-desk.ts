// The desk of dataspaces that other clusters map, as the gateway of their home has it: for each node of another cluster that asks there is
// a session (far-desk.ts), and what it asks is asked of the own directory by the relay that nodes have, too, under owners that no process
// of this cluster can be.
//
//   a session begins     with its first message; it takes the place of an earlier one of that node
//   it is renewed        by each message, for as long as the own directory believes this gateway, and no longer than a lease
//   it ends              with its lease, or with a later session; where the policy takes the dataspace back, where it takes no answers, or
//                        where a lock of it is lost at home, it is told so, and renewed no more
//   then                 each owner of it has ended for the directory: what it held is given to others, and what it waited for is off
//
// What others say is looked at here: they ask by their own numbers and processes, which mean nothing beyond their session; the dataspace is
// the one that the session is of. How much of one cluster may wait, be held, or be there is bounded, and what is more is EXHAUSTED. Pure.
import { type DeskAsk, SyncStatus } from '@odonata/proto/coherency/v1/coherency';
import type { HolderEventInit } from '../node/lines/holder-wire.ts';
import { Relay } from '../node/relay/relay.ts';
import type { RelayAction, RelayEvent, SyncEvent } from '../node/relay/relay-messages.ts';
import type { DeskAnswerInit } from './desk-wire.ts';
import { AGAIN_MS, type FromHome, type ToHome } from './far-desk.ts';
import { SureSender, SureTaker } from './sure-line.ts';

/** Of one cluster: nodes with a dataspace each; processes that asked; requests that wait; ranges. */
export const SESSIONS_MAX = 1_024;
export const OWNERS_MAX = 10_000;
export const WAITING_MAX = 10_000;
export const HELD_MAX = 65_536;
/** Answers that a node does not take. */
export const UNTAKEN_MAX = 20_000;
/** A session without a word of it. */
export const DESK_LEASE_MS = 18_000;

type Ask = DeskAsk['ask'];
type Message = ToHome<Ask>;
type Numbered = Extract<Ask, { case: 'lock' | 'wait' | 'wake' | 'barrier' }>;

/** Whose session it is. */
export interface AskingNode {
  cluster: string;
  /** At home. */
  dataspace: bigint;
  /** As its own cluster calls it. */
  node: string;
}

export type HomeDeskAction =
  | { type: 'send'; to: AskingNode; message: FromHome<DeskAnswerInit> }
  /** To the leader of a shard of the own directory. */
  | { type: 'say'; shard: number; event: HolderEventInit }
  | { type: 'say-all'; event: HolderEventInit };

interface Session extends AskingNode {
  /** As that node counts. */
  number: bigint;
  /** As the relay knows it. */
  relayed: number;
  taker: SureTaker;
  answers: SureSender<DeskAnswerInit>;
  /** Under which owner each process is known here. */
  owners: Map<bigint, bigint>;
  /** What waits, by the number of the node: what it is. */
  waiting: Map<bigint, Numbered['case']>;
  /** Locks granted since it was counted what is held. */
  granted: number;
  renewed: { sentMs: number; leaseMs: number };
  untilMs: number;
  againAtMs: number;
  may: 'READ' | 'WRITE';
  /** It was told that it is over: it is, when its node must know, or says so. */
  closing: boolean;
}

export interface HomeDeskOptions {
  /** Of the own directory. */
  shards: number;
  /** Of this start of the gateway: no other one has it. */
  life: bigint;
  /** An owner that nobody has or had: with GATEWAY_OWNER. */
  mint: () => bigint;
}

const NEVER = Number.POSITIVE_INFINITY;

export class HomeDesk {
  private readonly mint: () => bigint;
  private readonly life: bigint;
  private readonly relay: Relay;
  private readonly sessions = new Map<string, Session>();
  private readonly byRelayed = new Map<number, Session>();
  private lastRelayed = 0;
  private nowMs = 0;
  private actions: HomeDeskAction[] = [];

  constructor({ shards, life, mint }: HomeDeskOptions) {
    this.mint = mint;
    this.life = life;
    this.relay = new Relay(shards);
  }

  /** When `tick` is to be called. */
  get nextMs(): number {
    let nextMs = NEVER;
    for (const { untilMs, againAtMs } of this.sessions.values())
      nextMs = Math.min(nextMs, untilMs, againAtMs);
    return nextMs;
  }

  get sessionCount(): number {
    return this.sessions.size;
  }

  /**
   * A node of another cluster says something.
   * @param may what the policy lets that cluster do with the dataspace
   * @param leftMs for which the own directory believes this gateway
   */
  heard(
    from: AskingNode,
    message: Message,
    { may, leftMs, nowMs }: { may: 'NOTHING' | 'READ' | 'WRITE'; leftMs: number; nowMs: number },
  ): HomeDeskAction[] {
    this.begin(nowMs);
    const key = keyOf(from);
    const known = this.sessions.get(key);
    if (known !== undefined && message.session < known.number) return this.actions;
    const isNew = known?.number !== message.session;
    // Its node knows that what it had is over.
    if (isNew && known !== undefined) this.end(known);
    if (known !== undefined && !isNew && known.may !== may) this.close(known);
    const isForeign = message.home !== 0n && message.home !== this.life;
    const session =
      may === 'NOTHING' || isForeign ? undefined : isNew ? this.open(from, message, may) : known;
    // What overtook the beginning of its session comes again.
    const isEarly = isNew && message.first > 1 && may !== 'NOTHING' && !isForeign;
    if (session === undefined || session.closing) {
      if (!isEarly) this.sayOver(from, message.session);
    } else this.take(session, message, { may: session.may, leftMs });
    return this.actions;
  }

  /** What the own lines to the directory say of locks and waits. */
  line(
    event: Extract<RelayEvent, { type: 'answered' | 'confirmed' | 'voided' | 'rejoined' }>,
    nowMs: number,
  ): HomeDeskAction[] {
    this.begin(nowMs);
    this.stepRelay(event);
    this.flush();
    return this.actions;
  }

  /** Another policy is in force. @param may as of `heard` */
  policyChanged(may: (of: AskingNode) => 'NOTHING' | 'READ' | 'WRITE', nowMs: number): HomeDeskAction[] {
    this.begin(nowMs);
    for (const session of this.sessions.values()) if (may(session) !== session.may) this.close(session);
    return this.actions;
  }

  tick(nowMs: number): HomeDeskAction[] {
    this.begin(nowMs);
    for (const session of this.sessions.values()) {
      if (nowMs < session.againAtMs) continue;
      const part = session.answers.again();
      if (part === undefined) session.againAtMs = NEVER;
      else this.say(session, part.first, part.items);
    }
    return this.actions;
  }

  private begin(nowMs: number): void {
    this.actions = [];
    this.nowMs = nowMs;
    for (const session of [...this.sessions.values()]) if (nowMs >= session.untilMs) this.end(session);
  }

  // ---- sessions

  private open(
    from: AskingNode,
    { session: number, first, asks }: Message,
    may: 'READ' | 'WRITE',
  ): Session | undefined {
    // The beginning of it was never heard, or is over here.
    const isBegun = first === 1 && asks.length > 0;
    if (!isBegun || this.of(from.cluster).length >= SESSIONS_MAX) return undefined;
    const session: Session = {
      ...{ cluster: from.cluster, dataspace: from.dataspace, node: from.node },
      ...{ number, relayed: ++this.lastRelayed, taker: new SureTaker(), answers: new SureSender() },
      ...{ owners: new Map(), waiting: new Map(), granted: 0 },
      ...{ renewed: { sentMs: 0, leaseMs: 0 }, untilMs: this.nowMs + AGAIN_MS, againAtMs: NEVER },
      ...{ may, closing: false },
    };
    this.sessions.set(keyOf(from), session);
    this.byRelayed.set(session.relayed, session);
    return session;
  }

  private take(
    session: Session,
    message: Message,
    { may, leftMs }: { may: 'READ' | 'WRITE'; leftMs: number },
  ): void {
    const leaseMs = Math.floor(Math.min(DESK_LEASE_MS, leftMs));
    if (message.sentMs > 0 && leaseMs > 0) {
      session.renewed = { sentMs: message.sentMs, leaseMs };
      session.untilMs = Math.max(session.untilMs, this.nowMs + leaseMs);
    }
    if (session.answers.heard(message.taken)) session.againAtMs = this.nowMs + AGAIN_MS;
    for (const ask of session.taker.take({ first: message.first, items: message.asks }))
      this.asked(session, ask, may);
    this.flush();
    // Whoever renews hears of that, and so does whoever asks.
    if (message.sentMs > 0 && this.sessions.get(keyOf(session)) === session) this.say(session, 0, []);
  }

  private end(session: Session): void {
    this.sessions.delete(keyOf(session));
    this.byRelayed.delete(session.relayed);
    for (const owner of session.owners.values()) this.stepRelay({ type: 'owner-gone', owner });
    this.stepRelay({ type: 'session-gone', session: session.relayed });
  }

  // What it holds it holds until its node must know that it does not.
  private close(session: Session): void {
    if (session.closing) return;
    session.closing = true;
    session.againAtMs = NEVER;
    session.answers = new SureSender();
    this.sayOver(session, session.number);
  }

  private of(cluster: string): Session[] {
    return [...this.sessions.values()].filter((session) => session.cluster === cluster);
  }

  // ---- what is asked

  private asked(session: Session, ask: Ask, may: 'READ' | 'WRITE'): void {
    const { dataspace } = session;
    switch (ask.case) {
      case 'lock':
      case 'barrier':
      case 'wait':
      case 'wake': {
        const { request } = ask.value;
        // A number that is in use means two things.
        if (session.waiting.has(request)) return;
        const isAllowed = may === 'WRITE' || ask.case === 'wait';
        if (!isAllowed || !this.hasRoom(session, ask)) {
          this.refuse(session, request, ask.case);
          return;
        }
        session.waiting.set(request, ask.case);
        const value = {
          ...ask.value,
          dataspace,
          ...('owner' in ask.value && this.owned(session, ask.value)),
        };
        this.relayed(session, request, { ...ask, value } as SyncEvent);
        return;
      }
      case 'unlock': {
        // Who never asked holds nothing.
        const owner = session.owners.get(ask.value.owner);
        if (owner !== undefined)
          this.relayed(session, 0n, { case: 'unlock', value: { ...ask.value, dataspace, owner } });
        return;
      }
      case 'cancelWait':
        if (session.waiting.get(ask.value.request) === 'wait') {
          session.waiting.delete(ask.value.request);
          this.relayed(session, 0n, ask);
        }
        return;
      case 'ownerGone': {
        const owner = session.owners.get(ask.value.owner);
        session.owners.delete(ask.value.owner);
        if (owner !== undefined) this.stepRelay({ type: 'owner-gone', owner });
        return;
      }
      case undefined:
        return; // of a later version
    }
  }

  private relayed(session: Session, request: bigint, event: SyncEvent): void {
    this.stepRelay({ type: 'asked', session: session.relayed, request, event });
  }

  private owned(session: Session, { owner: theirs }: { owner: bigint }): { owner: bigint } {
    const owner = session.owners.get(theirs) ?? this.mint();
    session.owners.set(theirs, owner);
    return { owner };
  }

  private hasRoom(session: Session, ask: Numbered): boolean {
    const all = this.of(session.cluster);
    const sum = (count: (each: Session) => number): number => all.reduce((n, each) => n + count(each), 0);
    if (sum(({ waiting }) => waiting.size) >= WAITING_MAX) return false;
    const isNew = 'owner' in ask.value && !session.owners.has(ask.value.owner);
    if (isNew && sum(({ owners }) => owners.size) >= OWNERS_MAX) return false;
    if (ask.case !== 'lock' || sum(({ granted }) => granted) < HELD_MAX) return true;
    for (const each of all) each.granted = this.heldBy(each);
    return sum(({ granted }) => granted) < HELD_MAX;
  }

  private heldBy({ owners, dataspace }: Session): number {
    let held = 0;
    for (const owner of owners.values()) held += this.relay.heldCount(owner, dataspace);
    return held;
  }

  // ---- answers

  private stepRelay(event: RelayEvent): void {
    for (const action of this.relay.step(event, this.nowMs)) this.perform(action);
  }

  private perform(action: RelayAction): void {
    switch (action.type) {
      case 'say':
      case 'say-all':
        this.actions.push(action);
        return;
      case 'bring':
        return; // Nobody of this gateway maps anything.
      case 'lost':
        for (const session of [...this.sessions.values()])
          if ([...session.owners.values()].some((owner) => action.owners.has(owner))) this.close(session);
        return;
      case 'answer': {
        const session = this.byRelayed.get(action.session);
        if (session !== undefined) this.answered(session, action);
      }
    }
  }

  private answered(session: Session, { event: { request = 0n, event } }: AnswerAction): void {
    switch (event?.case) {
      case 'lock':
        session.waiting.delete(request);
        if (event.value.status === SyncStatus.OK) session.granted++;
        this.answer(session, { case: 'lockResult', value: { ...event.value, request } });
        return;
      case 'wait':
        if (event.value.status !== SyncStatus.REGISTERED) session.waiting.delete(request);
        this.answer(session, { case: 'waitResult', value: { ...event.value, request } });
        return;
      case 'wake':
        session.waiting.delete(request);
        this.answer(session, { case: 'wakeResult', value: { ...event.value, request } });
        return;
      case 'barrier':
        session.waiting.delete(request);
        // Who passed it are owners of this cluster: nobody else's.
        this.answer(session, { case: 'barrierResult', value: { ...event.value, request, members: [] } });
        return;
      case 'failed': {
        const what = session.waiting.get(request);
        session.waiting.delete(request);
        if (what !== undefined) this.refuse(session, request, what);
        else if (request === 0n) this.close(session); // An unlock that was not heard.
        return;
      }
      default:
        return;
    }
  }

  private refuse(session: Session, request: bigint, what: Numbered['case']): void {
    const value = { request, status: SyncStatus.EXHAUSTED };
    if (what === 'lock') this.answer(session, { case: 'lockResult', value });
    else if (what === 'wait') this.answer(session, { case: 'waitResult', value });
    else if (what === 'barrier') this.answer(session, { case: 'barrierResult', value });
    else this.answer(session, { case: 'wakeResult', value: { request, woken: 0 } });
  }

  private answer(session: Session, answer: DeskAnswerInit): void {
    if (!session.closing) session.answers.push(answer);
  }

  // What has been answered goes out; who does not take it is let go.
  private flush(): void {
    for (const session of [...this.sessions.values()]) {
      if (session.answers.length > UNTAKEN_MAX) {
        this.close(session);
        continue;
      }
      for (const { first, items } of session.answers.next()) this.say(session, first, items);
    }
  }

  private say(session: Session, first: number, answers: readonly DeskAnswerInit[]): void {
    const { cluster, dataspace, node, number, taker, renewed } = session;
    if (answers.length > 0) session.againAtMs = this.nowMs + AGAIN_MS;
    const { life: home } = this;
    const message = { session: number, home, first, answers, taken: taker.taken, ...renewed, over: false };
    this.actions.push({ type: 'send', to: { cluster, dataspace, node }, message });
  }

  private sayOver({ cluster, dataspace, node }: AskingNode, session: bigint): void {
    const { life: home } = this;
    const message = { session, home, first: 0, answers: [], taken: 0, sentMs: 0, leaseMs: 0, over: true };
    this.actions.push({ type: 'send', to: { cluster, dataspace, node }, message });
  }
}

type AnswerAction = Extract<RelayAction, { type: 'answer' }>;

const keyOf = ({ cluster, dataspace, node }: AskingNode): string => `${cluster} ${dataspace} ${node}`;
