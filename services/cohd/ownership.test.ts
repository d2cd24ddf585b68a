// Whose dataspaces are, at the directory: the registry and the methods that pmap managers and people call, on a bucket in
// memory.
import type { Bus } from '@odonata/bus/bus.ts';
import { Role } from '@odonata/proto/auth/v1/access';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { ANYONE, type Caller } from '@odonata/rpc/identity/identity.ts';
import type { Requester } from '@odonata/rpc/identity/requester.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import type { KV, KvEntry } from 'nats';
import { beforeEach, describe, expect, test } from 'vitest';
import type { CoherencyService } from './coherency-service.ts';
import { directoryHandlers } from './handlers.ts';
import { allowed } from './ownership.ts';
import { Registry } from './registry.ts';

const QUOTA = 3;

/** A bucket, as far as the registry uses one. Two registries of one follow each other's changes. */
class Bucket {
  revision = 0;
  readonly entries = new Map<string, { json: string; revision: number }>();
  readonly followers: ((entry: KvEntry) => void)[] = [];

  async create(key: string, json: string) {
    if (this.entries.has(key)) throw Object.assign(new Error('there is one'), { api_error: { err_code: 1 } });
    return this.store(key, json);
  }

  async update(key: string, json: string, revision: number) {
    if (this.entries.get(key)?.revision !== revision) throw new Error('wrong last sequence');
    return this.store(key, json);
  }

  async get(key: string) {
    const entry = this.entries.get(key);
    return entry && entryOf(key, entry.revision, 'PUT', entry.json);
  }

  async purge(key: string, { previousSeq }: { previousSeq?: number } = {}) {
    if (previousSeq !== undefined && this.entries.get(key)?.revision !== previousSeq)
      throw new Error('wrong last sequence');
    this.entries.delete(key);
    this.tell(entryOf(key, ++this.revision, 'PURGE'));
  }

  store(key: string, json: string): number {
    this.entries.set(key, { json, revision: ++this.revision });
    this.tell(entryOf(key, this.revision, 'PUT', json));
    return this.revision;
  }

  private tell(entry: KvEntry): void {
    for (const see of this.followers) see(entry);
  }
}

const entryOf = (key: string, revision: number, operation: string, json = '') =>
  ({ key, revision, operation, json: () => JSON.parse(json) }) as unknown as KvEntry;

const bus = (bucket: Bucket) =>
  ({
    explain: (error: unknown) => error,
    followBucket: async (_: unknown, see: (entry: KvEntry) => void) => {
      for (const [key, { json, revision }] of bucket.entries) see(entryOf(key, revision, 'PUT', json));
      bucket.followers.push(see);
      return () => {};
    },
  }) as unknown as Bus;

const registryOf = (bucket: Bucket) => Registry.load(bus(bucket), bucket as unknown as KV, () => {});

const quiet = { info: () => {}, warn: () => {} };
const ctxOf = (caller: Caller, scope: 'all' | 'own' = 'all') =>
  ({ caller, scope, requestId: 'r', log: quiet, peer: 'p' }) as unknown as CallContext;
const cluster = 'test';
const pmapd = ctxOf({ cluster, role: Role.PMAPD, name: 'node1', groups: [] });
const personIs = (name: string, ...groups: string[]) =>
  ctxOf({ cluster, role: Role.USER, name, groups }, 'own');
const admin = ctxOf({ cluster, role: Role.ADMIN, name: 'root', groups: [] });

const alice: Requester = { user: 'alice', groups: ['physics'], all: false };
const bob: Requester = { user: 'bob', groups: ['physics'], all: false };
const carol: Requester = { user: 'carol', groups: [], all: false };
const anyone: Requester = { user: ANYONE.name, groups: [], all: true };

let bucket: Bucket;
let registry: Registry;
let directory: Required<ReturnType<typeof directoryHandlers>>;

beforeEach(async () => {
  bucket = new Bucket();
  registry = await registryOf(bucket);
  const service = {
    expectUnmapped: () => {},
    lossAccepted: () => {},
    led: [],
    shards: 0,
    home: () => undefined,
    holders: { all: () => [] },
  } as unknown as CoherencyService;
  const gate = new WireGate('cohd', silentLog());
  const limits = { userDataspaces: QUOTA };
  directory = directoryHandlers(service, registry, () => new Map(), gate, limits) as typeof directory;
});

interface Made {
  sizeBytes?: bigint;
  exclusive?: boolean;
  mode?: number;
  group?: string;
}

/** As a pmap manager asks for somebody. */
const create = async (name: string, requester: Requester | undefined, about: Made = {}) =>
  await directory.createDataspace(
    {
      ...{ name, requester, sizeBytes: 4096n, creator: 'node1', creatorIncarnation: 7n, durable: false },
      ...{ exclusive: false, group: '', ...about },
    } as never,
    pmapd,
  );
const open = async (name: string, requester: Requester | undefined, forWriting = false) =>
  await directory.getDataspace({ name, requester, forWriting, withoutUsage: true } as never, pmapd);
const begin = async (name: string, requester: Requester, load: bigint, wanted: object = {}) =>
  await directory.beginLoad(
    {
      ...{ name, requester, load, sizeBytes: 4096n, loadBytes: 0n, group: '', ...wanted },
      ...{ creator: 'node1', creatorIncarnation: 7n },
    } as never,
    pmapd,
  );
const own = async (name: string, wanted: object, ctx: CallContext) =>
  await directory.setOwnership({ name, ...wanted } as never, ctx);
const namesFor = async (requester: Requester) =>
  (await directory.listDataspaces({ pageSize: 0, pageToken: '', requester } as never, pmapd)).dataspaces!.map(
    ({ name }) => name,
  );

const refused = (code: Code, words: RegExp) => ({ code, message: expect.stringMatching(words) });
const denied = (words: RegExp) => refused(Code.PermissionDenied, words);

describe('a mode', () => {
  test.each([
    [0o600, alice, 'rw'],
    [0o600, bob, ''],
    [0o640, bob, 'r'],
    [0o660, bob, 'rw'],
    [0o640, carol, ''],
    [0o604, carol, 'r'],
    [0o606, carol, 'rw'],
    // The first class decides.
    [0o066, alice, ''],
    [0o606, bob, ''],
    [0o000, anyone, 'rw'],
  ] as const)('%o', (mode, by, may) => {
    const is = allowed({ name: 'a', owner: 'alice', group: 'physics', mode }, by);
    expect(`${is.read ? 'r' : ''}${is.write ? 'w' : ''}`, by.user).toBe(may);
  });

  test('what is of another cluster is written where its gateway made it so', () => {
    const of = { name: 'a@north', owner: 'anyone', group: '', mode: 0o444 };
    for (const by of [alice, anyone]) expect(allowed(of, by)).toEqual({ read: true, write: false });
    for (const by of [alice, anyone])
      expect(allowed({ ...of, mode: 0o666 }, by)).toEqual({ read: true, write: true });
  });

  test('nobody owns what is nobody in particular', () => {
    const by = { user: 'anyone', groups: [''], all: false };
    expect(allowed({ name: 'a', owner: 'anyone', group: '', mode: 0o600 }, by)).toEqual({
      read: false,
      write: false,
    });
  });
});

describe('opening', () => {
  test('what somebody makes is theirs alone, unless told otherwise', async () => {
    expect(await create('a', alice)).toMatchObject({
      created: true,
      allowed: { read: true, write: true },
      dataspace: { owner: 'alice', group: '', mode: 0o600 },
    });
    await create('b', alice, { mode: 0o640, group: 'physics' });
    expect(await open('b', bob)).toMatchObject({ allowed: { read: true, write: false } });
    expect(await create('b', bob)).toMatchObject({ created: false, allowed: { read: true, write: false } });
    await expect(open('b', bob, true)).rejects.toMatchObject(
      denied(
        /^PERMISSION_DENIED: dataspace b belongs to alice \(mode 640, group physics\); bob may not write it$/,
      ),
    );
  });

  test('a name of somebody else says so, whatever is asked of it', async () => {
    await create('a', alice);
    const says = denied(/dataspace a belongs to alice \(mode 600\)/);
    await expect(open('a', bob)).rejects.toMatchObject(says);
    await expect(create('a', bob)).rejects.toMatchObject(says);
    await expect(create('a', bob, { exclusive: true })).rejects.toMatchObject(says);
    await expect(create('a', bob, { sizeBytes: 1n })).rejects.toMatchObject(says);
    await expect(begin('a', bob, 1n)).rejects.toMatchObject(says);
    await expect(async () => {
      await directory.acceptLoss({ name: 'a', pages: 1n, by: 'x', requester: bob } as never, pmapd);
    }).rejects.toMatchObject(says);
    await expect(async () => await own('a', { mode: 0o666 }, personIs('bob'))).rejects.toMatchObject(says);
    await expect(
      directory.deleteDataspace({ name: 'a', requester: bob } as never, pmapd) as Promise<unknown>,
    ).rejects.toMatchObject(says);
    await expect(open('none', bob)).rejects.toMatchObject(refused(Code.NotFound, /no dataspace "none"/));
  });

  test('a pmap manager asks for itself, an admin and everybody without identities for all', async () => {
    await create('a', alice);
    for (const by of [undefined, anyone])
      expect(await open('a', by, true)).toMatchObject({ allowed: { write: true } });
    expect(await create('open', anyone)).toMatchObject({ dataspace: { owner: 'anyone', mode: 0o666 } });
    expect(await open('open', bob, true)).toMatchObject({ allowed: { write: true } });
  });

  test('people who ask the directory themselves are not asked for whom', async () => {
    await create('a', alice);
    const forged = { name: 'a', requester: anyone, withoutUsage: true } as never;
    await expect(async () => await directory.getDataspace(forged, personIs('bob'))).rejects.toMatchObject(
      denied(/bob may not read it/),
    );
    await expect(async () => {
      await directory.deleteDataspace({ name: 'a', requester: anyone } as never, personIs('bob'));
    }).rejects.toMatchObject(denied(/bob may not remove it/));
    const listed = { pageSize: 0, pageToken: '', requester: anyone } as never;
    expect((await directory.listDataspaces(listed, personIs('bob'))).dataspaces).toEqual([]);
  });

  test('a group is one of the own', async () => {
    await expect(create('a', carol, { mode: 0o660, group: 'physics' })).rejects.toMatchObject(
      denied(/dataspace a: carol is not in group physics; groups of carol: none /),
    );
    await expect(create('a', alice, { mode: 0o777 })).rejects.toMatchObject(
      refused(Code.InvalidArgument, /mode 777/),
    );
  });
});

test('a list has what one may read, and what is theirs', async () => {
  await create('a', alice, { mode: 0o640, group: 'physics' });
  await create('b', bob);
  await create('c', carol);
  await own('c', { mode: 0o200 }, personIs('carol'));
  expect(await namesFor(alice)).toEqual(['a']);
  expect(await namesFor(bob)).toEqual(['a', 'b']);
  expect(await namesFor(carol)).toEqual(['c']);
  expect(await namesFor(anyone)).toEqual(['a', 'b', 'c']);
});

describe('changes', () => {
  test('the mode and the group by its owner, the owner by an admin', async () => {
    await create('a', alice);
    const { id } = registry.get('a')!;
    expect(await own('a', { mode: 0o640, group: 'physics' }, personIs('alice', 'physics'))).toMatchObject({
      dataspace: { id, owner: 'alice', group: 'physics', mode: 0o640 },
    });
    await expect(async () => await own('a', { group: 'chess' }, personIs('alice'))).rejects.toMatchObject(
      denied(/dataspace a: alice is not in group chess/),
    );
    await expect(async () => await own('a', { owner: 'bob' }, personIs('alice'))).rejects.toMatchObject(
      denied(/only an admin/),
    );
    expect(await own('a', { owner: 'bob' }, admin)).toMatchObject({
      dataspace: { id, owner: 'bob', group: 'physics', mode: 0o640 },
    });
    expect(await open('a', bob, true)).toMatchObject({ allowed: { write: true } });
    await expect(open('a', carol)).rejects.toMatchObject(denied(/belongs to bob/));
    await expect(async () => await own('a', { owner: 'no one' }, admin)).rejects.toMatchObject(
      refused(Code.InvalidArgument, /no name of a person/),
    );
  });

  test('outlive a start of the directory, and are seen by other replicas', async () => {
    const other = await registryOf(bucket);
    await create('a', alice, { mode: 0o640, group: 'physics' });
    await begin('a', alice, 5n);
    await own('a', { owner: 'bob' }, admin);
    for (const each of [other, await registryOf(bucket)])
      expect(each.get('a')).toMatchObject({ owner: 'bob', group: 'physics', mode: 0o640, load: { id: 5n } });
  });

  test('an end of a load changes nothing of whose it is', async () => {
    await begin('a', alice, 5n);
    const { id } = registry.get('a')!;
    const ended = { name: 'a', dataspace: id, load: 5n, loadedBytes: 4096n } as never;
    await directory.endLoad(ended, pmapd);
    expect(registry.get('a')).toMatchObject({ owner: 'alice', mode: 0o600, loaded: 5n });
  });
});

test('what a load makes anew, after one that broke off, stays whose it was', async () => {
  await begin('a', alice, 5n);
  await own('a', { mode: 0o660, group: 'physics' }, admin);
  expect(await begin('a', bob, 6n)).toMatchObject({
    dataspace: { owner: 'alice', group: 'physics', mode: 0o660, load: { id: 6n } },
  });
  expect(registry.ownedBy('alice')).toBe(1);
});

test('what is removed is what was looked at, and not another of that name', async () => {
  await create('a', alice);
  const { id } = registry.get('a')!;
  const remove = async (about: object) =>
    await directory.deleteDataspace({ name: 'a', requester: alice, ...about } as never, pmapd);
  await expect(remove({ dataspace: id + 1n })).rejects.toMatchObject({ code: Code.FailedPrecondition });
  await expect(remove({ unendedLoad: 5n })).rejects.toMatchObject({ code: Code.FailedPrecondition });
  // Another replica gives it to bob in that moment.
  const followers = bucket.followers.splice(0);
  const [key, entry] = [...bucket.entries][0]!;
  bucket.store(key, JSON.stringify({ ...JSON.parse(entry.json), owner: 'bob' }));
  bucket.followers.push(...followers);
  await expect(remove({})).rejects.toMatchObject(denied(/belongs to bob/));
  expect(registry.get('a')).toMatchObject({ owner: 'bob' });
  // A load that another one took the place of removes nothing.
  await begin('b', alice, 5n);
  await begin('b', alice, 6n);
  await expect(remove({ name: 'b', unendedLoad: 5n })).rejects.toMatchObject({
    code: Code.FailedPrecondition,
  });
  await remove({ name: 'b', unendedLoad: 6n });
  expect(registry.get('b')).toBeUndefined();
});

test('a load gives nothing another mode or group, and says so where one was asked for', async () => {
  await create('a', alice, { mode: 0o644 });
  const loaded = (wanted: { mode?: number; group?: string }) => begin('a', alice, 5n, wanted);
  for (const [wanted, says] of [
    [{ mode: 0o600 }, /a exists with mode 644, not 600; .*vkctl ds chmod/],
    [{ group: 'physics' }, /a exists without a group, not with physics/],
  ] as const)
    await expect(loaded(wanted)).rejects.toMatchObject(refused(Code.AlreadyExists, says));
  expect(registry.get('a')!.load).toBeUndefined();
  expect(await loaded({ mode: 0o644 })).toMatchObject({ dataspace: { mode: 0o644, load: { id: 5n } } });
});

test('what was stored before dataspaces had owners is open to all', async () => {
  const before = { name: 'old', sizeBytes: '4096', creator: 'node1', creatorIncarnation: '7', durable: true };
  bucket.store(Buffer.from('old').toString('hex'), JSON.stringify(before));
  expect(await open('old', bob, true)).toMatchObject({
    dataspace: { owner: 'anyone', group: '', mode: 0o666 },
  });
  await expect(async () => await own('old', { mode: 0o600 }, personIs('bob'))).rejects.toMatchObject(
    denied(/belongs to anyone/),
  );
  await own('old', { owner: 'bob', mode: 0o600 }, admin);
  await expect(open('old', carol)).rejects.toMatchObject(denied(/belongs to bob/));
});

describe('a quota', () => {
  const over = refused(Code.ResourceExhausted, /alice owns 3 dataspaces, the most of one user/);

  test('counts what a user owns, at every replica, until it is removed or given away', async () => {
    const other = await registryOf(bucket);
    for (const name of ['a', 'b', 'c']) await create(name, alice);
    const error = await create('d', alice).catch((error: unknown) => error);
    expect(error).toMatchObject(over);
    expect((error as RpcError).detail('google.rpc.QuotaFailure')?.violations[0]?.subject).toBe('user:alice');
    await expect(begin('d', alice, 1n)).rejects.toMatchObject(over);
    // What there is already is opened still, and others make theirs.
    await create('a', alice);
    await create('d', bob);
    expect(() => other.expectQuota('alice', QUOTA)).toThrow(/the most of one user/);
    await own('a', { owner: 'bob' }, admin);
    await create('e', alice);
    await directory.deleteDataspace({ name: 'e', requester: alice } as never, pmapd);
    await begin('e', alice, 1n);
    for (const each of [registry, other, await registryOf(bucket)])
      expect([each.ownedBy('alice'), each.ownedBy('bob')]).toEqual([3, 2]);
  });

  test('admins have none, nor what is nobody in particular', async () => {
    for (let i = 0; i < 2 * QUOTA; i++) await create(`a${i}`, anyone);
    for (let i = 0; i < 2 * QUOTA; i++) await create(`r${i}`, { user: 'root', groups: [], all: true });
    expect(registry.ownedBy('root')).toBe(2 * QUOTA);
  });
});
