// The same calls as kernels/calls.c from JavaScript alone, by what Node has for them: the least that a virtual kernel which is JavaScript can take.
//
//   node test/bench/node-calls.ts FOLDER     a line of JSON: nanoseconds of one call, by its kind, in the fastest of some batches;
//                                            `bare`: of a call of the C library by koffi, with nothing around it
import { closeSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { koffi } from '@odonata/userfault/koffi.ts';

const BATCHES = 9;
const WARM_UP_MS = 100;
const SMALL = 4096;
const LARGE = 1 << 20;

const path = join(process.argv[2]!, 'file');
const file = openSync(path, 'r+');
// Of a program: it is shared between threads.
const memory = new Uint8Array(new WebAssembly.Memory({ initial: 32, maximum: 32, shared: true }).buffer);
memory.fill(97);
const view = new DataView(memory.buffer);

const kinds: Readonly<Record<string, readonly [count: number, call: () => void]>> = {
  'read 4 KiB': [400, () => readSync(file, memory, 0, SMALL, 0)],
  'write 4 KiB': [400, () => writeSync(file, memory, 0, SMALL, 0)],
  'read 1 MiB': [20, () => readSync(file, memory, 0, LARGE, 0)],
  'write 1 MiB': [20, () => writeSync(file, memory, 0, LARGE, 0)],
  'open and close': [200, () => closeSync(openSync(path, 'r'))],
  stat: [400, () => statSync(path, { bigint: true })],
  clock: [4000, () => view.setBigUint64(0, process.hrtime.bigint(), true)],
};

const libc = koffi().load('libc.so.6');
const pread = libc.func('int pread(int fd, uintptr_t at, uint length, int64_t from)');
const pwrite = libc.func('int pwrite(int fd, uintptr_t at, uint length, int64_t to)');
const address = Number(koffi().address(memory));

const bare: typeof kinds = {
  'read 4 KiB': [400, () => pread(file, address, SMALL, 0)],
  'write 4 KiB': [400, () => pwrite(file, address, SMALL, 0)],
};

const timesOf = (all: typeof kinds): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(all).map(timed));

function timed([kind, [count, call]]: [string, (typeof kinds)[string]]): [string, number] {
  const each: number[] = [];
  const warmMs = performance.now() + WARM_UP_MS;
  while (performance.now() < warmMs) call();
  for (let batch = 0; batch < BATCHES; batch++) {
    const began = process.hrtime.bigint();
    for (let i = 0; i < count; i++) call();
    each.push(Number(process.hrtime.bigint() - began) / count);
  }
  return [kind, Math.round(Math.min(...each))];
}

console.log(JSON.stringify({ ...timesOf(kinds), bare: timesOf(bare) }));
