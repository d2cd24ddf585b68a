// The server for browsers, behind the guards of the other doors: its places, handshakes that fail or do not come, and who
// neither asks nor reads.
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { join } from 'node:path';
import { boundConnections } from '@odonata/rpc/connection-bounds.ts';
import { watchHandshakes } from '@odonata/rpc/handshakes.ts';
import { SettingError } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { RefusalLog } from '@odonata/rpc/refusal-log.ts';
import type { SecurityLog } from '@odonata/rpc/security-log.ts';

const CONNECTIONS_MAX = 512;
const HEADERS_MS = 10_000;
/** Nothing went either way; a stream of events says something every 15 s. */
const STILL_MS = 60_000;

export interface WebServerBounds {
  readonly log: Logger;
  readonly security: SecurityLog;
  /** Less in tests. */
  readonly connectionsMax?: number;
  readonly handshakeMs?: number;
  readonly headersMs?: number;
  readonly stillMs?: number;
}

/** @param httpsDir with tls.crt and tls.key; empty: HTTP @throws SettingError */
export function makeWebServer(httpsDir: string, bounds: WebServerBounds): Server {
  const { log, connectionsMax = CONNECTIONS_MAX, headersMs = HEADERS_MS, stillMs = STILL_MS } = bounds;
  // How often Node looks for those that are late.
  const looks = { connectionsCheckingInterval: headersMs / 4 };
  const server = httpsDir === '' ? createServer(looks) : createHttps({ ...looks, ...credentials(httpsDir) });
  boundConnections(server, { ...bounds, connectionsMax, withoutCertificates: true });
  watchHandshakes(server, { ...bounds, refusals: new RefusalLog(log) });
  server.headersTimeout = headersMs;
  server.requestTimeout = 2 * headersMs;
  server.keepAliveTimeout = 10_000;
  server.maxRequestsPerSocket = 10_000;
  server.timeout = stillMs;
  return server;
}

function credentials(dir: string) {
  try {
    return { cert: readFileSync(join(dir, 'tls.crt')), key: readFileSync(join(dir, 'tls.key')) };
  } catch (error) {
    throw new SettingError(`--https-dir ${dir}: ${(error as Error).message}; it needs tls.crt and tls.key`);
  }
}
