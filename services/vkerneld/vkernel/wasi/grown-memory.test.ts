// Wherever a program points, also into memory that it grew just now, a call answers with an errno, or traps as a load
// of the program's would: no error of ours comes out of it, and what is in the memory is not refused.

import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assemblyscriptImports, assemblyscriptTypes } from '../assemblyscript-calls.ts';
import { type KernelCaller, type KernelRequest, packWords } from '../kernel-call.ts';
import { odonataImports, odonataTypes } from '../odonata-calls.ts';
import { createOutputRing, OutputReader, OutputWriter } from '../output-ring.ts';
import { createSignals, SignalGate } from '../signal-state.ts';
import { trapOf } from '../trap.ts';
import { DescriptorTable } from './descriptor-table.ts';
import { addGrant } from './directory-calls.ts';
import { Errno } from './errno.ts';
import { GuestMemory } from './guest-memory.ts';
import { preview1Imports, preview1Types } from './preview1.ts';

const wasmPage = 65_536;
const errnos = new Set<number>(Object.values(Errno));
type GuestFunction = (...args: (number | bigint)[]) => number | bigint | undefined;

class Exit extends Error {}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-grown-'));
  writeFileSync(join(folder, 'file'), 'x'.repeat(1000));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A guest's memory, and all that it may call. */
function guest(args: readonly string[] = ['program', 'x'.repeat(100)]) {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65_536, shared: true });
  const seen = new GuestMemory(memory);
  const descriptors = new DescriptorTable();
  for (const stream of [0, 1, 2] as const)
    descriptors.add({ kind: 'stream', stream, isTerminal: false, flags: 0, rights: -1n, inheriting: 0n });
  addGrant(descriptors, { descriptor: openSync(folder, 'r'), guestPath: '/d', readOnly: true });
  const streams = {
    read: (maxBytes: number) => new Uint8Array(Math.min(maxBytes, 7)),
    write: () => {},
    pollInput: () => ({ ready: true, availableBytes: 7, ended: false }),
  };
  const exit = () => {
    throw new Exit();
  };
  const kernel = {
    expectRunning: () => {},
    call: (request: KernelRequest) => ({ errno: 0, payload: answerTo(request) }),
  } as unknown as KernelCaller;
  const ring = createOutputRing();
  const reader = new OutputReader(ring);
  const output = new OutputWriter(ring, () => {
    reader.answerRing();
    while (reader.take() !== undefined);
  });
  const identity = { node: 1, vkernel: 2, pid: 3n };
  const imports = {
    ...preview1Imports({ memory: seen, args, env: ['A=1', 'B=2'], descriptors, streams, exit }),
    ...odonataImports(seen, kernel, identity, descriptors, new SignalGate(createSignals())),
    ...assemblyscriptImports(seen, output, exit),
  } as Record<string, GuestFunction>;
  return { memory, seen, imports };
}

function answerTo({ call }: KernelRequest): Uint8Array {
  return call === 'ds_open' ? packWords(1n, 65_536n) : packWords(1n, 1n);
}

const types = { ...preview1Types, ...odonataTypes, ...assemblyscriptTypes };
// A wait for a clock that a program sets to next year is what it asked for.
const names = Object.keys(types).filter((name) => name !== 'poll_oneoff');

/** Places by where they are from the end of the memory, or as they are. */
type Place = { fromEnd: number } | { at: number };
const place: fc.Arbitrary<Place> = fc.oneof(
  fc.integer({ min: -64, max: 64 }).map((fromEnd) => ({ fromEnd })),
  fc
    .constantFrom(1, 2, 4, 8, 16, 24, 48, 64, 1000, 4096, wasmPage - 8, wasmPage)
    .map((n) => ({ fromEnd: -n })),
  fc.integer({ min: 0, max: 16 }).map((at) => ({ at })),
  fc.constantFrom(2 ** 32 - 1, 2 ** 32 - 8, 2 ** 31, 2 ** 31 - 1, 512).map((at) => ({ at })),
);
const wide = fc.constantFrom(0n, 1n, -1n, 4096n, 2n ** 63n - 1n, -(2n ** 63n));

function check(name: string, imports: Record<string, GuestFunction>, args: (number | bigint)[]): number {
  try {
    const errno = imports[name]!(...args);
    const isErrno = types[name]!.endsWith(':i') && !/_id$/.test(name);
    if (isErrno) expect(errnos.has(errno as number), `${name} gave ${errno}`).toBe(true);
    return Number(errno ?? 0);
  } catch (error) {
    if (error instanceof Exit) return 0;
    const trap = trapOf(error);
    if (trap === undefined) throw new Error(`${name}(${args.join(', ')})`, { cause: error });
    return -1;
  }
}

test.each(names)('%s', (name) => {
  const letters = [...types[name]!.split(':')[0]!];
  const { memory, imports } = guest();
  const argument = (letter: string): fc.Arbitrary<Place | bigint> => (letter === 'I' ? wide : place);
  fc.assert(
    fc.property(fc.tuple(...letters.map(argument)), fc.boolean(), (drawn, grows) => {
      if (grows) memory.grow(1);
      const end = memory.buffer.byteLength;
      const args = drawn.map((one) => {
        if (typeof one === 'bigint') return one;
        return 'at' in one ? one.at | 0 : (end + one.fromEnd) | 0;
      });
      // The grant stays.
      if (/fd_close|fd_renumber/.test(name)) args[0] = 77;
      check(name, imports, args);
    }),
    { numRuns: 150 },
  );
});

/** Calls that succeed with their results, or what they read, at such a place, which they need so many bytes of. */
const whole: readonly [name: string, bytes: number, args: (at: number) => (number | bigint)[]][] = [
  ['args_sizes_get', 4, (at) => [at, 0]],
  ['args_sizes_get', 4, (at) => [0, at]],
  ['args_get', 8, (at) => [at, 64]],
  ['args_get', 109, (at) => [0, at]],
  ['environ_sizes_get', 4, (at) => [at, 0]],
  ['environ_get', 8, (at) => [at, 64]],
  ['clock_time_get', 8, (at) => [1, 0n, at]],
  ['clock_res_get', 8, (at) => [1, at]],
  ['random_get', 100_000, (at) => [at, 100_000]],
  ['fd_fdstat_get', 24, (at) => [3, at]],
  ['fd_prestat_get', 8, (at) => [3, at]],
  ['fd_prestat_dir_name', 2, (at) => [3, at, 2]],
  ['fd_filestat_get', 64, (at) => [3, at]],
  ['fd_readdir', 40, (at) => [3, at, 40, 0n, 0]],
  ['fd_readdir', 4, (at) => [3, 64, 40, 0n, at]],
  ['fd_read', 4, (at) => [0, 512, 1, at]],
  ['fd_read', 8, (at) => [0, at, 1, 0]],
  ['fd_write', 8, (at) => [1, at, 1, 0]],
  ['fd_write', 4, (at) => [1, 512, 1, at]],
  ['path_filestat_get', 64, (at) => [3, 0, 600, 4, at]],
  ['path_filestat_get', 4, (at) => [3, 0, at, 4, 64]],
  ['path_open', 4, (at) => [3, 0, 600, 4, 0, 2n, 2n, 0, at]],
  ['poll_oneoff', 48, (at) => [at, 64, 1, 0]],
  ['poll_oneoff', 32, (at) => [700, at, 1, 0]],
  ['poll_oneoff', 4, (at) => [700, 64, 1, at]],
  ['ds_open', 16, (at) => [600, 4, 65_536n, 1, at]],
  ['ds_open', 4, (at) => [at, 4, 65_536n, 1, 64]],
  ['ds_stat', 16, (at) => [1n, at]],
  ['wait32', 4, (at) => [at, 0, 0n]],
  ['wake', 4, (at) => [0, 1, at]],
  ['wake', 4, (at) => [at, 1, 64]],
  ['ds_map', 4096, (at) => [1n, at, 4096, 0n, 3]],
];

describe('the first pointer into memory that has just grown', () => {
  test.each(whole.map(([name, bytes], i) => [name, bytes, i] as const))('%s, %i bytes', (name, bytes, i) => {
    const args = whole[i]![2];
    const { memory, seen, imports } = guest();
    imports.ds_open!(0, 1, 65_536n, 1, 64);
    seen.copyIn(600, Buffer.from('file'));
    const last = () => memory.buffer.byteLength - bytes;
    const prepare = (): void => {
      seen.setU32(516, 1); // a list of one slice of one byte
      seen.setU32(512, 0);
    };
    for (const [where, from] of [
      ['at its begin', () => memory.buffer.byteLength - 2 * wasmPage],
      ['at its end', last],
    ] as const) {
      prepare();
      memory.grow(2);
      // An entry of a list, a name or a subscription that is all zero is none.
      const reads = (name === 'path_filestat_get' || name === 'ds_open') && bytes === 4;
      if (reads) new Uint8Array(memory.buffer).set(Buffer.from('file'), from());
      expect([where, check(name, imports, args(from()))]).toEqual([where, 0]);
    }
    prepare();
    memory.grow(2);
    const past = check(name, imports, args(last() + (name === 'ds_map' ? 4096 : 4)));
    expect([name, past]).toEqual([name, name === 'ds_map' ? Errno.inval : Errno.fault]);
    const outside = check(name, imports, args(name === 'ds_map' ? -4096 : -4));
    expect([name, outside]).toEqual([name, name === 'ds_map' ? Errno.inval : Errno.fault]);
  });
});

test('every access of the memory, first after it has grown', () => {
  const { memory, seen } = guest();
  const accesses: ((at: number) => unknown)[] = [
    (at) => seen.u8(at),
    (at) => seen.u16(at),
    (at) => seen.u32(at),
    (at) => seen.u64(at),
    (at) => seen.atomicU32(at),
    (at) => seen.setU8(at, 1),
    (at) => seen.setU16(at, 1),
    (at) => seen.setU32(at, 1),
    (at) => seen.setU64(at, 1n),
    (at) => seen.copyOut(at, 8),
    (at) => seen.copyIn(at, new Uint8Array(8)),
    (at) => seen.fillZero(at, 8),
    (at) => seen.view(at, 8),
    (at) => seen.string(at, 8),
    (at) => seen.expectReadable(at, 8),
    (at) => seen.expectWritable(at, 8),
  ];
  for (const access of accesses) {
    const at = memory.buffer.byteLength;
    expect(() => access(at)).toThrow();
    memory.grow(1);
    access(at);
  }
});
