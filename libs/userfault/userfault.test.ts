// Real faults: a worker touches watched memory, this thread serves it.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DescriptorDoor, handOver, knock } from './descriptor-door.ts';
import { DescriptorReceiver, DescriptorSender } from './descriptor-line.ts';
import * as libc from './libc.ts';
import { addressOf, duplicate, Errno, MapFlag, mmap, Prot, punchHole } from './libc.ts';
import { probeUserfault } from './probe.ts';
import { type FaultMessage, Userfault, Watch, watchFaults } from './userfault.ts';

const GUEST = `
  const { parentPort, workerData } = require('node:worker_threads');
  const bytes = new Uint8Array(workerData.buffer);
  parentPort.on('message', ({ at, value }) => {
    if (value !== undefined) bytes[at] = value;
    parentPort.postMessage(bytes[at]);
  });
`;

let dir: string;
let fd: number;
let base: bigint;
let memory: WebAssembly.Memory;
let userfault: Userfault;
let guest: Worker;

beforeEach(() => {
  dir = mkdtempSync('/dev/shm/odonata-test-');
  fd = openSync(join(dir, 'file'), 'wx+');
  ftruncateSync(fd, 16 * PAGE_BYTES);
  memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  base = addressOf(new Uint8Array(memory.buffer, 0, 1));
  mmap(base, 16 * PAGE_BYTES, Prot.READ | Prot.WRITE, MapFlag.SHARED | MapFlag.FIXED, fd, 0);
  userfault = Userfault.create();
  userfault.register(base, 16 * PAGE_BYTES, Watch.MISSING | Watch.MINOR | Watch.WRITE_PROTECT);
  guest = new Worker(GUEST, { eval: true, workerData: { buffer: memory.buffer } });
});

afterEach(async () => {
  await guest.terminate();
  userfault.close();
  closeSync(fd);
  rmSync(dir, { recursive: true });
});

/** Asks the guest to touch a byte, and serves the fault that this causes. */
async function touch(
  at: number,
  value: number | undefined,
  serve: (fault: FaultMessage) => void,
): Promise<number> {
  const answer = new Promise<number>((resolve) => guest.once('message', resolve));
  guest.postMessage({ at, value });
  serve(await faultOf());
  return await answer;
}

const faultOf = () =>
  new Promise<FaultMessage>((resolve) => {
    const stop = watchFaults(userfault, ([fault]) => {
      stop();
      resolve(fault!);
    });
  });

test('missing, write-protected, revoked and dropped pages fault, and are served', async () => {
  const first = await touch(5, undefined, (fault) => {
    expect(fault).toEqual({ page: base, offset: 5, write: false, writeProtected: false, minor: false });
    writeSync(fd, Buffer.alloc(PAGE_BYTES, 7), 0, PAGE_BYTES, 0);
    expect(userfault.continue(base, PAGE_BYTES, true)).toBe(0);
  });
  expect(first).toBe(7);
  const written = await touch(5, 9, (fault) => {
    expect(fault).toMatchObject({ offset: 5, write: true, writeProtected: true });
    expect(userfault.writeProtect(base, PAGE_BYTES, false)).toBe(0);
  });
  expect(written).toBe(9);
  const bytes = Buffer.alloc(PAGE_BYTES);
  readSync(fd, bytes, 0, PAGE_BYTES, 0);
  expect(bytes[5]).toBe(9);
  punchHole(fd, 0, PAGE_BYTES);
  const zero = await touch(5, undefined, (fault) => {
    expect(fault).toMatchObject({ minor: false });
    expect(userfault.zero(base, PAGE_BYTES)).toBe(0);
  });
  expect(zero).toBe(0);
});

test('a page that is in the file and not in the mapping is a minor fault', async () => {
  writeSync(fd, Buffer.alloc(PAGE_BYTES, 3), 0, PAGE_BYTES, PAGE_BYTES);
  const value = await touch(PAGE_BYTES, undefined, (fault) => {
    expect(fault).toMatchObject({ page: base + BigInt(PAGE_BYTES), minor: true });
    expect(userfault.continue(fault.page, PAGE_BYTES, true)).toBe(0);
    expect(userfault.continue(fault.page, PAGE_BYTES, true)).toBe(Errno.EEXIST);
  });
  expect(value).toBe(3);
});

test('a kernel that protects only in a second step', async () => {
  userfault.protectsAtOnce = false;
  writeSync(fd, Buffer.alloc(PAGE_BYTES, 3), 0, PAGE_BYTES, 0);
  const read = await touch(0, undefined, (fault) =>
    expect(userfault.continue(fault.page, PAGE_BYTES, true)).toBe(0),
  );
  expect(read).toBe(3);
  const written = await touch(0, 4, (fault) => {
    expect(fault).toMatchObject({ write: true, writeProtected: true });
    userfault.writeProtect(fault.page, PAGE_BYTES, false);
  });
  expect(written).toBe(4);
});

describe('a mapping of a descriptor for reading only', () => {
  const WATCHED = Watch.MISSING | Watch.MINOR | Watch.WRITE_PROTECT;
  beforeEach(() => {
    const readOnly = openSync(`/proc/self/fd/${fd}`, 'r');
    const shared = () => {
      mmap(base, 16 * PAGE_BYTES, Prot.READ, MapFlag.SHARED | MapFlag.FIXED, readOnly, 0);
      userfault.register(base, 16 * PAGE_BYTES, WATCHED);
    };
    expect(shared).toThrow(/EPERM/);
    mmap(base, 16 * PAGE_BYTES, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.FIXED, readOnly, 0);
    userfault.register(base, 16 * PAGE_BYTES, WATCHED);
    closeSync(readOnly);
  });

  // Linux before 6.4 takes two steps.
  test.each([true, false])(
    'shows the pages, and a write faults before it copies (at once: %s)',
    async (at) => {
      userfault.protectsAtOnce = at;
      writeSync(fd, Buffer.alloc(PAGE_BYTES, 7), 0, PAGE_BYTES, 0);
      const read = await touch(5, undefined, (fault) => {
        expect(fault).toMatchObject({ minor: true, write: false });
        expect(userfault.continue(base, PAGE_BYTES, true)).toBe(0);
      });
      expect(read).toBe(7);
      // What others write is seen: it is the page, and no copy of it.
      writeSync(fd, Buffer.alloc(1, 8), 0, 1, 5);
      expect(await ask(5)).toBe(8);
      guest.postMessage({ at: 5, value: 9 });
      expect(await faultOf()).toMatchObject({ page: base, write: true, writeProtected: true });
      // Nothing was copied, and a revocation takes it away all the same.
      punchHole(fd, 0, PAGE_BYTES);
      userfault.wake(base, PAGE_BYTES);
      expect(await faultOf()).toMatchObject({ page: base, write: true, minor: false });
      expect(readFirst()).toBe(0);
      // As for a process that ends.
      mmap(base, 16 * PAGE_BYTES, Prot.READ | Prot.WRITE, EMPTY, -1, 0);
      const over = new Promise((resolve) => guest.once('message', resolve));
      userfault.wake(base, PAGE_BYTES);
      expect(await over).toBe(9);
    },
  );

  test('a write to what is not there faults, too', async () => {
    writeSync(fd, Buffer.alloc(PAGE_BYTES, 7), 0, PAGE_BYTES, 0);
    guest.postMessage({ at: 5, value: 9 });
    expect(await faultOf()).toMatchObject({ page: base, write: true, minor: true });
    mmap(base, 16 * PAGE_BYTES, Prot.READ | Prot.WRITE, EMPTY, -1, 0);
    const over = new Promise((resolve) => guest.once('message', resolve));
    userfault.wake(base, PAGE_BYTES);
    await over;
    expect(readFirst()).toBe(7);
  });

  const EMPTY = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  const readFirst = () => {
    const bytes = Buffer.alloc(6);
    readSync(fd, bytes, 0, 6, 0);
    return bytes[5];
  };
  const ask = (at: number) =>
    new Promise((resolve) => {
      guest.once('message', resolve);
      guest.postMessage({ at });
    });
});

test('what is no userfaultfd, or is made in another way, is not taken for one', () => {
  const copy = duplicate(userfault.fd);
  Userfault.adopt(copy).close();
  expect(() => Userfault.adopt(fd)).toThrow(/is no userfaultfd/);
  const raw = libc.userfaultfd(0o2004001);
  expect(() => Userfault.adopt(raw)).toThrow(/with features 0 will not do/);
  // With the events of a fork, for which the process waits.
  const api = new BigUint64Array([0xaan, (1n << 5n) | (1n << 10n) | (1n << 12n) | 2n, 0n]);
  if (libc.ioctl(raw, 0xc018aa3f, api) === 0)
    expect(() => Userfault.adopt(raw)).toThrow(/with features 80001422 will not do/);
  closeSync(raw);
});

test('a run that meets a page which is there says how far it came', () => {
  expect(userfault.zero(base + BigInt(3 * PAGE_BYTES), PAGE_BYTES)).toBe(0);
  expect(userfault.zero(base, 8 * PAGE_BYTES)).toBe(Errno.EAGAIN);
  expect(userfault.doneBytes()).toBe(3 * PAGE_BYTES);
});

test('a descriptor is claimed by its token, once', () => {
  const door = new DescriptorDoor(join(dir, 'door'));
  const token = new Uint8Array(16).fill(4);
  handOver(join(dir, 'door'), token, fd);
  expect(door.claimDescriptor(new Uint8Array(16))).toBeUndefined();
  const claimed = door.claimDescriptor(token)!;
  writeSync(claimed, 'x', 0);
  expect(door.claimDescriptor(token)).toBeUndefined();
  closeSync(claimed);
  door.close();
  expect(() => handOver(join(dir, 'door'), token, fd)).toThrow(/connect .*ENOENT/);
});

test('descriptors come back on the connection, each with its label; too many wait, and none is lost', () => {
  const door = new DescriptorDoor(join(dir, 'door'));
  const token = new Uint8Array(16).fill(5);
  const receiver = new DescriptorReceiver(knock(join(dir, 'door'), token));
  const { socket, fd: none } = door.claim(token)!;
  expect(none).toBeUndefined();
  const sender = new DescriptorSender(socket);
  let sent = 0;
  while (sender.send({ kind: 1n, id: BigInt(sent) }, fd)) sent++;
  expect(sent).toBeGreaterThan(16);
  expect(sent).toBeLessThan(200);
  expect(receiver.take({ kind: 2n, id: 0n })).toBeUndefined();
  expect(sender.send({ kind: 1n, id: BigInt(sent++) }, fd)).toBe(true);
  for (let id = 0n; id < BigInt(sent); id++) {
    const got = receiver.take({ kind: 1n, id })!;
    expect(readlinkSync(`/proc/self/fd/${got}`)).toBe(join(dir, 'file'));
    closeSync(got);
  }
  receiver.close();
  expect(() => sender.send({ kind: 1n, id: 0n }, fd)).toThrow(/EPIPE/);
  sender.close();
  door.close();
});

test("who knocks again and again is in nobody else's way, and what nobody claims is closed", () => {
  const door = new DescriptorDoor(join(dir, 'door'));
  const [other] = [new Uint8Array(16).fill(1)];
  const knocker = `
    import { knock } from ${JSON.stringify(join(import.meta.dirname, 'descriptor-door.ts'))};
    knock(${JSON.stringify(join(dir, 'door'))}, new Uint8Array(16).fill(1), 0);`;
  const ran = spawnSync(process.execPath, ['--no-warnings', '--input-type=module', '-e', knocker]);
  expect(ran.stderr.toString()).toBe('');
  for (let i = 0; i < 100; i++) handOver(join(dir, 'door'), new Uint8Array(16).fill(100 + i), fd);
  expect(door.claim(new Uint8Array(16))).toBeUndefined();
  expect(door.size).toBeLessThan(20);
  const claimed = door.claim(other)!;
  closeSync(claimed.fd!);
  closeSync(claimed.socket);
  door.close();
  expect(openedAs(join(dir, 'file'))).toEqual([String(fd)]);
});

test('who has just come is not the one that goes, though others have shown their tokens', () => {
  const path = join(dir, 'door');
  const door = new DescriptorDoor(path);
  const others = Array.from({ length: 8 }, (_, i) => knock(path, new Uint8Array(16).fill(10 + i), fd));
  const none = new Uint8Array(16);
  expect(door.claim(none)).toBeUndefined();
  const late = libc.connectUnix(path);
  expect(door.claim(none)).toBeUndefined();
  const token = new Uint8Array(16).fill(9);
  expect(libc.sendDescriptor(late, token, fd)).toBe(0);
  closeSync(door.claimDescriptor(token)!);
  for (const socket of [late, ...others]) closeSync(socket);
  door.close();
});

test('another uid that knocks by ever new processes uses up nothing of others', async ({ skip }) => {
  if (process.getuid!() !== 0 || spawnSync('python3', ['--version']).status !== 0)
    skip('takes root, which can be another uid, and python3');
  const path = join(dir, 'door');
  chmodSync(dir, 0o711);
  const door = new DescriptorDoor(path, { first: 65_534, count: 1 });
  const ours = new Uint8Array(16).fill(1);
  const socket = knock(path, ours, fd);
  expect(door.claim(new Uint8Array(16))).toBeUndefined();
  const knocks = `
import os, socket
os.setgid(65534); os.setuid(65534)
for turn in range(200):
  pid = os.fork()
  if pid == 0:
    s = socket.socket(socket.AF_UNIX)
    s.connect(${JSON.stringify(path)})
    s.send(bytes([2]) * 16)
    os._exit(0)
  os.waitpid(pid, 0)`;
  const knocker = spawn('python3', ['-c', knocks], { stdio: 'ignore' });
  const [code] = await once(knocker, 'exit');
  expect(code).toBe(0);
  expect(door.claim(new Uint8Array(16))).toBeUndefined();
  expect(door.size).toBeGreaterThan(100);
  expect(door.size).toBeLessThanOrEqual(129);
  const claimed = door.claim(ours)!;
  for (const each of [claimed.fd!, claimed.socket, socket]) closeSync(each);
  door.close();
});

/** Descriptors of this process that are of one file. */
const openedAs = (target: string): string[] =>
  readdirSync('/proc/self/fd').filter((each) => linkOf(each) === target);

test('several descriptors at once: the first counts, the others are closed', ({ skip }) => {
  if (spawnSync('python3', ['--version']).status !== 0)
    skip('python3 is not here, which hands several over at once');
  const script = `
    import socket, array, sys
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(sys.argv[1])
    fds = [0] * int(sys.argv[2])
    s.sendmsg([bytes([3]) * 16], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))])`;
  const door = new DescriptorDoor(join(dir, 'door'));
  for (const fds of ['2', '4', '60']) {
    const lines = script.replaceAll('\n    ', '\n');
    const { status } = spawnSync('python3', ['-c', lines, join(dir, 'door'), fds]);
    expect({ fds, status }).toEqual({ fds, status: 0 });
    const { socket, fd: got } = door.claim(new Uint8Array(16).fill(3))!;
    const target = linkOf(String(got));
    expect(openedAs(target)).toEqual([String(got)]);
    closeSync(socket);
    closeSync(got!);
  }
  door.close();
});

test('the probe finds what a virtual kernel needs, and names what is missing', () => {
  expect(probeUserfault().map(({ name, ok }) => [name, ok])).toEqual([
    ['userfaultfd', true],
    ['memory files', true],
  ]);
  const [, files] = probeUserfault('/nonexistent');
  expect(files).toMatchObject({ ok: false, fix: expect.stringContaining('mount') });
});

function linkOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ''; // closed meanwhile
  }
}
