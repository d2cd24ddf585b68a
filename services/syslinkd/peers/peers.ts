// The other routers: lines to them, the routes that they tell (libs/syslink/routes), and who is attached there.
import { randomInt } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type {
  Address,
  Endpoint as EndpointMessage,
  Frame,
  KnownRouteSchema,
} from '@odonata/proto/syslink/v1/syslink';
import { EndpointSchema } from '@odonata/proto/syslink/v1/syslink';
import { guarded } from '@odonata/rpc/bug.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { ANYONE, type Caller } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { FrameStream } from '@odonata/rpc/syslink/frames/frame-stream.ts';
import type { Holder } from '@odonata/syslink/names/name-table.ts';
import { NAMES_MAX } from '@odonata/syslink/routes/advertisement.ts';
import { type RouteAction, type RouteEvent, RouteTable } from '@odonata/syslink/routes/route-table.ts';
import type { Elsewhere } from '../elsewhere.ts';
import { namedEndpoint } from '../names.ts';
import type { Endpoint } from '../registry.ts';
import type { Router } from '../router.ts';
import { Dialler } from './dialler.ts';
import { PeerLine } from './peer-line.ts';
import { frameOfMessage, messageOfUpdate } from './route-frames.ts';
import { makeStatement, type RouterStatement, StatementReader } from './statement.ts';

const TICK_MS = 100;
/** Between two statements: loads change all the time. */
const STATE_MS = 250;

export interface PeersOptions {
  readonly router: Router;
  /** The number of this life. */
  readonly number: number;
  readonly name: string;
  readonly epoch: number;
  /** To whom lines are opened; empty: to nobody. */
  readonly peers: string;
  readonly folder: TlsFolder | undefined;
  readonly log: Logger;
}

interface Link {
  readonly line: PeerLine;
  readonly endpoint: Endpoint;
}

export class Peers implements Elsewhere {
  readonly #options: PeersOptions;
  readonly #table: RouteTable<RouterStatement>;
  readonly #reader: StatementReader;
  readonly #links = new Map<number, Link>();
  readonly #dialler: Dialler | undefined;
  /** While there are lines. */
  #ticking: NodeJS.Timeout | undefined;
  #lastLink = 0;
  #sequence = 0;
  #stated: { readonly version: number; readonly by: unknown };
  #statedMs = Number.NEGATIVE_INFINITY;
  #draining = false;
  #saidNameTwice = false;
  /** As it was when lines were last looked at for it. */
  #revoked: ReadonlySet<string> | undefined;

  constructor(options: PeersOptions) {
    const { peers, folder, log } = options;
    this.#options = options;
    this.#reader = new StatementReader(folder);
    this.#stated = this.#now();
    this.#table = new RouteTable(this.#state(), randomInt(2 ** 24));
    this.#dialler =
      peers === ''
        ? undefined
        : new Dialler({
            peers,
            folder,
            log,
            line: (stream, fail, address) => this.#line(stream, fail, { address }),
          });
  }

  /** Another router has opened a line to this one. */
  accept(
    stream: FrameStream,
    fail: (error: RpcError) => void,
    from: { address: string; caller: Caller },
  ): PeerLine {
    return this.#line(stream, fail, from);
  }

  /** Of this router. */
  get name(): string {
    return this.#options.name;
  }

  get counters(): Readonly<RouteTable<RouterStatement>['counters']> {
    return this.#table.counters;
  }

  get lines(): number {
    return this.#links.size;
  }

  /** Routers that can be reached. */
  get reachable(): number {
    return [...this.#table.targets()].filter((router) => this.#table.ways(router).length > 0).length;
  }

  linkTo({ sysid, name }: Address, from: Endpoint): Endpoint | undefined {
    const router = sysid !== 0n ? Number(sysid >> 32n) : this.#table.holderOf(name)?.router;
    if (router === undefined) return undefined;
    for (const { link } of this.#table.ways(router)) {
      const endpoint = this.#links.get(link)?.endpoint;
      if (endpoint !== undefined && endpoint !== from) return endpoint;
    }
    return undefined;
  }

  holders(name?: string): Holder[] {
    const found: Holder[] = [];
    for (const router of this.#table.targets()) {
      const statement = this.#table.statementOf(router);
      if (statement === undefined || statement.named.length === 0) continue;
      const hops = this.#table.ways(router)[0]?.path.length;
      if (hops === undefined) continue;
      for (const named of statement.named)
        if (name === undefined || named.name === name) found.push({ ...named, hops, router: statement.name });
    }
    return found;
  }

  names(): string[] {
    return [...this.endpoints().keys()];
  }

  /** Who is attached to other routers, by name: at the nearest one that has them. */
  endpoints(): Map<string, EndpointMessage> {
    const found = new Map<string, { endpoint: EndpointMessage; hops: number }>();
    for (const router of this.#table.targets()) {
      const [way] = this.#table.ways(router);
      if (way === undefined) continue;
      const hops = way.path.length;
      for (const endpoint of this.#table.statementOf(router)?.endpoints ?? []) {
        const known = found.get(endpoint.name);
        if (known === undefined || hops < known.hops) found.set(endpoint.name, { endpoint, hops });
      }
    }
    return new Map([...found].map(([name, { endpoint }]) => [name, endpoint]));
  }

  /** By name of the target, the best first. */
  routes(): MessageInitShape<typeof KnownRouteSchema>[] {
    const shown = (router: number) => this.#table.statementOf(router)?.name ?? `router ${router}`;
    return [...this.#table.targets()]
      .flatMap((router) =>
        this.#table.ways(router).map(({ path }, at) => ({
          ...{ router, name: shown(router), path: path.map(shown), used: at === 0 },
          endpoints: this.#table.statementOf(router)?.endpoints.length ?? 0,
        })),
      )
      .sort((a, b) => (a.name === b.name ? a.router - b.router : a.name < b.name ? -1 : 1));
  }

  /** It stops soon: nobody is to come to it, or through it. */
  drain(): void {
    this.#draining = true;
    this.#carryOut({ type: 'drain' });
    this.#tick();
  }

  async stop(): Promise<void> {
    clearInterval(this.#ticking);
    for (const { line } of [...this.#links.values()])
      line.end(new RpcError(Code.Unavailable, 'the router stops'));
    await this.#dialler?.stop();
  }

  #line(
    stream: FrameStream,
    fail: (error: RpcError) => void,
    from: { address: string; caller?: Caller },
  ): PeerLine {
    const { number: router, name, log } = this.#options;
    this.#lastLink += 1;
    return new PeerLine({
      ...{ number: this.#lastLink, us: { router, name }, stream, fail, log },
      ...{ dialled: from.caller === undefined, caller: from.caller ?? ANYONE, address: from.address },
      events: {
        up: (line) => this.#up(line),
        received: (line, received) => this.#received(line, received),
        over: (line) => this.#over(line),
      },
    });
  }

  #up(line: PeerLine): void {
    this.#endRevoked();
    const { number: link, neighbour, name, connection, dialled } = line;
    const [refused] = this.#table.step({ type: 'linkUp', link, neighbour });
    if (refused?.type === 'end') throw new RpcError(Code.ResourceExhausted, refused.reason);
    this.#links.set(link, { line, endpoint: this.#options.router.addLink(name, connection, dialled) });
    this.#ticking ??= setInterval(
      guarded(this.#options.log, { timer: 'routes' }, () => this.#tick()),
      TICK_MS,
    );
  }

  #received(line: PeerLine, received: Frame): void {
    const nowMs = Date.now();
    if (received.frame.case !== 'routeUpdate') {
      this.#options.router.receive(line.connection, received, nowMs);
      return;
    }
    const message = messageOfUpdate(received.frame.value, (sealed) => {
      const statement = this.#reader.read(sealed, nowMs);
      this.#lookForTwin(statement);
      return statement;
    });
    if (message !== undefined) this.#carryOut({ type: 'received', link: line.number, message });
  }

  #lookForTwin({ router, name, epoch }: RouterStatement): void {
    const { number, epoch: own, log } = this.#options;
    if (name !== this.#options.name || router === number || epoch < own || this.#saidNameTwice) return;
    this.#saidNameTwice = true;
    log.warn({ name }, 'another router has the same name, and is believed: give each its own (--name)');
  }

  #over(line: PeerLine): void {
    if (!this.#links.delete(line.number)) return;
    this.#table.step({ type: 'linkDown', link: line.number });
    this.#options.router.disconnected(line.connection, Date.now());
    if (this.#links.size > 0) return;
    clearInterval(this.#ticking);
    this.#ticking = undefined;
  }

  /** TLS looks when a line is opened; a router may be revoked while it is up. */
  #endRevoked(): void {
    const revoked = this.#options.folder?.identity.revoked;
    if (revoked === this.#revoked) return;
    this.#revoked = revoked;
    this.#reader.forget();
    for (const { line } of [...this.#links.values()]) {
      const said = this.#table.statementOf(line.neighbour);
      if (said === undefined) continue;
      try {
        this.#reader.expectOwner(said, Date.now());
      } catch (error) {
        line.end(fromServiceError(error));
      }
    }
  }

  #tick(): void {
    this.#endRevoked();
    if (this.#links.size === 0) return;
    const now = this.#now();
    const changed = now.version !== this.#stated.version || now.by !== this.#stated.by;
    const nowMs = monotonicMs();
    if (changed && (this.#draining || nowMs - this.#statedMs >= STATE_MS)) {
      this.#stated = now;
      this.#statedMs = nowMs;
      this.#carryOut({ type: 'stated', statement: this.#state() });
    }
    this.#carryOut({ type: 'tick' });
  }

  /** What a statement is made of. */
  #now() {
    const { router, folder } = this.#options;
    const version = this.#draining ? -1 : router.version;
    return { version, by: folder?.identity.certificate };
  }

  #state(): RouterStatement {
    const { router, number, name, epoch, folder, log } = this.#options;
    this.#sequence += 1;
    const here = this.#draining
      ? []
      : router.endpoints().filter((e) => e.name !== '' && e.connection !== undefined);
    if (here.length > NAMES_MAX)
      log.warn(
        { endpoints: here.length, most: NAMES_MAX },
        'too many endpoints: others hear of the first only',
      );
    const endpoints = here.slice(0, NAMES_MAX).map(({ sysid, name, kind, session, node, nodeIndex }) => {
      return create(EndpointSchema, { sysid, name, kind, session, node, nodeIndex, connected: true });
    });
    const named = this.#draining ? [] : router.names.here().map((holder) => namedEndpoint(holder));
    return makeStatement({ router: number, name, epoch, sequence: this.#sequence, endpoints, named }, folder);
  }

  #carryOut(event: RouteEvent<RouterStatement>): void {
    const ended: Extract<RouteAction<RouterStatement>, { type: 'end' }>[] = [];
    for (const action of this.#table.step(event)) {
      if (action.type === 'end') ended.push(action);
      else this.#links.get(action.link)?.line.connection.send(frameOfMessage(action.message));
    }
    for (const { link, why, reason } of ended) {
      const code = why === 'hostile' ? Code.InvalidArgument : Code.Unavailable;
      this.#links.get(link)?.line.end(new RpcError(code, reason));
    }
  }
}
