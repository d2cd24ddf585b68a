// The door itself, over its own HTTPS: whom it lets in, whom not, and what is left of either. No process but this one.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as https } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect as tlsConnect } from 'node:tls';
import { Authority } from '@odonata/authority/authority.ts';
import { newRequest } from '@odonata/authority/certificates.ts';
import { tlsDirOf } from '@odonata/client/local/identity-folder.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { identityOf } from '@odonata/rpc/identity/certificate.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { WIRE } from '@odonata/rpc/wire-version.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { authorityDir, callerOf } from '../cluster/certificates.ts';
import { readNodes } from '../cluster/nodes-file.ts';
import { tellServices } from '../cluster/people.ts';
import type { ClusterPlan } from '../cluster/record.ts';
import { authorityAt, DoorClient } from '../machine/door-client.ts';
import { leave, look } from '../machine/link.ts';
import { Desk } from './desk.ts';
import { type DoorServer, serveMachines } from './https.ts';
import { formatJoinToken, type JoinToken, newJoinToken, parseJoinToken, pinOf } from './join-token.ts';
import { type JoinRequest, joinAnswer, PATHS, REQUEST_BYTES_MAX } from './messages.ts';
import { TOKENS_MAX, TokenBook } from './token-book.ts';

const stateDir = mkdtempSync(join(tmpdir(), 'odonata-door-test-'));
const plan = {
  ...{
    cluster: 'many',
    stateDir,
    runtimeDir: '/run/x',
    memoryDir: '/dev/shm/x',
    logLevel: 'warn',
    allowDirs: [],
  },
  nodes: [{ name: 'node1', index: 1 }],
  ports: { syslinkd: [1], door: 2, nats: 3, cohd: [4], pmapd: [5], vkerneld: [6] },
  host: '127.0.0.1',
} satisfies ClusterPlan;
let nowMs = Date.now();
let server: DoorServer;
let tokens: TokenBook;
let ca: string;
let pin: string;
let address: string;
const happened: string[] = [];
const refused: string[] = [];

beforeAll(async () => {
  const authority = await Authority.in(authorityDir(plan), plan.cluster);
  const own = tlsDirOf(plan, 'door', 'door');
  await authority.issue(callerOf(plan, 'door', 'door'), own, { days: 1 });
  await authority.issue(callerOf(plan, 'cohd', 'cohd'), tlsDirOf(plan, 'cohd', 'cohd'), { days: 1 });
  tellServices(plan);
  ca = readFileSync(authority.certificateFile, 'utf8');
  pin = pinOf(new X509Certificate(ca).raw);
  tokens = new TokenBook(plan);
  const desk = new Desk({
    ...{ plan, tokens, log: silentLog(), nowMs: () => nowMs },
    waitingFor: async () => [],
    happened: (kind, line) => happened.push(`${kind} ${line}`),
  });
  server = await serveMachines({
    ...{ listen: '127.0.0.1:0', folder: new TlsFolder(own), desk, log: silentLog() },
    refused: (_, __, line) => refused.push(line),
  });
  address = `127.0.0.1:${server.port}`;
});
afterAll(async () => {
  await server.close();
  rmSync(stateDir, { recursive: true });
});

function token(ttlMs = 60_000, usesLeft = 1): JoinToken {
  const made = newJoinToken(server.port, pin);
  tokens.add(made, { by: 'admin root', madeMs: nowMs, untilMs: nowMs + ttlMs, usesLeft });
  return made;
}

async function asking({ id, secret }: JoinToken, more: Partial<JoinRequest> = {}) {
  const keys = { pmapd: await newRequest(), vkerneld: await newRequest() };
  const request: JoinRequest = {
    ...{ version: 1, id, secret, address: '127.0.0.9:7431', nowMs, wire: WIRE, release: 'test' },
    requests: { pmapd: keys.pmapd.requestPem, vkerneld: keys.vkerneld.requestPem },
    ...more,
  };
  return { keys, request };
}

async function post(request: object, path: string = PATHS.join) {
  const client = new DoorClient({ address, ca });
  try {
    return await client.post(path, request, joinAnswer);
  } finally {
    client.close();
  }
}
const join1 = async (by: JoinToken, more?: Partial<JoinRequest>) => post((await asking(by, more)).request);

/** The node that came in, as its machine speaks later. */
async function comeIn(more?: Partial<JoinRequest>) {
  const { keys, request } = await asking(token(), more);
  const { node, certificates, ...rest } = await post(request);
  const identity = { cert: Buffer.from(certificates.vkerneld), key: Buffer.from(keys.vkerneld.keyPem) };
  return { node, certificates, rest, client: new DoorClient({ address, ca, identity }) };
}
const LOOK = { state: 'ready', address: '127.0.0.9:7431', release: '0.2.0', load: 1, processors: 2 } as const;
const refusal = (is: string) => expect.objectContaining({ refusal: is });

it('a token as text is whole or none', () => {
  const made = newJoinToken(7412, pin);
  const said = formatJoinToken(made);
  expect(parseJoinToken(said)).toEqual(made);
  for (const bad of [
    '',
    'odo1.',
    said.slice(0, -1),
    said.replace(/.$/, (c) => (c === 'A' ? 'B' : 'A')),
    `x${said}`,
  ])
    expect(parseJoinToken(bad), bad).toBeUndefined();
});

it('lets a machine in once by a token, as two services of one node and nobody else', async () => {
  const by = token();
  const { keys, request } = await asking(by);
  const { node, certificates, cluster, routers, nats, directories, natsUser } = await post(request);
  expect({ node, cluster, routers, nats, directories, natsUser }).toEqual({
    ...{ node: { name: 'node2', index: 2 }, cluster: 'many', routers: '127.0.0.1:1', nats: '127.0.0.1:3' },
    ...{ directories: ['127.0.0.1:4'], natsUser: 'pmapd-node2' },
  });
  for (const role of ['pmapd', 'vkerneld'] as const) {
    const certificate = new X509Certificate(certificates[role]);
    expect(identityOf(certificate)).toMatchObject({
      ...{ cluster: 'many', name: 'node2', role: role === 'pmapd' ? Role.PMAPD : Role.VKERNELD },
    });
    expect(certificate.checkPrivateKey(createPrivateKey(keys[role].keyPem))).toBe(true);
    expect(certificate.ca).toBe(false);
  }
  // The answer got lost: the same again is the same node. With other keys it is somebody else.
  expect((await post(request)).node).toEqual(node);
  await expect(join1(by)).rejects.toThrow(refusal('TOKEN_USED'));
  expect(readNodes(plan).members.map(({ name }) => name)).toEqual(['node2']);
  // A secret is nowhere, and neither is a key of theirs.
  const kept = readFileSync(join(authorityDir(plan), 'tokens.json'), 'utf8');
  expect(kept).not.toContain(by.secret);
  expect(existsSync(tlsDirOf(plan, 'pmapd', 'node2'))).toBe(false);
});

it('refuses each that does not count, and lets nobody in by it', async () => {
  const before = readNodes(plan);
  const right = token();
  const other = newJoinToken(1, pin);
  await expect(join1(other)).rejects.toThrow(refusal('TOKEN_UNKNOWN'));
  await expect(join1({ ...right, secret: other.secret })).rejects.toThrow(refusal('TOKEN_UNKNOWN'));
  const gone = token();
  expect([tokens.revoke(gone.id), tokens.revoke(gone.id)]).toEqual([true, false]);
  await expect(join1(gone)).rejects.toThrow(refusal('TOKEN_UNKNOWN'));
  const short = token(1_000);
  nowMs += 1_001;
  await expect(join1(short)).rejects.toThrow(refusal('TOKEN_OVER'));
  await expect(join1(right, { nowMs: nowMs - 600_000 })).rejects.toThrow(refusal('CLOCK'));
  await expect(join1(right, { wire: { oldest: 90, newest: 91 } })).rejects.toThrow(refusal('VERSION'));
  for (const name of ['node1', 'node2'])
    await expect(join1(right, { name })).rejects.toThrow(refusal('NAME_TAKEN'));
  await expect(join1(right, { name: 'admin' })).rejects.toThrow(refusal('BAD_REQUEST'));
  // A key that somebody else has.
  const [mine, theirs] = [await newRequest(), await newRequest()];
  const der = (pem: string) => Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64');
  const forged = der(mine.requestPem);
  der(theirs.requestPem).copy(forged, forged.length - 40, der(theirs.requestPem).length - 40);
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${forged.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
  for (const bad of [pem, '-----BEGIN X-----', ca])
    await expect(join1(right, { requests: { pmapd: bad, vkerneld: bad } })).rejects.toThrow(
      refusal('BAD_REQUEST'),
    );
  expect(readNodes(plan)).toEqual(before);
  // And after all that it still counts.
  expect((await join1(right)).node.name).toBe('node3');
});

it('says to a node whom the cluster knows, and puts it out when it leaves', async () => {
  const { node, client, certificates } = await comeIn({ name: 'node9' });
  expect(node).toEqual({ name: 'node9', index: 9 });
  expect(await look(client, LOOK)).toMatchObject({ rest: false, waitingFor: [] });
  const { lists } = await look(client, LOOK);
  expect(lists).toMatchObject({ people: expect.any(String), revoked: expect.any(String) });
  expect((await look(client, { ...LOOK, known: lists!.stamp })).lists).toBeUndefined();
  await leave(client);
  await expect(look(client, LOOK)).rejects.toThrow(refusal('NOT_IN'));
  const revoked = readFileSync(join(tlsDirOf(plan, 'cohd', 'cohd'), 'revoked'), 'utf8');
  for (const role of ['pmapd', 'vkerneld'] as const)
    expect(revoked).toContain(new X509Certificate(certificates[role]).serialNumber);
  client.close();
  // Its name is free, and the next without a name gets one that nobody ever had.
  const again = await comeIn({ name: 'node9' });
  again.client.close();
  expect(happened.filter((each) => each.includes('node9'))).toHaveLength(3);
});

it('gives the name of a machine that never came away again, and its certificates count no more', async () => {
  const { node, client } = await comeIn();
  nowMs += 121_000;
  const next = await comeIn({ name: node.name });
  await expect(look(client, LOOK)).rejects.toThrow(refusal('NOT_IN'));
  expect(await look(next.client, LOOK)).toMatchObject({ rest: false });
  nowMs += 121_000;
  await expect(join1(token(), { name: node.name })).rejects.toThrow(refusal('NAME_TAKEN'));
  for (const each of [client, next.client]) each.close();
});

it('speaks as a node only to the vkerneld of one', async () => {
  await expect(post(LOOK, PATHS.look)).rejects.toThrow(refusal('BAD_REQUEST'));
  const cohd = new TlsFolder(tlsDirOf(plan, 'cohd', 'cohd')).identity;
  const asCohd = new DoorClient({ address, ca, identity: { cert: cohd.certificatePem, key: cohd.keyPem } });
  await expect(look(asCohd, LOOK)).rejects.toThrow(/only nodes ask that/);
  asCohd.close();
  // Signed by itself, with the right words in it.
  const strange = await Authority.in(join(stateDir, 'strange'), 'many');
  await strange.issue(callerOf(plan, 'vkerneld', 'node2'), join(stateDir, 'strange-node'), { days: 1 });
  const { certificatePem, keyPem } = new TlsFolder(join(stateDir, 'strange-node')).identity;
  const asStranger = new DoorClient({ address, ca, identity: { cert: certificatePem, key: keyPem } });
  await expect(look(asStranger, LOOK)).rejects.toThrow(/not of the authority/);
  asStranger.close();
  expect(refused.length).toBeGreaterThan(0);
});

it('a machine tells nothing to who is not the cluster of its token', async () => {
  await expect(authorityAt(address, '0'.repeat(64))).rejects.toThrow(/another cluster .* nothing was told/);
  expect(await authorityAt(address, pin)).toContain('BEGIN CERTIFICATE');
  // Of the same authority, and not the door.
  const cohd = await serveAs('cohd');
  const client = new DoorClient({ address: cohd.address, ca });
  await expect(client.post(PATHS.join, {}, joinAnswer)).rejects.toThrow(/no door/);
  client.close();
  await cohd.close();
  await expect(authorityAt('127.0.0.1:1', pin)).rejects.toThrow(
    /127.0.0.1:1 does not answer: connection refused/,
  );
});

async function serveAs(role: 'cohd') {
  const folder = new TlsFolder(tlsDirOf(plan, role, role));
  const desk = { join: () => expect.unreachable() } as unknown as Desk;
  const other = await serveMachines({
    listen: '127.0.0.1:0',
    folder,
    desk,
    log: silentLog(),
    refused: () => {},
  });
  return { address: `127.0.0.1:${other.port}`, close: () => other.close() };
}

it('what is no request ends in one answer, or none, and the next one is heard', async () => {
  const send = (body: string | Buffer, { path = PATHS.join as string, method = 'POST' } = {}) =>
    new Promise<string>((resolve) => {
      const call = https({
        host: '127.0.0.1',
        port: server.port,
        path,
        method,
        ca,
        servername: 'odonata',
        agent: false,
      });
      call.once('error', (error) => resolve(`gone ${(error as NodeJS.ErrnoException).code}`));
      call.once('response', async (answer) => resolve(`${answer.statusCode} ${await text(answer)}`));
      call.end(body);
    });
  for (const body of [
    '',
    '{',
    'null',
    '[]',
    '{"version":2}',
    Buffer.alloc(100, 0xff),
    `{"version":1,"id":"${'x'.repeat(900)}`,
  ])
    expect(await send(body)).toMatch(/^400 \{"error":"BAD_REQUEST"/);
  expect(await send('x'.repeat(REQUEST_BYTES_MAX + 1))).toMatch(/^400|^gone/);
  expect(await send('', { method: 'GET' })).toMatch(/^400/);
  expect(await send('{}', { path: '/v1/../ca.key' })).toMatch(/^400/);
  const noise = tlsConnect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false });
  await new Promise((resolve) => noise.once('secureConnect', resolve));
  noise.write('\0\0\0nothing of HTTP\r\n\r\n');
  await new Promise((resolve) => noise.once('close', resolve).resume());
  expect((await join1(token())).cluster).toBe('many');
});

it('keeps no more tokens than it may, and forgets none by a restart', () => {
  for (const { id } of tokens.list(nowMs)) tokens.revoke(id);
  for (let i = 0; i < TOKENS_MAX; i++) token();
  expect(() => token()).toThrow(/100 tokens already/);
  expect(new TokenBook(plan).list(nowMs)).toEqual(tokens.list(nowMs));
  mkdirSync(join(stateDir, 'broken/identity/ca'), { recursive: true });
  writeFileSync(join(stateDir, 'broken/identity/ca/tokens.json'), 'torn');
  expect(() => new TokenBook({ stateDir: join(stateDir, 'broken') })).toThrow();
});
