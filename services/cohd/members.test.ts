// Notes of holders on a real server: each takes the place of the one that it names, and of no other.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apiCode } from '@odonata/bus/jetstream-error.ts';
import { keyOf, storedJson } from '@odonata/bus/stored.ts';
import { connect, type KV, type NatsConnection } from 'nats';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ServiceProcess } from '../../test/operate/service-process.ts';
import { pickPorts } from '../vkctl/cluster/ports.ts';
import { Members } from './members.ts';

const ONE = { incarnation: 5n, life: 1n };
const OTHER = { incarnation: 5n, life: 2n };
const KEY = `${keyOf('N')}.${keyOf('A')}`;

const folder = mkdtempSync(join(tmpdir(), 'odonata-members-'));
let server: ServiceProcess;
let connection: NatsConnection;
let bucket: KV;
let start = 0n;
const process = (): Members => new Members(bucket, 'A', ++start);
const noted = async (members: Members) => (await members.all()).get('A')?.get('N');

beforeAll(async () => {
  const [port] = (await pickPorts(1)) as [number];
  server = ServiceProcess.nats(port, folder);
  connection = await connect({ servers: `127.0.0.1:${port}`, waitOnFirstConnect: true });
  bucket = await connection.jetstream().views.kv('members', { allow_direct: false });
});
afterAll(async () => {
  await connection.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

test('a node is noted, buried, and noted again', async () => {
  const members = process();
  expect(await members.takeOver()).toEqual(new Map());
  for (const membership of [ONE, { ...ONE, heldMs: 600 }, OTHER]) {
    await members.remember('N', membership);
    expect(await noted(members)).toEqual(membership);
  }
  for (let times = 0; times < 2; times++) {
    await members.forget('N');
    expect(await noted(members)).toBeUndefined();
  }
  await members.remember('N', ONE);
  expect(await noted(members)).toEqual(ONE);
});

test('a note of which the answer was lost is not in the way of the next one', async () => {
  const members = process();
  await members.takeOver();
  await members.remember('N', ONE);
  await bucket.put(KEY, storedJson(OTHER));
  await members.forget('N');
  expect(await noted(members)).toBeUndefined();
});

test('what an earlier process said is refused once the next one began, and that one goes on with what it finds', async () => {
  const before = process();
  await before.takeOver();
  await before.remember('N', ONE);
  const { revision } = (await bucket.get(KEY))!;
  const members = process();
  expect(await members.takeOver()).toEqual(new Map([['N', ONE]]));
  // A second time, as where an answer was lost.
  expect(await members.takeOver()).toEqual(new Map([['N', ONE]]));
  const late = [
    () => bucket.put(KEY, storedJson(OTHER), { previousSeq: revision }),
    () => bucket.purge(KEY, { previousSeq: revision }),
  ];
  for (const say of late) expect(await say().then(() => 0, apiCode)).toBe(10071);
  for (const say of [() => before.remember('N', OTHER), () => before.forget('N')])
    await expect(say()).rejects.toThrow('a later process of A has taken its place');
  expect(await before.takeOver()).toBeUndefined();
  expect(await noted(members)).toEqual(ONE);
});
