// What a function may be made of: each instruction that there is, with what it takes and leaves, so that any row of them is
// valid; blocks of all kinds, and what opens and closes them when they are nested.
import { unsignedLeb } from '@odonata/guest/wasm/binary.ts';

/** Types of the module that hostile-module.ts makes, by name. */
export const TYPE = {
  nothing: 0,
  takes: 1,
  gives: 2,
  takesMany: 3,
  givesMany: 4,
  vectors: 5,
  ten: 6,
} as const;
/** Its tags: without a value, of one, of many, of ten vectors. */
export const TAG = { nothing: 0, one: 1, many: 2, vectors: 3 } as const;

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
/** The first locals of each function, beside its parameters. */
export const OWN_LOCALS = [I32, I64, F32, F64, V128] as const;

export type Code = readonly number[];
/** @param local by index, an i32; another one each time */
export type Piece = (at: { readonly first: number; readonly local: number }) => Code;

const leb = (value: number): Code => [...unsignedLeb(value)];
const get = (index: number): Code => [0x20, ...leb(index)];
const set = (index: number): Code => [0x21, ...leb(index)];

type Kind = 'i' | 'l' | 'f' | 'd' | 'v';
const KINDS = 'ilfdv';

/** Takes of each kind, one after the other, does this, and keeps what comes in a local. */
const does =
  (takes: string, code: Code, leaves?: Kind): Piece =>
  ({ first }) => [
    ...[...takes].flatMap((kind) => get(first + KINDS.indexOf(kind))),
    ...code,
    ...(leaves ? set(first + KINDS.indexOf(leaves)) : []),
  ];
const DROP = 0x1a;
const REF_NULL = [0xd0, 0x70];
const BLOCK = [0x02, 0x40];
const END = 0x0b;
const CALL = [0x10, TYPE.nothing];

const numeric: Record<string, Piece> = {
  'local.get': does('i', [DROP]),
  'local.set of another': ({ first, local }) => [...get(first), ...set(local)],
  'local.tee of another': ({ first, local }) => [...get(first), 0x22, ...leb(local), DROP],
  'i32.add': does('ii', [0x6a], 'i'),
  'i32.eqz': does('i', [0x45], 'i'),
  'i32.div': does('ii', [0x6d], 'i'),
  'i32.rem': does('ii', [0x6f], 'i'),
  'i64.div': does('ll', [0x7f], 'l'),
  'i64.rem': does('ll', [0x82], 'l'),
  'i64.rotl': does('ll', [0x89], 'l'),
  'i64.popcnt': does('l', [0x7b], 'l'),
  'f64.min': does('dd', [0xa4], 'd'),
  'f64.copysign': does('dd', [0xa6], 'd'),
  'f32.copysign': does('ff', [0x98], 'f'),
  'f32.convert': does('l', [0xb5], 'f'),
  'i32.trunc': does('f', [0xa8], 'i'),
  'i64.trunc': does('d', [0xb1], 'l'),
  'i64.trunc_sat': does('d', [0xfc, 7], 'l'),
  select: does('iii', [0x1b], 'i'),
  'i32.const': does('', [0x41, 7], 'i'),
  'v128.const': does('', [0xfd, 12, ...Array.from({ length: 16 }, (_, at) => at * 7)], 'v'),
};

const memory: Record<string, Piece> = {
  'i32.load': does('i', [0x28, 0, 0], 'i'),
  'i64.load': does('i', [0x29, 0, 0], 'l'),
  'i32.store': does('ii', [0x36, 0, 0]),
  'i64.store': does('il', [0x37, 0, 0]),
  'memory.size': does('', [0x3f, 0], 'i'),
  'memory.grow': does('i', [0x40, 0], 'i'),
  'memory.copy': does('iii', [0xfc, 10, 0, 0]),
  'memory.fill': does('iii', [0xfc, 11, 0]),
  'memory.init': does('iii', [0xfc, 8, 0, 0]),
  'data.drop': does('', [0xfc, 9, 0]),
  'v128.load': does('i', [0xfd, 0, 0, 0], 'v'),
  'v128.load8x8': does('i', [0xfd, 1, 0, 0], 'v'),
  'v128.store': does('iv', [0xfd, 11, 0, 0]),
  'v128.load8_lane': does('iv', [0xfd, 84, 0, 0, 0], 'v'),
  'v128.store64_lane': does('iv', [0xfd, 91, 0, 0, 0]),
  'memory.atomic.notify': does('ii', [0xfe, 0, 2, 0], 'i'),
  'memory.atomic.wait32': does('iil', [0xfe, 1, 2, 0], 'i'),
  'memory.atomic.wait64': does('ill', [0xfe, 2, 3, 0], 'i'),
  'atomic.fence': does('', [0xfe, 3, 0]),
  'i32.atomic.load': does('i', [0xfe, 0x10, 2, 0], 'i'),
  'i64.atomic.store': does('il', [0xfe, 0x18, 3, 0]),
  'i32.atomic.add': does('ii', [0xfe, 0x1e, 2, 0], 'i'),
  'i64.atomic.xchg': does('il', [0xfe, 0x42, 3, 0], 'l'),
  'i64.atomic.cmpxchg': does('ill', [0xfe, 0x49, 3, 0], 'l'),
};

const elsewhere: Record<string, Piece> = {
  'table.get': does('i', [0x25, 0, DROP]),
  'table.set': does('i', [...REF_NULL, 0x26, 0]),
  'table.grow': ({ first }) => [...REF_NULL, ...get(first), 0xfc, 15, 0, ...set(first)],
  'table.size': does('', [0xfc, 16, 0], 'i'),
  'table.fill': ({ first }) => [...get(first), ...REF_NULL, ...get(first), 0xfc, 17, 0],
  'table.copy': does('iii', [0xfc, 14, 0, 0]),
  'table.init': does('iii', [0xfc, 12, 1, 0]),
  'elem.drop': does('', [0xfc, 13, 1]),
  'ref.func': does('', [0xd2, 0, DROP]),
  'ref.is_null': does('', [0xd2, 0, 0xd1], 'i'),
  'ref.as_non_null': does('', [...REF_NULL, 0xd4, DROP]),
  'global.get': does('', [0x23, 0], 'i'),
  'global.set': does('i', [0x24, 0]),
  'global.set of a vector': does('v', [0x24, 1]),
  call: does('', CALL),
  'call with a value': does('i', [0x10, TYPE.takes]),
  'call for a value': does('', [0x10, TYPE.gives], 'i'),
  'call with vectors': does('vvvvvvvvvv', [0x10, TYPE.vectors]),
  'call with many values': does('i'.repeat(1_000), [0x10, TYPE.takesMany]),
  'call for many values': does('', [0x10, TYPE.givesMany, ...new Array(1_000).fill(DROP)]),
  'call with ten, for ten': does('iiiiiiiiii', [0x10, TYPE.ten, ...new Array(10).fill(DROP)]),
  call_indirect: does('i', [0x11, TYPE.nothing, 0]),
  'call_indirect with a value': does('ii', [0x11, TYPE.takes, 0]),
  'call_indirect for many': does('i', [0x11, TYPE.givesMany, 0, ...new Array(1_000).fill(DROP)]),
  call_ref: does('', [0xd2, 0, 0x14, 0]),
};

const inBlock = (...code: Code): Code => [...BLOCK, ...code, END];
const blocks: Record<string, Piece> = {
  block: () => inBlock(),
  'block, br_if': ({ first }) => inBlock(...get(first), 0x0d, 0),
  'block, br': () => inBlock(0x0c, 0),
  'block, br_table': ({ first }) => inBlock(...get(first), 0x0e, 3, 0, 0, 0, 0),
  'block of ten values': ({ first }) => [
    ...Array.from({ length: 10 }, () => get(first)).flat(),
    ...[0x02, TYPE.ten, ...get(first), 0x0d, 0, END],
    ...new Array(10).fill(DROP),
  ],
  loop: () => [0x03, 0x40, END],
  'loop, br_if': ({ first }) => [0x03, 0x40, ...get(first), 0x0d, 0, END],
  'loop that sets another': ({ first, local }) => [
    ...[0x03, 0x40, ...get(first), ...set(local)],
    ...[...get(first), 0x0d, 0, END],
  ],
  if: does('i', [0x04, 0x40, END]),
  'if, else': does('i', [0x04, 0x40, 0x05, END]),
  'if, else that sets another': ({ first, local }) => [
    ...[...get(first), 0x04, 0x40, ...get(first), ...set(local), 0x05],
    ...[...get(first), ...set(local), END],
  ],
  'if for a value': ({ first }) => [
    ...[...get(first), 0x04, I32, ...get(first), 0x05, ...get(first), END],
    ...set(first),
  ],
  'if, return': does('i', [0x04, 0x40, 0x0f, END]),
  'if, unreachable': does('i', [0x04, 0x40, 0x00, END]),
  'br_if out of it': does('i', [0x0d, 0]),
  br_on_null: () => inBlock(...REF_NULL, 0xd5, 0, DROP),
  return_call: does('i', [0x04, 0x40, 0x12, TYPE.nothing, END]),
  return_call_indirect: ({ first }) => [...get(first), 0x04, 0x40, ...get(first), 0x13, 0, 0, END],
};

/** Handlers of both kinds. */
const handlers: Record<string, Piece> = {
  'try, catch_all': () => [0x06, 0x40, 0x19, END],
  'try, call, catch_all': () => [0x06, 0x40, ...CALL, 0x19, END],
  'try, call, catch': () => [0x06, 0x40, ...CALL, 0x07, TAG.nothing, END],
  'try, call, catch of one': () => [0x06, 0x40, ...CALL, 0x07, TAG.one, DROP, END],
  'try, call, catch of many': () => [0x06, 0x40, ...CALL, 0x07, TAG.many, 0x00, END],
  'try, call, catch of many, kept': ({ first }) => [
    ...[0x06, 0x40, ...CALL, 0x07, TAG.many],
    ...[...Array.from({ length: 1_000 }, () => set(first)).flat(), END],
  ],
  'try, call, catch of vectors, kept': ({ first }) => [
    ...[0x06, 0x40, ...CALL, 0x07, TAG.vectors],
    ...[...Array.from({ length: 10 }, () => set(first + 4)).flat(), END],
  ],
  'throw of vectors': ({ first }) =>
    inBlock(...get(first), 0x0d, 0, ...Array.from({ length: 10 }, () => get(first + 4)).flat(), 0x08, 3),
  'try, call, eight catches': () => [0x06, 0x40, ...CALL, ...new Array(8).fill([0x07, 0]).flat(), END],
  'try, eight calls, catch': () => [0x06, 0x40, ...new Array(8).fill(CALL).flat(), 0x07, 0, END],
  'try, throw, rethrow': () => [0x06, 0x40, 0x08, 0, 0x19, 0x09, 0, END],
  'try, delegate': () => [0x06, 0x40, 0x06, 0x40, ...CALL, 0x18, 0, 0x19, END],
  throw: ({ first }) => inBlock(...get(first), 0x0d, 0, 0x08, TAG.nothing),
  'throw of one': ({ first }) => inBlock(...get(first), 0x0d, 0, ...get(first), 0x08, TAG.one),
  'throw of many': ({ first }) =>
    inBlock(
      ...get(first),
      0x0d,
      0,
      ...Array.from({ length: 1_000 }, () => get(first)).flat(),
      0x08,
      TAG.many,
    ),
  'try_table, catch_all': () => inBlock(0x1f, 0x40, 1, 2, 0, ...CALL, END),
  'try_table, eight catches': () =>
    inBlock(0x1f, 0x40, 8, ...new Array(8).fill([0, TAG.nothing, 0]).flat(), ...CALL, END),
};

const FIRST_VECTOR = 14;
const LAST_VECTOR = 0x113;
const EXTRACTS = [21, 22, 24, 25, 27, 29, 31, 33];
const SOURCES = 'iiilfd';

/** Vectors, by number, with what each takes; `valid` says whether a function of it is. */
function vectors(valid: (piece: Piece) => boolean): Record<string, Piece> {
  const all: Record<string, Piece> = {};
  for (let number = FIRST_VECTOR; number <= LAST_VECTOR; number++) {
    const code = [0xfd, ...leb(number)];
    const source = SOURCES[number - 15];
    const scalar = number <= 28 ? 'i' : number <= 30 ? 'l' : number <= 32 ? 'f' : 'd';
    const ways: Piece[] =
      source !== undefined
        ? [does(source, code, 'v')]
        : EXTRACTS.includes(number)
          ? [does('v', [...code, 0, DROP])]
          : number < 35 && number > 20
            ? [does(`v${scalar}`, [...code, 0], 'v')]
            : ['v', 'vv', 'vvv', 'vi'].flatMap((takes) => [does(takes, code, 'v'), does(takes, code, 'i')]);
    const way = ways.find(valid);
    if (way !== undefined) all[`vector ${number}`] = way;
  }
  all.shuffle = does('vv', [0xfd, 13, ...Array.from({ length: 16 }, (_, at) => (at * 11) % 32)], 'v');
  return all;
}

export const instructions = (valid: (piece: Piece) => boolean): Readonly<Record<string, Piece>> => ({
  ...numeric,
  ...memory,
  ...elsewhere,
  ...blocks,
  ...handlers,
  ...vectors(valid),
});

/** What nests, and how it is closed. */
export const NESTS: Readonly<Record<string, readonly [open: Piece, close: Code]>> = {
  block: [() => BLOCK, [END]],
  loop: [() => [0x03, 0x40], [END]],
  if: [does('i', [0x04, 0x40]), [END]],
  'if, else': [does('i', [0x04, 0x40]), [0x05, END]],
  try: [() => [0x06, 0x40], [0x19, END]],
  'try, catch': [() => [0x06, 0x40], [0x07, 0, END]],
  try_table: [() => [...BLOCK, 0x1f, 0x40, 1, 0, 0, 0], [END, END]],
  'block, br_if': [({ first }) => [...BLOCK, ...get(first), 0x0d, 0], [END]],
  'loop that sets another': [({ first, local }) => [0x03, 0x40, ...get(first), ...set(local)], [END]],
};
