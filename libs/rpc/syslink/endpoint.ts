import { randomInt } from 'node:crypto';
import type { Endpoint, EndpointKind, Frame } from '@odonata/proto/syslink/v1/syslink';
import { RouterService } from '@odonata/proto/syslink/v1/syslink';
import { Backoff, delay } from '../backoff.ts';
import { createClient, openStream } from '../client.ts';
import { Code, fromServiceError, RpcError } from '../error.ts';
import type { Logger } from '../log.ts';
import type { CallMeter } from '../served-call.ts';
import type { AnyService, Client, Handlers } from '../service.ts';
import type { Line, Target } from './calls.ts';
import { Calls } from './calls.ts';
import { Circuit } from './circuit.ts';
import { CIRCUITS_LIMIT, errorOf, frame, HOP_LIMIT } from './frame.ts';
import { Outbox } from './outbox.ts';
import { ServedServices } from './served.ts';

const REGISTER_MS = 10_000;
/** Waiting bytes towards the router above which new calls are refused. */
const OUTBOX_BYTES = 64 * 1024 * 1024;

export interface SyslinkOptions {
  /** The router. */
  readonly address: string;
  /** As `node1/pmapd`; empty for a client. */
  readonly name: string;
  readonly kind: EndpointKind;
  readonly node?: string;
  readonly nodeIndex?: number;
  readonly log: Logger;
  /** Of calls that name none; without it the far end makes one for each. */
  readonly requestId?: string;
  /** Counts the calls that it serves. */
  readonly meter?: CallMeter;
}

/** A place in the cluster that others call by name, and that calls others. It reconnects for ever, until `close`. */
export interface SyslinkEndpoint {
  serve<S extends AnyService>(service: S, handlers: Handlers<S>): SyslinkEndpoint;
  /** Calls go to that endpoint; `close` of the client does nothing. */
  client<S extends AnyService>(service: S, target: Target): Client<S>;
  /** Resolves once registered. UNAVAILABLE after `deadlineMs` (0 or none: waits for ever) or `close`. */
  ready(options?: { deadlineMs?: number; signal?: AbortSignal }): Promise<void>;
  /** True while it is registered. */
  readonly connected: boolean;
  /** What the router knows, all pages. */
  listEndpoints(): Promise<Endpoint[]>;
  /** Its identity once registered. */
  readonly sysid: bigint;
  close(): void;
}

interface Connection {
  readonly outbox: Outbox;
  readonly circuits: Map<bigint, Circuit>;
  windowBytes: number;
}

export function attachSyslink(options: SyslinkOptions): SyslinkEndpoint {
  return new AttachedEndpoint(options);
}

class AttachedEndpoint implements SyslinkEndpoint, Line {
  readonly #options: SyslinkOptions;
  readonly #log: Logger;
  readonly #session = (BigInt(Date.now()) << 10n) + BigInt(randomInt(1024));
  readonly #services: ServedServices;
  readonly #calls: Calls;
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #readyWaiters = new Set<(error?: RpcError) => void>();
  #lastCircuit = -1n;
  #lastFailure: RpcError | undefined;
  sysid = 0n;

  constructor(options: SyslinkOptions) {
    this.#options = options;
    this.#log = options.log.child({ syslink: options.name || 'client' });
    this.#services = new ServedServices(options.log, options.meter);
    this.#calls = new Calls(this, options.requestId);
    this.#run().catch((error) => this.#log.fatal({ err: error }, 'bug in the syslink endpoint'));
  }

  serve<S extends AnyService>(service: S, handlers: Handlers<S>): SyslinkEndpoint {
    this.#services.add(service, handlers);
    return this;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  client<S extends AnyService>(service: S, target: Target): Client<S> {
    return this.#calls.client(service, target);
  }

  ready(options: { deadlineMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { deadlineMs = 0, signal } = options;
    if (this.#connection !== undefined) return Promise.resolve();
    if (this.#closing.signal.aborted) return Promise.reject(this.#noLine());
    return new Promise((resolve, reject) => {
      const done = (error?: RpcError) => {
        this.#readyWaiters.delete(done);
        clearTimeout(timer);
        signal?.removeEventListener('abort', cancel);
        if (error === undefined) resolve();
        else reject(error);
      };
      const cancel = () => done(new RpcError(Code.Cancelled, 'cancelled by the caller'));
      const timer = deadlineMs > 0 ? setTimeout(() => done(this.#noLine()), deadlineMs) : undefined;
      signal?.addEventListener('abort', cancel, { once: true });
      this.#readyWaiters.add(done);
    });
  }

  async listEndpoints(): Promise<Endpoint[]> {
    const router = createClient(RouterService, this.#options.address, { log: this.#log });
    try {
      const endpoints: Endpoint[] = [];
      let pageToken = '';
      do {
        const page = await router.listEndpoints({ pageSize: 1000, pageToken });
        endpoints.push(...page.endpoints);
        pageToken = page.nextPageToken;
      } while (pageToken !== '');
      return endpoints;
    } finally {
      router.close();
    }
  }

  close(): void {
    this.#closing.abort();
    for (const waiter of [...this.#readyWaiters]) waiter(this.#noLine());
  }

  send(frame: Frame): void {
    const { outbox } = this.#line();
    if (outbox.waitingBytes > OUTBOX_BYTES) {
      throw new RpcError(Code.ResourceExhausted, 'the line to the syslink router is full');
    }
    outbox.send(frame);
  }

  openCircuit(to: object, proto: string, requestId: string): Circuit {
    const connection = this.#line();
    if (connection.circuits.size >= CIRCUITS_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, `${CIRCUITS_LIMIT} circuits are open already`);
    }
    this.#lastCircuit += 2n;
    const circuit = this.#circuit(connection, this.#lastCircuit);
    const value = { circuit: circuit.number, to, proto, hopLimit: HOP_LIMIT, requestId };
    connection.outbox.send(frame({ case: 'circuitOpen', value }));
    return circuit;
  }

  #line(): Connection {
    if (this.#connection === undefined) throw this.#noLine();
    return this.#connection;
  }

  #noLine(): RpcError {
    if (this.#closing.signal.aborted) return new RpcError(Code.Unavailable, 'the syslink endpoint is closed');
    const why = this.#lastFailure === undefined ? 'not connected yet' : this.#lastFailure.details;
    return new RpcError(
      Code.Unavailable,
      `no line to the syslink router at ${this.#options.address}: ${why}`,
    );
  }

  #circuit(connection: Connection, number: bigint): Circuit {
    const circuit: Circuit = new Circuit(number, connection.windowBytes, (frame) => {
      if (this.#connection !== connection) return; // its frames would mean nothing on a new line
      connection.outbox.send(frame);
      if (frame.frame.case === 'circuitClose' && !frame.frame.value.half) connection.circuits.delete(number);
    });
    connection.circuits.set(number, circuit);
    return circuit;
  }

  async #run(): Promise<void> {
    const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
    while (!this.#closing.signal.aborted) {
      const failure = await this.#attach(() => backoff.reset());
      if (this.#closing.signal.aborted) break;
      this.#lastFailure = failure;
      // The first failures are a normal start in any order; say it when it lasts.
      const level = backoff.attempts === 5 ? 'warn' : 'debug';
      this.#log[level]({ reason: failure.message }, 'no line to the syslink router; trying on');
      await delay(backoff.nextDelayMs(), this.#closing.signal);
    }
  }

  /** One life of the line; resolves with what ended it. */
  #attach(registered: () => void): Promise<RpcError> {
    const { address, name, kind, node = '', nodeIndex = 0 } = this.#options;
    const stream = openStream(RouterService.method.attach, address);
    const outbox = new Outbox(stream);
    const connection: Connection = { outbox, circuits: new Map(), windowBytes: 0 };
    return new Promise((resolve) => {
      const silent = setTimeout(() => stream.cancel(), REGISTER_MS);
      const close = () => {
        outbox.flushAll();
        stream.end();
        // The router ends its side; where it does not, we do not wait for it.
        setTimeout(() => stream.cancel(), 200).unref();
      };
      this.#closing.signal.addEventListener('abort', close, { once: true });
      let failure: RpcError | undefined;
      stream.on('error', (error) => {
        failure ??= fromServiceError(error);
      });
      stream.once('status', () => {
        clearTimeout(silent);
        this.#closing.signal.removeEventListener('abort', close);
        failure ??= new RpcError(Code.Unavailable, 'the syslink router ended the line');
        this.#lost(connection, failure);
        resolve(failure);
      });
      stream.on('data', (batch) => {
        for (const { frame } of batch.frames) {
          if (frame.case !== 'registered') {
            this.#received(connection, frame);
            continue;
          }
          clearTimeout(silent);
          connection.windowBytes = frame.value.circuitWindowBytes;
          this.sysid = frame.value.sysid;
          this.#connection = connection;
          registered();
          this.#log.debug({ sysid: this.sysid }, 'registered with the syslink router');
          for (const waiter of [...this.#readyWaiters]) waiter();
        }
      });
      outbox.send(
        frame({ case: 'register', value: { name, kind, session: this.#session, node, nodeIndex } }),
      );
    });
  }

  #lost(connection: Connection, failure: RpcError): void {
    connection.outbox.close();
    if (this.#connection === connection) this.#connection = undefined;
    const error = new RpcError(Code.Unavailable, `the line to the syslink router broke: ${failure.details}`);
    for (const circuit of connection.circuits.values()) circuit.closed(error);
    connection.circuits.clear();
    this.#calls.failAll(error);
    this.#services.abortAll(error);
  }

  #received(connection: Connection, frame: Frame['frame']): void {
    switch (frame.case) {
      case 'message': {
        const message = frame.value;
        if (message.reply) {
          this.#calls.reply(message);
          return;
        }
        const reply = (answer: Frame) => {
          if (this.#connection === connection) connection.outbox.send(answer);
        };
        this.#services
          .message(message, reply)
          .catch((error) => this.#log.fatal({ err: error }, 'bug in syslink'));
        return;
      }
      case 'circuitOpen': {
        const circuit = this.#circuit(connection, frame.value.circuit);
        connection.outbox.send(openedFrame(circuit.number));
        this.#services
          .circuit(frame.value, circuit)
          .catch((error) => this.#log.fatal({ err: error }, 'bug in syslink'));
        return;
      }
      case 'circuitData':
        connection.circuits.get(frame.value.circuit)?.received(frame.value.data);
        return;
      case 'circuitWindow':
        connection.circuits.get(frame.value.circuit)?.windowed(frame.value.takenBytes);
        return;
      case 'circuitClose': {
        const circuit = connection.circuits.get(frame.value.circuit);
        if (circuit === undefined) return;
        if (frame.value.half) {
          circuit.halfClosed();
          return;
        }
        connection.circuits.delete(circuit.number);
        circuit.closed(errorOf(frame.value.status));
        return;
      }
      default:
        return; // circuitOpened: we sent on within the window already; others are from a newer router
    }
  }
}

function openedFrame(circuit: bigint): Frame {
  return frame({ case: 'circuitOpened', value: { circuit } });
}
