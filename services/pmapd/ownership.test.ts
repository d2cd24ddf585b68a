// Whose things are, at a pmap manager: what it says to the directory of who asks, and what virtual kernels may do with
// what they opened. A real node, between virtual kernels and a directory that are only streams and calls.

import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Bus } from '@odonata/bus/bus.ts';
import type { HolderEventInit } from '@odonata/coherency/node/lines/holder-wire.ts';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { LockMode } from '@odonata/proto/coherency/v1/coherency';
import { NodeSnapshotSchema } from '@odonata/proto/pmap/v1/handover';
import { type PmapEvent, type PmapService, VkernelEventSchema } from '@odonata/proto/pmap/v1/pmap';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ANYONE, type Caller } from '@odonata/rpc/identity/identity.ts';
import { type Requester, requesterOf } from '@odonata/rpc/identity/requester.ts';
import { createLog } from '@odonata/rpc/log.ts';
import { type CallContext, type Handlers, rawOf } from '@odonata/rpc/service.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { DescriptorDoor, knock } from '@odonata/userfault/descriptor-door.ts';
import { DescriptorReceiver } from '@odonata/userfault/descriptor-line.ts';
import { duplicate } from '@odonata/userfault/libc.ts';
import { Userfault } from '@odonata/userfault/userfault.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { PmapdConfig } from './config.ts';
import { dataspaceHandlers } from './dataspace-handlers.ts';
import { PROGRAMS_OF_PERSON, pmapHandlers } from './handlers.ts';
import { Inheritor } from './handover/inheritor.ts';
import { snapshotOf } from './handover/snapshot.ts';
import { Node } from './node.ts';
import { OPEN_MAX } from './sessions/open-dataspaces.ts';

const log = createLog('test', 'fatal');
const gate = new WireGate('pmapd', log);
const cluster = 'test';
const ctxOf = (caller: Caller, scope: 'all' | 'own' = 'all') =>
  ({ caller, scope, requestId: 'r', log, peer: 'p' }) as unknown as CallContext;
const vkernelOf = (user: string, ...groups: string[]) =>
  ctxOf({ cluster, role: Role.VKERNEL, name: 'node1/default', user, groups });
const personIs = (name: string, ...groups: string[]) =>
  ctxOf({ cluster, role: Role.USER, name, groups }, 'own');
const admin = ctxOf({ cluster, role: Role.ADMIN, name: 'root', groups: [] });

type Event = MessageInitShape<typeof VkernelEventSchema>['event'];
type Answer = PmapEvent['event'];

/** What the directory was asked. */
let asked: { method: string; requester?: Requester; forWriting?: boolean; name?: string; mode?: number }[];
/** What was said to it. */
let said: HolderEventInit[];
/** By name: what it answers. */
let allowedOf: Map<string, { read: boolean; write: boolean } | RpcError>;
let folder: string;
let nodes: Node[];
let node: Node;
let door: DescriptorDoor;
let userfault: Userfault;
const receivers: DescriptorReceiver[] = [];

function nodeIn(memoryDir: string): Node {
  const config = { node: 'node1', nodeIndex: 1, memoryDir, framesBytes: 64 << 20, shards: 4 };
  const bus = { follow: () => () => {} } as unknown as Bus;
  const made = new Node({ ...config, cluster, directory: ['x:1'] } as unknown as PmapdConfig, bus, log);
  made.line.directories = {
    ...{ allUsable: true, connected: true, lines: { epochOf: () => 1n, usable: () => true } },
    interest: () => {},
    say: () => {},
    sendTo: (_: number, event: HolderEventInit) => said.push(event),
    sendAll: (event: HolderEventInit) => said.push(event),
    close: () => {},
  } as never;
  Object.defineProperty(made.line, 'directory', { value: directory() });
  nodes.push(made);
  return made;
}

function directory() {
  const ids = new Map<string, bigint>();
  const about = (name: string) => {
    const may = allowedOf.get(name) ?? { read: true, write: true };
    if (may instanceof RpcError) throw may;
    if (!ids.has(name)) ids.set(name, BigInt(ids.size + 1));
    const dataspace = {
      id: ids.get(name)!,
      name,
      sizeBytes: 16_384n,
      creator: 'node2',
      creatorIncarnation: 1n,
    };
    return { dataspace, allowed: may };
  };
  const method =
    (name: string, answer: (request: { name: string }) => object) => async (request: { name: string }) => {
      asked.push({ method: name, ...request });
      return answer(request);
    };
  return {
    getDataspace: method('get', ({ name }) => about(name)),
    createDataspace: method('create', ({ name }) => ({ ...about(name), created: false })),
    beginLoad: method('begin', ({ name }) => about(name)),
    endLoad: method('end', () => ({})),
    abandonLoad: method('abandon', () => ({ removed: false })),
    deleteDataspace: method('delete', () => ({})),
    listDataspaces: method('list', () => ({ dataspaces: [], nextPageToken: '' })),
    listLosses: method('losses', () => ({ losses: [], leftOut: 0 })),
  };
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-ownership-'));
  door = new DescriptorDoor(join(folder, 'door'));
  userfault = Userfault.create();
  [asked, said, nodes] = [[], [], []];
  allowedOf = new Map();
  node = nodeIn(folder);
});

afterEach(() => {
  for (const each of nodes) each.close();
  for (const each of receivers.splice(0)) each.close();
  door.close();
  userfault.close();
  rmSync(folder, { recursive: true });
});

/** A virtual kernel: its stream, as far as the handler uses one. */
class Vkernel {
  readonly stream = Object.assign(new EventEmitter(), {
    end: () => {},
    write: ({ events }: { events: PmapEvent[] }) => {
      for (const event of events) this.hear(event);
      return true;
    },
    fail: (error: RpcError) => {
      this.failed = error;
    },
  });
  failed: RpcError | undefined;
  token: Uint8Array = new Uint8Array();
  readonly descriptors: DescriptorReceiver;
  private readonly answers = new Map<bigint, (answer: Answer) => void>();
  private last = 0n;

  constructor(
    ctx: CallContext,
    at = node,
    resumeToken: Uint8Array = new Uint8Array(),
    name = `${ctx.caller.user}/default`,
  ) {
    const { session } = pmapHandlers(at, () => door, 1, gate) as Required<Handlers<typeof PmapService>>;
    rawOf(session)!(this.stream as never, ctx);
    const userfaultToken = randomBytes(16);
    this.descriptors = new DescriptorReceiver(knock(join(folder, 'door'), userfaultToken, userfault.fd));
    receivers.push(this.descriptors);
    this.say(0n, {
      case: 'hello',
      value: { name, userfaultToken, resumeToken, wire: wireSpoken() },
    });
  }

  private say(request: bigint, event: Event): void {
    this.stream.emit('data', { events: [create(VkernelEventSchema, { request, event })] });
  }

  private hear({ request = 0n, event }: PmapEvent): void {
    if (event.case === 'welcome') this.token = event.value.faultToken;
    this.answers.get(request)?.(event);
  }

  /** The first answer. */
  ask(event: Event): Promise<Answer> {
    const request = ++this.last;
    return new Promise((resolve) => {
      this.answers.set(request, resolve);
      this.say(request, event);
    });
  }

  /** Says what has no answer yet. */
  tell(event: Event): void {
    this.say(++this.last, event);
  }

  async process(pid: bigint): Promise<bigint> {
    const made = await this.ask({ case: 'vmspaceCreate', value: { pid, sizeBytes: 1n << 20n } });
    if (made.case !== 'vmspaceCreated') throw new Error(JSON.stringify(made.value));
    return made.value.vmspace;
  }

  async open(vmspace: bigint, name: string): Promise<{ dataspace: bigint; readOnly: boolean }> {
    const opened = await this.ask({ case: 'open', value: { vmspace, name } });
    if (opened.case !== 'opened') throw new Error(JSON.stringify(opened.value));
    return opened.value;
  }

  map(vmspace: bigint, dataspace: bigint, writable: boolean): Promise<Answer> {
    const at = { address: 1n << 32n, lengthBytes: BigInt(PAGE_BYTES), offsetBytes: 0n };
    return this.ask({ case: 'vmspaceMmap', value: { vmspace, dataspace, writable, ...at } });
  }
}

const range = { begin: 0n, end: 9n };
const failed = (code: Code, reason: RegExp, errno?: number) => ({
  case: 'failed',
  value: { code, reason: expect.stringMatching(reason), ...(errno !== undefined && { errno }) },
});
const denied = (reason: RegExp) => failed(Code.PermissionDenied, reason);
const saidCases = () => said.map((event) => event?.case);

describe('what a virtual kernel opens', () => {
  test('it opens for the person whose it is', async () => {
    const vkernel = new Vkernel(vkernelOf('alice', 'physics'));
    const vmspace = await vkernel.process(100_001n);
    await vkernel.open(vmspace, 'a');
    await vkernel.ask({ case: 'open', value: { vmspace, name: 'b', sizeBytes: 4096n } });
    const requester = { user: 'alice', groups: ['physics'], all: false };
    expect(asked).toMatchObject([
      { method: 'get', requester },
      { method: 'create', requester },
    ]);
  });

  test('the refusal of the directory is that of the call', async () => {
    allowedOf.set('a', new RpcError(Code.PermissionDenied, 'dataspace a belongs to bob (mode 600)'));
    const vkernel = new Vkernel(vkernelOf('alice'));
    const vmspace = await vkernel.process(100_001n);
    expect(await vkernel.ask({ case: 'open', value: { vmspace, name: 'a' } })).toMatchObject(
      denied(/a belongs to bob \(mode 600\)/),
    );
  });

  test('what may only be read is mapped read-only, locked shared, waited on, and not woken or synced', async () => {
    allowedOf.set('a', { read: true, write: false });
    const vkernel = new Vkernel(vkernelOf('alice'));
    const [pid, vmspace] = [100_001n, await vkernel.process(100_001n)];
    const { dataspace, readOnly } = await vkernel.open(vmspace, 'a');
    expect(readOnly).toBe(true);
    const only = denied(/process 100001 may only read dataspace 1/);
    expect(await vkernel.map(vmspace, dataspace, true)).toMatchObject(only);
    expect(await vkernel.map(vmspace, dataspace, false)).toMatchObject({ case: 'done' });
    for (const mode of [LockMode.MODIFYING, LockMode.EXCLUSIVE])
      expect(
        await vkernel.ask({ case: 'lock', value: { dataspace, ...range, mode, owner: pid } }),
      ).toMatchObject(only);
    const meets = { dataspace, count: 2, owner: pid };
    expect(await vkernel.ask({ case: 'barrier', value: meets })).toMatchObject(only);
    const nobody = denied(/no process of this virtual kernel has opened dataspace 1 for writing/);
    expect(await vkernel.ask({ case: 'wake', value: { dataspace, count: 1 } })).toMatchObject(nobody);
    expect(await vkernel.ask({ case: 'sync', value: { dataspace } })).toMatchObject(nobody);
    expect(said).toEqual([]);
    vkernel.tell({ case: 'lock', value: { dataspace, ...range, mode: LockMode.SHARED, owner: pid } });
    vkernel.tell({ case: 'wait', value: { dataspace, owner: pid } });
    expect(saidCases()).toEqual(['lock', 'wait']);
  });

  test('what was not opened is neither mapped, locked, waited on, woken nor synced', async () => {
    const alice = new Vkernel(vkernelOf('alice'));
    const { dataspace } = await alice.open(await alice.process(100_001n), 'a');
    const mallory = new Vkernel(vkernelOf('mallory'));
    const [owner, vmspace] = [100_002n, await mallory.process(100_002n)];
    const not = denied(/process 100002 has not opened dataspace 1/);
    expect(await mallory.map(vmspace, dataspace, false)).toMatchObject(not);
    const mode = LockMode.SHARED;
    expect(await mallory.ask({ case: 'lock', value: { dataspace, ...range, mode, owner } })).toMatchObject(
      not,
    );
    expect(await mallory.ask({ case: 'wait', value: { dataspace, owner } })).toMatchObject(not);
    expect(await mallory.ask({ case: 'barrier', value: { dataspace, count: 1, owner } })).toMatchObject(not);
    expect(await mallory.ask({ case: 'wake', value: { dataspace, count: 1 } })).toMatchObject(
      denied(/no process/),
    );
    expect(await mallory.ask({ case: 'sync', value: { dataspace } })).toMatchObject(denied(/no process/));
    expect(said).toEqual([]);
  });

  test('nor by another process of the same virtual kernel; and not after the end of who opened it', async () => {
    const vkernel = new Vkernel(vkernelOf('alice'));
    const [one, two] = [await vkernel.process(100_001n), await vkernel.process(100_002n)];
    const { dataspace } = await vkernel.open(one, 'a');
    expect(await vkernel.map(two, dataspace, false)).toMatchObject(denied(/100002 has not opened/));
    vkernel.tell({ case: 'wake', value: { dataspace, count: 1 } });
    expect(saidCases()).toEqual(['wake']);
    await vkernel.ask({ case: 'vmspaceDestroy', value: { vmspace: one } });
    expect(await vkernel.ask({ case: 'wake', value: { dataspace, count: 1 } })).toMatchObject(
      denied(/no process/),
    );
  });

  test('what it may write it may still after the mode changed; another process may not', async () => {
    const vkernel = new Vkernel(vkernelOf('alice'));
    const [one, two] = [await vkernel.process(100_001n), await vkernel.process(100_002n)];
    const { dataspace } = await vkernel.open(one, 'a');
    allowedOf.set('a', { read: true, write: false });
    expect(await vkernel.open(one, 'a')).toMatchObject({ readOnly: false });
    expect(await vkernel.open(two, 'a')).toMatchObject({ readOnly: true });
    expect(await vkernel.map(one, dataspace, true)).toMatchObject({ case: 'done' });
  });

  test('a process opens so many, and is told EMFILE; another one opens more, and the pmap manager goes on', async () => {
    const vkernel = new Vkernel(vkernelOf('alice'));
    const [one, two] = [await vkernel.process(100_001n), await vkernel.process(100_002n)];
    const { open, byPid } = [...node.sessions][0]!;
    for (let i = 0; i < OPEN_MAX - 1; i++) open.add(byPid.get(100_001n)!, BigInt(i + 1_000), false);
    // Those that are under way count: a virtual kernel that asks for many at once gets no more.
    const both = await Promise.all(
      ['a', 'b'].map((name) => vkernel.ask({ case: 'open', value: { vmspace: one, name } })),
    );
    expect(both).toMatchObject([
      { case: 'opened' },
      failed(Code.ResourceExhausted, /process 100001 has 4096 dataspaces open/, 33),
    ]);
    await vkernel.open(two, 'b');
  });

  test('a virtual kernel opens so many, and is told EDQUOT; what ends makes room', async () => {
    const vkernel = new Vkernel(vkernelOf('alice'));
    const [one, two] = [await vkernel.process(100_001n), await vkernel.process(100_002n)];
    const session = [...node.sessions][0]!;
    node.bounds.set([{ name: session.name, frames: 0n, dataspaces: 2 }] as never);
    await vkernel.open(one, 'a');
    // Once for a process, however often.
    await vkernel.open(one, 'a');
    await vkernel.open(two, 'b');
    const asks: Event = { case: 'open', value: { vmspace: two, name: 'a' } };
    expect(await vkernel.ask(asks)).toMatchObject(
      failed(
        Code.ResourceExhausted,
        /has 2 dataspaces open, which is all that it may \(vkctl vkernel set/,
        19,
      ),
    );
    expect(session.open.count).toBe(2);
    await vkernel.ask({ case: 'vmspaceDestroy', value: { vmspace: one } });
    expect(await vkernel.ask(asks)).toMatchObject({ case: 'opened' });
    expect(session.open.count).toBe(2);
  });

  test('the quota of a user is EDQUOT', async () => {
    const { overQuota } = await import('@odonata/rpc/refusal.ts');
    allowedOf.set('a', overQuota('user:alice', 'alice owns 3 dataspaces'));
    const vkernel = new Vkernel(vkernelOf('alice'));
    const vmspace = await vkernel.process(100_001n);
    const asks: Event = { case: 'open', value: { vmspace, name: 'a', sizeBytes: 1n } };
    expect(await vkernel.ask(asks)).toMatchObject(failed(Code.ResourceExhausted, /alice owns 3/, 19));
  });
});

describe('what a process holds', () => {
  /** Two virtual kernels, of the same person even, and a lock that a process of the first holds. */
  async function withLock() {
    const one = new Vkernel(vkernelOf('alice'));
    const other = new Vkernel(vkernelOf('alice'));
    const [mine, theirs] = [await one.process(100_001n), await other.process(100_002n)];
    const { dataspace } = await one.open(mine, 'a');
    await other.open(theirs, 'a');
    const locked = one.ask({
      case: 'lock',
      value: { dataspace, ...range, mode: LockMode.MODIFYING, owner: 100_001n },
    });
    const { case: is, value } = said.at(-1)!;
    if (is !== 'lock') throw new Error(`said ${is}`);
    const answer = { case: 'lockResult', value: { request: value.request, status: 1 } } as never;
    node.sync.step({ type: 'answered', event: answer, shards: [0, 1, 2, 3] });
    expect(await locked).toMatchObject({ case: 'lock', value: { status: 1 } });
    said.length = 0;
    return { one, other, dataspace };
  }

  test('only its own virtual kernel gives back', async () => {
    const { one, other, dataspace } = await withLock();
    const unlock: Event = { case: 'unlock', value: { dataspace, ...range, owner: 100_001n } };
    expect(await other.ask(unlock)).toMatchObject(denied(/process 100001 is not of this virtual kernel/));
    expect(said).toEqual([]);
    expect(node.sync.core.heldRanges()).toHaveLength(1);
    expect(await one.ask(unlock)).toMatchObject({ case: 'done' });
    expect(saidCases()).toEqual(['unlock']);
  });

  test('nobody takes, nor waits for, in its name', async () => {
    const { other, dataspace } = await withLock();
    const not = denied(/process 100001 is not of this virtual kernel/);
    const owner = 100_001n;
    const mode = LockMode.SHARED;
    expect(await other.ask({ case: 'lock', value: { dataspace, ...range, mode, owner } })).toMatchObject(not);
    expect(await other.ask({ case: 'wait', value: { dataspace, owner } })).toMatchObject(not);
    expect(said).toEqual([]);
  });

  test('nor as if it had been there before a new leader', async () => {
    const { other, dataspace } = await withLock();
    const value = { dataspace, ...range, mode: LockMode.MODIFYING, owner: 100_002n, reclaim: true };
    expect(await other.ask({ case: 'lock', value })).toMatchObject(failed(Code.InvalidArgument, /reclaim/));
    expect(said).toEqual([]);
  });

  test('stays held while another virtual kernel says that it has a process of that pid, or ends one', async () => {
    const { other } = await withLock();
    const claim = (pid: bigint) => other.ask({ case: 'vmspaceCreate', value: { pid, sizeBytes: 1n << 20n } });
    expect(await claim(100_001n)).toMatchObject(
      failed(Code.AlreadyExists, /process 100001 has a vmspace already/),
    );
    for (const pid of [7n, 100_000n, 200_001n, 1n << 60n])
      expect(await claim(pid)).toMatchObject(failed(Code.InvalidArgument, /no process of node1 has it/));
    other.stream.emit('cancelled');
    expect(said).toMatchObject([{ case: 'ownerGone', value: { owner: 100_002n } }]);
    expect(node.sync.core.heldRanges()).toHaveLength(1);
  });

  test('a wait is withdrawn by who asked for it', async () => {
    const { one, other, dataspace } = await withLock();
    one.tell({ case: 'wait', value: { dataspace, owner: 100_001n } });
    for (let request = 0n; request < 10n; request++) other.tell({ case: 'cancelWait', value: { request } });
    expect(saidCases()).toEqual(['wait']);
  });
});

describe('a session that another pmap manager goes on with', () => {
  async function handedOver() {
    allowedOf.set('a', { read: true, write: false });
    const vkernel = new Vkernel(vkernelOf('alice', 'physics'));
    const vmspace = await vkernel.process(100_001n);
    const { dataspace } = await vkernel.open(vmspace, 'a');
    const [session] = node.sessions;
    session!.detach();
    const frozen = {
      ...{ incarnation: 1n, lastVmspace: 9n, shards: [], held: [], memory: node.memory, sync: node.sync },
      ...{ sessions: [session!], handmade: node.handmade, farDesks: node.farDesks },
    };
    const bytes = toBinary(
      NodeSnapshotSchema,
      snapshotOf(frozen, 0, () => new Uint8Array(16)),
    );
    const next = nodeIn(folder);
    new Inheritor(next, () => duplicate(userfault.fd)).finish(fromBinary(NodeSnapshotSchema, bytes));
    return { vkernel, next, vmspace, dataspace };
  }

  test('is whose it was, and may what it might', async () => {
    const { vkernel, next, vmspace, dataspace } = await handedOver();
    const again = new Vkernel(vkernelOf('alice', 'physics'), next, vkernel.token);
    expect(again.failed).toBeUndefined();
    expect([...next.sessions].map(({ requester }) => requester)).toEqual([
      { user: 'alice', groups: ['physics'], all: false },
    ]);
    expect(await again.map(vmspace, dataspace, true)).toMatchObject(denied(/may only read/));
    expect(await again.map(vmspace, dataspace, false)).toMatchObject({ case: 'done' });
  });

  test('is resumed by nobody else', async () => {
    const { vkernel, next } = await handedOver();
    const mallory = new Vkernel(vkernelOf('mallory'), next, vkernel.token);
    expect(mallory.failed).toMatchObject({ code: Code.PermissionDenied });
    expect(mallory.token).toHaveLength(0);
  });
});

test('a virtual kernel has the name of its person', () => {
  const mallory = new Vkernel(vkernelOf('mallory'), node, new Uint8Array(), 'alice/default');
  expect(mallory.failed).toMatchObject({ code: Code.PermissionDenied });
  expect(node.sessions.size).toBe(0);
});

describe('a program of a person, outside of virtual kernels', () => {
  const adminOwn = ctxOf({ cluster, role: Role.ADMIN, name: 'root', groups: [] }, 'own');
  const program = (ctx: CallContext, name: string) => new Vkernel(ctx, node, new Uint8Array(), name);

  test('has its person in its name, and never that of a virtual kernel', () => {
    for (const name of ['alice/default', 'bob:web', 'alice:', 'alice:a/b', 'alice', ':alice:web'])
      expect(program(personIs('alice'), name).failed?.code, name).toBe(Code.PermissionDenied);
    expect(program(personIs('alice'), 'alice:web.ts-1-1').failed).toBeUndefined();
    const taken = new Vkernel(vkernelOf('alice'), node, new Uint8Array(), 'alice:web');
    expect(taken.failed?.code).toBe(Code.PermissionDenied);
  });

  test('gets pids, and takes none', async () => {
    const vkernel = program(personIs('alice'), 'alice:web');
    const value = { pid: 0n, sizeBytes: 0n };
    const [one, two] = [
      await vkernel.ask({ case: 'vmspaceCreate', value }),
      await vkernel.ask({ case: 'vmspaceCreate', value }),
    ].map((made) => (made.case === 'vmspaceCreated' ? made.value.pid : 0n));
    expect(one).toBeGreaterThan(190_000n);
    expect(two).toBeLessThan(200_000n);
    expect(one).not.toBe(two);
    expect(await vkernel.ask({ case: 'vmspaceCreate', value: { ...value, pid: 100_001n } })).toMatchObject(
      failed(Code.InvalidArgument, /pid 100001/),
    );
  });

  test('opens for that person, with no more than a guest of theirs may: an admin, too', async () => {
    for (const [ctx, name, user] of [
      [personIs('alice', 'physics'), 'alice:web', 'alice'],
      [adminOwn, 'root:web', 'root'],
    ] as const) {
      asked = [];
      const vkernel = program(ctx, name);
      await vkernel.open(await vkernel.process(0n), 'a');
      expect(asked).toMatchObject([{ method: 'get', requester: { user, all: false } }]);
    }
  });

  test('leaves room for those of others, and for virtual kernels', () => {
    for (let i = 0; i < PROGRAMS_OF_PERSON; i++)
      expect(program(personIs('alice'), `alice:p${i}`).failed).toBeUndefined();
    expect(program(personIs('alice'), 'alice:more').failed?.code).toBe(Code.ResourceExhausted);
    expect(program(personIs('bob'), 'bob:first').failed).toBeUndefined();
    expect(new Vkernel(vkernelOf('alice')).failed).toBeUndefined();
  });
});

describe('what people ask', () => {
  test('goes to the directory as theirs', async () => {
    const ds = dataspaceHandlers(node) as Required<ReturnType<typeof dataspaceHandlers>>;
    const bob = personIs('bob', 'chess');
    const requester = requesterOf(bob);
    expect(requester).toEqual({ user: 'bob', groups: ['chess'], all: false });
    const name = 'a';
    await ds.create({ name, sizeBytes: 1n, durable: false, mode: 0o640, group: 'chess' } as never, bob);
    await ds.stat({ name } as never, bob);
    await ds.list({ pageSize: 0, pageToken: '' } as never, bob);
    await ds.listLosses({ name } as never, bob);
    await ds.acceptLoss({ name, by: 'x' } as never, bob);
    await ds.remove({ name } as never, bob);
    expect(asked).toMatchObject([
      { method: 'create', requester, mode: 0o640, group: 'chess' },
      { method: 'get', requester },
      { method: 'list', requester },
      { method: 'get', requester },
      { method: 'losses', requester },
      { method: 'get', requester, forWriting: true },
      { method: 'losses' },
      { method: 'get' },
      { method: 'delete', requester },
    ]);
    asked.length = 0;
    allowedOf.set(name, new RpcError(Code.PermissionDenied, 'dataspace a belongs to alice (mode 600)'));
    await expect(ds.sync({ name, offset: 0n, length: 0n } as never, bob)).rejects.toThrow(/belongs to alice/);
    await expect(
      ds
        .save({ name, incomplete: false } as never, bob)
        [Symbol.asyncIterator]()
        .next(),
    ).rejects.toThrow(/belongs to alice/);
    async function* pieces() {
      yield { name, sizeBytes: 1n, loadBytes: 0n, group: '', data: new Uint8Array() } as never;
    }
    const load = ds.load as (requests: AsyncIterable<never>, ctx: CallContext) => AsyncIterable<unknown>;
    await expect(load(pieces(), bob)[Symbol.asyncIterator]().next()).rejects.toThrow(/belongs to alice/);
    expect(asked).toMatchObject([
      { method: 'get', requester, forWriting: true },
      { method: 'get', requester, forWriting: false },
      { method: 'begin', requester },
    ]);
  });

  test('an admin asks for all; so does everybody without identities', () => {
    expect(requesterOf(admin)).toMatchObject({ user: 'root', all: true });
    expect(requesterOf(ctxOf(ANYONE))).toMatchObject({ user: 'anyone', all: true });
    // Whose person is an admin: the programs are not.
    expect(requesterOf(vkernelOf('root'))).toMatchObject({ user: 'root', all: false });
  });

  test('vmspaces are listed, read and written by whose they are, and by admins', async () => {
    const pmap = pmapHandlers(node, () => door, 1, gate) as Required<ReturnType<typeof pmapHandlers>>;
    const vmspace = await new Vkernel(vkernelOf('alice')).process(100_001n);
    await new Vkernel(vkernelOf('bob')).process(100_002n);
    const pidsFor = async (ctx: CallContext) =>
      (await pmap.listVmspaces({ pageSize: 0, pageToken: '' } as never, ctx)).vmspaces!.map(({ pid }) => pid);
    expect(await pidsFor(personIs('alice'))).toEqual([100_001n]);
    expect(await pidsFor(personIs('carol'))).toEqual([]);
    expect(await pidsFor(admin)).toEqual([100_001n, 100_002n]);
    const peek = { vmspace, offset: 0n, length: 3 } as never;
    const poke = { vmspace, offset: 0n, data: new Uint8Array([1, 2, 3]) } as never;
    for (const ctx of [personIs('bob'), personIs('root')]) {
      expect(() => pmap.vmspacePread(peek, ctx)).toThrow(/vmspace \d+ of node1 belongs to alice/);
      expect(() => pmap.vmspacePwrite(poke, ctx)).toThrow(/belongs to alice/);
    }
    for (const ctx of [personIs('alice'), admin]) {
      await pmap.vmspacePwrite(poke, ctx);
      expect(await pmap.vmspacePread(peek, ctx)).toMatchObject({ data: Buffer.from([1, 2, 3]) });
    }
  });
});
