// How many connections an address has, and how many of them whoever has not said who they are, or one person, may
// take: nobody without a certificate, and nobody with one, fills the places of all others.
import type { ServerHttp2Session } from 'node:http2';
import type { Server, Socket } from 'node:net';
import { type TLSSocket, Server as TlsServer } from 'node:tls';
import { guarded } from './bug.ts';
import { shownHost } from './identity/access-refusal.ts';
import { identityOf, parsedCertificate } from './identity/certificate.ts';
import { formatIdentity, isService, NOBODY } from './identity/identity.ts';
import type { Logger } from './log.ts';
import { RefusalLog } from './refusal-log.ts';
import type { SecurityLog } from './security-log.ts';

/** Of an address, where it has no other bound; more are closed as they come. */
export const CONNECTIONS_MAX = 4_096;
/** A quarter of its places: for connections that are not through their handshake, and as many for one person. */
export const partOf = (connectionsMax: number): number => Math.ceil(connectionsMax / 4);
/** A handshake takes milliseconds; on a machine that is busy, and with a peer far away, some seconds. */
export const HANDSHAKE_MS = 10_000;

export interface ConnectionBounds {
  readonly connectionsMax: number;
  readonly log: Logger;
  readonly security?: SecurityLog | undefined;
  /** Nobody shows a certificate here, as browsers do not: then all are alike, and share the places. */
  readonly withoutCertificates?: boolean;
  /** Less in tests. */
  readonly handshakeMs?: number;
}

/** Where no certificate is asked for, of unix sockets too, all are alike. */
export function boundConnections(server: Server, bounds: ConnectionBounds): void {
  const { connectionsMax, log, security, withoutCertificates, handshakeMs = HANDSHAKE_MS } = bounds;
  const refusals = new RefusalLog(log);
  const refuse = (peer: string, reason: string): void => {
    refusals.add({ method: 'connect', peer, reason });
    security?.refused('connections', peer, `${peer}: ${reason}`, {});
  };
  const refuseFrames = (peer: string, reason: string): void => {
    refusals.add({ method: 'connect', peer, reason });
    security?.refused('http2', peer, `${peer}: ${reason}`, {});
  };
  server.maxConnections = connectionsMax;
  server.on(
    'drop',
    guarded(log, { event: 'drop' }, (about?: { remoteAddress?: string }) =>
      refuse(about?.remoteAddress ?? '', `more than ${connectionsMax} connections`),
    ),
  );
  watchFrames(server, refuseFrames, log);
  if (!(server instanceof TlsServer)) return;
  const most = partOf(connectionsMax);
  boundHandshakes(server, most, handshakeMs, refuse, log);
  if (!withoutCertificates) boundPeople(server, most, refuse, log);
}

/** Node ends connections of such frames itself: floods of resets, settings and pings, headers without end. Here it is told of. */
function watchFrames(server: Server, refuse: Refuse, log: Logger): void {
  server.on(
    'session',
    guarded(log, { event: 'session' }, (session: ServerHttp2Session) => {
      // Later its socket says nothing any more.
      const peer = peerOf(session.socket);
      let streams = { sinceMs: 0, count: 0 };
      session.on('stream', () => {
        const nowMs = performance.now();
        if (nowMs - streams.sinceMs > LAST_MS) streams = { sinceMs: nowMs, count: 0 };
        streams.count += 1;
      });
      session.once(
        'error',
        guarded(log, { event: 'session error' }, ({ code = '', errno, message }: NodeJS.ErrnoException) => {
          if (OF_FRAMES.has(code) && (errno !== AGAINST_PROTOCOL || streams.count > LAST_STREAMS_FEW))
            refuse(peer, `frames that nobody sends who behaves: ${message}`);
        }),
      );
    }),
  );
}

/**
 * NGHTTP2_ERR_PROTO: also of a flood of resets. But Go's gRPC, and so grpcurl, ends each connection by a GOAWAY that is against the
 * protocol (RFC 9113, 6.8: it names a stream that the other side began).
 */
const AGAINST_PROTOCOL = -505;
/** With more streams than that in its last second it is no such end. */
const LAST_STREAMS_FEW = 256;
const LAST_MS = 1_000;
const OF_FRAMES = new Set(['ERR_HTTP2_ERROR', 'ERR_HTTP2_TOO_MANY_INVALID_FRAMES']);

function peerOf(socket: Socket | TLSSocket): string {
  // Asked for as a property: the socket of a session is a proxy, which has it and does not say so.
  const { getPeerCertificate } = socket as Partial<TLSSocket>;
  const { raw } = getPeerCertificate?.call(socket) ?? {};
  const caller = raw && identityOf(parsedCertificate(raw));
  return caller ? formatIdentity(caller) : shownHost(socket.remoteAddress);
}

type Refuse = (peer: string, reason: string) => void;

function boundHandshakes(
  server: Server,
  most: number,
  handshakeMs: number,
  refuse: Refuse,
  log: Logger,
): void {
  /** Not through their handshake, the oldest first; by address and port, which the encrypted socket has as well. */
  const waiting = new Map<string, { socket: Socket; late: NodeJS.Timeout }>();
  const over = (key: string): void => {
    clearTimeout(waiting.get(key)?.late);
    waiting.delete(key);
  };
  const end = (key: string, reason: string): void => {
    const { socket } = waiting.get(key)!;
    refuse(socket.remoteAddress ?? '', reason);
    over(key);
    socket.destroy();
  };
  server.on(
    'connection',
    guarded(log, { event: 'connection' }, (socket: Socket) => {
      const key = keyOf(socket);
      over(key);
      const late = setTimeout(
        guarded(log, { timer: 'handshake' }, () => {
          if (waiting.has(key)) end(key, `no handshake within ${handshakeMs} ms`);
        }),
        handshakeMs,
      ).unref();
      waiting.set(key, { socket, late });
      // A key comes again when its port does.
      socket.once('close', () => waiting.get(key)?.socket === socket && over(key));
      const [oldest] = waiting.keys();
      if (waiting.size > most) end(oldest!, `more than ${most} connections without a handshake`);
    }),
  );
  server.on(
    'secureConnection',
    guarded(log, { event: 'secureConnection' }, (socket: TLSSocket) => over(keyOf(socket))),
  );
}

const keyOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;

/** Services are as many as the cluster has, and trusted with more than this. */
function boundPeople(server: Server, most: number, refuse: Refuse, log: Logger): void {
  const counts = new Map<string, number>();
  server.on(
    'secureConnection',
    guarded(log, { event: 'secureConnection' }, (socket: TLSSocket) => {
      const { raw } = socket.getPeerCertificate();
      const caller = (raw === undefined ? undefined : identityOf(parsedCertificate(raw))) ?? NOBODY;
      if (isService(caller)) return;
      const person = formatIdentity(caller);
      const count = counts.get(person) ?? 0;
      if (count >= most) {
        refuse(person, `more than ${most} connections of one person`);
        socket.destroy();
        return;
      }
      counts.set(person, count + 1);
      socket.once('close', () => {
        const left = counts.get(person)! - 1;
        if (left > 0) counts.set(person, left);
        else counts.delete(person);
      });
    }),
  );
}
