import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  CircuitOpened,
  Endpoint,
  Frame,
  Message,
  NamedEndpoint,
  RegisterSchema,
} from '@odonata/proto/syslink/v1/syslink';
import { RouterService } from '@odonata/proto/syslink/v1/syslink';
import type { RpcChannel } from '../client.ts';
import { createClient, openChannel, openStream } from '../client.ts';
import { Code, fromServiceError, RpcError } from '../error.ts';
import type { TlsFolder } from '../identity/tls-folder.ts';
import type { Logger } from '../log.ts';
import { agreeOnWire, wireSpoken } from '../wire-version.ts';
import type { Circuit } from './circuit.ts';
import { CALLS_LIMIT, errorOf, frame } from './frame.ts';
import { openedFrames } from './frames/frame-stream.ts';
import { type CircuitInit, LineCircuits, type Refusal } from './line-circuits.ts';
import { Outbox } from './outbox.ts';
import type { ServedServices } from './served.ts';

/** Waiting bytes towards the router above which new calls are refused. */
const OUTBOX_BYTES = 64 * 1024 * 1024;
/** The router ends its side when we end ours; where it does not, we do not wait for it. */
const END_MS = 200;
/** Within this a router that has started hears of everybody. */
const SETTLES_MS = 5_000;
export type Settle = (error: RpcError | undefined, reply?: Message) => void;

export interface LineOptions {
  /** Of one router. */
  readonly address: string;
  readonly register: MessageInitShape<typeof RegisterSchema>;
  /** One that is not registered by then is given up. */
  readonly registerMs: number;
  /** What the far ends may call. */
  readonly services: ServedServices;
  readonly log: Logger;
  /** The router did not take a name of ours. */
  readonly onNameRefused?: (name: string, error: RpcError) => void;
  /** Who attaches; this process itself unless told otherwise. */
  readonly folder?: TlsFolder | undefined;
}

/**
 * One stream to one router, and what runs on it: calls that wait for their replies, circuits, calls that are served.
 *
 *     connecting --registered--> open --GoAway--> leaving       what is new takes another line, if there is one
 *         `------------------------`---------------`--the stream breaks, or end()--> over
 */
export class Line {
  readonly address: string;
  readonly #log: Logger;
  readonly #services: ServedServices;
  readonly #channel: RpcChannel;
  readonly #stream: ReturnType<typeof openStream<typeof RouterService.method.attach>>;
  readonly #outbox: Outbox;
  readonly #onNameRefused: LineOptions['onNameRefused'];
  readonly #registered = Promise.withResolvers<boolean>();
  readonly #left = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<RpcError>();
  readonly #waiting = new Map<bigint, Settle>();
  readonly #circuits: LineCircuits;
  /** What this side is. */
  readonly #us: string;
  #endsWhenIdle = false;
  readonly #registerTimer: NodeJS.Timeout;
  /** Our identity at this router. */
  sysid = 0n;
  /** The router's number: the same at two addresses means the same router. */
  router = 0;
  /** The router started lately; it may not know everybody yet. */
  settling = false;
  #registeredMs = Number.NaN;
  /** The router asked us to go elsewhere, or it is over. */
  leaving = false;
  /** It is over, or ends: nothing goes through it any more. */
  ended = false;
  #failure: RpcError | undefined;

  constructor(options: LineOptions) {
    const { address, register, registerMs, services, log, folder } = options;
    this.address = address;
    this.#log = log;
    this.#onNameRefused = options.onNameRefused;
    this.#services = services;
    this.#channel = openChannel(address, { folder });
    this.#stream = openStream(RouterService.method.attach, this.#channel);
    const frames = openedFrames(this.#stream, log, { router: address }, (frames) => {
      for (const received of frames) this.#received(received.frame);
    });
    this.#outbox = new Outbox(frames, () => this.#stream.cancel());
    this.#circuits = new LineCircuits({
      send: (frame, sent, written) => this.#outbox.send(frame, sent, written),
      forgot: () => this.#endIfIdle(),
    });
    this.#registerTimer = setTimeout(() => {
      this.#failure ??= new RpcError(Code.Unavailable, `no answer in ${registerMs} ms`);
      this.#stream.cancel();
    }, registerMs);
    this.#listen();
    this.#us = register.name?.split('/').at(-1) || 'client';
    this.#outbox.send(frame({ case: 'register', value: { ...register, wire: wireSpoken() } }));
  }

  /** Resolves with true once it is registered, with false when it ended before that. */
  get registered(): Promise<boolean> {
    return this.#registered.promise;
  }

  /** It was so when we came, a few seconds ago at most: later what it does not know is not there. */
  get settlesStill(): boolean {
    return this.settling && performance.now() - this.#registeredMs < SETTLES_MS;
  }

  /** Resolves when the router asks us to go elsewhere, or when it is over. */
  get left(): Promise<void> {
    return this.#left.promise;
  }

  /** Resolves when it is over, with the reason. */
  get over(): Promise<RpcError> {
    return this.#over.promise;
  }

  /** Sends a request, whose reply `settle` gets; `settled` before that ends the wait. */
  ask(msgid: bigint, request: Frame, settle: Settle): void {
    if (this.#waiting.size >= CALLS_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, `${CALLS_LIMIT} calls wait already`);
    }
    if (this.#outbox.waitingBytes > OUTBOX_BYTES) {
      throw new RpcError(Code.ResourceExhausted, 'the line to the syslink router is full');
    }
    this.#waiting.set(msgid, settle);
    this.#outbox.send(request);
  }

  settled(msgid: bigint): void {
    this.#waiting.delete(msgid);
    this.#endIfIdle();
  }

  /** Whoever was asked need not answer any more; before `settled`. */
  giveUp(msgid: bigint): void {
    if (this.#waiting.has(msgid)) this.say(frame({ case: 'messageAbort', value: { msgid } }));
  }

  /** About this endpoint itself. */
  say(word: Frame): void {
    if (!this.ended) this.#outbox.send(word);
  }

  /** Bounded by who asked. */
  reply(answer: Frame): void {
    this.#outbox.send(answer);
  }

  /** @param opened the other end took it; asked for only where it is to last */
  openCircuit(init: CircuitInit, opened?: (answer: CircuitOpened) => void): Circuit {
    return this.#circuits.open(init, opened);
  }

  /** A circuit whose way broke goes on over this line. @returns why not, where it does not */
  reopen(circuit: Circuit, init: CircuitInit, attempt: number, waitMs: number): Promise<Refusal | undefined> {
    return this.#circuits.reopen(circuit, init, attempt, waitMs);
  }

  /** What this router knows, all pages. */
  async listEndpoints(): Promise<Endpoint[]> {
    const router = createClient(RouterService, this.#channel, { log: this.#log });
    const endpoints: Endpoint[] = [];
    let pageToken = '';
    do {
      const page = await router.listEndpoints({ pageSize: 1000, pageToken });
      endpoints.push(...page.endpoints);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return endpoints;
  }

  /** Names that endpoints have registered, all pages. @param name only this one */
  async listNames(name: string): Promise<NamedEndpoint[]> {
    const router = createClient(RouterService, this.#channel, { log: this.#log });
    const names: NamedEndpoint[] = [];
    let pageToken = '';
    do {
      const page = await router.listNames({ pageSize: 1000, pageToken, name });
      names.push(...page.names);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return names;
  }

  /** Sends what waits, and ends it. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#outbox.flushAll();
    this.#outbox.close();
    this.#stream.end();
    setTimeout(() => this.#stream.cancel(), END_MS).unref();
  }

  /** Ends it once no call waits and no circuit is open: another line takes what is new. */
  endWhenIdle(): void {
    this.#endsWhenIdle = true;
    this.leaving = true;
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.#endsWhenIdle && this.#waiting.size === 0 && this.#circuits.size === 0) this.end();
  }

  #listen(): void {
    const stream = this.#stream;
    stream.on('error', (error) => {
      this.#failure ??= fromServiceError(error, { path: 'Attach', address: this.address });
    });
    stream.once('status', () => {
      this.#failure ??= new RpcError(Code.Unavailable, 'the syslink router ended the line');
      this.#lost(this.#failure);
    });
  }

  #lost(failure: RpcError): void {
    clearTimeout(this.#registerTimer);
    this.#channel.close();
    this.#outbox.close();
    this.ended = true;
    const error = new RpcError(Code.Unavailable, `the line to the syslink router broke: ${failure.details}`);
    this.#goElsewhere();
    this.#registered.resolve(false);
    this.#circuits.lost(error);
    for (const settle of [...this.#waiting.values()]) settle(error);
    this.#services.abortAll(this, error);
    this.#over.resolve(failure);
  }

  #goElsewhere(): void {
    this.leaving = true;
    this.#left.resolve();
  }

  #received(frame: Frame['frame']): void {
    switch (frame.case) {
      case 'registered':
        clearTimeout(this.#registerTimer);
        try {
          agreeOnWire(`syslinkd at ${this.address}`, frame.value.wire, this.#us);
        } catch (error) {
          this.#failure ??= fromServiceError(error);
          this.#stream.cancel();
          return;
        }
        this.#circuits.windowBytes = frame.value.circuitWindowBytes;
        this.sysid = frame.value.sysid;
        this.router = frame.value.router;
        this.settling = frame.value.settling;
        this.#registeredMs = performance.now();
        this.#registered.resolve(true);
        this.#log.debug({ address: this.address, sysid: this.sysid }, 'registered with the syslink router');
        return;
      case 'goAway':
        this.#goElsewhere();
        this.#circuits.leaving();
        return;
      case 'message': {
        const message = frame.value;
        // A reply that nobody waits for any more is dropped.
        if (message.reply) this.#waiting.get(message.msgid)?.(errorOf(message.status), message);
        else this.#services.message(message, this).catch((error) => this.#bug(error));
        return;
      }
      case 'messageAbort':
        this.#services.abort(frame.value, this);
        return;
      case 'circuitOpen': {
        const circuit = this.#circuits.opens(frame.value, this.#services.lasting);
        if (circuit !== undefined)
          this.#services.circuit(frame.value, circuit, this).catch((error) => this.#bug(error));
        return;
      }
      case 'circuitOpened':
      case 'circuitData':
      case 'circuitWindow':
      case 'circuitClose':
        this.#circuits.received(frame);
        return;
      case 'nameRefused': {
        const { name, status } = frame.value;
        this.#onNameRefused?.(name, errorOf(status) ?? new RpcError(Code.Unknown, 'refused'));
        return;
      }
      default:
        return; // from a newer router
    }
  }

  #bug(error: unknown): void {
    this.#log.fatal({ err: error }, 'bug in syslink');
  }
}
