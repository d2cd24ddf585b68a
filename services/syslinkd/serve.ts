import { randomInt } from 'node:crypto';
import { EventService } from '@odonata/proto/event/v1/event';
import type { AttachRequest, Frame } from '@odonata/proto/syslink/v1/syslink';
import { RouterService } from '@odonata/proto/syslink/v1/syslink';
import { delay } from '@odonata/rpc/backoff.ts';
import { guarded, ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { EventLog } from '@odonata/rpc/events.ts';
import { shownCaller } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { StopHow } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { Metrics } from '@odonata/rpc/metrics.ts';
import { serveMetrics } from '@odonata/rpc/metrics-server.ts';
import { invalidField } from '@odonata/rpc/refusal.ts';
import { SecurityEvents } from '@odonata/rpc/security-events.ts';
import { createRpcServer, failStream, raw } from '@odonata/rpc/server.ts';
import { Outbox } from '@odonata/rpc/syslink/outbox.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { syslinkdMetrics } from './metrics.ts';
import { CONNECTED_LIMIT, type Connection, type Endpoint } from './registry.ts';
import { Router } from './router.ts';

const TICK_MS = 500;
const DRAIN_POLL_MS = 20;
const PAGE_DEFAULT = 100;
const PAGE_MAX = 1000;

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
  const router = new Router({ number: randomInt(2 ** 32), settledAtMs: Date.now() + settleMs });
  let unready = settleMs > 0 ? 'services may not have found it yet' : undefined;
  const connections = new Set<Connection>();
  const gate = new WireGate('syslinkd', log);
  const metrics = new Metrics('syslinkd');
  syslinkdMetrics(metrics, router, connections);
  const events = new EventLog({ service: 'syslinkd', log });
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
      const outbox = new Outbox(call, (error) => connection.end(error));
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
      call.on('data', ({ frames }: AttachRequest) => {
        for (const frame of frames) {
          logRequest(log, peer, frame);
          if (!over) router.receive(connection, frame, Date.now());
        }
      });
      call.on('cancelled', gone);
      call.on('end', () => {
        if (!over) outbox.flushAll();
        gone();
        call.end();
      });
    }),
    listEndpoints: ({ pageSize, pageToken }) => page(router.endpoints(), pageSize, pageToken),
  });
  server.add(EventService, events.handlers());
  const tick = guarded(log, { timer: 'tick' }, () => {
    router.tick(Date.now());
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
      const endMs = Date.now() + (atOnce ? 0 : drainMs);
      while (!router.idle && Date.now() < endMs) await delay(DRAIN_POLL_MS);
      if (!router.idle) log.info({ drainMs }, 'circuits are open after the drain; ending them');
      clearInterval(ticking);
      const error = new RpcError(Code.Unavailable, 'the router stops');
      router.breakAll(error);
      for (const connection of [...connections]) connection.end(error);
      await server.drain(1_000);
      await metricsServer.close();
    },
  };
}

/** A line for each request, so that its id is found at every hop. */
function logRequest(log: Logger, peer: string, { frame }: Frame): void {
  if (!log.isLevelEnabled('debug')) return;
  const request = frame.case === 'circuitOpen' || (frame.case === 'message' && !frame.value.reply);
  if (!request) return;
  const { requestId, proto, to } = frame.value;
  log.debug({ requestId, method: proto, to: to?.name || to?.sysid, peer }, 'routing');
}

/** The page after the endpoint that the token names. */
function page(all: Endpoint[], pageSize: number, pageToken: string) {
  const size = Math.min(pageSize || PAGE_DEFAULT, PAGE_MAX);
  let start = 0;
  if (pageToken !== '') {
    const [sysid, name] = splitToken(pageToken);
    start = all.findIndex((e) => e.name > name || (e.name === name && e.sysid > sysid));
    if (start < 0) start = all.length;
  }
  const endpoints = all.slice(start, start + size);
  const last = endpoints.at(-1);
  return {
    endpoints: endpoints.map(({ sysid, name, kind, session, node, nodeIndex, connection }) => {
      return { sysid, name, kind, session, node, nodeIndex, connected: connection !== undefined };
    }),
    nextPageToken: last !== undefined && start + size < all.length ? `${last.sysid}:${last.name}` : '',
  };
}

function splitToken(pageToken: string): [bigint, string] {
  const match = /^(\d{1,20}):(.*)$/s.exec(pageToken);
  if (match === null) throw invalidField('page_token', `"${pageToken}" is no page token`);
  return [BigInt(match[1]!), match[2]!];
}
