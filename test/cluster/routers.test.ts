// Two routers: each is killed, and stopped in order, while programs run through them. Whoever talks through the other one
// notices nothing, new commands work at once, and a router that comes back is attached to by all.
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { signalIdentity } from '../../services/vkctl/cluster/identity.ts';
import { buildGuest } from '../guests/build.ts';
import { PosixLibrary } from '../posix/library.ts';
import { Typist } from '../terminals/typist.ts';
import { TestCluster, until } from './cluster.ts';
import { startVkctl, VKCTL } from './command.ts';

vi.setConfig({ testTimeout: 300_000 });

const FAMILY = join(import.meta.dirname, '../processes/family.c');

let cluster: TestCluster;
let echo: string;
/** With the program of test/processes. */
const programs = mkdtempSync(join(tmpdir(), 'odonata-routers-'));
const family = join(programs, 'family.wasm');
const runs: EchoRun[] = [];
beforeAll(async () => {
  echo = await buildGuest('echo');
  const library = await PosixLibrary.build();
  writeFileSync(family, await library.link('family', [FAMILY]));
  await library.close();
  cluster = await TestCluster.up({ nodes: 2, routers: 2, allowDirs: [programs] });
}, 150_000);
afterAll(async () => {
  for (const { child } of runs) child.kill('SIGKILL');
  await cluster.down();
  rmSync(programs, { recursive: true });
}, 90_000);

/** `vkctl run` of a program that says what it is told, through one router. */
class EchoRun {
  readonly child;
  readonly ended: Promise<{ code: number | null; stderr: string }>;
  stdout = '';

  constructor(router: string, node: string) {
    const env = {
      ...cluster.env,
      ODONATA_SYSLINK: cluster.service(router).address,
      ODONATA_TLS_DIR: cluster.tlsDir,
    };
    this.child = spawn(process.execPath, [VKCTL, 'run', '--node', node, echo], { env });
    let stderr = '';
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    this.child.stdin.on('error', () => {}); // It ended; `ended` tells.
    this.ended = new Promise((resolve) => this.child.once('close', (code) => resolve({ code, stderr })));
    runs.push(this);
  }

  /** Its program has answered. */
  async says(line: string): Promise<void> {
    this.child.stdin.write(`${line}\n`);
    await until(`an echo of ${line}`, () => this.stdout.endsWith(`${line}\n`));
  }

  async finish(): Promise<{ code: number | null; stderr: string }> {
    this.child.stdin.end();
    return await this.ended;
  }
}

const running = (router: string): boolean => cluster.service(router).state === 'running';

test('up starts both, and all services are attached to each', async () => {
  const { code, stdout } = await cluster.vkctl(['status', '--json']);
  const { syslink, services } = JSON.parse(stdout) as {
    syslink: string;
    services: { name: string; connected?: boolean; address: string }[];
  };
  expect(code).toBe(0);
  const routers = services.filter(({ name }) => name.startsWith('syslinkd'));
  expect(routers.map(({ name }) => name)).toEqual(['syslinkd1', 'syslinkd2']);
  expect(syslink).toBe(routers.map(({ address }) => address).join());
  for (const { name, connected } of services)
    expect([name, connected]).toEqual([name, /^(nats|syslinkd\d)$/.test(name) ? undefined : true]);
});

test('one killed: what runs through the other goes on, new commands work', async () => {
  const [first, second] = [new EchoRun('syslinkd2', 'node1'), new EchoRun('syslinkd2', 'node2')] as const;
  await Promise.all([first, second].map((run) => run.says('before')));

  await cluster.withoutRestarts(async () => {
    await cluster.kill('syslinkd1');
    await Promise.all([first, second].map((run) => run.says('while it is dead')));
    // Each chooses a router at random; none may fail, and none waits for the dead one.
    for (let i = 0; i < 6; i++)
      expect(await cluster.vkctl(['ps', '--json'])).toMatchObject({ code: 0, stderr: '' });
    const fresh = await cluster.vkctl(['run', '--node', 'node2', echo], { stdin: 'a new one\n' });
    expect(fresh).toMatchObject({ code: 0, stdout: 'a new one\n' });
    const status = await cluster.vkctl(['status']);
    expect(status).toMatchObject({ code: 1, stderr: expect.stringMatching(/^vkctl: syslinkd1: .*router/m) });
    expect(status.stdout).toMatch(/node2\/vkerneld +running/);
  });

  await until('it is back', () => running('syslinkd1') && cluster.service('syslinkd1').restarts === 1);
  // Well: also that every service is attached to each router.
  await cluster.well();
  const again = new EchoRun('syslinkd1', 'node2');
  await again.says('through the one that was dead');
  for (const run of [first, second, again]) {
    expect(await run.finish()).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^echoed \d+ bytes\n$/),
    });
  }
  expect(first.stdout).toBe('before\nwhile it is dead\n');
  expect(second.stdout).toBe('before\nwhile it is dead\n');
});

test('one killed, and back: what ran through it goes on, and each byte of input and output arrives once', async () => {
  const [idle, busy] = [new EchoRun('syslinkd1', 'node1'), new EchoRun('syslinkd1', 'node2')];
  await idle.says('before');
  const lines = Array.from(
    { length: 40_000 },
    (_, i) => `${i} goes round, once and in order, whoever dies on the way`,
  );
  const pieces = Array.from(
    { length: 40 },
    (_, i) => `${lines.slice(i * 1000, (i + 1) * 1000).join('\n')}\n`,
  );
  const { restarts } = cluster.service('syslinkd1');
  for (const [i, piece] of pieces.entries()) {
    if (i === 10) await cluster.kill('syslinkd1');
    // The next life of it, which has not heard of everybody yet.
    if (i === 25) {
      await until(
        'it is back',
        () => cluster.service('syslinkd1').restarts > restarts && running('syslinkd1'),
      );
      await cluster.kill('syslinkd1');
    }
    await new Promise((written) => busy.child.stdin.write(piece, written));
  }
  expect(await busy.finish()).toMatchObject({ code: 0 });
  expect(busy.stdout).toBe(pieces.join(''));
  await idle.says('after');
  expect(await idle.finish()).toMatchObject({ code: 0, stderr: 'echoed 13 bytes\n' });
  expect(idle.stdout).toBe('before\nafter\n');
  await cluster.well();
});

/** `vkctl` through syslinkd1. */
const throughFirst = () => ({
  ...cluster.env,
  ODONATA_SYSLINK: cluster.service('syslinkd1').address,
  ODONATA_TLS_DIR: cluster.tlsDir,
});

/** `vkctl cp` through syslinkd1. */
function copyThroughFirst(args: string[]) {
  const child = spawn(process.execPath, [VKCTL, 'cp', ...args], { env: throughFirst() });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise((resolve) => child.once('close', (code) => resolve([code, stderr])));
  return { child, ended };
}

/** As it comes to so many bytes, syslinkd1 is killed; it is back a moment later. */
function killer(atBytes: number) {
  let bytes = 0;
  let killing: Promise<void> | undefined;
  return {
    passed(more: number): void {
      bytes += more;
      if (bytes >= atBytes) killing ??= cluster.kill('syslinkd1');
    },
    async done(): Promise<void> {
      expect(killing).toBeDefined();
      await killing;
      await until('it is back', () => running('syslinkd1'));
      await cluster.well();
    },
  };
}

test('one killed while a file of 32 MiB is copied: it arrives whole, there and back', async () => {
  const size = 32 * 2 ** 20;
  const there = 'node1/default:/tmp/large';
  const file = randomBytes(size);
  const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  await cluster.output('node1', 'echo', [], { stdin: 'the virtual kernel runs\n' });
  const { child: put, ended: putEnd } = copyThroughFirst(['-', there]);
  const putKiller = killer(size / 2);
  for (let at = 0; at < size; at += 2 ** 20) {
    await new Promise((written) => put.stdin.write(file.subarray(at, at + 2 ** 20), written));
    putKiller.passed(2 ** 20);
  }
  put.stdin.end();
  expect(await putEnd).toEqual([0, '']);
  await putKiller.done();
  const { child: get, ended: getEnd } = copyThroughFirst([there, '-']);
  const getKiller = killer(size / 2);
  const came: Buffer[] = [];
  for await (const piece of get.stdout as AsyncIterable<Buffer>) {
    came.push(piece);
    getKiller.passed(piece.length);
  }
  expect(await getEnd).toEqual([0, '']);
  expect(hash(Buffer.concat(came))).toBe(hash(file));
  await getKiller.done();
});

test('one that has just started is asked at once: it is waited for until it knows all of the node', async () => {
  const there = 'node1/default:/tmp/small';
  for (let round = 0; round < 2; round++) {
    const { restarts } = cluster.service('syslinkd1');
    await cluster.kill('syslinkd1');
    await until('it is back', () => cluster.service('syslinkd1').restarts > restarts);
    const options = { env: throughFirst(), stdin: `round ${round}` };
    const commands = [
      ['cp', '-', there],
      ['ds', 'ls'],
    ].map((args) => startVkctl(args, options).ended);
    for (const end of await Promise.all(commands)) expect(end).toMatchObject({ code: 0, stderr: '' });
  }
  await cluster.well();
});

test('each killed while a child on another node reads and writes: its streams go on, once and in order', async () => {
  const run = ['run', '--node', 'node1', '--dir', `${programs}:/programs:ro`, family, 'wait', 'node2', 'cat'];
  const child = spawn(process.execPath, [VKCTL, ...run], { env: throughFirst() });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  await until('the child runs', () => /^child 2\d+$/m.test(stdout));
  const piece = (i: number) =>
    `${Array.from({ length: 1_000 }, (_, j) => `${i * 1_000 + j} goes to the other node, and back`).join('\n')}\n`;
  const pieces = Array.from({ length: 30 }, (_, i) => piece(i));
  for (const [i, each] of pieces.entries()) {
    // Whichever of them its circuit goes over.
    const router = i === 10 ? 'syslinkd1' : i === 20 ? 'syslinkd2' : undefined;
    if (router !== undefined) {
      const { restarts } = cluster.service(router);
      await cluster.kill(router);
      await until('it is back', () => cluster.service(router).restarts > restarts && running(router));
      await cluster.well();
    }
    await new Promise((written) => child.stdin.write(each, written));
  }
  child.stdin.end();
  expect([await ended, stderr]).toEqual([0, '']);
  const [, after = ''] = stdout.split(/^child \d+\n/m);
  expect(after.replace(/\d+ code 0\n$/, '')).toBe(pieces.join(''));
});

test('one killed while somebody sits at a terminal: it goes on there', async () => {
  const typist = new Typist(['run', '-it', '--node', 'node1', echo], throughFirst());
  await typist.untilRaw();
  await typist.type('before\r');
  await typist.shows(/before[\s\S]*before/);
  const { restarts } = cluster.service('syslinkd1');
  await cluster.kill('syslinkd1');
  await typist.type('meanwhile\r');
  await until('it is back', () => cluster.service('syslinkd1').restarts > restarts && running('syslinkd1'));
  await typist.type('after\r');
  await typist.shows(/after[\s\S]*after/);
  await typist.type('\x04');
  expect(await typist.end()).toBe(0);
  const words = typist.lines().filter((line) => /^(before|meanwhile|after)$/.test(line));
  expect(words.sort()).toEqual(['after', 'after', 'before', 'before', 'meanwhile', 'meanwhile']);
  await cluster.well();
});

test('whoever is killed, and no router, has its program end with it', async () => {
  const run = new EchoRun('syslinkd2', 'node1');
  await run.says('before');
  run.child.kill('SIGKILL');
  await until('its program has ended', async () => {
    const { stdout } = await cluster.vkctl(['ps', '--json']);
    return (JSON.parse(stdout) as unknown[]).length === 0;
  });
});

test('one after the other stopped in order and started again: no program and no command fails', async () => {
  for (const [router, node] of [
    ['syslinkd1', 'node1'],
    ['syslinkd2', 'node2'],
  ] as const) {
    const through = new EchoRun(router, node);
    await through.says('before');
    const { process: identity, restarts } = cluster.service(router);
    signalIdentity(identity!, 'SIGTERM');
    // At once: it drains for a bounded time.
    const commands = await Promise.all([1, 2, 3].map(() => cluster.vkctl(['ps', '--json'])));
    for (const end of commands) expect(end).toMatchObject({ code: 0, stderr: '' });
    await through.says('while it drains');
    expect(await through.finish()).toMatchObject({ code: 0 });
    await until('it ended and is back', () => cluster.service(router).restarts > restarts && running(router));
    await cluster.well();
  }
  // The test's own client was attached all the time, to one and then the other.
  expect(await cluster.output('node1', 'echo', [], { stdin: 'still here\n' })).toBe('still here\n');
});
