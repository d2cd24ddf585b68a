// The door's server for machines: one that joins has a token and no certificate, one that belongs to the cluster shows the
// certificate of its vkerneld. All that anybody may send is small, and waited for a short while.
import { X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { Role } from '@odonata/proto/auth/v1/access';
import { ListenError, splitAddress } from '@odonata/rpc/address.ts';
import { guarded } from '@odonata/rpc/bug.ts';
import { callerOfUnchecked } from '@odonata/rpc/identity/caller-of-certificate.ts';
import type { Caller } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { z } from 'zod';
import type { Desk } from './desk.ts';
import { DoorRefusal, joinRequest, lookRequest, PATHS, REQUEST_BYTES_MAX, type Refusal } from './messages.ts';

export const CONNECTIONS_MAX = 512;
/** Joins that are worked on at a time: each takes some milliseconds of signing. */
export const JOINS_MAX = 8;
const HEADERS_BYTES = 8 * 1024;
const HANDSHAKE_MS = 5_000;
const REQUEST_MS = 10_000;
const IDLE_MS = 5_000;

const STATUS: Partial<Record<Refusal, number>> = { BAD_REQUEST: 400, BUSY: 503, BROKEN: 500 };

export interface DoorServerOptions {
  readonly listen: string;
  readonly folder: TlsFolder;
  readonly desk: Desk;
  readonly log: Logger;
  /** Somebody was refused who does not behave. */
  readonly refused: (attempt: string, peer: string, text: string) => void;
}

export interface DoorServer {
  readonly port: number;
  close(): Promise<void>;
}

export async function serveMachines(options: DoorServerOptions): Promise<DoorServer> {
  const { folder, log, listen } = options;
  const server = createServer({
    ...secretsOf(folder),
    // Who joins has none. Whose certificate counts is looked at for each call.
    ...{ requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.3' },
    ...{ handshakeTimeout: HANDSHAKE_MS, maxHeaderSize: HEADERS_BYTES },
    ...{ headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, keepAliveTimeout: IDLE_MS },
  });
  server.maxConnections = CONNECTIONS_MAX;
  const desk = new Counter(options);
  server.on(
    'request',
    guarded(log, { event: 'request' }, (request: IncomingMessage, response: ServerResponse) => {
      void desk.answer(request, response);
    }),
  );
  // What is renewed counts for new connections.
  let told = folder.identity;
  const renewing = setInterval(
    guarded(log, { timer: 'certificates' }, () => {
      if (folder.identity.certificatePem === told.certificatePem) return;
      told = folder.identity;
      server.setSecureContext(secretsOf(folder));
    }),
    2_000,
  ).unref();
  const port = await bind(server, listen);
  log.info({ address: listen }, 'machines may join');
  return {
    port,
    async close() {
      clearInterval(renewing);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function secretsOf({ identity }: TlsFolder) {
  const { certificatePem, authorityPem, keyPem } = identity;
  // The authority, too: whoever joins knows no more of it than its hash.
  return {
    cert: Buffer.concat([certificatePem, Buffer.from('\n'), authorityPem]),
    key: keyPem,
    ca: authorityPem,
  };
}

async function bind(server: Server, listen: string): Promise<number> {
  const { host, port } = splitAddress(listen);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new ListenError(listen, 'listen', error)));
    server.listen({ host, port, ipv6Only: isIP(host) === 6 }, resolve);
  });
  return (server.address() as { port: number }).port;
}

class Counter {
  readonly #o: DoorServerOptions;
  #joins = 0;

  constructor(options: DoorServerOptions) {
    this.#o = options;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const peer = request.socket.remoteAddress ?? 'somebody';
    let status = 200;
    let answer: object;
    try {
      answer = await this.#answerTo(request);
    } catch (error) {
      const known = error instanceof DoorRefusal;
      if (!known)
        this.#o.log.error({ err: error, path: request.url }, 'a request of a machine was not answered');
      const refusal = known ? error.refusal : 'BROKEN';
      const text = known ? error.message : 'the door cannot do that now; its log says why';
      this.#o.log.warn({ peer, path: request.url, refusal, reason: text }, 'refused');
      if (known && refusal !== 'BUSY' && refusal !== 'NOT_IN')
        this.#o.refused('join', peer, `${peer}: ${request.url?.slice(0, 40)}: ${text}`);
      status = STATUS[refusal] ?? 403;
      answer = { error: refusal, text };
      // What is still under way of it is not read.
      if (refusal === 'BAD_REQUEST') response.setHeader('connection', 'close');
    }
    if (response.destroyed) return;
    response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(answer));
  }

  async #answerTo(request: IncomingMessage): Promise<object> {
    const { desk } = this.#o;
    if (request.method !== 'POST') throw new DoorRefusal('BAD_REQUEST', 'only POST is answered');
    switch (request.url) {
      case PATHS.join:
        return await this.#join(await bodyOf(request, joinRequest));
      case PATHS.look: {
        const caller = this.#callerOf(request);
        return await desk.look(caller, await bodyOf(request, lookRequest));
      }
      case PATHS.leave: {
        const caller = this.#callerOf(request);
        request.resume();
        await desk.leave(caller);
        return {};
      }
      default:
        throw new DoorRefusal('BAD_REQUEST', 'there is nothing of that name');
    }
  }

  async #join(request: z.infer<typeof joinRequest>): Promise<object> {
    if (this.#joins >= JOINS_MAX) throw new DoorRefusal('BUSY', 'others join just now');
    this.#joins += 1;
    try {
      return await this.#o.desk.join(request);
    } finally {
      this.#joins -= 1;
    }
  }

  /** The vkerneld of a node. One that was revoked is told so by the desk, so that its machine ends it. @throws DoorRefusal */
  #callerOf({ socket }: IncomingMessage): Caller {
    const raw = (socket as TLSSocket).getPeerCertificate()?.raw;
    if (raw === undefined) throw new DoorRefusal('BAD_REQUEST', 'a node shows its certificate');
    let caller: Caller;
    try {
      const own = { ...this.#o.folder.identity, revoked: new Set<string>() };
      caller = callerOfUnchecked(new X509Certificate(raw), own, Date.now());
    } catch (error) {
      throw new DoorRefusal('BAD_REQUEST', (error as Error).message);
    }
    if (caller.role !== Role.VKERNELD) throw new DoorRefusal('BAD_REQUEST', 'only nodes ask that');
    return caller;
  }
}

/** @throws DoorRefusal for what is too long, or of another form */
async function bodyOf<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > REQUEST_BYTES_MAX)
      throw new DoorRefusal('BAD_REQUEST', `a request is of ${REQUEST_BYTES_MAX} bytes at most`);
    parts.push(part);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch {
    throw new DoorRefusal('BAD_REQUEST', 'it is no JSON');
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DoorRefusal('BAD_REQUEST', `${issue!.path.join('.') || 'it'}: ${issue!.message}`.slice(0, 200));
}
