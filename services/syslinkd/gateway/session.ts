// One line to a gateway of another cluster, whichever of the two opened it.
//
//     dialled:  opened --hello--> (their hello, with our nonce) --confirm--> up --> over
//     accepted: opened (their hello) --hello, with their nonce--> greeted (confirm, with our nonce) --> up --> over
//
// Nothing of the other side is believed: what it sends is metered before it is read, has the form of its .proto, belongs to a request or
// circuit that is there, and stays within windows that are counted here. What breaks a rule ends the line; what comes late is dropped.
import { randomBytes } from 'node:crypto';
import { Role } from '@odonata/proto/auth/v1/access';
import type {
  CircuitOpen,
  Frame,
  GatewayHello,
  GatewayMemory,
  Message,
} from '@odonata/proto/syslink/v1/syslink';
import { FrameSchema } from '@odonata/proto/syslink/v1/syslink';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { decoder } from '@odonata/rpc/service.ts';
import type { Circuit } from '@odonata/rpc/syslink/circuit.ts';
import { errorOf, frame, statusInit } from '@odonata/rpc/syslink/frame.ts';
import { Outbox } from '@odonata/rpc/syslink/outbox.ts';
import { agreeOnWire, wireSpoken } from '@odonata/rpc/wire-version.ts';
import type { WordInit } from './memory/word.ts';
import { type BytesStream, MeteredStream } from './metered-stream.ts';
import type { PeerMeter } from './peer-meter.ts';
import type { Rates } from './policy.ts';
import { SessionCircuits } from './session-circuits.ts';

export const HELLO_MS = 5_000;
export const PING_MS = 2_000;
/** So long without a word ends it. */
export const SILENT_MS = 8_000;
/** Above this what is new waits for the other side to read, or is refused. */
export const FULL_BYTES = 4 * 1024 * 1024;
/** Above this it reads nothing at all. */
const DEAF_BYTES = 32 * 1024 * 1024;

const readFrame = decoder(FrameSchema);

export interface SessionEvents {
  /** The other side has said who it is. @throws RpcError why it is not wanted */
  greeted(session: Session, hello: GatewayHello): void;
  /** @throws RpcError as above */
  up(session: Session): void;
  offered(session: Session, names: readonly string[]): void;
  request(session: Session, message: Message): void;
  aborted(session: Session, msgid: bigint): void;
  /** About dataspaces. */
  memory(session: Session, word: GatewayMemory['word']): void;
  opened(session: Session, open: CircuitOpen, circuit: Circuit): void;
  /** Once, also for one that was never up. */
  over(session: Session, reason: RpcError): void;
}

export interface SessionOptions {
  readonly stream: BytesStream;
  /** Ends the stream. */
  readonly fail: (error: RpcError) => void;
  readonly dialled: boolean;
  readonly us: {
    readonly cluster: string;
    readonly gateway: string;
    readonly epoch: number;
    readonly session: number;
  };
  /** The other side, by its certificate. */
  readonly them: () => { readonly cluster: string; readonly name: string } | undefined;
  readonly meter: PeerMeter;
  readonly rates: () => Rates;
  readonly events: SessionEvents;
}

type Settle = (error: RpcError | undefined, reply?: Message) => void;

/** A request as it goes to the other side. */
export interface Asked {
  readonly name: string;
  readonly user: string;
  readonly proto: string;
  readonly hopLimit: number;
  readonly requestId: string;
}

export class Session {
  readonly options: SessionOptions;
  readonly #stream: MeteredStream;
  readonly #outbox: Outbox;
  readonly #circuits: SessionCircuits;
  readonly #nonce = randomBytes(16);
  readonly #waiting = new Map<bigint, { settle: Settle; untilMs: number }>();
  /** Requests of the other side that are not answered. */
  readonly #owed = new Set<bigint>();
  readonly #room = new Set<() => void>();
  #lastMsgid = 0n;
  #state: 'opened' | 'greeted' | 'up' | 'over' = 'opened';
  #heardMs = monotonicMs();
  #isPaused = false;
  readonly #timers: NodeJS.Timeout[] = [];
  #resuming: NodeJS.Timeout | undefined;
  /** Its gateway, once it has said so. */
  gateway = '';
  /** Of that gateway: each start of it has another one. */
  life = '';
  sinceMs = 0;

  constructor(options: SessionOptions) {
    this.options = options;
    const { stream, meter, dialled, rates } = options;
    this.#stream = new MeteredStream(stream, meter.bytesOut, (bytes) => {
      meter.sentBytes += bytes;
    });
    this.#outbox = new Outbox(this.#stream, (error) => this.end(error));
    this.#circuits = new SessionCircuits({
      firstNumber: dialled ? 1n : 2n,
      send: (word, sent) => this.#send(word, sent),
      most: () => rates().circuits,
      stray: () => {
        meter.strays += 1;
      },
    });
    const silent = new RpcError(Code.Unavailable, `no word of who it is in ${HELLO_MS} ms`);
    const late = ownTurn({ timer: 'hello' }, () => this.#state !== 'up' && this.end(silent));
    this.#timers.push(
      setTimeout(late, HELLO_MS),
      setInterval(
        ownTurn({ timer: 'ping' }, () => this.#ping()),
        PING_MS,
      ),
    );
    if (dialled) this.#hello();
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  get circuits(): number {
    return this.#circuits.size;
  }

  /** Bytes that it has not taken yet. */
  get waitingBytes(): number {
    return this.#outbox.waitingBytes;
  }

  receive(frames: readonly Uint8Array[]): void {
    try {
      this.#pay(
        frames.length,
        frames.reduce((sum, { length }) => sum + length, 0),
      );
      for (const bytes of frames) {
        if (this.#state === 'over') return;
        this.#received(readFrame(bytes).frame);
      }
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      this.end(error);
    }
  }

  /** @throws RpcError RESOURCE_EXHAUSTED @returns the number of the request, for `giveUp` */
  ask({ name, user, ...asked }: Asked, request: Message, settle: Settle): bigint {
    const { requests } = this.options.rates();
    if (this.#waiting.size >= requests || this.waitingBytes > FULL_BYTES)
      throw new RpcError(Code.ResourceExhausted, `as many requests as may wait for this cluster do already`);
    this.#lastMsgid += 1n;
    const msgid = this.#lastMsgid;
    const { deadlineMs, head, bulk } = request;
    this.#waiting.set(msgid, { settle, untilMs: monotonicMs() + deadlineMs });
    const value = {
      ...asked,
      to: { name },
      caller: { role: Role.USER, name: user },
      msgid,
      deadlineMs,
      head,
      bulk,
    };
    this.#send(frame({ case: 'message', value }));
    return msgid;
  }

  giveUp(msgid: bigint): void {
    if (this.#waiting.delete(msgid)) this.#send(frame({ case: 'messageAbort', value: { msgid } }));
  }

  /** Answers a request of the other side. */
  reply(msgid: bigint, error: RpcError | undefined, reply?: Message): void {
    if (!this.#owed.delete(msgid)) return;
    const body = reply === undefined ? {} : { head: reply.head, bulk: reply.bulk };
    this.#send(frame({ case: 'message', value: { msgid, reply: true, status: statusInit(error), ...body } }));
  }

  /** @throws RpcError RESOURCE_EXHAUSTED */
  openCircuit({ name, user, ...asked }: Asked): Circuit {
    return this.#circuits.open({ ...asked, to: { name }, caller: { role: Role.USER, name: user } });
  }

  offer(names: readonly string[]): void {
    this.#send(frame({ case: 'gatewayOffer', value: { names: [...names] } }));
  }

  /** About dataspaces. @param atOnce before all that waits */
  sayOfMemory(word: WordInit, atOnce: boolean): void {
    const said = frame({ case: 'gatewayMemory', value: { word } });
    if (!atOnce) this.#send(said);
    else if (this.isUp) this.#stream.writeNow(said);
  }

  /** Resolves when more may be sent, or when it is over; undefined: now. */
  room(): Promise<void> | undefined {
    if (this.waitingBytes <= FULL_BYTES || this.#state === 'over') return undefined;
    return new Promise((resolve) => this.#room.add(resolve));
  }

  /** Sends what waits, and ends it. */
  end(error: RpcError): void {
    if (this.#state === 'over') return;
    if (this.waitingBytes < DEAF_BYTES) this.#outbox.flushAll();
    this.lost(error);
    this.options.fail(error);
  }

  /** The stream is over. */
  lost(reason: RpcError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#resuming);
    this.#outbox.close();
    this.#stream.close();
    const { cluster = 'the other cluster' } = this.options.them() ?? {};
    const error = new RpcError(Code.Unavailable, `the line to ${cluster} broke: ${reason.details}`);
    this.#circuits.lost(error);
    for (const { settle } of [...this.#waiting.values()]) settle(error);
    this.#waiting.clear();
    this.#owed.clear();
    this.#wake();
    this.options.events.over(this, reason);
  }

  /** What is too much is read later: then the other side waits, and nobody else. */
  #pay(frames: number, bytes: number): void {
    const { meter, stream } = this.options;
    this.#heardMs = monotonicMs();
    meter.receivedBytes += bytes;
    const waitMs = Math.max(
      meter.bytesIn.take(bytes, this.#heardMs),
      meter.framesIn.take(Math.max(1, frames), this.#heardMs),
    );
    if (waitMs === 0 || this.#isPaused) return;
    meter.rateLimited += 1;
    this.#isPaused = true;
    stream.pause();
    const again = ownTurn({ timer: 'rate of a gateway' }, () => {
      this.#isPaused = false;
      this.#heardMs = monotonicMs();
      if (this.#state !== 'over') stream.resume();
    });
    this.#resuming = setTimeout(again, waitMs);
  }

  #ping(): void {
    const nowMs = monotonicMs();
    for (const [msgid, { settle, untilMs }] of this.#waiting) {
      if (untilMs > nowMs) continue;
      this.giveUp(msgid);
      settle(new RpcError(Code.DeadlineExceeded, 'no answer of the other cluster in time'));
    }
    if (!this.#isPaused && nowMs - this.#heardMs > SILENT_MS)
      this.end(new RpcError(Code.Unavailable, `not a word in ${SILENT_MS} ms`));
    else if (this.isUp) this.#stream.writeNow(frame({ case: 'gatewayPing', value: {} }));
  }

  #send(word: Frame, sent?: () => void): void {
    if (this.#state === 'over') return;
    this.#outbox.send(word, () => {
      sent?.();
      if (this.waitingBytes <= FULL_BYTES) this.#wake();
    });
    if (this.waitingBytes > DEAF_BYTES)
      this.end(new RpcError(Code.ResourceExhausted, 'the other gateway does not read'));
  }

  #wake(): void {
    for (const resolve of [...this.#room]) resolve();
    this.#room.clear();
  }

  #hello(echo?: Uint8Array): void {
    const { cluster, gateway, epoch, session } = this.options.us;
    const said = { cluster, gateway, epoch: BigInt(epoch), session: BigInt(session), nonce: this.#nonce };
    const value = { ...said, echo: echo ?? new Uint8Array(), wire: wireSpoken() };
    this.#send(frame({ case: 'gatewayHello', value }));
  }

  /** @throws RpcError */
  #received(received: Frame['frame']): void {
    if (this.#state === 'opened') this.#greet(received);
    else if (this.#state === 'greeted') this.#confirm(received);
    else this.#step(received);
  }

  #greet(received: Frame['frame']): void {
    const { dialled, events, meter } = this.options;
    if (received.case !== 'gatewayHello')
      throw new RpcError(Code.InvalidArgument, 'the first frame must say which gateway it is');
    const hello = received.value;
    const them = this.options.them();
    const isThem = hello.cluster === them?.cluster && (them.name === '*' || hello.gateway === them.name);
    if (!isThem || hello.nonce.length === 0)
      throw new RpcError(
        Code.PermissionDenied,
        `gateway ${them?.name} of ${them?.cluster} may not speak for "${hello.gateway}" of "${hello.cluster}"`,
      );
    agreeOnWire(`gateway ${hello.gateway} of ${hello.cluster}`, hello.wire, 'gateway');
    this.gateway = hello.gateway;
    this.life = `${hello.gateway}-${hello.epoch}`;
    if (dialled && !this.#nonce.equals(hello.echo)) {
      meter.droppedHellos += 1;
      throw new RpcError(Code.Aborted, 'the hello answers another one than ours');
    }
    events.greeted(this, hello);
    if (dialled) {
      this.#send(frame({ case: 'gatewayConfirm', value: { echo: hello.nonce } }));
      this.#isNowUp();
    } else {
      this.#state = 'greeted';
      this.#hello(hello.nonce);
    }
  }

  #confirm(received: Frame['frame']): void {
    if (received.case === 'gatewayConfirm' && this.#nonce.equals(received.value.echo)) {
      this.#isNowUp();
      return;
    }
    this.options.meter.droppedHellos += 1;
    throw new RpcError(Code.Aborted, 'the word of another session, where our hello was to be confirmed');
  }

  #isNowUp(): void {
    this.#state = 'up';
    this.sinceMs = Date.now();
    this.options.events.up(this);
  }

  #step(received: Frame['frame']): void {
    const { events, meter } = this.options;
    if (this.#circuits.receive(received)) return;
    switch (received.case) {
      case 'message':
        if (received.value.reply) this.#replied(received.value);
        else this.#asked(received.value);
        return;
      case 'messageAbort':
        if (this.#owed.has(received.value.msgid)) events.aborted(this, received.value.msgid);
        else meter.strays += 1;
        return;
      case 'circuitOpen': {
        const circuit = this.#circuits.accept(received.value);
        if (circuit === undefined) meter.rateLimited += 1;
        else events.opened(this, received.value, circuit);
        return;
      }
      case 'gatewayOffer':
        events.offered(this, received.value.names);
        return;
      case 'gatewayMemory':
        events.memory(this, received.value.word);
        return;
      case 'gatewayPing':
        return;
      case undefined:
        meter.strays += 1; // of a later version
        return;
      default:
        throw new RpcError(Code.InvalidArgument, `unexpected frame: ${received.case}`);
    }
  }

  #replied(reply: Message): void {
    const waiting = this.#waiting.get(reply.msgid);
    if (waiting === undefined) {
      this.options.meter.strays += 1;
      return;
    }
    this.#waiting.delete(reply.msgid);
    waiting.settle(errorOf(reply.status), reply);
  }

  #asked(message: Message): void {
    const { events, meter, rates } = this.options;
    if (this.#owed.has(message.msgid))
      throw new RpcError(Code.InvalidArgument, `request ${message.msgid} is under way already`);
    const isFull = this.#owed.size >= rates().requests;
    this.#owed.add(message.msgid);
    if (!isFull) {
      events.request(this, message);
      return;
    }
    meter.rateLimited += 1;
    this.reply(message.msgid, new RpcError(Code.ResourceExhausted, 'too many requests wait already'));
  }
}
