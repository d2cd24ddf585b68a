// What is lost is seen until somebody says that it may be, and what is loaded is whole or not there.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { TestCluster, until } from './cluster.ts';
import { VKCTL } from './command.ts';

vi.setConfig({ testTimeout: 300_000 });

const PAGE = 4096;
const bytes = randomBytes(200 * PAGE + 5);
let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2 });
}, 150_000);
afterAll(async () => {
  for (const name of ['in', 'saved', 'longer']) rmSync(join(cluster.home, name), { force: true });
  await cluster.down();
}, 90_000);

const vkctl = (...args: string[]) => cluster.vkctl(args);
const load = (name: string, stdin: Buffer, ...more: string[]) =>
  cluster.vkctl(['ds', 'load', name, '-', ...more], { stdin });
const save = async (name: string): Promise<Buffer> => {
  const file = join(cluster.home, 'saved');
  expect(await vkctl('ds', 'save', name, file, '--node', 'node1')).toMatchObject({ code: 0, stderr: '' });
  expect(readdirSync(cluster.home).filter((each) => each.endsWith('.part'))).toEqual([]);
  return readFileSync(file);
};
/** The line of a dataspace in the listing; empty where there is none. */
const listed = async (name: string): Promise<string> => {
  const { stdout } = await vkctl('ds', 'ls');
  return stdout.split('\n').find((line) => line.startsWith(`${name} `)) ?? '';
};

/** A load that stays half-way. */
async function halfLoad(name: string, ...more: string[]) {
  const child = spawn(process.execPath, [VKCTL, 'ds', 'load', name, '-', '--progress', ...more], {
    env: cluster.env,
  });
  child.stdin.on('error', () => {});
  child.stdin.write(randomBytes(100 * PAGE));
  await until(`${name} is being loaded`, async () => (await listed(name)).includes('INCOMPLETE'));
  return child;
}

test('a load that is killed, cut off or short leaves nothing that looks whole', async () => {
  const size = ['--size', String(bytes.length)];
  const killed = await halfLoad('made', ...size);
  expect(await vkctl('ds', 'save', 'made', '-')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^vkctl: dataspace made is incomplete: [^\n]*\n$/),
  });
  killed.kill('SIGKILL');
  await until('what it made is gone', async () => (await listed('made')) === '');

  expect(await load('made', bytes.subarray(0, 5000), ...size)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^vkctl: the input ended after 5000 of \d+ bytes\n$/),
  });
  expect(await listed('made')).toBe('');
  expect(await load('made', bytes, ...size)).toMatchObject({ code: 0 });
  expect((await save('made')).equals(bytes)).toBe(true);

  // What was there before stays, and says what it is.
  const cut = await halfLoad('made');
  await cluster.kill('syslinkd');
  cut.kill('SIGKILL');
  await cluster.well();
  expect(await listed('made')).toContain('INCOMPLETE');
  expect(await load('made', bytes.subarray(0, 5000))).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/5000 of \d+ bytes came for dataspace made, which stays incomplete/),
  });
  expect(await load('made', bytes)).toMatchObject({ code: 0 });
  expect(await listed('made')).not.toContain('INCOMPLETE');

  // A file that has no room there is told so before anything is written.
  const longer = join(cluster.home, 'longer');
  writeFileSync(longer, Buffer.concat([bytes, bytes]));
  expect(await vkctl('ds', 'load', 'made', longer)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^vkctl: dataspace made has \d+ bytes; the input has \d+\n$/),
  });
  expect((await save('made')).equals(bytes)).toBe(true);
  expect(await vkctl('ds', 'rm', 'made')).toMatchObject({ code: 0 });
});

test('a load whose pmap manager dies or is replaced leaves nothing either', async () => {
  const half = await halfLoad('node-died', '--size', String(bytes.length), '--node', 'node2');
  const ended = once(half, 'exit');
  await cluster.kill('node2/pmapd');
  expect((await ended)[0]).toBe(1);
  expect(await listed('node-died')).toBe('');
  await cluster.well();
});

test('LOST pages are told until they are written anew or accepted; what is stored is not LOST', async () => {
  const file = join(cluster.home, 'in');
  writeFileSync(file, bytes);
  for (const name of ['written', 'accepted'])
    expect(await vkctl('ds', 'load', name, file, '--node', 'node2')).toMatchObject({ code: 0 });
  await vkctl('ds', 'create', '--durable', 'notes', String(200 * PAGE), '--node', 'node2');
  await load('notes', bytes.subarray(0, 200 * PAGE), '--node', 'node2');
  await vkctl('ds', 'sync', 'notes', '--range', `0+${100 * PAGE}`, '--node', 'node2');
  const half = await halfLoad('half', '--size', '1M', '--node', 'node2');
  // Neither of the two is there to remove what was made.
  half.kill('SIGSTOP');
  await cluster.kill('node2/pmapd');
  half.kill('SIGKILL');
  await cluster.well();

  const status = await vkctl('status');
  expect(status.code).toBe(1);
  expect(status.stderr).toMatch(
    /^vkctl: dataspace accepted: 201 pages are LOST\. [^\n]*accept-loss accepted\)$/m,
  );
  expect(status.stdout).toMatch(/^DATASPACE +LOST +STORED, NOT RESIDENT/m);
  expect(await listed('notes')).toMatch(/ {2}100 pages LOST +100 pages stored, not resident {2}/);
  expect(await listed('half')).toContain('INCOMPLETE');
  // Half a page would keep the other half.
  expect(await load('written', Buffer.alloc(100))).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/is lost/),
  });
  expect(await vkctl('ds', 'load', 'written', file, '--node', 'node1')).toMatchObject({ code: 0 });
  expect((await save('written')).equals(bytes)).toBe(true);

  expect(await vkctl('ds', 'accept-loss', 'accepted', '--node', 'node1')).toMatchObject({
    code: 0,
    stdout: 'accepted: 201 lost pages read as zeros now\n',
  });
  expect((await save('accepted')).equals(Buffer.alloc(bytes.length))).toBe(true);
  expect(await vkctl('ds', 'accept-loss', 'notes', '--node', 'node1')).toMatchObject({
    code: 0,
    stdout: 'notes: 100 lost pages read as zeros now\n',
  });
  // What is stored comes back beside what began anew.
  const kept = Buffer.concat([bytes.subarray(0, 100 * PAGE), Buffer.alloc(100 * PAGE)]);
  expect((await save('notes')).equals(kept)).toBe(true);
  const log = readFileSync(join(cluster.paths.logDir, 'cohd.log'), 'utf8');
  expect(log).toMatch(
    /"dataspace":"accepted",[^\n]*"pages":201,"by":"[^"]+@[^"]+","msg":"a loss is accepted/,
  );

  // A leader that is new has it from the node that has the zeros.
  await cluster.kill('cohd');
  await until('nothing is LOST', async () => (await vkctl('ds', 'rm', 'half')).code === 0);
  await until('all is well', async () => (await vkctl('status')).code === 0);
  expect(await listed('accepted')).not.toContain('LOST');
  expect((await save('accepted')).equals(Buffer.alloc(bytes.length))).toBe(true);
  expect((await save('notes')).equals(kept)).toBe(true);
});
