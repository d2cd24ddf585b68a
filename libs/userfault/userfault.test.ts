// Real faults: a worker touches watched memory, this thread serves it.

import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DescriptorDoor, handOver } from './descriptor-door.ts';
import { addressOf, Errno, MapFlag, mmap, Prot, punchHole } from './libc.ts';
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
    expect(fault).toEqual({ page: base, write: false, writeProtected: false, minor: false });
    writeSync(fd, Buffer.alloc(PAGE_BYTES, 7), 0, PAGE_BYTES, 0);
    expect(userfault.continue(base, PAGE_BYTES, true)).toBe(0);
  });
  expect(first).toBe(7);
  const written = await touch(5, 9, (fault) => {
    expect(fault).toMatchObject({ write: true, writeProtected: true });
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

test('the probe finds what a virtual kernel needs, and names what is missing', () => {
  expect(probeUserfault().map(({ name, ok }) => [name, ok])).toEqual([
    ['userfaultfd', true],
    ['memory files', true],
  ]);
  const [, files] = probeUserfault('/nonexistent');
  expect(files).toMatchObject({ ok: false, fix: expect.stringContaining('mount') });
});
