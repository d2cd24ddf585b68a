import { randomInt } from 'node:crypto';
import { type Endpoint, EndpointKind, type NamedEndpoint } from '@odonata/proto/syslink/v1/syslink';
import { Code, fromServiceError, RpcError } from '../error.ts';
import type { TlsFolder } from '../identity/tls-folder.ts';
import type { Logger } from '../log.ts';
import { isRefusal } from '../refusal.ts';
import type { SecurityLog } from '../security-log.ts';
import type { CallMeter } from '../served-call.ts';
import type { AnyService, Client, Handlers } from '../service.ts';
import { attachToAll } from './attach-all.ts';
import { attachToOne } from './attach-one.ts';
import type { Target } from './calls.ts';
import { Calls } from './calls.ts';
import { Line } from './line.ts';
import type { Lines } from './lines.ts';
import { type NameOptions, type OwnName, OwnNames } from './own-names.ts';
import type { Relay } from './relay.ts';
import { type EndpointResumptions, noResumptions } from './resumptions.ts';
import { hasNames, resolveRouters } from './routers.ts';
import { ServedServices } from './served.ts';

/** How often names are looked up, for routers that come and go. */
const LOOK_UP_MS = 5_000;

export interface SyslinkOptions {
  /**
   * The routers, `host:port` each, with commas between; a name may stand for several (a headless service). A client
   * attaches to any one of them, all others to each of them.
   */
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
  /** Hears of messages that it serves and that were refused as they came in. */
  readonly security?: SecurityLog;
  /** Who attaches; this process itself unless told otherwise. */
  readonly folder?: TlsFolder | undefined;
  /** Gets what is asked of names of other clusters that it has registered. */
  readonly relay?: Relay;
}

/** A place in the cluster that others call by name, and that calls others. It reconnects for ever, until `close`. */
export interface SyslinkEndpoint {
  serve<S extends AnyService>(service: S, handlers: Handlers<S>): SyslinkEndpoint;
  /** Calls go to that endpoint; `close` of the client does nothing. */
  client<S extends AnyService>(service: S, target: Target): Client<S>;
  /**
   * Resolves once registered with a router. UNAVAILABLE after `deadlineMs` (0 or none: waits for ever) or `close`.
   */
  ready(options?: { deadlineMs?: number; signal?: AbortSignal }): Promise<void>;
  /** True while it is registered with a router. */
  readonly connected: boolean;
  /** That one has just started: it may not know everybody yet. */
  readonly settling: boolean;
  /** Answers to a name, too, at every router that it is attached to: SCOPE:NAME, of a person, or :NAME (docs/syslink.md). */
  register(name: string, options?: NameOptions): OwnName;
  /** What the router that calls go through knows, all pages. */
  listEndpoints(): Promise<Endpoint[]>;
  /** Names that endpoints have registered and we may use. @param name only this one; empty: all */
  listNames(name: string): Promise<NamedEndpoint[]>;
  /** Why it has no line, where that is for its version of the wire: for readiness. */
  readonly refusal: string | undefined;
  /** Its identity at that router; it has another one at each. */
  readonly sysid: bigint;
  close(): void;
  /** Of circuits that last. */
  readonly resumptions: EndpointResumptions;
  /** For what is passed on as it is, by a gateway. @throws RpcError UNAVAILABLE while there is none */
  line(): Line;
}

export function attachSyslink(options: SyslinkOptions): SyslinkEndpoint {
  return new AttachedEndpoint(options);
}

class AttachedEndpoint implements SyslinkEndpoint {
  readonly #address: string;
  readonly #services: ServedServices;
  readonly #calls: Calls;
  readonly #closing = new AbortController();
  readonly #lines = new Set<Line>();
  /** For calls. */
  readonly #adopted = new Set<Line>();
  readonly #names = new OwnNames(() => this.#adopted);
  readonly #readyWaiters = new Set<(error?: RpcError) => void>();
  #lastFailure: RpcError | undefined;
  readonly resumptions: EndpointResumptions;

  constructor(options: SyslinkOptions) {
    const { address, name, kind, node = '', nodeIndex = 0, folder } = options;
    const log = options.log.child({ syslink: name || 'client' });
    this.#address = address;
    this.#services = new ServedServices(options, folder);
    this.resumptions = { opened: noResumptions(), served: this.#services.lasting.resumptions };
    this.#calls = new Calls(this.#asLines(), options.requestId);
    const session = (BigInt(Date.now()) << 10n) + BigInt(randomInt(1024));
    const register = { name, kind, session, node, nodeIndex };
    const attach = kind === EndpointKind.CLIENT ? attachToOne : attachToAll;
    attach({
      routers: () => resolveRouters(address),
      lookUpMs: hasNames(address) ? LOOK_UP_MS : 0,
      log,
      closing: this.#closing.signal,
      open: (router, registerMs) =>
        this.#opened(
          new Line({
            ...{ address: router, register, registerMs, services: this.#services, log, folder },
            onNameRefused: (name, error) => this.#names.refused(name, error),
          }),
        ),
      adopt: (line) => {
        this.#adopted.add(line);
        this.#names.tell(line);
        for (const waiter of [...this.#readyWaiters]) waiter();
      },
      allFailed: () => {
        // To wait on would only hide why.
        if (isRefusal(this.#lastFailure))
          for (const waiter of [...this.#readyWaiters]) waiter(this.#noLine());
      },
      failed: (error) => {
        this.#lastFailure = fromServiceError(error);
      },
    }).catch((error) => log.fatal({ err: error }, 'bug in the syslink endpoint'));
  }

  serve<S extends AnyService>(service: S, handlers: Handlers<S>): SyslinkEndpoint {
    this.#services.add(service, handlers);
    return this;
  }

  register(name: string, options: NameOptions = {}): OwnName {
    return this.#names.register(name, options);
  }

  get connected(): boolean {
    return this.#best() !== undefined;
  }

  get settling(): boolean {
    return this.#best()?.settlesStill === true;
  }

  get refusal(): string | undefined {
    return !this.connected && isRefusal(this.#lastFailure) ? this.#lastFailure?.details : undefined;
  }

  get sysid(): bigint {
    return this.#best()?.sysid ?? 0n;
  }

  client<S extends AnyService>(service: S, target: Target): Client<S> {
    return this.#calls.client(service, target);
  }

  ready(options: { deadlineMs?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { deadlineMs = 0, signal } = options;
    if (this.connected) return Promise.resolve();
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
    return await this.line().listEndpoints();
  }

  async listNames(name: string): Promise<NamedEndpoint[]> {
    return await this.line().listNames(name);
  }

  close(): void {
    this.#closing.abort();
    this.#names.stop();
    this.#services.lasting.close(this.#noLine());
    for (const line of this.#lines) line.end();
    for (const waiter of [...this.#readyWaiters]) waiter(this.#noLine());
  }

  line(): Line {
    const line = this.#best();
    if (line === undefined) throw this.#noLine();
    return line;
  }

  /** For what this end opens. */
  #asLines(): Lines {
    return {
      line: () => this.line(),
      all: () => this.#all(),
      ready: (options) => this.ready(options),
      resumptions: this.resumptions.opened,
      closing: this.#closing.signal,
    };
  }

  #all(): readonly Line[] {
    const lines = [...this.#adopted].filter(({ ended }) => !ended);
    const staying = lines.filter(({ leaving }) => !leaving);
    return staying.length > 0 ? staying : lines;
  }

  #best(): Line | undefined {
    return this.#all()[0];
  }

  #opened(line: Line): Line {
    this.#lines.add(line);
    line.over.then((failure) => {
      this.#lines.delete(line);
      this.#adopted.delete(line);
      this.#lastFailure = failure;
    });
    return line;
  }

  #noLine(): RpcError {
    if (this.#closing.signal.aborted) return new RpcError(Code.Unavailable, 'the syslink endpoint is closed');
    if (this.#lastFailure !== undefined && isRefusal(this.#lastFailure)) return this.#lastFailure;
    const why = this.#lastFailure === undefined ? 'not connected yet' : this.#lastFailure.details;
    return new RpcError(Code.Unavailable, `no line to the syslink router at ${this.#address}: ${why}`);
  }
}
