// The door for browsers: who says nothing, does not come through a handshake or does not read takes nobody's place for long.
import { once } from 'node:events';
import type { Server } from 'node:http';
import { request } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { TestAuthority } from '@odonata/authority/testing.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { makeWebServer } from './web-server.ts';

const PLACES = 16;
const authority = new TestAuthority();
const refused: string[] = [];
const sockets: Socket[] = [];
let server: Server;
let port: number;

beforeAll(async () => {
  const { dir } = await authority.folder('syslinkd/console');
  const security = {
    refused: (attempt: string, _peer: string, text: string) => refused.push(attempt, text),
  };
  const short = { connectionsMax: PLACES, handshakeMs: 1_000, headersMs: 800, stillMs: 1_500 };
  server = makeWebServer(dir, { log: silentLog(), security, ...short });
  server.on('request', (asked, answer) =>
    answer.end(asked.url === '/large' ? Buffer.alloc(64 << 20) : 'here'),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  port = (server.address() as AddressInfo).port;
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  refused.length = 0;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  authority.remove();
});

function kept<T extends Socket>(socket: T): T {
  sockets.push(socket);
  socket.on('error', () => {});
  return socket;
}

async function plain(): Promise<Socket> {
  const socket = kept(connect(port, '127.0.0.1'));
  await once(socket, 'connect');
  return socket;
}

async function shaken(): Promise<TLSSocket> {
  const socket = kept(connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }));
  await once(socket, 'secureConnect');
  return socket;
}

const served = () =>
  new Promise<number | undefined>((resolve, reject) => {
    request({ port, host: '127.0.0.1', rejectUnauthorized: false, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    })
      .on('error', reject)
      .end();
  });

test('more silent connections than there are places keep nobody out', async () => {
  for (let i = 0; i < 3 * PLACES; i++) await plain();
  expect(await served()).toBe(200);
  expect(refused.join()).toContain('more than 4 connections without a handshake');
});

test('a handshake that does not come, and one that fails, are ended and told', async () => {
  const silent = await plain();
  const wrong = await plain();
  wrong.write('GET / HTTP/1.1\r\n\r\n');
  await Promise.all([once(silent, 'close'), once(wrong, 'close')]);
  expect(refused.join()).toContain('no handshake within 1000 ms');
  expect(refused).toContain('handshake');
});

test('browsers show no certificate, and together have all places; more are refused and told', async () => {
  for (let i = 0; i < PLACES; i++) await shaken();
  await expect(served()).rejects.toThrow();
  expect(refused.join()).toContain(`more than ${PLACES} connections`);
});

test('who asks nothing after the handshake, and who does not read the answer, is ended', async () => {
  const asksNothing = await shaken();
  const reads = await shaken();
  reads.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n');
  reads.pause();
  asksNothing.resume();
  await once(asksNothing, 'close');
  const connections = () =>
    new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)));
  await expect.poll(connections, { timeout: 10_000 }).toBe(0);
});
