// What crosses: requests and circuits to names, from here to there and from there to here. Each is looked at by the policy of its own
// side where it leaves and where it comes in, counted, and held to what the cluster may; none is kept, and none is sent twice.
import { create } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import type { CircuitOpen, Message, MessageAbort } from '@odonata/proto/syslink/v1/syslink';
import { ConnectRequestSchema } from '@odonata/proto/vkernel/v1/peer';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { isPerson } from '@odonata/rpc/identity/identity.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { decoder, encoder } from '@odonata/rpc/service.ts';
import type { Circuit } from '@odonata/rpc/syslink/circuit.ts';
import { CONNECT, mayCross } from '@odonata/rpc/syslink/crossing.ts';
import { frame, HOP_LIMIT, MESSAGE_DEADLINE_MS, statusInit } from '@odonata/rpc/syslink/frame.ts';
import type { Line } from '@odonata/rpc/syslink/line.ts';
import type { Origin, Relay as RelayOfLine } from '@odonata/rpc/syslink/relay.ts';
import { clusterOf } from '@odonata/syslink/names/name-table.ts';
import { type Asking, Crossings, whyNot } from './crossing.ts';
import type { PeerMeter } from './peer-meter.ts';
import { ownUser, type Policy } from './policy.ts';
import { plain, pump } from './pump.ts';
import type { Session } from './session.ts';

/** In which a program says for whom it connects. */
const START_MS = 10_000;
/** A request of another cluster keeps no longer. */
const DEADLINE_MAX_MS = 10 * 60_000;
/** Numbers of requests, apart from those of other calls on a line. */
const FIRST_MSGID = 1n << 40n;

const readConnect = decoder(ConnectRequestSchema);
const writeConnect = encoder(ConnectRequestSchema);

export interface RelayOptions {
  readonly cluster: string;
  readonly policy: () => Policy;
  /** The line to a cluster, while it is up. */
  readonly session: (peer: string) => Session | undefined;
  readonly meter: (peer: string) => PeerMeter;
  /** To our own routers. @throws RpcError UNAVAILABLE */
  readonly line: () => Line;
  readonly log: Logger;
}

/** A request of ours that waits. */
interface Waiting {
  readonly origin: Origin;
  readonly giveUp: () => void;
}

type Who = { readonly user: string; readonly groups: readonly string[] };

export class Relay implements RelayOfLine {
  readonly crossings = new Crossings();
  readonly #o: RelayOptions;
  /** By who asked. */
  readonly #waiting = new Map<string, Waiting>();
  /** Requests of other clusters, by session and number: how to give them up. */
  readonly #served = new Map<Session, Map<bigint, () => void>>();
  #lastMsgid = FIRST_MSGID;

  constructor(options: RelayOptions) {
    this.#o = options;
  }

  // From here to there.

  message(request: Message, origin: Origin): void {
    const { from, msgid, proto, hopLimit, requestId, caller } = request;
    const key = keyOf(from?.sysid, msgid);
    const answer = (error: RpcError | undefined, reply?: Message): void => {
      this.#waiting.delete(key);
      left?.();
      const body = reply === undefined ? {} : { head: reply.head, bulk: reply.bulk };
      const status = statusInit(error && plain(error));
      origin.reply(
        frame({ case: 'message', value: { to: from, proto, msgid, reply: true, hopLimit, status, ...body } }),
      );
    };
    let left: (() => void) | undefined;
    try {
      if (caller === undefined || !isPerson(caller))
        throw new RpcError(Code.PermissionDenied, 'only people ask so');
      const asking = { ...this.#leaving(request), user: caller.name, groups: caller.groups };
      const session = this.#allowed(asking);
      const asked = { name: asking.name, user: asking.user, proto, hopLimit: hopLimit - 1, requestId };
      const deadlineMs = request.deadlineMs || MESSAGE_DEADLINE_MS;
      const number = session.ask(asked, { ...request, deadlineMs }, answer);
      const giveUp = (): void => session.giveUp(number);
      const end = (error: RpcError): void => {
        giveUp();
        answer(error);
      };
      left = this.crossings.add({ ...asking, end });
      this.#waiting.set(key, { origin, giveUp });
    } catch (error) {
      answer(fromServiceError(error));
    }
  }

  abort({ from, msgid }: MessageAbort, origin: Origin): void {
    const key = keyOf(from?.sysid, msgid);
    const waiting = this.#waiting.get(key);
    if (waiting?.origin !== origin) return;
    waiting.giveUp();
    this.#waiting.delete(key);
    const value = {
      to: from,
      msgid,
      reply: true,
      status: { code: Code.Cancelled, reason: 'cancelled by the caller' },
    };
    origin.reply(frame({ case: 'message', value }));
  }

  lost(origin: Origin): void {
    for (const [key, waiting] of this.#waiting) {
      if (waiting.origin !== origin) continue;
      this.#waiting.delete(key);
      waiting.giveUp();
    }
  }

  circuit(open: CircuitOpen, circuit: Circuit): void {
    this.#leave(open, circuit).catch((error) => circuit.close(plain(fromServiceError(error))));
  }

  async #leave(open: CircuitOpen, circuit: Circuit): Promise<void> {
    const said = circuit.messages();
    const who = open.proto === CONNECT ? await this.#connecting(open, circuit, said) : personOf(open);
    const asking = { ...this.#leaving(open), ...who };
    const session = this.#allowed(asking);
    const { proto, hopLimit, requestId } = open;
    const asked = { name: asking.name, user: asking.user, proto, hopLimit: hopLimit - 1, requestId };
    this.#join({ asking, session, ours: circuit, said, theirs: session.openCircuit(asked) });
  }

  /** For whom a supervisor connects; nobody else may say. @throws RpcError */
  async #connecting(open: CircuitOpen, circuit: Circuit, said: AsyncIterator<Uint8Array>): Promise<Who> {
    const late = new RpcError(Code.DeadlineExceeded, `no word of who connects in ${START_MS} ms`);
    const timer = setTimeout(
      ownTurn({ timer: 'connect' }, () => circuit.close(late)),
      START_MS,
    );
    try {
      const first = await said.next();
      const start = first.done ? undefined : readConnect(first.value).event;
      if (start?.case !== 'start')
        throw new RpcError(Code.InvalidArgument, 'the first request must be a start');
      if (open.caller?.role !== Role.VKERNELD) return personOf(open);
      const { user, groups } = start.value.asker!;
      return { user, groups };
    } finally {
      clearTimeout(timer);
    }
  }

  /** @throws RpcError */
  #leaving({
    to,
    proto,
    hopLimit,
  }: Message | CircuitOpen): Pick<Asking, 'peer' | 'name' | 'inbound' | 'method'> {
    const full = to?.name ?? '';
    const peer = clusterOf(full);
    if (!mayCross(proto))
      throw new RpcError(Code.PermissionDenied, `${proto} does not cross from cluster to cluster`);
    if (hopLimit <= 1) throw new RpcError(Code.FailedPrecondition, 'the hop limit is used up');
    return { peer, name: full.slice(0, -peer.length - 1), inbound: false, method: proto };
  }

  /** @throws RpcError */
  #allowed(asking: Asking): Session {
    const { peer } = asking;
    const refused = whyNot(asking, this.#o.policy());
    if (refused !== undefined) throw refused;
    const session = this.#o.session(peer);
    if (session === undefined) throw tryAgain(Code.Unavailable, `there is no line to cluster ${peer} now`);
    const meter = this.#o.meter(peer);
    if (!meter.messagesOut.tryTake(1, monotonicMs())) {
      meter.rateLimited += 1;
      throw tryAgain(Code.ResourceExhausted, `more requests to cluster ${peer} than its rates allow`);
    }
    meter.sentMessages += 1;
    return session;
  }

  // From there to here.

  request(session: Session, message: Message): void {
    const { msgid, proto, requestId, deadlineMs, head, bulk } = message;
    let left: (() => void) | undefined;
    const answer = (error: RpcError | undefined, reply?: Message): void => {
      left?.();
      this.#served.get(session)?.delete(msgid);
      session.reply(msgid, error && plain(error), reply);
    };
    try {
      const { asking, as, hopLimit } = this.#entering(session, message);
      const line = this.#o.line();
      this.#lastMsgid += 1n;
      const number = this.#lastMsgid;
      const about = {
        proto,
        msgid: number,
        hopLimit,
        requestId,
        deadlineMs: deadlineOf(deadlineMs),
        head,
        bulk,
      };
      const value = { ...about, to: { name: asking.name }, caller: { role: Role.USER, name: as } };
      const giveUp = (): void => line.giveUp(number);
      left = this.crossings.add({
        ...asking,
        end: (error) => {
          giveUp();
          line.settled(number);
          answer(error);
        },
      });
      const served = this.#served.get(session) ?? new Map<bigint, () => void>();
      this.#served.set(session, served.set(msgid, giveUp));
      line.ask(number, frame({ case: 'message', value }), (error, reply) => {
        line.settled(number);
        answer(error, reply);
      });
    } catch (error) {
      answer(fromServiceError(error));
    }
  }

  /** The other cluster gave it up; its answer comes as ever. */
  aborted(session: Session, msgid: bigint): void {
    this.#served.get(session)?.get(msgid)?.();
  }

  opened(session: Session, open: CircuitOpen, theirs: Circuit): void {
    try {
      const { asking, as, hopLimit } = this.#entering(session, open);
      const { proto, requestId } = open;
      const caller = { role: Role.USER, name: as };
      const { name } = asking;
      const ours = this.#o.line().openCircuit({ to: { name }, proto, requestId, caller, hopLimit });
      if (proto === CONNECT) ours.write(startOf(name, as, session));
      this.#join({ asking, session, ours, said: ours.messages(), theirs });
    } catch (error) {
      theirs.close(plain(fromServiceError(error)));
    }
  }

  /** The line to the other cluster is over: nobody waits for what it asked. */
  over(session: Session): void {
    for (const giveUp of this.#served.get(session)?.values() ?? []) giveUp();
    this.#served.delete(session);
  }

  /** @throws RpcError */
  #entering(session: Session, { to, proto, caller, hopLimit }: Message | CircuitOpen) {
    const { cluster: peer } = session.options.them()!;
    const { meter } = session.options;
    const asking: Asking = {
      ...{ peer, name: to?.name ?? '', user: caller?.name ?? '', groups: [], inbound: true, method: proto },
    };
    const policy = this.#o.policy();
    const refused = whyNot(asking, policy);
    if (refused !== undefined) {
      meter.refused += 1;
      this.#o.log.debug({ peer, name: asking.name, user: asking.user, reason: refused.details }, 'refused');
      throw refused;
    }
    if (!meter.messagesIn.tryTake(1, monotonicMs())) {
      meter.rateLimited += 1;
      throw tryAgain(Code.ResourceExhausted, 'more requests than this cluster lets in a second');
    }
    if (hopLimit <= 1) throw new RpcError(Code.FailedPrecondition, 'the hop limit is used up');
    meter.receivedMessages += 1;
    const as = ownUser(policy.peers.get(peer)!, asking.user)!;
    return { asking, as, hopLimit: Math.min(hopLimit - 1, HOP_LIMIT) };
  }

  #join(of: {
    asking: Asking;
    session: Session;
    ours: Circuit;
    /** By ours. */
    said: AsyncIterable<Uint8Array>;
    theirs: Circuit;
  }): void {
    const { asking, session, ours, said, theirs } = of;
    const left = this.crossings.add({
      ...asking,
      end: (error) => {
        ours.close(error);
        theirs.close(error);
      },
    });
    const out = pump(said, ours, theirs, () => session.room());
    const back = pump(theirs.messages(), theirs, ours, () => undefined);
    void Promise.allSettled([out, back]).then(left);
  }
}

const keyOf = (sysid: bigint | undefined, msgid: bigint): string => `${sysid}/${msgid}`;
const deadlineOf = (deadlineMs: number): number =>
  Math.min(deadlineMs || MESSAGE_DEADLINE_MS, DEADLINE_MAX_MS);

/** @throws RpcError */
function personOf({ caller }: CircuitOpen): Who {
  if (caller === undefined || !isPerson(caller))
    throw new RpcError(Code.PermissionDenied, 'only people ask so');
  return { user: caller.name, groups: caller.groups };
}

/** What the supervisor is told is ours: nothing that the other cluster wrote goes with it. */
function startOf(name: string, user: string, session: Session): Uint8Array {
  const asker = {
    node: 0,
    user,
    vkernel: `${session.options.them()?.cluster}/${session.gateway}`,
    groups: [],
  };
  return writeConnect(create(ConnectRequestSchema, { event: { case: 'start', value: { asker, name } } }));
}
