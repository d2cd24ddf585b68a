// Handshakes of TLS that fail: with no certificate, one of another authority, one that is over. No call begins then, so
// nobody else would tell of them.
import type { Server, Socket } from 'node:net';
import { type TLSSocket, Server as TlsServer } from 'node:tls';
import { guarded } from './bug.ts';
import { shownHost } from './identity/access-refusal.ts';
import type { Logger } from './log.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { SecurityLog } from './security-log.ts';

export function watchHandshakes(
  server: Server,
  about: { log: Logger; refusals: RefusalLog; security?: SecurityLog | undefined },
): void {
  if (!(server instanceof TlsServer)) return;
  const { log, refusals, security } = about;
  // Its socket says nothing of where it came from once it is gone.
  const hosts = new WeakMap<object, string>();
  server.prependListener(
    'connection',
    guarded(log, { event: 'connection' }, (socket: Socket) => {
      hosts.set(socket, shownHost(socket.remoteAddress));
    }),
  );
  server.on(
    'tlsClientError',
    guarded(log, { event: 'tlsClientError' }, (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      const reason = reasonOf(error, socket);
      if (reason === undefined) return;
      const parent = (socket as unknown as { _parent?: object })._parent;
      const peer = (parent && hosts.get(parent)) ?? shownHost(socket.remoteAddress);
      refusals.add({ method: 'handshake', peer, reason });
      security?.refused('handshake', peer, `${peer}: a handshake of TLS failed: ${reason}`, {});
    }),
  );
}

/** Undefined of who only looks whether somebody listens: a probe, which says nothing and closes. */
function reasonOf({ code, message }: NodeJS.ErrnoException, socket: TLSSocket): string | undefined {
  // Of Node: an error, or the code of one where it is as in its documentation.
  const { authorizationError } = socket as { authorizationError?: Error | string | null };
  if (authorizationError) return `its certificate does not count: ${String(authorizationError)}`;
  if (code === 'ECONNRESET') return socket.bytesRead === 0 ? undefined : 'it went away';
  return code ?? message;
}
