// A hostile virtual kernel against a real pmap manager: it harms what it may write, and itself. Its neighbour is a program of
// another person, in a virtual kernel that is as it should be, whose pages are looked at after each attack.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Connection, connectTo } from '@odonata/client/connection.ts';
import { LockMode } from '@odonata/proto/coherency/v1/coherency';
import { HandOverService } from '@odonata/proto/pmap/v1/handover';
import { McontrolAdvice } from '@odonata/proto/pmap/v1/pmap';
import { createClient } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { useToken } from '@odonata/rpc/identity/own.ts';
import { vkernelSockets } from '@odonata/rpc/vkernel-sockets.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { punchHole } from '@odonata/userfault/libc.ts';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { isRouter } from '../../services/vkctl/cluster/record.ts';
import { TestCluster } from '../cluster/cluster.ts';
import { identityIn, vkernelTokenIn } from '../cluster/identities.ts';
import { Program } from '../cluster/program.ts';
import { sayByChance } from './by-chance.ts';
import { type Answer, type Event, type HostileOptions, HostileVkernel } from './hostile-vkernel.ts';
import type { Asked, Said } from './inside.ts';
import { heardFrom } from './look.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 });

const PAGES = '64';
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const FUZZED = Number(process.env.ODONATA_FUZZ ?? 3_000);

let cluster: TestCluster;
let bob: Connection;
let socketDir: string;
let tokens: { mallory: string; handOver: string };
let pmapdPid: number;
const open: HostileVkernel[] = [];
let pid = 190_000n;

beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 1 });
  const { plan, services } = cluster.record;
  socketDir = join(plan.runtimeDir, 'node1');
  const sockets = vkernelSockets(socketDir);
  const about = { node: 'node1', name: 'evil', user: 'mallory' };
  const handOver = `unix:${join(socketDir, 'handover.sock')}`;
  tokens = {
    mallory: await vkernelTokenIn(plan, {
      ...about,
      sockets: [`unix:${sockets.pmap}`, `unix:${sockets.control}`],
    }),
    handOver: await vkernelTokenIn(plan, { ...about, sockets: [handOver] }),
  };
  const [router] = services.filter(isRouter).map(({ address, socket = address }) => socket);
  bob = await connectTo(plan.cluster, router!, { folder: await identityIn(plan, 'user/bob') });
  await asBob('pattern', 'bobs', PAGES, 'write', '5');
  // Everybody may read this one, and write that one.
  await asBob('pattern', 'read-me', '4', 'write', '6');
  await asBob('pattern', 'board', '4', 'write', '7');
  for (const [mode, name] of [
    ['644', 'read-me'],
    ['666', 'board'],
  ])
    expect((await cluster.vkctl(['ds', 'chmod', mode!, name!])).code).toBe(0);
  pmapdPid = cluster.service('node1/pmapd').process!.pid;
});

afterAll(async () => {
  bob?.close();
  await cluster?.down();
});

afterEach(async () => {
  for (const each of open.splice(0)) each.close();
  // The neighbour's pages are what they were, it writes and reads, and nobody was started anew.
  expect(JSON.parse(await asBob('pattern', 'bobs', PAGES, 'check', '5'))).toMatchObject({ wrong_pages: 0 });
  expect(cluster.service('node1/pmapd').process!.pid).toBe(pmapdPid);
});

async function asBob(guest: string, ...args: string[]): Promise<string> {
  const program = new Program(bob, 'node1', { name: guest, args }, await cluster.moduleOf(guest));
  const { code, stdout, stderr, reason } = await program.end();
  if (code !== 0) throw new Error(`${guest} ${args.join(' ')}: ${code} ${stderr} ${reason}`);
  return stdout.toString();
}

function hostile(options: Partial<HostileOptions> = {}): HostileVkernel {
  const sockets = vkernelSockets(socketDir);
  const made = new HostileVkernel({ sockets, token: tokens.mallory, name: 'mallory/evil', ...options });
  open.push(made);
  return made;
}

async function welcomed(): Promise<HostileVkernel> {
  const made = hostile();
  await made.welcomed;
  return made;
}

/** The four pages of the board, mapped for writing at an address. */
const boardAt = (address: bigint, vmspace: bigint, dataspace: bigint) => ({
  ...{ vmspace, address, lengthBytes: 4n * PAGE },
  ...{ dataspace, offsetBytes: 0n, writable: true },
});

/** A process of its, with four pages of the board mapped for writing. */
async function mapped(evil: HostileVkernel) {
  const { vmspace, fd } = await evil.process(++pid);
  const board = await evil.open(vmspace, 'board');
  const address = evil.lay(board.fd, 4 * 4096);
  const value = boardAt(address, vmspace, board.dataspace);
  expect(codeOf(await evil.ask({ case: 'vmspaceMmap', value }))).toBe('done');
  return { vmspace, fd, board, address, value };
}

/** What of it is told: an event of kind security, by attempt. */
async function events(attempt: string): Promise<string[]> {
  const { stdout } = await cluster.vkctl(['events', '--security', '--json', '-n', '1000']);
  const all = JSON.parse(stdout) as { subject: { attempt?: string }; text: string }[];
  return all.filter(({ subject }) => subject.attempt === attempt).map(({ text }) => text);
}

const codeOf = (answer: Answer | undefined) => (answer?.case === 'failed' ? answer.value.code : answer?.case);
const PAGE = 4096n;

describe('who it says that it is', () => {
  test('a name that is not its own, a descriptor that is no userfaultfd, a token that nobody knocked with', async () => {
    expect((await hostile({ name: 'bob/default' }).ended)?.code).toBe(Code.PermissionDenied);
    expect((await hostile({ name: 'mallory/default' }).ended)?.code).toBe(Code.PermissionDenied);
    for (const path of ['/dev/null', '/etc/hostname', '/proc/self/mem', tmpdir()]) {
      const fd = openSync(path, 'r');
      expect((await hostile({ fd }).ended)?.code, path).toBe(Code.InvalidArgument);
      closeSync(fd);
    }
    expect((await hostile({ says: new Uint8Array(16) }).ended)?.code).toBe(Code.Unauthenticated);
    expect((await hostile({ resumeToken: new Uint8Array(16) }).ended)?.code).toBe(Code.Unauthenticated);
    expect((await events('identity')).join()).toContain(
      'vkernel node1/evil is not virtual kernel bob/default',
    );
    expect((await events('userfaultfd')).join()).toContain('/dev/null is no userfaultfd');
  });

  test('many sessions, and many who knock: others still come in', async () => {
    const many = Array.from({ length: 8 }, () => hostile());
    const ends = await Promise.all(
      many.map((each) =>
        each.welcomed.then(
          () => 'in',
          (error: RpcError) => error.code,
        ),
      ),
    );
    expect(ends.filter((end) => end === 'in').length).toBeLessThanOrEqual(4);
    expect(await asBob('pattern', 'bobs', PAGES, 'check', '5')).toContain('"wrong_pages":0');
  });

  test('the socket of a hand-over answers it nothing, nor another node, nor another user of the machine', async () => {
    const address = `unix:${join(socketDir, 'handover.sock')}`;
    const succeed = async (how: object) => {
      const client = createClient(HandOverService, address, how);
      async function* requests() {
        const value = {
          node: 'node1',
          shards: 64,
          form: 2,
          door: '/x',
          atOnce: true,
          ahead: true,
          wire: wireSpoken(),
        };
        yield { event: { case: 'hello' as const, value } };
      }
      try {
        for await (const { event } of client.succeed(requests(), { deadlineMs: 5_000 })) return event.case;
        return 'ended';
      } catch (error) {
        return error instanceof RpcError ? error.code : String(error);
      } finally {
        client.close();
      }
    };
    useToken(tokens.handOver);
    expect(await succeed({})).toBe(Code.PermissionDenied);
    useToken('');
    expect(await succeed({})).toBe(Code.Unauthenticated);
    for (const who of ['pmapd/node2', 'vkerneld/node1', 'admin/root'])
      expect(await succeed({ folder: await identityIn(cluster.record.plan, who) }), who).toBe(
        Code.PermissionDenied,
      );
    const script = `require('node:net').connect(${JSON.stringify(join(socketDir, 'handover.sock'))})
      .on('error', (e) => console.log(e.code)).on('connect', () => console.log('in'))`;
    if (process.getuid!() === 0) {
      const options = { uid: 65_534, gid: 65_534, encoding: 'utf8' as const, cwd: '/' };
      const { stdout, error } = spawnSync(process.execPath, ['-e', script], options);
      if (error === undefined && stdout !== '') expect(stdout.trim()).toBe('EACCES');
    }
    expect((await events('identity')).join()).toContain('pmapd node2 may not take the place of pmapd node1');
  });
});

describe('what it gets', () => {
  test('descriptors of what it has opened, and for reading only where it may only read', async () => {
    const evil = await welcomed();
    const mine = await evil.process(++pid);
    expect(() => evil.descriptors.take({ kind: 2n, id: 1n })).not.toThrow();
    await expect(evil.open(mine.vmspace, 'bobs')).rejects.toThrow(/belongs to bob/);
    const readMe = await evil.open(mine.vmspace, 'read-me');
    expect(readMe.readOnly).toBe(true);
    expect(() => writeSync(readMe.fd, 'x', 0)).toThrow(/EBADF/);
    expect(() => ftruncateSync(readMe.fd, 0)).toThrow(/EINVAL/);
    expect(() => punchHole(readMe.fd, 0, 4096)).toThrow(/EBADF/);
    const at = { address: 1n << 32n, lengthBytes: PAGE, dataspace: readMe.dataspace, offsetBytes: 0n };
    const writable = { vmspace: mine.vmspace, ...at, writable: true };
    expect(codeOf(await evil.ask({ case: 'vmspaceMmap', value: writable }))).toBe(Code.PermissionDenied);
    const empty = {
      vmspace: mine.vmspace,
      address: at.address,
      lengthBytes: PAGE,
      advice: McontrolAdvice.INVALIDATE,
    };
    expect(codeOf(await evil.ask({ case: 'vmspaceMmap', value: { ...writable, writable: false } }))).toBe(
      'done',
    );
    expect(codeOf(await evil.ask({ case: 'vmspaceMcontrol', value: empty }))).toBe(Code.PermissionDenied);
    closeSync(readMe.fd);
    closeSync(mine.fd);
    expect(JSON.parse(await asBob('pattern', 'read-me', '4', 'check', '6'))).toMatchObject({
      wrong_pages: 0,
    });
    expect((await events('vmspace')).join()).toContain('may only read dataspace');
  });

  test('another user of the machine cannot make a descriptor for writing of one for reading', async () => {
    if (process.getuid!() !== 0) return;
    const evil = await welcomed();
    const mine = await evil.process(++pid);
    const readMe = await evil.open(mine.vmspace, 'read-me');
    const script = `const { openSync } = require('node:fs');
      for (const flags of ['r+', 'w', 'a']) try { openSync('/proc/self/fd/3', flags); console.log('opened', flags); } catch (e) { console.log(e.code); }
      try { require('node:fs').fchmodSync(3, 0o666); console.log('changed'); } catch (e) { console.log(e.code); }`;
    const { stdout } = spawnSync(process.execPath, ['-e', script], {
      ...{ uid: 65_534, gid: 65_534, encoding: 'utf8' as const, cwd: '/' },
      stdio: ['ignore', 'pipe', 'pipe', readMe.fd],
    });
    if (stdout !== null && stdout !== '')
      expect(stdout.trim().split('\n')).toEqual(['EACCES', 'EACCES', 'EACCES', 'EPERM']);
    closeSync(readMe.fd);
    closeSync(mine.fd);
  });

  test('whoever takes no descriptors is refused more, and keeps nobody', async () => {
    const evil = await welcomed();
    const asked = Array.from({ length: 300 }, () =>
      evil.ask({ case: 'vmspaceCreate', value: { pid: ++pid, sizeBytes: PAGE } }),
    );
    expect(await asBob('pattern', 'bobs', PAGES, 'check', '5')).toContain('"wrong_pages":0');
    const answers = (await Promise.all(asked)).map(codeOf);
    const known: unknown[] = ['vmspaceCreated', Code.ResourceExhausted, undefined];
    expect(answers.filter((answer) => !known.includes(answer))).toEqual([]);
    expect(answers.filter((answer) => answer === 'vmspaceCreated').length).toBeLessThan(200);
  });
});

describe('what it says', () => {
  test('ranges that cannot be, or overlap, or go past an end', async () => {
    let evil = await welcomed();
    let { vmspace, fd } = await evil.process(++pid);
    let board = await evil.open(vmspace, 'board');
    const good = {
      vmspace,
      address: 1n << 32n,
      lengthBytes: PAGE,
      dataspace: board.dataspace,
      offsetBytes: 0n,
      writable: true,
    };
    const top = (1n << 64n) - PAGE;
    const bad: Partial<typeof good>[] = [
      { address: 1n },
      { address: 0n },
      { address: top },
      { address: top, lengthBytes: 2n * PAGE },
      { address: (1n << 56n) - PAGE, lengthBytes: 2n * PAGE },
      { lengthBytes: 0n },
      { lengthBytes: 1n },
      { lengthBytes: top },
      { offsetBytes: 1n },
      { offsetBytes: 4n * PAGE },
      { offsetBytes: top, lengthBytes: 2n * PAGE },
      { dataspace: 0n },
      { dataspace: (1n << 64n) - 1n },
      { vmspace: 0n },
      { vmspace: vmspace + 1_000n },
    ];
    for (const each of bad) {
      const answer = await evil.ask({ case: 'vmspaceMmap', value: { ...good, ...each } });
      const what = JSON.stringify(each, (_, v) => String(v));
      if (!evil.isOver) {
        expect(answer?.case, what).toBe('failed');
        continue;
      }
      // What is against the rules of the message ends the stream.
      expect((await evil.ended)?.code, what).toBe(Code.InvalidArgument);
      closeSync(board.fd);
      closeSync(fd);
      evil = await welcomed();
      ({ vmspace, fd } = await evil.process(++pid));
      board = await evil.open(vmspace, 'board');
      Object.assign(good, { vmspace, dataspace: board.dataspace });
    }
    expect(codeOf(await evil.ask({ case: 'vmspaceMmap', value: good }))).toBe('done');
    expect(codeOf(await evil.ask({ case: 'vmspaceMmap', value: good }))).toBe(Code.AlreadyExists);
    for (const value of [
      { vmspace, address: good.address, lengthBytes: 2n * PAGE },
      { vmspace, address: 0n, lengthBytes: 0n },
    ])
      expect(codeOf(await evil.ask({ case: 'vmspaceMunmap', value }))).toBe(Code.NotFound);
    closeSync(board.fd);
    closeSync(fd);
  });

  test('processes that are not its own, and more of anything than there can be', async () => {
    const evil = await welcomed();
    const { vmspace, fd } = await evil.process(++pid);
    const board = await evil.open(vmspace, 'board');
    const range = { dataspace: board.dataspace, begin: 0n, end: 9n };
    const owner = 100_001n;
    const refused: [Event, number | string][] = [
      [{ case: 'vmspaceCreate', value: { pid: 1n, sizeBytes: PAGE } }, Code.InvalidArgument],
      [{ case: 'vmspaceCreate', value: { pid, sizeBytes: PAGE } }, Code.AlreadyExists],
      [{ case: 'vmspaceCreate', value: { pid: ++pid, sizeBytes: (1n << 64n) - PAGE } }, Code.InvalidArgument],
      [{ case: 'vmspaceDestroy', value: { vmspace: vmspace + 7n } }, Code.NotFound],
      [{ case: 'lock', value: { ...range, owner, mode: LockMode.MODIFYING } }, Code.PermissionDenied],
      [{ case: 'unlock', value: { ...range, owner } }, Code.PermissionDenied],
      [{ case: 'wait', value: { dataspace: board.dataspace, owner } }, Code.PermissionDenied],
      [{ case: 'barrier', value: { dataspace: board.dataspace, count: 1, owner } }, Code.PermissionDenied],
      [{ case: 'wake', value: { dataspace: 1n << 60n, count: 2 ** 32 - 1 } }, Code.PermissionDenied],
      [{ case: 'sync', value: { dataspace: 1n << 60n } }, Code.NotFound],
      [{ case: 'open', value: { vmspace, name: '' } }, Code.InvalidArgument],
      [{ case: 'open', value: { vmspace, name: 'x'.repeat(1 << 20) } }, Code.InvalidArgument],
    ];
    for (const [event, code] of refused) {
      const one = await welcomed();
      const answer = await one.ask(event);
      const what = JSON.stringify(event, (_, v) => String(v).slice(0, 40));
      if (one.isOver) expect((await one.ended)?.code, what).toBe(Code.InvalidArgument);
      else if (event?.case === 'vmspaceCreate' || code !== Code.NotFound)
        expect(answer?.case, what).toBe('failed');
      one.close();
      await one.ended;
    }
    // Files of its own get a pid of the pmap manager's: a few of them.
    const own = await welcomed();
    const made: (string | undefined)[] = [];
    for (let i = 0; i < 5; i++) {
      const answer = await own.ask({ case: 'vmspaceCreate', value: { pid: 0n, sizeBytes: PAGE } });
      made.push(answer?.case);
    }
    expect(made).toEqual([...Array(4).fill('vmspaceCreated'), 'failed']);
    own.close();
    await own.ended;
    evil.say(0n, {
      case: 'localFaults',
      value: { count: (1n << 64n) - 1n, sampleNs: Array(100_000).fill(2 ** 32 - 1) },
    });
    for (let i = 0; i < 100; i++)
      evil.say(0n, { case: 'memoryEnd', value: { vmspace, reason: 'y'.repeat(100_000) } });
    evil.say(0n, { case: 'cancelWait', value: { request: 1n << 63n } });
    expect(await evil.ask({ case: 'frames', value: { giveBack: 1n << 52n } })).toBeUndefined();
    closeSync(board.fd);
    closeSync(fd);
    expect((await events('not-theirs')).join()).toContain('process 100001 is not of this virtual kernel');
  });

  test('frames: it holds few that it does not use, and what it fills counts', async () => {
    const evil = await welcomed();
    const { fd } = await evil.process(++pid);
    let got = 0n;
    for (let i = 0; i < 100; i++) {
      const answer = await evil.ask({ case: 'frames', value: { want: 1n << 52n } });
      if (answer?.case === 'frames') got += answer.value.frames;
    }
    expect(got).toBeLessThan(140_000n);
    const { framesPrivate: before } = await pmapd();
    evil.say(0n, { case: 'frames', value: { giveBack: got } });
    const mib = Buffer.alloc(1 << 20, 1);
    for (let i = 0; i < 16; i++) writeSync(fd, mib, 0, mib.length, i << 20);
    await vi.waitFor(
      async () => {
        const { framesPrivate } = await pmapd();
        expect(framesPrivate).toBeLessThan(before);
        expect(framesPrivate).toBeGreaterThanOrEqual(4_096n);
      },
      { timeout: 10_000, interval: 200 },
    );
    closeSync(fd);
  });

  test.each<[string, Event]>([['a second hello', { case: 'hello', value: { name: 'mallory/evil' } }]])(
    '%s ends its session',
    async (_, event) => {
      const evil = await welcomed();
      evil.say(0n, event);
      expect((await evil.ended)?.code).toBe(Code.Aborted);
    },
  );

  test('faults where no page begins, or far too many at once, end its session; a time is not believed', async () => {
    const noPage = /a fault at \d+, where no page begins/;
    const cases: [Parameters<ReturnType<HostileVkernel['faults']>['say']>[0], RegExp][] = [
      [[{ vmspace: 1n, address: 1n, write: false, atNs: 0n }], noPage],
      [[{ vmspace: 1n, address: (1n << 64n) - PAGE, write: true, atNs: 0n }], noPage],
      [
        Array(5_000).fill({ vmspace: 1n, address: PAGE, write: false, atNs: 0n }),
        /5000 faults in one message/,
      ],
    ];
    for (const [bad, why] of cases) {
      const evil = await welcomed();
      const faults = evil.faults();
      faults.say(bad);
      const end = await faults.ended;
      expect(end).toMatchObject({ code: Code.InvalidArgument, message: expect.stringMatching(why) });
      evil.close();
    }
    const evil = await welcomed();
    const { vmspace, fd, board, address, value } = await mapped(evil);
    for (const atNs of [0n, (1n << 64n) - 1n]) evil.faults().say([{ vmspace, address, write: true, atNs }]);
    expect(codeOf(await evil.ask({ case: 'vmspaceMunmap', value }))).toBe('done');
    const guessed = evil.faults(new Uint8Array(16));
    guessed.say([]);
    expect((await guessed.ended)?.code).toBe(Code.Unauthenticated);
    closeSync(board.fd);
    closeSync(fd);
    expect((await events('message')).length).toBeGreaterThan(0);
  });

  test('whoever does not read its answers is read no more', async () => {
    const evil = await welcomed();
    evil.goDeaf();
    for (let i = 0; i < 20_000; i++)
      evil.say(BigInt(i + 1), { case: 'sync', value: { dataspace: 1n << 60n } });
    expect(await asBob('pattern', 'bobs', PAGES, 'check', '5')).toContain('"wrong_pages":0');
  });
});

describe('what it does with what it got', () => {
  test('a mapping that is not there, a file that has holes or is made longer: the neighbour sees zeros, and goes on', async () => {
    const evil = await welcomed();
    const { vmspace, fd } = await evil.process(++pid);
    const board = await evil.open(vmspace, 'board');
    // Said to be mapped where nothing is, and where another file is.
    for (const address of [1n << 40n, evil.lay(fd, 4 * 4096)]) {
      const value = boardAt(address, vmspace, board.dataspace);
      expect(codeOf(await evil.ask({ case: 'vmspaceMmap', value }))).toBe('done');
      evil.faults().say(
        [0n, 1n, 2n, 3n].map((page) => ({
          vmspace,
          address: address + page * PAGE,
          write: true,
          atNs: 0n,
        })),
      );
    }
    expect(JSON.parse(await asBob('pattern', 'board', '4', 'check', '7'))).toMatchObject({ wrong_pages: 0 });
    punchHole(board.fd, 0, 4096);
    punchHole(board.fd, 2 * 4096, 2 * 4096);
    // Who touches what was cut off ends by SIGBUS: nobody cuts it.
    for (const size of [0, 2 * 4096, 1 << 30]) expect(() => ftruncateSync(board.fd, size)).toThrow(/EACCES/);
    writeSync(board.fd, Buffer.alloc(1 << 22, 1), 0, 1 << 22, 1 << 20);
    const { stdout } = await cluster.vkctl(['ds', 'save', 'board', '-']);
    expect(stdout.length).toBeGreaterThan(0);
    for (const page of [0, 2, 3]) expect(await asBob('peek', 'board', String(page * 4096))).toMatch(/\b0\b/);
    expect((await events('memory-file')).join()).toContain(
      'of dataspace board was taken out of its memory file',
    );
    await vi.waitFor(() => expect(fstatSync(board.fd).blocks * 512).toBeLessThanOrEqual(4 * 4096), {
      ...{ timeout: 10_000, interval: 100 },
    });
    expect((await events('memory-file-growth')).join()).toContain('dataspace board was made longer');
    closeSync(board.fd);
    closeSync(fd);
  });

  test('a userfaultfd whose process is gone, or that is unregistered under it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-hostile-'));
    const evil = await welcomed();
    const { vmspace, fd, board, address } = await mapped(evil);
    evil.userfault.close();
    evil.faults().say([{ vmspace, address, write: true, atNs: 0n }]);
    await asBob('pattern', 'board', '4', 'write', '9');
    expect(JSON.parse(await asBob('pattern', 'board', '4', 'check', '9'))).toMatchObject({ wrong_pages: 0 });
    const bytes = Buffer.alloc(8);
    readSync(board.fd, bytes, 0, 8, 0);
    rmSync(folder, { recursive: true });
    closeSync(board.fd);
    closeSync(fd);
  });
});

test(`whatever it says: ${FUZZED} events by chance (SEED=${SEED})`, async () => {
  await sayByChance({ seed: SEED, count: FUZZED }, async () => {
    const evil = await welcomed();
    return { evil, known: await evil.known(++pid, 'board') };
  });
}, 120_000);

test(`as a process in the real sandbox, by hand and by chance (SEED=${SEED})`, async () => {
  const sockets = vkernelSockets(socketDir);
  const tokenOf = (name: string) => ({ token: tokens.mallory, name });
  const asked: Asked = {
    ...{ sockets, seed: SEED, count: FUZZED, firstPid: String(195_000n) },
    ...{ mallory: tokenOf('mallory/evil'), bob: tokenOf('bob/default'), pmapdPid },
  };
  const said = (await heardFrom(sockets.folder, { program: 'inside.ts', uidOf: socketDir, asked })) as Said;
  const { sessions, ...rest } = said;
  expect(sessions).toBeGreaterThan(0);
  expect(rest).toEqual({
    'cut to 0': 'EACCES',
    'cut to a page': 'EACCES',
    'made longer': 'EACCES',
    'opened again for writing': 'EACCES',
    'cut when opened': 'EACCES',
    'mode changed': 'EPERM',
    'read-only: opened again for writing': 'EACCES',
    'read-only: mapped for writing': 'EACCES',
    'read-only: written': 'EBADF',
    'read-only: punched': 'EBADF',
    'socket of a hand-over': 'ENOENT',
    'signal to pmapd': 'EPERM',
    'as bob': 'PERMISSION_DENIED',
    'as a virtual kernel of ours at vkerneld': 'PERMISSION_DENIED',
    'a message against its rules': 'INVALID_ARGUMENT',
    'a dataspace of bob': 'PERMISSION_DENIED',
  });
  // Who, by which method, in which field.
  const { stdout } = await cluster.vkctl(['events', '--security', '--json', '-n', '1000']);
  const all = JSON.parse(stdout) as { subject: Record<string, string>; text: string }[];
  const told = all.filter(({ subject }) => subject.attempt === 'constraint');
  // The first three of a peer and minute: what was said by chance before this may be among them.
  expect(told.length).toBeGreaterThan(0);
  for (const { subject } of told)
    expect(subject).toMatchObject({
      ...{ attempt: 'constraint', peer: 'vkernel node1/evil' },
      ...{ rpc: '/odonata.pmap.v1.PmapService/Session', field: expect.stringMatching(/^events\[0\]\.\w+\./) },
    });
  expect(told.length).toBeLessThanOrEqual(100);
}, 120_000);

const pmapd = () => bobsView().getNodeStats({}, { deadlineMs: 5_000 });
const bobsView = () => cluster.connection.pmapd('node1');
