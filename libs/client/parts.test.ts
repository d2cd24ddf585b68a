// The parts that decide by themselves, without a cluster.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Event, EventSchema } from '@odonata/proto/event/v1/event';
import { EndpointKind } from '@odonata/proto/syslink/v1/syslink';
import { type Process, ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Connection } from './connection.ts';
import { folderOf } from './credential.ts';
import { Events } from './events.ts';
import { adminName } from './local/identity-folder.ts';
import { locationOf } from './local/running.ts';
import { clusterNameOf, stateFolder } from './local/state-folder.ts';
import { locate } from './location.ts';
import { OutputStream } from './output-stream.ts';
import { overRouters } from './over-routers.ts';
import type { ProcessList } from './process-list.ts';
import { processLog } from './process-log.ts';
import { watchProcesses } from './process-watch.ts';
import { Silence } from './silence.ts';
import { Vkernels } from './vkernels.ts';

const codeOf = (promise: Promise<unknown>): Promise<Code | undefined> =>
  promise.then(
    () => Code.Ok,
    (error) => (error as RpcError).code,
  );

describe('which cluster', () => {
  const env = { ...process.env };
  beforeEach(() => {
    delete process.env.ODONATA_SYSLINK;
    process.env.ODONATA_HOME = '/nowhere';
  });
  afterEach(() => {
    process.env = { ...env };
  });

  test('what is given comes before the environment', async () => {
    process.env.ODONATA_SYSLINK = 'a:1, b:2';
    process.env.ODONATA_CLUSTER = 'there';
    process.env.ODONATA_TLS_DIR = '/tls';
    expect(await locate()).toEqual({ cluster: 'there', routers: 'a:1,b:2', credential: { tlsDir: '/tls' } });
    expect(await locate({ syslink: 'c:3', cluster: 'x', credential: { tlsDir: '/mine' } })).toEqual({
      ...{ cluster: 'x', routers: 'c:3', credential: { tlsDir: '/mine' } },
    });
    // A cluster of this machine is meant: it is not up.
    await expect(locate({ cluster: 'x' })).rejects.toThrow('UNAVAILABLE: cluster "x" is not up');
    process.env.ODONATA_SYSLINK = 'a';
    await expect(locate()).rejects.toThrow(/ODONATA_SYSLINK: "a" is no address/);
  });

  test('a context is meant by its name, or where nothing else is said', async () => {
    const home = mkdtempSync(join(tmpdir(), 'odonata-contexts-'));
    try {
      process.env.ODONATA_HOME = home;
      delete process.env.ODONATA_CLUSTER;
      delete process.env.ODONATA_CONTEXT;
      const tlsDir = join(home, '.contexts/prod');
      mkdirSync(tlsDir, { recursive: true });
      writeFileSync(
        join(tlsDir, 'context.json'),
        JSON.stringify({ version: 1, cluster: 'p', syslink: 'r:1' }),
      );
      const prod = { cluster: 'p', routers: 'r:1', credential: { tlsDir } };
      expect(await locate({ context: 'prod' })).toEqual(prod);
      await expect(locate()).rejects.toThrow(/cluster "default" is not up/);
      writeFileSync(join(home, '.contexts/current'), 'prod\n');
      expect(await locate()).toEqual(prod);
      process.env.ODONATA_CLUSTER = 'x';
      await expect(locate()).rejects.toThrow(/cluster "x" is not up/);
      delete process.env.ODONATA_CLUSTER;
      process.env.ODONATA_CONTEXT = '';
      await expect(locate()).rejects.toThrow(/cluster "default" is not up/);
      process.env.ODONATA_CONTEXT = '../prod';
      await expect(locate()).rejects.toThrow('NOT_FOUND: no context "../prod"; contexts: prod');
      process.env.ODONATA_SYSLINK = 'a:1';
      expect((await locate()).routers).toBe('a:1');
      expect(await locate({ context: 'prod' })).toEqual(prod);
    } finally {
      rmSync(home, { recursive: true });
    }
  });

  test('names and folders', () => {
    expect(clusterNameOf(undefined, {})).toBe('default');
    expect(() => clusterNameOf(undefined, { ODONATA_CLUSTER: '../x' })).toThrow(
      /^INVALID_ARGUMENT: ODONATA_/,
    );
    expect(stateFolder('c', { HOME: '/h' }).clusterFile).toBe('/h/.local/state/odonata/c/cluster.json');
  });

  test('of this machine: the sockets of its routers, as whoever started it; nobody where it has no identities', () => {
    const services = [
      { name: 'syslinkd1', address: 'h:1', socket: 'unix:/s1' },
      { name: 'syslinkd2', address: 'h:2' },
      { name: 'cohd', address: 'h:3', socket: 'unix:/c' },
    ];
    const plan = { cluster: 'c', stateDir: '/h/c' };
    expect(locationOf({ plan, services })).toEqual({
      ...{
        cluster: 'c',
        routers: 'unix:/s1,h:2',
        credential: { tlsDir: `/h/c/identity/admin-${adminName()}` },
      },
    });
    expect(locationOf({ plan: { ...plan, insecure: true }, services }).credential).toBeUndefined();
  });

  test('a folder without an identity is nothing to show', () => {
    expect(folderOf(undefined)).toBeUndefined();
    expect(() => folderOf({ tlsDir: '/nowhere' })).toThrow(/^UNAUTHENTICATED: the folder \/nowhere holds no/);
  });
});

describe('the output of a program', () => {
  test('waits for its reader, and no longer than for them', async () => {
    const stream = new OutputStream();
    await stream.push(Buffer.alloc(100_000));
    let room = false;
    const pushed = stream.push(Buffer.alloc(200_000)).then(() => {
      room = true;
    });
    await Promise.resolve();
    expect(room).toBe(false);
    for await (const piece of stream) {
      expect(piece.length).toBe(100_000);
      break;
    }
    await pushed;
    await stream.push(Buffer.alloc(10_000_000));
  });

  test('brings what was there before the failure', async () => {
    const stream = new OutputStream();
    await stream.push(Buffer.from('a'));
    stream.end(new RpcError(Code.Unavailable, 'gone'));
    await stream.push(Buffer.alloc(1_000_000));
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toEqual(Buffer.from('a'));
    expect(await codeOf(iterator.next())).toBe(Code.Unavailable);
  });
});

test('a router that went away is waited for; what a service answers is the answer', async () => {
  let connected = false;
  const to = {
    get connected() {
      return connected;
    },
    ready: async () => {
      connected = true;
    },
    settled: async () => {},
  } as unknown as Connection;
  let asked = 0;
  const answer = async (code: Code) => {
    asked++;
    if (asked < 2) throw new RpcError(code, 'x');
    return 'done';
  };
  expect(await overRouters(to, () => answer(Code.Unavailable))).toBe('done');
  asked = 0;
  expect(await codeOf(overRouters(to, () => answer(Code.Unavailable)))).toBe(Code.Unavailable);
  connected = false;
  asked = 0;
  expect(await codeOf(overRouters(to, () => answer(Code.NotFound), AbortSignal.abort()))).toBe(
    Code.Cancelled,
  );
});

test('a router that has just started is asked until it knows who was there, and not for ever', async () => {
  vi.useFakeTimers();
  try {
    const whole = (node: string, nodeIndex: number) =>
      [EndpointKind.PMAP, EndpointKind.VKERNEL].map((kind) => ({ node, nodeIndex, kind, connected: true }));
    const both = [...whole('node1', 1), ...whole('node2', 2)];
    const looks = [both, [], whole('node2', 2), both];
    let looked = 0;
    const syslink = {
      close: () => {},
      listEndpoints: async () => looks[Math.min(looked++, looks.length - 1)],
    };
    const to = new Connection('c', syslink as unknown as SyslinkEndpoint, 'r:1');
    expect((await to.nodes()).map(({ name }) => name)).toEqual(['node1', 'node2']);
    const settled = to.settled();
    await vi.advanceTimersByTimeAsync(1_000);
    await settled;
    expect(looked).toBe(4);
    looks.splice(0, looks.length, whole('node2', 2));
    const late = to.settled();
    await vi.advanceTimersByTimeAsync(10_000);
    await late;
    looked = 0;
    await to.settled();
    expect(looked).toBe(1);
    to.close();
    expect(await codeOf(to.nodes())).toBe(Code.Cancelled);
  } finally {
    vi.useRealTimers();
  }
});

test('a stream that stands still ends; the time of who reads or brings the bytes does not count', () => {
  vi.useFakeTimers();
  try {
    const silence = new Silence('the save of "x"', undefined, 1_000);
    vi.advanceTimersByTime(900);
    silence.heard();
    vi.advanceTimersByTime(900);
    silence.paused();
    vi.advanceTimersByTime(100_000);
    expect(silence.signal.aborted).toBe(false);
    silence.heard();
    vi.advanceTimersByTime(1_100);
    expect(silence.signal.aborted).toBe(true);
    expect(silence.errorOf(new RpcError(Code.Cancelled, 'x'))).toMatchObject({
      code: Code.DeadlineExceeded,
      details: 'the save of "x": nothing moved for 1 s',
    });
    silence.end();
    const outer = new AbortController();
    const other = new Silence('y', outer.signal, 1_000);
    outer.abort();
    expect(other.signal.aborted).toBe(true);
    expect(other.errorOf('as it is')).toBe('as it is');
    other.end();
    // What it waited for may come later still: nothing is left of it.
    other.heard();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test('a log that is followed through the end of a router brings each byte once, and says what is lost', async () => {
  const piece = (text: string, droppedBytes = 0n) => ({
    output: { stream: 1, data: Buffer.from(text) },
    droppedBytes,
  });
  const lives = [
    [piece('abc'), piece('de')],
    [piece('abc'), piece('defg')],
    [piece('jk', 9n)],
    [{ droppedBytes: 20n }],
    [piece('z', 20n)],
  ];
  let life = 0;
  const to = {
    ready: async () => {},
    vkerneld: () => ({
      async *getLogs() {
        yield* lives[life++]!;
        if (life < lives.length) throw new RpcError(Code.Unavailable, 'the router went away');
      },
    }),
  } as unknown as Connection;
  const found: string[] = [];
  for await (const { data, droppedBytes } of processLog(to, 'node1', 1n, { follow: true }))
    found.push(`${droppedBytes}:${Buffer.from(data)}`);
  expect(found).toEqual(['0:abc', '0:de', '0:fg', '2:jk', '9:', '0:z']);
});

test('a watch tells what changed, and nothing of a node that does not answer', async () => {
  const process = (pid: bigint, node: string, state: ProcessState) => ({ pid, node, state }) as Process;
  const { STARTING, RUNNING, EXITED } = ProcessState;
  const looks: ProcessList[] = [
    { processes: [process(1n, 'node1', RUNNING), process(2n, 'node2', STARTING)], silent: [] },
    { processes: [process(1n, 'node1', RUNNING)], silent: [{ node: 'node2', error: 'x' }] },
    { processes: [process(1n, 'node1', EXITED), process(2n, 'node2', RUNNING)], silent: [] },
    { processes: [process(2n, 'node2', RUNNING)], silent: [] },
  ];
  const abort = new AbortController();
  const list = async () => {
    const look = looks.shift();
    if (look === undefined) abort.abort();
    return look ?? { processes: [], silent: [] };
  };
  const seen: string[] = [];
  const watch = async () => {
    for await (const { pid, state } of watchProcesses(list, { everyMs: 1, signal: abort.signal }))
      seen.push(`${pid} ${ProcessState[state]}`);
  };
  expect(await codeOf(watch())).toBe(Code.Cancelled);
  expect(seen).toEqual(['1 RUNNING', '2 STARTING', '1 EXITED', '2 RUNNING']);
});

test('events are followed each once, over a service that does not answer for a while', async () => {
  const event = (id: bigint, ms: number): Event =>
    create(EventSchema, { id, time: timestampFromMs(ms), service: 's', text: `${id}` });
  const looks: (Event[] | 'silent')[] = [
    [event(1n, 1_000), event(2n, 1_000)],
    [event(1n, 1_000), event(2n, 1_000), event(3n, 1_000)],
    'silent',
    [event(3n, 1_000), event(4n, 1_002), event(5n, 1_001)],
  ];
  const sinces: number[] = [];
  const abort = new AbortController();
  const client = {
    close: () => {},
    listEvents: async ({ since }: { since: { seconds: bigint; nanos: number } }) => {
      const sinceMs = Number(since.seconds) * 1_000 + since.nanos / 1e6;
      sinces.push(sinceMs);
      const look = looks.shift();
      if (look === undefined) abort.abort();
      if (look === 'silent') throw new RpcError(Code.Unavailable, 'x');
      return { events: look ?? [], nextPageToken: '' };
    },
  };
  const to = {
    connected: true,
    closed: new AbortController().signal,
    eventLogs: async () => [['s', client]],
  } as unknown as Connection;
  const seen: string[] = [];
  const follow = async () => {
    const filter = { sinceMs: 500, everyMs: 1, signal: abort.signal };
    for await (const { text } of new Events(to).follow(filter)) seen.push(text);
  };
  expect(await codeOf(follow())).toBe(Code.Cancelled);
  expect(seen).toEqual(['1', '2', '3', '5', '4']);
  expect(sinces).toEqual([500, 1_000, 1_000, 1_000, 1_002]);
});

test('a virtual kernel that one node cannot have is made on none, and one that was there stays', async () => {
  const has = new Map([
    ['node1', false],
    ['node2', false],
    ['node3', true],
  ]);
  const kept: string[] = [];
  const connection = {
    closed: new AbortController().signal,
    door: () => ({ listNodes: async () => ({ nodes: [] }) }),
    nodes: async () => [...has.keys()].map((name, index) => ({ name, index })),
    vkerneld: (node: string) => ({
      setVkernel: async () => {
        if (has.get(node)) throw new RpcError(Code.AlreadyExists, 'is there already');
        has.set(node, true);
        return { vkernel: { node } };
      },
      removeVkernel: async () => has.set(node, false),
    }),
    wanted: async () => [{ wantVkernel: async () => kept.push('web') }],
  } as unknown as Connection;
  const vkernels = new Vkernels(connection);
  await expect(vkernels.create({ name: 'web' }, {})).rejects.toThrow('is there already');
  expect([[...has.values()], kept]).toEqual([[false, false, true], []]);
  has.set('node3', false);
  expect(await vkernels.create({ name: 'web' }, {})).toHaveLength(3);
  expect(kept).toEqual(['web']);
});
