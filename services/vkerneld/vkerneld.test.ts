import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { EventService } from '@odonata/proto/event/v1/event';
import type { Exited, RunRequestSchema, RunResponse } from '@odonata/proto/vkernel/v1/vkernel';
import { ControlService, ProcessState, VkernelService } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import type { Client } from '@odonata/rpc/client.ts';
import { createClient, openStream } from '@odonata/rpc/client.ts';
import { Code, fromServiceError, RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { startTicksOf } from '@odonata/rpc/process-stat.ts';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import { settled } from '@odonata/rpc/testdata/settled.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Vkerneld } from './serve.ts';
import { serveVkerneld } from './serve.ts';

/** The supervisor on real sockets, with a stand-in for the virtual kernel as its real child processes. */
const program = fileURLToPath(new URL('stand-in-vkernel.ts', import.meta.url));
let folder: string;
let vkerneld: Vkerneld;
let client: Client<typeof VkernelService>;

async function startVkerneld(parkAfterMs = 0): Promise<void> {
  const config = {
    ...{
      node: 'node2',
      nodeIndex: 2,
      listen: '127.0.0.1:0',
      socketDir: join(folder, 's'),
      pmapdDir: '',
      vkernelUids: 0,
      syslink: '127.0.0.1:1',
    },
    ...{
      allowListen: [],
      allowConnect: [],
      allowDir: [join(folder, 'allowed')],
      homeDir: '',
      programsDir: '',
      hideDir: [],
      allowUnconfined: [],
      ...{ lodges: false, controlGroup: '' },
      programMemory: 2 ** 32,
      unconfined: false,
      logLevel: 'silent' as const,
      drainMs: 0,
      parkAfterMs,
      metricsListen: '',
      eventsFile: '',
      traceOtlp: '',
      traceSample: 0,
      tlsDir: '',
    },
  };
  vkerneld = await serveVkerneld(config, silentLog(), program);
  client = createClient(VkernelService, vkerneld.address);
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vkerneld-'));
  await mkdir(join(folder, 'allowed/inner'), { recursive: true });
  await startVkerneld();
});
afterEach(async () => {
  client.close();
  await vkerneld.stop();
  await rm(folder, { recursive: true });
});

type Request = MessageInitShape<typeof RunRequestSchema>;

/** A caller of Run that sends what it is told to, and keeps what it gets. */
class Caller {
  readonly requests = new BoundedQueue<Request>({ name: 'requests', capacity: 1000 });
  readonly abort = new AbortController();
  readonly got: string[] = [];
  pid = 0n;
  outputBytes = 0;
  readonly ended: Promise<RpcError | Exited | undefined>;
  constructor(name: string, spec: object = {}, module = new Uint8Array(10)) {
    this.requests.offer({ event: { case: 'start', value: { name, args: ['a'], ...spec } } });
    this.requests.offer({ event: { case: 'module', value: module } });
    this.requests.offer({ event: { case: 'moduleEnd', value: {} } });
    this.ended = this.#read(client.run(this.requests, { signal: this.abort.signal }));
  }
  async #read(responses: AsyncIterable<RunResponse>): Promise<RpcError | Exited | undefined> {
    let exit: Exited | undefined;
    try {
      for await (const { event } of responses) {
        if (event.case === 'started') this.pid = event.value.pid;
        if (event.case === 'output') {
          this.outputBytes += event.value.data.length;
          if (event.value.data.length < 100) this.got.push(Buffer.from(event.value.data).toString());
        }
        if (event.case === 'exited') exit = event.value;
      }
      return exit;
    } catch (error) {
      expect(error).toBeInstanceOf(RpcError);
      return error as RpcError;
    }
  }
  stdin(data: Uint8Array): Promise<void> {
    return this.requests.push({ event: { case: 'stdin', value: data } });
  }
  async started(): Promise<bigint> {
    await until(() => this.pid !== 0n);
    return this.pid;
  }
}

/** The events of virtual kernels that died. */
async function deaths(): Promise<string[]> {
  const events = createClient(EventService, vkerneld.address);
  const answer = await events.listEvents({ pageSize: 100, kinds: ['vkernel-died'] });
  events.close();
  return answer.events.map(({ text }) => text);
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`never: ${condition}`);
    await delay(10);
  }
}

async function failure(promise: Promise<unknown>): Promise<RpcError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(RpcError);
  return error as RpcError;
}

async function process(pid: bigint) {
  return (await client.listProcesses({})).processes.find((p) => p.pid === pid);
}

async function logOf(pid: bigint, follow = false): Promise<{ bytes: number; droppedBytes: bigint }> {
  let bytes = 0;
  let droppedBytes = 0n;
  for await (const line of client.getLogs({ pid, follow })) {
    bytes += line.output?.data.length ?? 0;
    droppedBytes += line.droppedBytes;
  }
  return { bytes, droppedBytes };
}

describe('run', () => {
  it('carries input and output, keeps the log, and the table knows it all', async () => {
    const caller = new Caller('echo', { env: ['A=b'] });
    await caller.stdin(Buffer.from('hello'));
    expect(await caller.started()).toBe(200_001n);
    await until(() => caller.got.includes('hello'));
    const listed = await process(200_001n);
    expect(listed).toMatchObject({ node: 'node2', vkernel: 'default', command: ['echo', 'a'] });
    expect([listed?.state, listed?.residentPages, listed?.cpuMs]).toEqual([ProcessState.RUNNING, 3n, 5n]);
    const followed = logOf(200_001n, true);
    caller.requests.close();
    expect(await caller.ended).toMatchObject({ code: 0, signal: '' });
    expect(await followed).toEqual({ bytes: 5, droppedBytes: 0n });
    expect((await process(200_001n))?.state).toBe(ProcessState.EXITED);
    const [vkernel] = (await client.listVkernels({})).vkernels;
    expect(vkernel).toMatchObject({ name: 'default', node: 'node2', processes: 0 });
    expect(vkernel?.hostPid).toBeGreaterThan(1);
  });

  it('brings large modules over whole', async () => {
    const requests = new BoundedQueue<Request>({ name: 'r', capacity: 1000 });
    requests.offer({ event: { case: 'start', value: { name: 'size' } } });
    for (let i = 0; i < 20; i++)
      requests.offer({ event: { case: 'module', value: new Uint8Array(1024 * 1024) } });
    requests.offer({ event: { case: 'moduleEnd', value: {} } });
    const got: string[] = [];
    for await (const { event } of client.run(requests)) {
      if (event.case === 'output') got.push(Buffer.from(event.value.data).toString());
      if (event.case === 'exited') expect(event.value.code).toBe(3);
    }
    expect(got).toEqual([`${20 * 1024 * 1024} 0`]);
  });

  it('a slow reader stalls the program; the log keeps the last megabyte', async () => {
    const requests = new BoundedQueue<Request>({ name: 'r', capacity: 10 });
    requests.offer({ event: { case: 'start', value: { name: 'spew:40960', module: new Uint8Array(1) } } });
    const responses = client.run(requests)[Symbol.asyncIterator]();
    const first = await responses.next();
    const pid = first.value.event.value.pid as bigint;
    // A neighbour brings as much through the same virtual kernel: so there was time for all of it, and it stalls.
    const neighbour = new Caller('spew:40960');
    expect(await neighbour.ended).toMatchObject({ code: 0 });
    expect(neighbour.outputBytes).toBe(40 * 1024 * 1024);
    expect((await process(pid))?.state).toBe(ProcessState.RUNNING);
    const stalled = await logOf(pid);
    expect(stalled.bytes + Number(stalled.droppedBytes)).toBeLessThan(20 * 1024 * 1024);
    let bytes = 0;
    for (;;) {
      const { done, value } = await responses.next();
      if (done) break;
      if (value.event.case === 'output') bytes += value.event.value.data.length;
    }
    expect(bytes).toBe(40 * 1024 * 1024);
    const log = await logOf(pid);
    expect(log.bytes).toBeGreaterThan(900_000);
    expect(log.bytes + Number(log.droppedBytes)).toBe(40 * 1024 * 1024);
  });

  it('input beyond the window waits for the program to read', async () => {
    const caller = new Caller('deaf');
    const pid = await caller.started();
    for (let i = 0; i < 100; i++) await caller.stdin(new Uint8Array(60_000));
    // What it does not read stays with who sent it.
    expect(await settled(() => -caller.requests.length)).toBeLessThan(0);
    await client.kill({ pid, signal: 'SIGKILL' });
    expect(await caller.ended).toMatchObject({ signal: 'SIGKILL' });
    const echo = new Caller('echo');
    for (let i = 0; i < 100; i++) await echo.stdin(new Uint8Array(60_000));
    echo.requests.close();
    expect(await echo.ended).toMatchObject({ code: 0 });
    expect(echo.outputBytes).toBe(6_000_000);
  });

  it('signals: through the stream, by kill, and those that make no sense', async () => {
    const caller = new Caller('wait');
    const pid = await caller.started();
    expect((await failure(client.kill({ pid: 299_999n, signal: 'SIGTERM' }))).message).toBe(
      'NOT_FOUND: no process 299999 on node2',
    );
    expect((await failure(client.kill({ pid, signal: 'SIGWHAT' }))).code).toBe(Code.InvalidArgument);
    await caller.requests.push({ event: { case: 'signal', value: 'SIGINT' } });
    expect(await caller.ended).toMatchObject({ code: 128, signal: 'SIGINT' });
    expect((await failure(client.kill({ pid, signal: 'SIGTERM' }))).code).toBe(Code.FailedPrecondition);
    expect((await failure(logOf(299_999n))).code).toBe(Code.NotFound);
  });

  it('ends with its caller, unless it is detached', async () => {
    const bound = new Caller('wait');
    const detached = new Caller('wait', { detach: true });
    const [pid, free] = await Promise.all([bound.started(), detached.started()]);
    bound.abort.abort();
    detached.abort.abort();
    await until(async () => (await process(pid))?.state === ProcessState.EXITED);
    expect((await process(pid))?.exit?.signal).toBe('SIGHUP');
    expect((await process(free))?.state).toBe(ProcessState.RUNNING);
    const spew = new Caller('spew:5000', { detach: true });
    const spewer = await spew.started();
    spew.abort.abort();
    await until(async () => (await process(spewer))?.state === ProcessState.EXITED);
    expect((await process(spewer))?.exit?.code).toBe(0);
  });

  it('is refused with a reason', async () => {
    const run = async (...args: ConstructorParameters<typeof Caller>) =>
      (await new Caller(...args).ended) as RpcError;
    expect((await run('wait', { env: ['bad'] })).message).toBe('INVALID_ARGUMENT: "bad" is not NAME=VALUE');
    expect((await run('wait', { vkernel: 'A/b' })).code).toBe(Code.InvalidArgument);
    expect((await run('wait', { memoryBytes: 2n ** 33n })).message).toBe(
      'INVALID_ARGUMENT: a program on node2 may have 4096 MiB of memory at most, not 8192 MiB',
    );
    expect((await run('wait', { args: ['a\0b'] })).code).toBe(Code.InvalidArgument);
    expect((await run('wait', { args: Array(500_000).fill('') })).message).toBe(
      'INVALID_ARGUMENT: arguments and variables (500000 and 0) take 2500000 bytes, and may take 2097152: ' +
        'pass what is large on standard input or in a file',
    );
    expect((await run('wait', { env: [`A=${'x'.repeat(3e6)}`] })).message).toMatch(
      /\(1 and 1\) take 3000013/,
    );
    expect((await run('x'.repeat(300))).message).toMatch(/the name of the program is longer than 255 bytes$/);
    expect(await run('refuse')).toMatchObject({ code: 126, reason: 'not a program' });
    expect((await run('refuse', { detach: true })).message).toBe('INVALID_ARGUMENT: not a program');
    async function* noStart() {
      yield { event: { case: 'stdinEnd' as const, value: {} } };
    }
    expect((await failure(client.run(noStart())[Symbol.asyncIterator]().next())).code).toBe(
      Code.InvalidArgument,
    );
    async function* cutShort() {
      yield { event: { case: 'start' as const, value: { name: 'wait' } } };
    }
    expect((await failure(client.run(cutShort())[Symbol.asyncIterator]().next())).code).toBe(
      Code.InvalidArgument,
    );
  });

  it('knows a process by the begin of a long command, and that it holds nothing once it ended', async () => {
    const caller = new Caller('echo', { args: ['x'.repeat(100_000), ...Array(20_000).fill('1')] });
    const pid = await caller.started();
    // Told a moment after it started.
    await vi.waitFor(async () => expect((await process(pid))?.residentPages).toBe(3n), 10_000);
    expect((await process(pid))?.command).toEqual(['echo', `${'x'.repeat(1019)}…`, '…']);
    caller.requests.close();
    expect(await caller.ended).toMatchObject({ code: 0 });
    expect((await process(pid))?.residentPages).toBe(0n);
  });

  it('grants directories below the allowed ones only, and follows no link to them', async () => {
    await symlink('/etc', join(folder, 'allowed/link'));
    await symlink(join(folder, 'allowed/inner'), join(folder, 'way-in'));
    await mkdir(join(folder, 'allowed-not'));
    await writeFile(join(folder, 'allowed/file'), '');
    const ask = async (hostPath: string) => {
      const dirs = [{ hostPath, guestPath: '/data' }];
      return (await new Caller('size', { dirs }).ended) as RpcError;
    };
    expect(await ask(join(folder, 'allowed/inner'))).toMatchObject({ code: 3 });
    expect((await ask(join(folder, 'way-in'))).code).toBe(Code.PermissionDenied);
    expect((await ask('/etc')).code).toBe(Code.PermissionDenied);
    expect((await ask(join(folder, 'allowed/link'))).code).toBe(Code.PermissionDenied);
    expect((await ask(join(folder, 'allowed/inner/../..'))).code).toBe(Code.PermissionDenied);
    expect((await ask(join(folder, 'allowed-not'))).message).toContain("vkerneld's --allow-dir");
    expect((await ask(join(folder, 'allowed/none'))).code).toBe(Code.NotFound);
    expect((await ask(join(folder, 'allowed/file'))).code).toBe(Code.InvalidArgument);
    expect((await ask('allowed')).code).toBe(Code.InvalidArgument);
  });
});

describe('bad luck', () => {
  it('a virtual kernel that dies takes its processes, and is made again on demand', async () => {
    const neighbour = new Caller('wait', { vkernel: 'other' });
    const waiting = new Caller('wait');
    const pid = await waiting.started();
    await neighbour.started();
    const crash = new Caller('crash');
    const reason = 'virtual kernel default died (SIGSEGV)';
    expect(await crash.ended).toMatchObject({ code: 137, signal: 'SIGKILL', reason });
    expect(await waiting.ended).toMatchObject({ reason });
    expect((await process(pid))?.exit?.reason).toBe(reason);
    expect((await process(await neighbour.started()))?.state).toBe(ProcessState.RUNNING);
    expect(await new Caller('size').ended).toMatchObject({ code: 3 });
    expect((await client.listVkernels({})).vkernels.map((v) => v.name)).toEqual(['default', 'other']);
    expect(await deaths()).toEqual([reason]);
  });

  it('one that somebody kills is an event, and its programs are told by which signal', async () => {
    const waiting = new Caller('wait');
    await waiting.started();
    const [killed] = (await client.listVkernels({})).vkernels;
    globalThis.process.kill(killed!.hostPid, 'SIGKILL');
    const reason = 'virtual kernel default died (SIGKILL)';
    expect(await waiting.ended).toMatchObject({ code: 137, signal: 'SIGKILL', reason });
    expect(await deaths()).toEqual([reason]);
  });

  it('a process whose thread does not end keeps its place, and its virtual kernel ends when nothing else runs there', async () => {
    const other = new Caller('echo');
    await other.started();
    const over = new Caller('compiles');
    const pid = await over.started();
    await client.kill({ pid, signal: 'SIGKILL' });
    // To its caller it has ended.
    expect(await over.ended).toMatchObject({ code: 137, signal: 'SIGKILL' });
    expect(await process(pid)).toMatchObject({ state: ProcessState.ENDING, residentPages: 3n, cpuMs: 5n });
    const [before] = (await client.listVkernels({})).vkernels;
    expect(before).toMatchObject({ name: 'default', processes: 2 });
    // Another kernel beside it runs, and so does what runs in this one, until it ends.
    expect(await new Caller('size').ended).toMatchObject({ code: 3 });
    other.requests.close();
    expect(await other.ended).toMatchObject({ code: 0 });
    await until(async () => (await process(pid))?.state === ProcessState.EXITED);
    expect((await process(pid))?.exit).toMatchObject({ code: 137, signal: 'SIGKILL' });
    // Whoever comes next gets another one.
    expect(await new Caller('size').ended).toMatchObject({ code: 3 });
    const [after] = (await client.listVkernels({})).vkernels;
    expect(after?.hostPid).not.toBe(before?.hostPid);
  });

  it('a few such are borne beside others, and no more', async () => {
    const other = new Caller('wait');
    await other.started();
    for (let i = 0; i < 5; i++) {
      expect((await process(await other.started()))?.state).toBe(ProcessState.RUNNING);
      const over = new Caller('compiles');
      await client.kill({ pid: await over.started(), signal: 'SIGKILL' });
      expect(await over.ended).toMatchObject({ signal: 'SIGKILL' });
    }
    expect(await other.ended).toMatchObject({
      signal: 'SIGKILL',
      reason:
        'virtual kernel default was ended: the thread of process 200002 (compiles) does not end, ' +
        'as while V8 compiles a large function, nor do those of 4 more',
    });
  });

  it('one that cannot start is one clear error', async () => {
    client.close();
    await vkerneld.stop();
    const config = {
      ...{
        node: 'node2',
        nodeIndex: 2,
        listen: '127.0.0.1:0',
        socketDir: join(folder, 's'),
        pmapdDir: '',
        vkernelUids: 0,
        syslink: '127.0.0.1:1',
      },
      ...{
        allowListen: [],
        allowConnect: [],
        allowDir: [],
        homeDir: '',
        programsDir: '',
        hideDir: [],
        allowUnconfined: [],
        ...{ lodges: false, controlGroup: '' },
        programMemory: 2 ** 32,
        unconfined: false,
        logLevel: 'silent' as const,
        drainMs: 0,
        parkAfterMs: 0,
        metricsListen: '',
        eventsFile: '',
        traceOtlp: '',
        traceSample: 0,
        tlsDir: '',
      },
    };
    vkerneld = await serveVkerneld(config, silentLog(), '/nonexistent.ts');
    client = createClient(VkernelService, vkerneld.address);
    expect(((await new Caller('wait').ended) as RpcError).message).toMatch(
      /^UNAVAILABLE: virtual kernel default died \(exit code 1\): .*nonexistent\.ts/,
    );
    expect(await deaths()).toEqual([expect.stringContaining('nonexistent.ts')]);
  });

  it('a stop ends virtual kernels, also one that does not listen', async () => {
    const good = new Caller('wait');
    const stubborn = new Caller('wait', { vkernel: 'stubborn' });
    await Promise.all([good.started(), stubborn.started()]);
    const pids = (await client.listVkernels({})).vkernels.map((v) => v.hostPid);
    await vkerneld.stop();
    expect(await good.ended).toMatchObject({ reason: 'its virtual kernel was shut down' });
    expect(await stubborn.ended).toMatchObject({ reason: 'virtual kernel stubborn was shut down' });
    for (const pid of pids) expect(startTicksOf(pid)).toBeUndefined();
  });

  it('one that nobody uses is parked, and made anew by the next program', async () => {
    await vkerneld.stop();
    await startVkerneld(200);
    const shown = async () =>
      (await client.listVkernels({})).vkernels.map(({ name, hostPid, parkedAt }) => ({
        name,
        runs: hostPid > 0,
        parked: parkedAt !== undefined,
      }));
    const busy = new Caller('wait', { vkernel: 'busy' });
    const keeper = new Caller('keep', { vkernel: 'keeper' });
    await Promise.all([busy.started(), keeper.started(), new Caller('size').ended]);
    await vi.waitFor(
      async () =>
        expect(await shown()).toEqual([
          { name: 'busy', runs: true, parked: false },
          { name: 'default', runs: false, parked: true },
          { name: 'keeper', runs: true, parked: false },
        ]),
      20_000,
    );
    // Also where it is another vkerneld that knows it.
    await vkerneld.stop();
    await startVkerneld();
    expect(await shown()).toEqual([{ name: 'default', runs: false, parked: true }]);
    expect(await new Caller('size').ended).toMatchObject({ code: 3 });
    expect(await shown()).toEqual([{ name: 'default', runs: true, parked: false }]);
    await client.haltVkernel({ name: 'default', user: '' });
    expect(await shown()).toEqual([]);
  });

  it('a stranger cannot pose as a virtual kernel', async () => {
    await new Caller('size').ended;
    for (const hello of [
      { name: 'default', token: 'guess' },
      { name: 'nobody', token: '' },
    ]) {
      const stream = openStream(ControlService.method.attach, `unix:${folder}/s/vkernels/vkerneld.sock`);
      stream.write({ event: { case: 'hello', value: { ...hello, wire: wireSpoken() } } });
      const error = await new Promise((resolve) => stream.once('error', resolve));
      expect(fromServiceError(error).code).toBe(Code.PermissionDenied);
    }
    expect(await new Caller('size').ended).toMatchObject({ code: 3 });
  });
});
