import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CallerSchema } from '@odonata/proto/auth/v1/access';
import type {
  AddressSchema,
  AttachResponse,
  Endpoint,
  Frame,
  Message,
  NamedEndpoint,
  RegisterSchema,
} from '@odonata/proto/syslink/v1/syslink';
import { RouterService } from '@odonata/proto/syslink/v1/syslink';
import { hear } from '../bug.ts';
import type { RpcChannel } from '../client.ts';
import { createClient, openChannel, openStream } from '../client.ts';
import { Code, fromServiceError, RpcError } from '../error.ts';
import type { TlsFolder } from '../identity/tls-folder.ts';
import type { Logger } from '../log.ts';
import type { TraceContext } from '../trace/context.ts';
import { agreeOnWire, wireSpoken } from '../wire-version.ts';
import { Circuit } from './circuit.ts';
import { CALLS_LIMIT, CIRCUITS_LIMIT, errorOf, frame, HOP_LIMIT } from './frame.ts';
import { Outbox } from './outbox.ts';
import type { ServedServices } from './served.ts';

/** Waiting bytes towards the router above which new calls are refused. */
const OUTBOX_BYTES = 64 * 1024 * 1024;
/** The router ends its side when we end ours; where it does not, we do not wait for it. */
const END_MS = 200;

export type AddressInit = MessageInitShape<typeof AddressSchema>;
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
  readonly #circuits = new Map<bigint, Circuit>();
  #lastCircuit = -1n;
  #windowBytes = 0;
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
    this.#outbox = new Outbox(this.#stream, () => this.#stream.cancel());
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

  /** @param more of a gateway: for whom it asks, and how many routers may still be crossed */
  openCircuit(
    to: AddressInit,
    proto: string,
    requestId: string,
    trace?: TraceContext,
    more: { caller?: MessageInitShape<typeof CallerSchema>; hopLimit?: number } = {},
  ): Circuit {
    if (this.#circuits.size >= CIRCUITS_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, `${CIRCUITS_LIMIT} circuits are open already`);
    }
    this.#lastCircuit += 2n;
    const circuit = this.#circuit(this.#lastCircuit);
    const value = { circuit: circuit.number, to, proto, hopLimit: HOP_LIMIT, requestId, ...more };
    this.#outbox.send(
      frame({ case: 'circuitOpen', value: trace === undefined ? value : { ...value, trace } }),
    );
    return circuit;
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
    hear(stream, this.#log, { router: this.address }, ({ frames }: AttachResponse) => {
      for (const received of frames) this.#received(received.frame);
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
    for (const circuit of this.#circuits.values()) circuit.closed(error);
    this.#circuits.clear();
    for (const settle of [...this.#waiting.values()]) settle(error);
    this.#services.abortAll(this, error);
    this.#over.resolve(failure);
  }

  #goElsewhere(): void {
    this.leaving = true;
    this.#left.resolve();
  }

  #circuit(number: bigint): Circuit {
    const circuit: Circuit = new Circuit(number, this.#windowBytes, (frame, sent) => {
      this.#outbox.send(frame, sent);
      if (frame.frame.case === 'circuitClose' && !frame.frame.value.half) this.#forget(number);
    });
    this.#circuits.set(number, circuit);
    return circuit;
  }

  #forget(circuit: bigint): void {
    this.#circuits.delete(circuit);
    this.#endIfIdle();
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
        this.#windowBytes = frame.value.circuitWindowBytes;
        this.sysid = frame.value.sysid;
        this.router = frame.value.router;
        this.settling = frame.value.settling;
        this.#registered.resolve(true);
        this.#log.debug({ address: this.address, sysid: this.sysid }, 'registered with the syslink router');
        return;
      case 'goAway':
        this.#goElsewhere();
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
        const circuit = this.#circuit(frame.value.circuit);
        this.#outbox.send(openedFrame(circuit.number));
        this.#services.circuit(frame.value, circuit, this).catch((error) => this.#bug(error));
        return;
      }
      case 'circuitData':
        this.#circuits.get(frame.value.circuit)?.received(frame.value.data);
        return;
      case 'circuitWindow':
        this.#circuits.get(frame.value.circuit)?.windowed(frame.value.takenBytes);
        return;
      case 'circuitClose': {
        const circuit = this.#circuits.get(frame.value.circuit);
        if (circuit === undefined) return;
        if (frame.value.half) {
          circuit.halfClosed();
          return;
        }
        circuit.closed(errorOf(frame.value.status));
        this.#forget(circuit.number);
        return;
      }
      case 'nameRefused': {
        const { name, status } = frame.value;
        this.#onNameRefused?.(name, errorOf(status) ?? new RpcError(Code.Unknown, 'refused'));
        return;
      }
      default:
        return; // circuitOpened: we sent on within the window already; others are from a newer router
    }
  }

  #bug(error: unknown): void {
    this.#log.fatal({ err: error }, 'bug in syslink');
  }
}

function openedFrame(circuit: bigint): Frame {
  return frame({ case: 'circuitOpened', value: { circuit } });
}
