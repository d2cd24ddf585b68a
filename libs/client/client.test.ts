// The library on a cluster of one node: the examples of the README, each as a process that ends by itself, and what they
// leave out.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TestCluster } from '../../test/cluster/cluster.ts';
import { startCommand } from '../../test/cluster/command.ts';
import { buildGuest } from '../../test/guests/build.ts';
import { type Cluster, Code, clientReason, connect, RpcError } from './client.ts';
import { credentialHere } from './local/identity-folder.ts';

const ROOT = join(import.meta.dirname, '../..');
const readme = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
const examples = [...readme.matchAll(/```ts\n(.*?)```\n\n```text\n(.*?)```/gs)].map(
  ([, code, output]) => [code!, output!] as const,
);

let there: TestCluster;
let cluster: Cluster;
let folder: string;
let echo: Uint8Array;
let misbehave: Uint8Array;

beforeAll(async () => {
  there = await TestCluster.up({ nodes: 1 });
  [echo, misbehave] = await Promise.all([there.moduleOf('echo'), there.moduleOf('misbehave')]);
  cluster = await connect({ cluster: there.cluster });
  // Within the checkout: a program finds the package as one of its own.
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  folder = mkdtempSync(join(ROOT, 'build/client-examples-'));
  for (const guest of ['echo', 'misbehave'])
    copyFileSync(await buildGuest(guest), join(folder, `${guest}.wasm`));
});

afterAll(async () => {
  cluster?.close();
  rmSync(folder, { recursive: true });
  await there.down();
});

const codeOf = (promise: Promise<unknown>): Promise<Code | undefined> =>
  promise.then(
    () => Code.Ok,
    (error) => (error as RpcError).code,
  );

describe('the examples of the README', () => {
  test('are found', () => {
    expect(examples.length).toBe((readme.match(/```ts\n/g) ?? []).length);
    expect(examples.length).toBeGreaterThan(4);
  });

  test.each(examples.map(([code, output], i) => [i + 1, code, output] as const))(
    'example %i prints what the page says, and ends by itself',
    async (i, code, output) => {
      const file = join(folder, `${i}.ts`);
      writeFileSync(file, code);
      const { ended } = startCommand(['sh', '-c', `cd ${folder} && exec ${process.execPath} ${file}`], {
        env: there.env,
        timeoutMs: 60_000,
      });
      expect(await ended).toEqual({ code: 0, stdout: output, stderr: '' });
    },
  );
});

describe('programs', () => {
  const running = async (pid: bigint) =>
    (await cluster.programs.list()).processes.find((process) => process.pid === pid)?.exit === undefined;

  test('standard streams apart, far more than is kept of them at a time, and what they end with', async () => {
    const stdin = Buffer.alloc(3_000_000, 'odonata ');
    const program = await cluster.programs.run({ module: echo, name: 'echo', stdin });
    const { code, stdout, stderr } = await program.collect();
    expect({ code, same: Buffer.from(stdout).equals(stdin) }).toEqual({ code: 0, same: true });
    expect(Buffer.from(stderr).toString()).toContain('echoed 3000000 bytes');
  });

  test('a signal, an abort and the end of a block end it; each says how', async () => {
    const { programs } = cluster;
    const spin = { module: misbehave, name: 'misbehave', args: ['spin'] };
    const told = await programs.run(spin);
    await told.kill('SIGINT');
    expect(await told.exit).toMatchObject({ code: 130, signal: 'SIGINT' });

    const abort = new AbortController();
    const aborted = await programs.run({ ...spin, signal: abort.signal });
    abort.abort();
    expect(await codeOf(aborted.exit)).toBe(Code.Cancelled);

    let pid: bigint;
    {
      // It floods, and nobody reads: its end must not wait for that.
      await using flood = await programs.run({ ...spin, args: ['flood'] });
      ({ pid } = flood);
    }
    await expect.poll(() => running(pid), { timeout: 20_000 }).toBe(false);
    await expect.poll(() => running(aborted.pid), { timeout: 20_000 }).toBe(false);
  });

  test('whoever leaves the loop over a stream does not keep the program waiting', async () => {
    const program = await cluster.programs.run({ module: echo, args: ['--bytes', '2000000'] });
    for await (const bytes of program.stdout) {
      expect(bytes.length).toBeGreaterThan(0);
      break;
    }
    expect(await program.exit).toMatchObject({ code: 0 });
  });

  test('more output than may be collected is an error, and ends it', async () => {
    const program = await cluster.programs.run({ module: misbehave, args: ['flood'] });
    expect(await codeOf(program.collect({ maxBytes: 100_000 }))).toBe(Code.ResourceExhausted);
    expect(await codeOf(program.exit)).toBe(Code.Cancelled);
  });

  test('what cannot start says so, and what is not there is not found', async () => {
    const { programs } = cluster;
    const broken = Buffer.from('0061736d01000000ff', 'hex');
    expect(await codeOf(programs.run({ module: broken }))).toBe(Code.InvalidArgument);
    const nowhere = await programs.run({ module: echo, node: 'node9' }).catch((error) => error);
    expect(clientReason(nowhere)).toEqual({
      ...{ reason: 'NO_NODE', cluster: there.cluster, node: 'node9', nodes: 'node1' },
    });
    expect(await codeOf(programs.kill(900_001n))).toBe(Code.NotFound);
    expect(await codeOf(programs.watch({ pid: 199_999n })[Symbol.asyncIterator]().next())).toBe(
      Code.NotFound,
    );
  });

  test('logs are followed to the end, or until the signal', async () => {
    const { programs } = cluster;
    const { pid } = await programs.start({ module: misbehave, args: ['spin'] });
    const abort = new AbortController();
    let said = '';
    const follow = async () => {
      const { signal } = abort;
      for await (const { data } of programs.logs(pid, { follow: true, signal })) {
        said += Buffer.from(data);
        if (said.endsWith('\n')) abort.abort();
      }
    };
    expect(await codeOf(follow())).toBe(Code.Cancelled);
    expect(said).toBe('misbehave spin\n');
    await programs.kill(pid, 'SIGKILL');
    for await (const { stream } of programs.logs(pid, { follow: true })) expect(stream).toBe('stdout');
  });
});

describe('dataspaces', () => {
  const names = async () => (await cluster.dataspaces.records()).map(({ name }) => name);

  test('a load that breaks off, or is aborted, leaves nothing', async () => {
    async function* some() {
      yield new Uint8Array(100_000);
      throw new Error('the source broke');
    }
    expect(await codeOf(cluster.dataspaces.load('half', some(), { lengthBytes: 200_000 }))).toBe(
      Code.Internal,
    );
    const abort = new AbortController();
    async function* endless() {
      yield new Uint8Array(100_000);
      abort.abort();
      await new Promise(() => {});
    }
    const options = { sizeBytes: 200_000, signal: abort.signal };
    expect(await codeOf(cluster.dataspaces.load('half', endless(), options))).toBe(Code.Cancelled);
    const few = Buffer.alloc(10);
    expect(await codeOf(cluster.dataspaces.load('half', few, { lengthBytes: 11 }))).toBe(Code.DataLoss);
    // Where the node has not heard of the end yet, it removes it when it does.
    await expect.poll(names, { timeout: 20_000 }).not.toContain('half');
  });

  test('of two loads of one new name the later one makes it; the other removes nothing of it, and says so', async () => {
    const { dataspaces } = cluster;
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    async function* bytes(go: Promise<void>) {
      yield new Uint8Array(4096);
      await go;
      yield new Uint8Array(4096);
    }
    const options = { lengthBytes: 8192 };
    const overtaken = dataspaces.load('both', bytes(first.promise), options);
    await expect.poll(names).toContain('both');
    const { id } = (await dataspaces.stat('both')).dataspace;
    const later = dataspaces.load('both', bytes(second.promise), options);
    await expect.poll(async () => (await dataspaces.stat('both')).dataspace.id).not.toBe(id);
    first.resolve();
    await expect(overtaken).rejects.toThrow(/dataspace both was removed, or .*made/);
    second.resolve();
    expect(await later).toMatchObject({ bytes: 8192 });
    expect((await dataspaces.stat('both')).dataspace.load).toBeUndefined();
    await dataspaces.remove('both');
  });

  test('bytes, a size of its own, a durable one with a range that is stored', async () => {
    const { dataspaces } = cluster;
    expect(await codeOf(dataspaces.load('none', (async function* () {})()))).toBe(Code.NotFound);
    await dataspaces.create('notes', 3 * 4096, { durable: true });
    await dataspaces.load('notes', Buffer.alloc(5000, 7));
    expect(await dataspaces.sync('notes', { range: { offset: 0n, length: 4096n } })).toBe(1n);
    expect(await dataspaces.sync('notes')).toBeGreaterThan(0n);
    expect((await dataspaces.stored('notes')).storedPages).toBeGreaterThan(0n);
    const pieces: Uint8Array[] = [];
    for await (const piece of dataspaces.save('notes')) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    expect([bytes.length, bytes[4999], bytes[5000]]).toEqual([12_288, 7, 0]);
    expect(await codeOf(dataspaces.create('notes', 4096))).toBe(Code.AlreadyExists);
    // Whoever has enough leaves.
    for await (const piece of dataspaces.save('notes')) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    await dataspaces.remove('notes');
    expect(await codeOf(dataspaces.stat('notes'))).toBe(Code.NotFound);
  });
});

describe('the way in', () => {
  test('nodes, and a call that is aborted before it begins', async () => {
    expect((await cluster.nodes()).map(({ name }) => name)).toEqual(['node1']);
    expect(await cluster.node('node1')).toMatchObject({ index: 1, pmapd: { name: 'node1/pmapd' } });
    const signal = AbortSignal.abort();
    for (const call of [
      () => cluster.nodes({ signal }),
      () => cluster.programs.list({ signal }),
      () => cluster.programs.run({ module: echo, signal }),
      () => cluster.dataspaces.create('never', 4096, { signal }),
      () => cluster.events.list({ signal }),
      () => cluster.events.follow({ signal }).next(),
      () => connect({ cluster: there.cluster, signal }),
    ])
      expect(await codeOf(call()), call.toString()).toBe(Code.Cancelled);
    expect((await cluster.dataspaces.records()).map(({ name }) => name)).not.toContain('never');
  });

  test('routers by address; what is no address, or nobody, in time', async () => {
    const credential = credentialHere(there.record.plan);
    // By TCP, with a certificate: as from another machine.
    await using other = await connect({ syslink: there.record.syslink, cluster: 'elsewhere', credential });
    expect(other.name).toBe('elsewhere');
    expect((await other.nodes()).length).toBe(1);
    // Those of a cluster of this machine, by its name: as whoever started it.
    await using here = await connect({ syslink: there.record.syslink, cluster: there.cluster });
    expect((await here.nodes()).length).toBe(1);
    expect(await codeOf(connect({ syslink: 'nowhere' }))).toBe(Code.InvalidArgument);
    expect(await codeOf(connect({ cluster: '../x' }))).toBe(Code.InvalidArgument);
    expect(await codeOf(connect({ syslink: '127.0.0.1:9', credential: { tlsDir: folder } }))).toBe(
      Code.Unauthenticated,
    );
    const silent = await connect({ syslink: '127.0.0.1:9', deadlineMs: 200 }).catch((error) => error);
    expect(clientReason(silent)?.reason).toBe('ROUTERS_SILENT');
    expect(RpcError.is(silent, Code.Unavailable)).toBe(true);
  });

  test('a router that goes away: lists are asked again and lack nobody, a program goes on with each byte once', async () => {
    const gate = Promise.withResolvers<void>();
    async function* stdin() {
      yield Buffer.from('before, ');
      await gate.promise;
      yield Buffer.from('after');
    }
    const program = await cluster.programs.run({ module: echo, stdin: stdin() });
    const collected = program.collect();
    await there.kill('syslinkd');
    await expect.poll(() => cluster.connected, { timeout: 20_000 }).toBe(false);
    const { processes, silent } = await cluster.programs.list();
    expect(silent).toEqual([]);
    expect(processes.some(({ pid }) => pid === program.pid)).toBe(true);
    gate.resolve();
    expect(Buffer.from((await collected).stdout).toString()).toBe('before, after');
  });

  test('closing ends what waits', async () => {
    const closing = await connect({ cluster: there.cluster });
    const program = await closing.programs.run({ module: misbehave, args: ['spin'] });
    const waiting = [
      program.exit,
      closing.events.follow().next(),
      closing.programs
        .logs(program.pid, { follow: true })
        .next()
        .then(() => closing.programs.watch()[Symbol.asyncIterator]().next()),
    ];
    closing.close();
    for (const each of waiting) expect(await codeOf(each)).toBe(Code.Cancelled);
    expect(await codeOf(closing.nodes())).toBe(Code.Cancelled);
    const ended = async () =>
      (await cluster.programs.list()).processes.find(({ pid }) => pid === program.pid)?.exit !== undefined;
    await expect.poll(ended, { timeout: 10_000 }).toBe(true);
  });
});
