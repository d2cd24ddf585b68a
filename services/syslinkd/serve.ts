import { randomInt } from 'node:crypto';
import { hostname } from 'node:os';
import { EventService } from '@odonata/proto/event/v1/event';
import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { RouterService } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import { guarded, ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import { shownCaller } from '@odonata/rpc/identity/identity.ts';
import { ownFolder } from '@odonata/rpc/identity/own.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { StopHow } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { type CallContext, createRpcServer, failStream, raw } from '@odonata/rpc/server.ts';
import { servedFrames } from '@odonata/rpc/syslink/frames/frame-stream.ts';
import { Outbox } from '@odonata/rpc/syslink/outbox.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { endpointsPage, everybody, namesPage, PAGE_MAX, routesPage, watched } from './endpoint-list.ts';
import { syslinkdMetrics } from './metrics.ts';
import { askerOf, namedEndpoint } from './names.ts';
import type { PeerLine } from './peers/peer-line.ts';
import { Peers } from './peers/peers.ts';
import { CONNECTED_LIMIT, type Connection } from './registry.ts';
import { Router } from './router.ts';

const TICK_MS = 500;
const DRAIN_POLL_MS = 20;

export interface Syslinkd {
  readonly address: string;
  /** Lets circuits end by themselves for the time of the drain; at once: ends them. */
  stop(how?: StopHow): Promise<void>;
}

export interface SyslinkdOptions {
  readonly listen: string;
  /** A unix socket besides; empty or none: no. */
  readonly socket?: string;
  readonly metricsListen?: string;
  /** Where its events outlive it; empty or none: nowhere. */
  readonly eventsFile?: string;
  /** Its name among routers, another one for each; else that of its certificate, or of this host and address. */
  readonly name?: string;
  /** Other routers that it opens lines to: host:port each, with commas between. */
  readonly peers?: string;
  /** It says that it is not ready for so long: services find it meanwhile. */
  readonly settleMs?: number;
  /** What is under way may go on for so long after `stop`. */
  readonly drainMs?: number;
  readonly log: Logger;
  /** Who it is; this process itself unless told otherwise. */
  readonly folder?: TlsFolder;
}

/** Runs a router at an address. */
export async function serveSyslinkd(options: SyslinkdOptions): Promise<Syslinkd> {
  const { log, metricsListen = '', settleMs = 0, drainMs = 0 } = options;
  const number = randomInt(1, 2 ** 32);
  const router: Router = new Router({
    number,
    settledAtMs: Date.now() + settleMs,
    elsewhere: {
      linkTo: (to, from) => peers.linkTo(to, from),
      holders: (name) => peers.holders(name),
      names: () => peers.names(),
    },
  });
  const folder = options.folder ?? ownFolder();
  const peers: Peers = new Peers({
    ...{ router, number, folder, log, peers: options.peers ?? '', epoch: Date.now() },
    name: options.name || nameOf(folder, options.listen, number),
  });
  let unready = settleMs > 0 ? 'services may not have found it yet' : undefined;
  const connections = new Set<Connection>();
  const gate = new WireGate('syslinkd', log);
  const metrics = new Metrics('syslinkd');
  const named = ({ caller, scope }: CallContext, name?: string) => {
    const asker = { ...askerOf(caller), ...(scope === 'all' ? { all: true } : {}) };
    return router.names.list(asker, name).map((holder) => namedEndpoint(holder, peers.name));
  };
  syslinkdMetrics(metrics, router, connections, peers);
  const events = new EventLog({ service: 'syslinkd', log, file: options.eventsFile });
  events.countIn(metrics);
  const security = new SecurityEvents(events);
  security.countIn(metrics);
  const server = createRpcServer({
    name: 'syslinkd',
    log,
    meter: metrics.callMeter(),
    ...{ security, folder: options.folder },
    connectionsMax: CONNECTED_LIMIT + 1_000,
  }).add(RouterService, {
    attach: raw((call, { caller }) => {
      const hear = (frames: readonly Frame[]): void => {
        for (const frame of frames) {
          logRequest(log, peer, frame);
          if (!over) router.receive(connection, frame, Date.now());
        }
      };
      const frames = servedFrames(call, hear, { passes: true });
      const outbox = new Outbox(frames, (error) => connection.end(error));
      const connection: Connection = {
        caller,
        send: (frame, sent) => outbox.send(frame, sent),
        get waitingBytes() {
          return outbox.waitingBytes;
        },
        end(error) {
          if (gate.refused(peer, error) === undefined)
            log.info({ peer, reason: error.message }, 'ending the line of an endpoint');
          outbox.flushAll();
          gone();
          failStream(call, error);
        },
      };
      const peer = call.getPeer();
      let over = false;
      const gone = () => {
        if (over) return;
        over = true;
        outbox.close();
        connections.delete(connection);
        router.disconnected(connection, Date.now());
      };
      connections.add(connection);
      call.on('cancelled', gone);
      call.on('end', () => {
        if (!over) outbox.flushAll();
        gone();
        call.end();
      });
    }),
    peer: raw((call, { caller }) => {
      const fail = (error: RpcError) => {
        gate.refused(address, error);
        failStream(call, error);
      };
      const address = call.getPeer();
      const frames = servedFrames(call, (frames) => line.receive(frames), { passes: true });
      const line: PeerLine = peers.accept(frames, fail, { address, caller });
      connections.add(line.connection);
      void line.ended.then(() => connections.delete(line.connection));
      const lost = () => line.lost(new RpcError(Code.Unavailable, 'the other router ended it'));
      call.on('cancelled', lost);
      call.on('end', () => {
        lost();
        call.end();
      });
    }),
    listEndpoints: ({ pageSize, pageToken }) =>
      endpointsPage(everybody(router.endpoints(), peers.endpoints()), pageSize, pageToken),
    listRoutes: ({ pageSize, pageToken }) => ({
      ...routesPage(peers.routes(), pageSize, pageToken),
      router: peers.name,
    }),
    listNames: ({ pageSize, pageToken, name }, ctx) =>
      namesPage(named(ctx, name || undefined), pageSize, pageToken),
    watchName: ({ name }, ctx) => watched(() => named(ctx, name).slice(0, PAGE_MAX), ctx.signal),
  });
  server.add(EventService, events.handlers());
  const tick = guarded(log, { timer: 'tick' }, () => {
    router.tick(Date.now(), (caller) => server.isRevoked(caller));
    for (const connection of [...connections]) {
      const { caller } = connection;
      if (!server.isRevoked(caller)) continue;
      const who = shownCaller(caller);
      const revoked = new RpcError(Code.Unauthenticated, `the certificate of ${who} was revoked`);
      ownTurn({ timer: 'revoked', who }, () => connection.end(revoked))();
    }
  });
  const ticking = setInterval(tick, TICK_MS);
  server.setServing(unready === undefined);
  const settling = setTimeout(() => {
    unready = undefined;
    server.setServing(true);
  }, settleMs);
  if (options.socket) await server.listen(`unix:${options.socket}`);
  const address = await server.listen(options.listen);
  const metricsServer = await serveMetrics({
    listen: metricsListen,
    metrics,
    notReady: () => unready,
    log,
  });
  return {
    address,
    async stop({ atOnce } = { atOnce: false }) {
      clearTimeout(settling);
      unready = 'it stops';
      server.setServing(false);
      router.drain();
      peers.drain();
      const endMs = Date.now() + (atOnce ? 0 : drainMs);
      while (!router.idle && Date.now() < endMs) await delay(DRAIN_POLL_MS);
      if (!router.idle) log.info({ drainMs }, 'circuits are open after the drain; ending them');
      clearInterval(ticking);
      const error = new RpcError(Code.Unavailable, 'the router stops');
      router.breakAll(error);
      for (const connection of [...connections]) connection.end(error);
      await peers.stop();
      await server.drain(1_000);
      await metricsServer.close();
    },
  };
}

/** Of all lives of this router, and of no other one. */
function nameOf(folder: TlsFolder | undefined, listen: string, number: number): string {
  const certified = folder?.identity.caller.name ?? '*';
  if (certified !== '*') return certified;
  return `${hostname()}/${listen.endsWith(':0') ? number : listen}`;
}

/** A line for each request, so that its id is found at every hop. */
function logRequest(log: Logger, peer: string, { frame }: Frame): void {
  if (!log.isLevelEnabled('debug')) return;
  const request = frame.case === 'circuitOpen' || (frame.case === 'message' && !frame.value.reply);
  if (!request) return;
  const { requestId, proto, to } = frame.value;
  log.debug({ requestId, method: proto, to: to?.name || to?.sysid, peer }, 'routing');
}
