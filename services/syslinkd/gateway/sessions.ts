// The lines to other clusters: one for each, however many were tried. It is told what of each is there, and ends what the policy no
// longer allows.
import type { X509Certificate } from 'node:crypto';
import type { GatewayHello, GatewayMemory } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { EventLog } from '@odonata/rpc/events.ts';
import { FirstOfMinute } from '@odonata/rpc/first-of-minute.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Greetings } from './greetings.ts';
import type { BytesStream } from './metered-stream.ts';
import { fingerprintOf, whyNotPeer } from './peer-certificate.ts';
import { PeerMeter } from './peer-meter.ts';
import type { Policy, Rates } from './policy.ts';
import { shownWords } from './pump.ts';
import type { Relay } from './relay.ts';
import { Session, type SessionEvents } from './session.ts';

/** Lines that are not up yet, of one cluster. */
const GREETING_MAX = 4;
/** Clusters that were met, also such as the policy named once. */
const METERS_MAX = 256;
/** Of a cluster that is no longer in the policy. */
const NO_RATES: Rates = { messages: 1, bytes: 1, circuits: 0, requests: 0 };

export interface SessionsOptions {
  readonly us: { readonly cluster: string; readonly gateway: string };
  readonly policy: () => Policy;
  readonly log: Logger;
  readonly events: EventLog;
  /** What is up, or what is offered, has changed. */
  readonly changed: () => void;
  readonly offered: (peer: string, names: readonly string[]) => void;
  /** What is said of dataspaces, by lines that are up. */
  readonly memory: {
    joined(peer: string): void;
    lost(peer: string): void;
    heard(peer: string, session: Session, word: GatewayMemory['word']): void;
  };
}

/** A line that is to be one. */
export interface Opened {
  readonly peer: string;
  readonly dialled: boolean;
  readonly stream: BytesStream;
  readonly fail: (error: RpcError) => void;
  /** By TLS; of a line that we opened it is there once it is. */
  readonly certificate: () => X509Certificate | undefined;
  readonly them: () => { readonly cluster: string; readonly name: string } | undefined;
}

interface Known {
  readonly session: Session;
  readonly opened: Opened;
}

export class Sessions {
  readonly #o: SessionsOptions;
  readonly #epoch = Date.now();
  readonly #greetings = new Greetings();
  readonly #meters = new Map<string, PeerMeter>();
  readonly #up = new Map<string, Known>();
  readonly #all = new Map<Session, Known>();
  /** Why the last line to a cluster ended, or none came about. */
  readonly #reasons = new Map<string, string>();
  /** Certificates of the last line to each. */
  readonly #fingerprints = new Map<string, string>();
  readonly #lines = new FirstOfMinute();
  #count = 0;
  relay!: Relay;

  constructor(options: SessionsOptions) {
    this.#o = options;
  }

  of(peer: string): Session | undefined {
    return this.#up.get(peer)?.session;
  }

  reasonOf(peer: string): string {
    return this.#reasons.get(peer) ?? '';
  }

  /** Of the certificate of the last line; empty: there was none. */
  fingerprintOf(peer: string): string {
    return this.#fingerprints.get(peer) ?? '';
  }

  meter(peer: string): PeerMeter {
    let meter = this.#meters.get(peer);
    if (meter === undefined) {
      if (this.#meters.size >= METERS_MAX) this.#meters.delete(this.#meters.keys().next().value!);
      meter = new PeerMeter(this.#o.policy().peers.get(peer)?.rates ?? NO_RATES);
      this.#meters.set(peer, meter);
    }
    return meter;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED */
  open(opened: Opened): Session {
    const { peer, dialled, stream, fail, them } = opened;
    const greeting = [...this.#all.values()].filter(
      (known) => known.opened.peer === peer && !known.session.isUp,
    );
    if (greeting.length >= GREETING_MAX) {
      this.meter(peer).rateLimited += 1;
      throw new RpcError(
        Code.ResourceExhausted,
        `${GREETING_MAX} lines of ${peer} have not said who they are`,
      );
    }
    const meter = this.meter(peer);
    this.#count += 1;
    const session = new Session({
      ...{ stream, fail, dialled, them, meter },
      us: { ...this.#o.us, epoch: this.#epoch, session: this.#count },
      rates: () => this.#o.policy().peers.get(peer)?.rates ?? NO_RATES,
      events: this.#events(peer),
    });
    this.#all.set(session, { session, opened });
    return session;
  }

  /** Why no line came about. */
  failed(peer: string, reason: string): void {
    if (!this.#up.has(peer)) this.#reasons.set(peer, shownWords(reason));
  }

  /** Another policy is in force, or time has gone by. */
  look(): void {
    const policy = this.#o.policy();
    for (const { session, opened } of [...this.#all.values()]) {
      const peer = policy.peers.get(opened.peer);
      const certificate = opened.certificate();
      const why =
        peer === undefined
          ? `cluster ${opened.peer} is no longer in the policy`
          : certificate && whyNotPeer(certificate, peer, Date.now());
      if (why !== undefined) session.end(new RpcError(Code.PermissionDenied, why));
    }
    for (const [name, peer] of policy.peers) {
      const meter = this.#meters.get(name);
      if (meter !== undefined) meter.rates = peer.rates;
    }
    for (const known of [this.#reasons, this.#fingerprints])
      for (const name of [...known.keys()]) if (!policy.peers.has(name)) known.delete(name);
  }

  /** Tells each what it may use. */
  offer(): void {
    for (const [peer, { session }] of this.#up) this.#offerTo(peer, session);
  }

  endAll(error: RpcError): void {
    for (const session of [...this.#all.keys()]) session.end(error);
  }

  #offerTo(peer: string, session: Session): void {
    session.offer([...(this.#o.policy().peers.get(peer)?.exports.keys() ?? [])]);
  }

  #events(peer: string): SessionEvents {
    const { log } = this.#o;
    return {
      greeted: (session, hello) => this.#greeted(peer, session, hello),
      up: (session) => this.#isUp(peer, session),
      offered: (session, names) => {
        if (this.of(peer) === session) this.#o.offered(peer, names);
      },
      request: (session, message) => this.relay.request(session, message),
      aborted: (session, msgid) => this.relay.aborted(session, msgid),
      opened: (session, open, circuit) => this.relay.opened(session, open, circuit),
      memory: (session, word) => {
        if (this.of(peer) === session) this.#o.memory.heard(peer, session, word);
      },
      over: (session, reason) => {
        const wasUp = this.of(peer) === session;
        this.#all.delete(session);
        this.relay.over(session);
        if (wasUp) {
          this.#up.delete(peer);
          this.#o.memory.lost(peer);
        }
        this.failed(peer, reason.details);
        if (!wasUp) log.debug({ peer, reason: reason.details }, 'a line to another cluster is over');
        else {
          this.#tell(
            'gateway-down',
            peer,
            `the line to cluster ${peer} is over: ${shownWords(reason.details)}`,
          );
          this.#o.changed();
        }
      },
    };
  }

  /** @throws RpcError ABORTED, ALREADY_EXISTS */
  #greeted(peer: string, session: Session, hello: GatewayHello): void {
    try {
      this.#greetings.expectNew(hello);
    } catch (error) {
      this.meter(peer).droppedHellos += 1;
      throw error;
    }
    const there = this.of(peer);
    if (there !== undefined && there !== session && there.gateway !== hello.gateway)
      throw new RpcError(Code.AlreadyExists, `gateway ${there.gateway} of ${peer} has a line already`);
  }

  #tell(kind: 'gateway-up' | 'gateway-down', peer: string, text: string): void {
    if (this.#lines.count(kind, peer)) this.#o.events.add(kind, text, { peer });
    else this.#o.log.info({ peer }, text);
  }

  /** Both may dial at once: then the line that the cluster with the lesser name opened stays. @throws RpcError ABORTED */
  #isUp(peer: string, session: Session): void {
    const known = this.#all.get(session)!;
    const there = this.#up.get(peer);
    const late = new RpcError(Code.Aborted, 'another line of the same two gateways took its place');
    if (there !== undefined && there.opened.dialled !== known.opened.dialled) {
      const ours = this.#o.us.cluster < peer;
      if (there.opened.dialled === ours) throw late;
    }
    this.#up.set(peer, known);
    this.#reasons.delete(peer);
    const certificate = known.opened.certificate();
    if (certificate !== undefined) this.#fingerprints.set(peer, fingerprintOf(certificate));
    there?.session.end(late);
    if (there !== undefined) this.#o.memory.lost(peer);
    const by = known.opened.dialled ? 'opened here' : 'opened there';
    this.#tell('gateway-up', peer, `the line to gateway ${session.gateway} of cluster ${peer} is up, ${by}`);
    this.#offerTo(peer, session);
    this.#o.memory.joined(peer);
    this.#o.changed();
  }
}
