// The kernel behind a real line: a server in the place of vkerneld.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type AttachRequest,
  type AttachResponseSchema,
  ControlService,
  StdStream,
} from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { createRpcServer, failStream, type RpcServer, raw } from '@odonata/rpc/server.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ControlLink } from './control-link.ts';
import { Kernel } from './kernel.ts';
import { PlainPmap } from './testdata/plain-pmap.ts';
import { assemble } from './testdata/programs.ts';
import { eventually } from './testdata/run-process.ts';
import { WarmWorkers } from './warm-workers.ts';

type Order = NonNullable<MessageInitShape<typeof AttachResponseSchema>['event']>;

const log = silentLog();
const wasi = 'wasi_snapshot_preview1';
const hello = assemble(`(module
  (import "${wasi}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "${wasi}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory 1) (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00") (data (i32.const 16) "hello\\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))))`);

/** Stands in for vkerneld. */
class Supervisor {
  readonly received: AttachRequest['event'][] = [];
  readonly #server: RpcServer;
  #send: ((event: Order) => void) | undefined;

  constructor(refuses = false) {
    this.#server = createRpcServer({ name: 'test', log }).add(ControlService, {
      attach: raw((call) => {
        if (refuses) {
          failStream(call, new RpcError(Code.PermissionDenied, 'not one of ours'));
          return;
        }
        this.#send = (event) => call.write({ event });
        call.on('data', (request: AttachRequest) => {
          if (request.event.case === 'hello')
            call.write({ event: { case: 'welcome', value: { wire: wireSpoken() } } });
          this.received.push(request.event);
        });
        call.on('end', () => call.end());
      }),
    });
  }

  listen(address: string): Promise<string> {
    return this.#server.listen(address);
  }

  send(event: Order): void {
    this.#send!(event);
  }

  events<C extends AttachRequest['event']['case']>(name: C) {
    return this.received.flatMap((event) =>
      event.case === name ? [event.value as Extract<AttachRequest['event'], { case: C }>['value']] : [],
    );
  }

  close(): Promise<void> {
    return this.#server.drain(0);
  }
}

let folder: string;
let kernel: Kernel;
let link: ControlLink;
let workers: WarmWorkers;
let abandoned: string[];
let supervisor: Supervisor;
let address: string;

function startLink(abandonedAfterMs?: number): void {
  link = new ControlLink({
    address,
    name: 'default',
    token: 'secret',
    log,
    pids: () => kernel.pids(),
    onMessage: (message) => kernel.handle(message),
    onReattached: () => kernel.onReattached(),
    onAbandoned: (reason) => abandoned.push(reason),
    abandonedAfterMs,
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-kernel-'));
  address = `unix:${folder}/control.sock`;
  abandoned = [];
  supervisor = new Supervisor();
  workers = new WarmWorkers(1);
  kernel = new Kernel({
    pmap: Promise.resolve(new PlainPmap()),
    workers,
    node: 0,
    nodeName: 'node0',
    vkernel: 0,
    log,
    takeConnection: () => undefined,
    takeDirectories: (pid, count) => link.takeDirectories(pid, count),
    send: (event) => link.send(event),
  });
});

afterEach(async () => {
  await kernel.shutdown();
  await link.close();
  await workers.close();
  await supervisor.close();
  rmSync(folder, { recursive: true });
});

const program = { name: 'hello', module: hello };

test('a process from its start to its exit', async () => {
  await supervisor.listen(address);
  startLink();
  await eventually(() => supervisor.events('hello')).toMatchObject([
    { name: 'default', token: 'secret', pids: [] },
  ]);
  supervisor.send({ case: 'start', value: { pid: 9n, program } });
  await eventually(() => supervisor.events('output').length).toBe(1);
  expect(kernel.pids()).toEqual([9n]);
  supervisor.send({ case: 'input', value: { pid: 9n, data: Buffer.from('HELLO!') } });
  await eventually(() => supervisor.events('exited')).toMatchObject([
    { pid: 9n, exit: { code: 0, signal: '' } },
  ]);
  const told = supervisor.received.map((event) => event.case);
  expect(told.filter((name) => name !== 'usage' && name !== 'has')).toEqual([
    'hello',
    'started',
    'output',
    'stdinTaken',
    'output',
    'exited',
  ]);
  expect(
    supervisor.events('output').map(({ output }) => [output?.stream, String(Buffer.from(output!.data))]),
  ).toEqual([
    [StdStream.OUT, 'hello\n'],
    [StdStream.ERR, 'HELLO!'],
  ]);
  expect(kernel.pids()).toEqual([]);
});

test('a module in pieces; signals; what is not there; usage', async () => {
  await supervisor.listen(address);
  startLink();
  await eventually(() => supervisor.events('hello').length).toBe(1);
  supervisor.send({ case: 'modulePiece', value: { pid: 1n, data: hello.subarray(0, 50) } });
  supervisor.send({ case: 'modulePiece', value: { pid: 1n, data: hello.subarray(50) } });
  supervisor.send({ case: 'start', value: { pid: 1n, program: { name: 'pieces' } } });
  supervisor.send({ case: 'start', value: { pid: 2n, program: { name: 'nothing' } } });
  supervisor.send({ case: 'signal', value: { pid: 77n, signal: 'SIGTERM' } });
  supervisor.send({ case: 'input', value: { pid: 77n, end: true } });
  await eventually(() => supervisor.events('exited')).toMatchObject([
    { pid: 2n, exit: { code: 126, reason: 'empty: look whether what made it failed' } },
  ]);
  const used = () => supervisor.events('usage').filter(({ pid }) => pid === 1n);
  await eventually(() => used().at(-1)).toMatchObject({ residentPages: 16n });
  supervisor.send({ case: 'signal', value: { pid: 1n, signal: 'SIGINT' } });
  await eventually(() => supervisor.events('exited').at(-1)).toMatchObject({
    pid: 1n,
    exit: { code: 130, signal: 'SIGINT', reason: 'killed by SIGINT' },
  });
});

test('processor time is told to the end, of one that ends by itself and of one that is killed', async () => {
  const computes = (after: string) =>
    assemble(`(module (memory 1) (func (export "_start") (local $i i64)
      (loop $again (local.set $i (i64.add (local.get $i) (i64.const 1)))
        (i64.store (i32.const 0) (local.get $i))
        (br_if $again (i64.lt_u (local.get $i) (i64.const 200000000)))) ${after}))`);
  await supervisor.listen(address);
  startLink();
  await eventually(() => supervisor.events('hello').length).toBe(1);
  const usageOf = (pid: bigint) => supervisor.events('usage').findLast((usage) => usage.pid === pid);
  const start = performance.now();
  supervisor.send({ case: 'start', value: { pid: 1n, program: { name: 'ends', module: computes('') } } });
  await eventually(() => supervisor.events('exited').length).toBe(1);
  const tookMs = performance.now() - start;
  // 200 million stores take a twentieth of a second at the least, wherever this runs.
  expect(Number(usageOf(1n)?.cpuMs)).toBeGreaterThan(25);
  expect(Number(usageOf(1n)?.cpuMs)).toBeLessThanOrEqual(tookMs);
  const forever = computes('(loop $more (br $more))');
  supervisor.send({ case: 'start', value: { pid: 2n, program: { name: 'killed', module: forever } } });
  await eventually(() => Number(usageOf(2n)?.cpuMs ?? 0n)).toBeGreaterThan(50);
  supervisor.send({ case: 'signal', value: { pid: 2n, signal: 'SIGKILL' } });
  await eventually(() => supervisor.events('exited').length).toBe(2);
  // What it has is told when it changes, also when its memory goes.
  const order = supervisor.received
    .map(({ case: name }) => name)
    .filter((name) => name !== 'started' && name !== 'has');
  expect(order.slice(-2)).toEqual(['usage', 'exited']);
});

test('a full virtual kernel names the way out', async () => {
  await supervisor.listen(address);
  startLink();
  await eventually(() => supervisor.events('hello').length).toBe(1);
  // They wait for their memory, so that no thread is needed for each.
  kernel = new Kernel({
    pmap: new Promise(() => {}),
    ...{
      workers,
      node: 0,
      nodeName: 'node0',
      vkernel: 0,
      log,
      takeConnection: () => undefined,
      takeDirectories: (pid, count) => link.takeDirectories(pid, count),
      send: (event) => link.send(event),
    },
  });
  for (let pid = 1n; pid <= 257n; pid++) supervisor.send({ case: 'start', value: { pid, program } });
  await eventually(() => supervisor.events('exited')).toMatchObject([
    {
      pid: 257n,
      exit: { code: 126, reason: expect.stringMatching(/^its virtual kernel runs 256 .*--vkernel second/) },
    },
  ]);
});

test('without a pmap the program is refused with the reason', async () => {
  await supervisor.listen(address);
  const pmap = Promise.reject(new Error('userfaultfd is not permitted'));
  pmap.catch(() => {});
  kernel = new Kernel({
    pmap,
    workers,
    node: 0,
    nodeName: 'node0',
    vkernel: 0,
    log,
    takeConnection: () => undefined,
    takeDirectories: (pid, count) => link.takeDirectories(pid, count),
    send: (event) => link.send(event),
  });
  startLink();
  await eventually(() => supervisor.events('hello').length).toBe(1);
  supervisor.send({ case: 'start', value: { pid: 1n, program } });
  await eventually(() => supervisor.events('exited')).toMatchObject([
    { exit: { code: 126, reason: 'cannot make its memory: userfaultfd is not permitted' } },
  ]);
});

test('goes on without its supervisor, and tells the next one', async () => {
  await supervisor.listen(address);
  startLink();
  await eventually(() => supervisor.events('hello').length).toBe(1);
  supervisor.send({ case: 'start', value: { pid: 5n, program } });
  supervisor.send({ case: 'start', value: { pid: 6n, program } });
  await eventually(() => supervisor.events('output').length).toBe(2);
  await supervisor.close();
  kernel.handle({ event: { case: 'input', value: { pid: 6n, data: Buffer.from('x'), end: true } } } as never);
  await eventually(() => kernel.pids()).toEqual([5n]);
  supervisor = new Supervisor();
  await supervisor.listen(address);
  await eventually(() => supervisor.events('exited')).toMatchObject([{ pid: 6n }]);
  expect(supervisor.events('hello')).toMatchObject([{ pids: [5n, 6n] }]);
  supervisor.send({ case: 'input', value: { pid: 5n, end: true } });
  await eventually(() => supervisor.events('exited').length).toBe(2);
  expect(abandoned).toEqual([]);
});

test('gives up when no supervisor comes, or when it is refused', async () => {
  startLink(300);
  await eventually(() => abandoned).toEqual(['no supervisor for 1 s']);
  await link.close();
  abandoned = [];
  await supervisor.close();
  supervisor = new Supervisor(true);
  await supervisor.listen(address);
  startLink();
  await eventually(() => abandoned).toEqual([
    'the supervisor refuses it: PERMISSION_DENIED: not one of ours',
  ]);
});
