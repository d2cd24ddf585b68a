// The short way of a call and the usual one are told apart by nothing: the same errno, memory, position and file.
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Limits } from '../limits.ts';
import { Filetype, fileRights, Rights, streamRights } from './abi.ts';
import { type Descriptor, DescriptorTable, type FileDescriptor } from './descriptor-table.ts';
import { fileCalls } from './file-calls.ts';
import { GuestMemory } from './guest-memory.ts';
import { hostCalls } from './host-calls.ts';
import { processCalls } from './process-calls.ts';
import { quickCalls } from './quick-calls.ts';
import { asImports, type System } from './system.ts';

const MEMORY_BYTES = 2 * 65_536;
const READ_ONLY = { at: 65_536, length: 4_096 };
const FILE_BYTES = 20_000;
const CALLS = ['fd_pread', 'fd_pwrite', 'fd_read', 'fd_write'] as const;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-quick-'));
  // As for a thread that made many calls.
  expect(hostCalls(undefined, 1_000)).toBeDefined();
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = (host: number, more: Partial<FileDescriptor> = {}): Descriptor => ({
  ...{ kind: 'file', host, filetype: Filetype.regularFile, seekable: true, positionBytes: 0n, flags: 0 },
  ...{ rights: fileRights, inheriting: 0n, readOnly: false, ...more },
});

/** One program; descriptors from 3 on: a file, one to append to, two that lack a right, one that was given away, one that is counted. */
function programOn(path: string) {
  writeFileSync(path, Buffer.alloc(FILE_BYTES, 'abcdefg'));
  const memory = new GuestMemory(new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true }));
  const bytes = memory.view(0, MEMORY_BYTES);
  bytes.forEach((_, i) => {
    bytes[i] = i % 251;
  });
  memory.mapped(READ_ONLY.at, READ_ONLY.length, 'shared-read-only');
  const descriptors = new DescriptorTable();
  descriptors.limits = new Limits();
  const { fdRead, fdWrite, fdSeek } = Rights;
  for (const stream of [0, 1, 2] as const)
    descriptors.add({
      kind: 'stream',
      stream,
      isTerminal: false,
      flags: 0,
      rights: streamRights,
      inheriting: 0n,
    });
  descriptors.add(file(openSync(path, 'r+')));
  descriptors.add(file(openSync(path, 'a+'), { flags: 1 }));
  descriptors.add(file(openSync(path, 'r'), { rights: fileRights & ~fdWrite }));
  descriptors.add(file(openSync(path, 'r+'), { rights: fileRights & ~fdRead }));
  descriptors.add(file(openSync(path, 'r+'), { lost: fdSeek }));
  descriptors.add(file(openSync(path, 'r+'), { counted: true }));
  const streams = {
    read: () => new Uint8Array(3),
    write: () => {},
    pollInput: () => ({ ready: true, availableBytes: 0, ended: true }),
  };
  const exit = (): never => expect.unreachable();
  const system: System = { memory, args: [], env: [], descriptors, streams, exit };
  const usual = asImports(memory, { ...fileCalls(system), ...processCalls(system) });
  const seen = (): unknown => ({
    file: readFileSync(path, 'latin1'),
    memory: Buffer.from(bytes).toString('latin1'),
    positions: [...descriptors.all()].map((each) => 'positionBytes' in each && each.positionBytes),
  });
  return { usual, quick: quickCalls(system, usual), memory, seen };
}

/** Those that are told apart, and those that a program has no business with. */
const DESCRIPTORS = [3, 3, 3, 4, 5, 6, 7, 8, 0, 1, 9, -1];
/** The first one lies over what says where to. */
const PLACES = [
  60,
  65_536 - 512,
  READ_ONLY.at,
  READ_ONLY.at + 64,
  80_000,
  MEMORY_BYTES - 8,
  4_096,
  4_096,
  8_192,
];
const LENGTHS = [0, 1, 8, 511, 4_096, 4_096, 4_096, 60_000];
const OFFSETS = [0n, 1n, 4_096n, BigInt(FILE_BYTES) - 8n, BigInt(FILE_BYTES), -1n, 1n << 62n];
const RESULTS = [16, 16, 16, READ_ONLY.at, MEMORY_BYTES - 2];

test.each([7, 8, 9])('transfers, seed %i', (seed) => {
  let state = seed;
  const pick = <T>(from: readonly T[]): T => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return from[(state >>> 8) % from.length]!;
  };
  const one = programOn(join(folder, 'usual'));
  const other = programOn(join(folder, 'quick'));
  for (let round = 0; round < 400; round++) {
    const name = pick(CALLS);
    const count = pick([1, 1, 1, 1, 0, 2]);
    const slices = [pick(PLACES), pick(LENGTHS), pick(PLACES), pick(LENGTHS)];
    for (const { memory } of [one, other])
      slices.forEach((word, i) => {
        memory.setU32(64 + i * 4, word);
      });
    const at = pick([64, 64, 64, MEMORY_BYTES - 4]);
    const offset = name === 'fd_pread' || name === 'fd_pwrite' ? [pick(OFFSETS)] : [];
    const args = [pick(DESCRIPTORS), at, count, ...offset, pick(RESULTS)];
    const said = other.quick[name]!(...args);
    expect(said, `${name} ${args.join(' ')}, round ${round}`).toBe(one.usual[name]!(...args));
    if (round % 40 === 39) expect(other.seen()).toEqual(one.seen());
  }
  expect(other.seen()).toEqual(one.seen());
});

test('rights that the program gives away count from then on', () => {
  const { quick, memory } = programOn(join(folder, 'rights'));
  memory.setU32(64, 4_096);
  memory.setU32(68, 100);
  expect(quick.fd_pread!(3, 64, 1, 0n, 16)).toBe(0);
  expect(memory.u32(16)).toBe(100);
  expect(quick.fd_fdstat_set_rights!(3, fileRights & ~Rights.fdSeek, 0n)).toBe(0);
  expect(quick.fd_pread!(3, 64, 1, 0n, 16)).toBe(76);
  expect(quick.fd_read!(3, 64, 1, 16)).toBe(0);
  expect(quick.fd_fdstat_set_rights!(3, 0n, 0n)).toBe(0);
  expect(quick.fd_read!(3, 64, 1, 16)).toBe(8);
});

test('a clock goes on, and its result has to have a place', () => {
  const { quick, memory } = programOn(join(folder, 'clock'));
  for (const [clock, now] of [
    [0, () => BigInt(Date.now()) * 1_000_000n],
    [1, process.hrtime.bigint],
  ] as const) {
    let before = 0n;
    for (let i = 0; i < 100; i++) {
      expect(quick.clock_time_get!(clock, 0n, 24)).toBe(0);
      expect(memory.u64(24)).toBeGreaterThanOrEqual(before);
      before = memory.u64(24);
    }
    expect(Number(now() - before)).toBeLessThan(60e9);
    expect(quick.clock_time_get!(clock, 0n, MEMORY_BYTES - 4)).toBe(21);
    expect(quick.clock_time_get!(clock, 0n, READ_ONLY.at)).toBe(21);
  }
  expect(quick.clock_time_get!(9, 0n, 24)).toBe(28);
});
