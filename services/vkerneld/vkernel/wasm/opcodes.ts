// What follows each opcode in the code of a function, what it takes from the stack and puts there, and how much memory V8's
// compilers take for it. The costs were measured, by a function that is nothing but this opcode a hundred thousand times,
// for Liftoff and for TurboFan of Node 24, and rounded up; the optimising one is always the dearer.

import type { BinaryReader } from '@odonata/guest/wasm/binary.ts';

/** Bytes of a compiler's memory that one instruction takes. */
export const COST = {
  plain: 160,
  global: 700,
  memory: 900,
  block: 2_600,
  branch: 1_900,
  target: 700,
  dear: 2_600,
  call: 3_000,
  value: 600,
  /** Each value of an exception, as if all were vectors. */
  thrown: 7_000,
  /** What a handler lets by, for each handler around it. */
  rethrown: 200,
  dearest: 9_000,
  /** What a call within the reach of a handler takes more. */
  handler: 60_000,
} as const;

/** Reads past what follows an instruction. */
type Skip = (reader: BinaryReader) => void;

export interface Opcode {
  readonly pops: number;
  readonly pushes: number;
  readonly cost: number;
  readonly skip: Skip;
}

const nothing: Skip = () => {};
export const number: Skip = (reader) => reader.skipNumber();
const numbers =
  (count: number): Skip =>
  (reader) => {
    for (let i = 0; i < count; i++) number(reader);
  };
const bytes =
  (count: number): Skip =>
  (reader) => {
    reader.bytes(count);
  };
/** Alignment, an index of a memory where bit 6 says so, offset. */
const address: Skip = (reader) => {
  if ((reader.u32() & 0x40) !== 0) number(reader);
  number(reader);
};
const addressAndLane: Skip = (reader) => {
  address(reader);
  reader.u8();
};
/** `select` with types. */
const valueTypes: Skip = (reader) => {
  for (let left = reader.u32(); left > 0; left--) number(reader);
};

type Row = readonly [first: number, last: number, pops: number, pushes: number, cost?: number, skip?: Skip];

function table(rows: readonly Row[]): readonly (Opcode | undefined)[] {
  const all: (Opcode | undefined)[] = [];
  for (const [first, last, pops, pushes, cost = COST.plain, skip = nothing] of rows)
    for (let code = first; code <= last; code++) all[code] = { pops, pushes, cost, skip };
  return all;
}

const { plain, memory, dear, dearest, branch } = COST;

/** Of one byte, but what opens and closes blocks, leaves them, and calls. */
export const simple = table([
  [0x01, 0x01, 0, 0],
  [0x1a, 0x1a, 1, 0],
  [0x1b, 0x1b, 3, 1],
  [0x1c, 0x1c, 3, 1, plain, valueTypes],
  [0x20, 0x20, 0, 1, plain, number],
  [0x21, 0x21, 1, 0, plain, number],
  [0x22, 0x22, 1, 1, plain, number],
  [0x23, 0x23, 0, 1, COST.global, number],
  [0x24, 0x24, 1, 0, COST.global, number],
  [0x25, 0x25, 1, 1, dearest, number],
  [0x26, 0x26, 2, 0, dearest, number],
  [0x28, 0x35, 1, 1, memory, address],
  [0x36, 0x3e, 2, 0, memory, address],
  [0x3f, 0x3f, 0, 1, memory, number],
  [0x40, 0x40, 1, 1, dear, number],
  [0x41, 0x42, 0, 1, plain, number],
  [0x43, 0x43, 0, 1, plain, bytes(4)],
  [0x44, 0x44, 0, 1, plain, bytes(8)],
  [0x45, 0x45, 1, 1],
  [0x46, 0x4f, 2, 1],
  [0x50, 0x50, 1, 1],
  [0x51, 0x66, 2, 1],
  [0x67, 0x69, 1, 1],
  [0x6a, 0x6c, 2, 1],
  [0x6d, 0x70, 2, 1, dear],
  [0x71, 0x78, 2, 1],
  [0x79, 0x7b, 1, 1],
  [0x7c, 0x7e, 2, 1],
  [0x7f, 0x82, 2, 1, dear],
  [0x83, 0x8a, 2, 1],
  [0x8b, 0x91, 1, 1, 300],
  [0x92, 0x97, 2, 1, 300],
  [0x98, 0x98, 2, 1, dear],
  [0x99, 0x9f, 1, 1, 300],
  [0xa0, 0xa5, 2, 1, 300],
  [0xa6, 0xa6, 2, 1, dear],
  [0xa7, 0xa7, 1, 1],
  [0xa8, 0xab, 1, 1, dear],
  [0xac, 0xad, 1, 1],
  [0xae, 0xb1, 1, 1, dear],
  [0xb2, 0xbf, 1, 1, 300],
  [0xc0, 0xc4, 1, 1],
  [0xd0, 0xd0, 0, 1, plain, number],
  [0xd1, 0xd1, 1, 1],
  [0xd2, 0xd2, 0, 1, memory, number],
  [0xd3, 0xd3, 2, 1],
  [0xd4, 0xd4, 1, 1, branch],
]);

/** After 0xfc: conversions that saturate, blocks of memory, tables. */
const bulk = table([
  [0, 7, 1, 1, dearest],
  [8, 8, 3, 0, dearest, numbers(2)],
  [9, 9, 0, 0, dearest, number],
  [10, 10, 3, 0, dearest, numbers(2)],
  [11, 11, 3, 0, dearest, number],
  [12, 12, 3, 0, dearest, numbers(2)],
  [13, 13, 0, 0, dearest, number],
  [14, 14, 3, 0, dearest, numbers(2)],
  [15, 15, 2, 1, dearest, number],
  [16, 16, 0, 1, memory, number],
  [17, 17, 3, 0, dearest, number],
]);

/** After 0xfd: vectors. What they take of the stack counts as one where that differs: rather too high a stack. */
const vectors = table([
  [0, 10, 1, 1, memory, address],
  [11, 11, 2, 0, memory, address],
  [12, 12, 0, 1, 500, bytes(16)],
  [13, 13, 2, 1, 500, bytes(16)],
  [14, 14, 2, 1, 500],
  [15, 20, 1, 1, 500],
  [21, 34, 1, 1, 500, bytes(1)],
  [35, 76, 2, 1, 500],
  [77, 77, 1, 1, 500],
  [78, 81, 2, 1, 500],
  [82, 82, 3, 1, 500],
  [83, 83, 1, 1, 500],
  [84, 87, 2, 1, memory, addressAndLane],
  [88, 91, 2, 0, memory, addressAndLane],
  [92, 93, 1, 1, memory, address],
  [94, 0x113, 1, 1, 500],
]);

/** After 0xfe: atomics. */
const atomics = table([
  [0, 0, 2, 1, dearest, address],
  [1, 2, 3, 1, dearest, address],
  [3, 3, 0, 0, plain, bytes(1)],
  [0x10, 0x16, 1, 1, dearest, address],
  [0x17, 0x1d, 2, 0, dearest, address],
  [0x1e, 0x47, 2, 1, dearest, address],
  [0x48, 0x4e, 3, 1, dearest, address],
]);

/** By the byte that comes first. */
export const prefixed: ReadonlyMap<number, readonly (Opcode | undefined)[]> = new Map([
  [0xfc, bulk],
  [0xfd, vectors],
  [0xfe, atomics],
]);
