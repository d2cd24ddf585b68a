// What a thread does before its program comes: it runs one that is made here, with everything that a program begins with, so that the
// first steps of the real one are not also the first ones of our code, which V8 compiles as it is called. They would take half as long
// again as the whole start. The rehearsed program reads its arguments and the clock, writes a byte, and returns; nobody hears of it.
import { bytesOfName, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { SectionId, section } from '@odonata/guest/wasm/section.ts';
import { createLease } from '@odonata/pmap/shared-lease.ts';
import { AtomicWait } from './atomic-wait.ts';
import { createChannel, type StartGuest } from './kernel-call.ts';
import { createOutputRing } from './output-ring.ts';
import { createSignals } from './signal-state.ts';
import { ConnectionTable } from './wasi/connection-table.ts';
import { memoryImport } from './wasm/module.ts';

/** What is the same for all threads: each of its own would take address space that stays. */
export interface Rehearsal {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
}

const [I32, I64] = [0x7f, 0x7e];
const [CONST_I32, CONST_I64, CALL, DROP, END] = [0x41, 0x42, 0x10, 0x1a, 0x0b];
/** By number: two, three and four words that are asked with, and a word that is answered; none and none. */
const TYPES = [
  [0x60, 2, I32, I32, 1, I32],
  [0x60, 3, I32, I64, I32, 1, I32],
  [0x60, 4, I32, I32, I32, I32, 1, I32],
  [0x60, 0, 0],
];
const ENTRY_TYPE = 3;
/** With addresses below 64: a number of one byte. Standard output has what lies at 32: one byte, at 40. */
const CALLS: readonly (readonly [name: string, type: number, ...args: number[]])[] = [
  ['args_sizes_get', 0, 0, 4],
  ['args_get', 0, 16, 48],
  ['environ_sizes_get', 0, 0, 4],
  ['environ_get', 0, 16, 48],
  ['fd_prestat_get', 0, 3, 0],
  ['fd_fdstat_get', 0, 1, 0],
  ['random_get', 0, 0, 8],
  ['clock_time_get', 1, 1, 1, 8],
  ['fd_write', 2, 1, 32, 1, 0],
];
const IOVEC = [40, 0, 0, 0, 1, 0, 0, 0];

const vector = (items: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> =>
  concat([unsignedLeb(items.length), ...items.map((item) => Uint8Array.from(item))]);

function moduleBytes(): Uint8Array<ArrayBuffer> {
  const { module, name } = memoryImport;
  const memory = [...bytesOfName(module), ...bytesOfName(name), 2, 3, 1, 1];
  const functions = CALLS.map(([name, type]) => [
    ...bytesOfName('wasi_snapshot_preview1'),
    ...bytesOfName(name),
    ...[0, type],
  ]);
  const calls = CALLS.flatMap(([, type, ...args], i) => [
    ...args.flatMap((arg, at) => [TYPES[type]![2 + at] === I64 ? CONST_I64! : CONST_I32!, arg]),
    ...[CALL!, i, DROP!],
  ]);
  const body = [0, ...calls, END!];
  return concat([
    Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
    section(SectionId.type, vector(TYPES)).whole,
    section(SectionId.import, vector([...functions, memory])).whole,
    section(SectionId.function, vector([[ENTRY_TYPE]])).whole,
    section(SectionId.export, vector([[...bytesOfName('_start'), 0, CALLS.length]])).whole,
    section(SectionId.code, vector([[...unsignedLeb(body.length), ...body]])).whole,
    section(SectionId.data, vector([[0, CONST_I32!, 32, END!, IOVEC.length, ...IOVEC]])).whole,
  ]);
}

let made: Rehearsal | undefined;

/** Made once, by the main thread. */
export function rehearsal(): Rehearsal {
  made ??= {
    module: new WebAssembly.Module(moduleBytes()),
    memory: new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }),
  };
  return made;
}

/** What the program that is rehearsed begins with, of its own thread alone. */
export function rehearsedStart({ memory }: Rehearsal): StartGuest {
  return {
    ...{ memory, channel: createChannel(), lease: createLease(), output: createOutputRing() },
    ...{ args: ['rehearsal'], env: [], terminals: [], grants: [], listeners: [], mounts: ['dev'] },
    ...{ connections: new ConnectionTable().places.buffer, descriptors: undefined, waits: AtomicWait.lot(1) },
    ...{ signals: createSignals(), bell: -1, given: [], image: undefined, pid: 0n, node: 0, vkernel: 0 },
  };
}
