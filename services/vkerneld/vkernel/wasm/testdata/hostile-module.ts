// Modules of one kind of function, made of a few instructions in great number; and what V8 takes in fact to compile one.
import { execFile } from 'node:child_process';
import { BinaryReader, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { compileBytes } from '../compile-cost.ts';
import { F32, F64, I32, I64, instructions, NESTS, OWN_LOCALS, type Piece, V128 } from './instructions.ts';

type Bytes = Uint8Array<ArrayBuffer>;
export interface Shape {
  /** By type, beside its own few. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  readonly parameters: number;
  /** Values on the stack below all of it. */
  readonly stack: number;
  readonly nests: readonly (readonly [name: string, depth: number])[];
  readonly rows: readonly (readonly [name: string, times: number])[];
  /** A branch from the innermost block to so many, from the inside out and around again. */
  readonly targets: number;
  /** Functions that are the same. */
  readonly copies: number;
}

const bytes = (...each: number[]): Bytes => Uint8Array.from(each);
const section = (id: number, ...body: Bytes[]): Bytes => {
  const whole = concat(body);
  return concat([bytes(id), unsignedLeb(whole.length), whole]);
};
const many = (count: number, type: number): number[] => new Array<number>(count).fill(type);
const TYPES: readonly (readonly [number[], number[]])[] = [
  ...(
    [
      [[], []],
      [[I32], []],
      [[], [I32]],
    ] as const
  ).map(([p, r]) => [[...p], [...r]] as [number[], number[]]),
  ...[[many(1_000, I32), []] as [number[], number[]], [[], many(1_000, I32)] as [number[], number[]]],
  ...[[many(10, V128), []] as [number[], number[]], [many(10, I32), many(10, I32)] as [number[], number[]]],
];
/** Of no size that is put into its callers. */
const CALLEE = concat([bytes(0, 0x00), new Uint8Array(600).fill(0x01), bytes(0x0b)]);

export interface HostileModule {
  readonly bytes: Bytes;
  readonly estimate: number;
}

export function hostileModule(
  shape: Shape,
  pieces: Readonly<Record<string, Piece>> = INSTRUCTIONS,
): HostileModule {
  const types = [...TYPES, [many(shape.parameters, I32), []] as [number[], number[]]];
  const functions = [...TYPES.keys(), ...many(shape.copies, TYPES.length)];
  const one = functionOf(shape, pieces);
  const callee = concat([unsignedLeb(CALLEE.length), CALLEE]);
  const code = concat([
    unsignedLeb(functions.length),
    ...TYPES.map(() => callee),
    ...new Array<Bytes>(shape.copies).fill(concat([unsignedLeb(one.length), one])),
  ]);
  const typed = types.map(([parameters, results]) =>
    concat([
      bytes(0x60),
      ...[parameters, results].flatMap((each) => [unsignedLeb(each.length), Uint8Array.from(each)]),
    ]),
  );
  const tags = [0, 1, 3, 5];
  const whole = concat([
    bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
    section(1, unsignedLeb(types.length), ...typed),
    section(3, unsignedLeb(functions.length), ...functions.map(unsignedLeb)),
    section(4, bytes(1, 0x70, 1, 10, 20)),
    section(5, bytes(1, 3, 1, 1)),
    section(13, bytes(tags.length, ...tags.flatMap((type) => [0, type]))),
    section(6, bytes(2, I32, 1, 0x41, 0, 0x0b, V128, 1, 0xfd, 12, ...many(16, 0), 0x0b)),
    section(9, bytes(2, 0, 0x41, 0, 0x0b, 1, 0, 1, 0, 1, 0)),
    section(12, bytes(1)),
    section(10, code),
    section(11, bytes(1, 1, 4, 1, 2, 3, 4)),
  ]);
  const about = {
    types: types.map(([parameters, results]) => ({ parameters: parameters.length, results: results.length })),
    ...{ functions, tags },
  };
  return { bytes: whole, estimate: compileBytes(new BinaryReader(code, 0), about, 0) };
}

function functionOf(shape: Shape, pieces: Readonly<Record<string, Piece>>): Bytes {
  const { parameters, stack, nests, rows, targets } = shape;
  const groups = [...OWN_LOCALS.map((type) => [1, type] as const), ...shape.locals];
  const locals = [...groups].reduce((sum, [count]) => sum + count, 0);
  const [first, others] = [parameters, parameters + OWN_LOCALS.length];
  // Of those that are i32: the last group, or the first local.
  const last = shape.locals.at(-1);
  const [from, count] = last?.[1] === I32 ? [parameters + locals - last[0], last[0]] : [first, 1];
  let turn = 0;
  const at = () => ({ first, local: count > 0 ? from + (turn++ % count) : others });
  const parts: Bytes[] = [unsignedLeb(groups.length)];
  for (const [times, type] of groups) parts.push(unsignedLeb(times), bytes(type));
  parts.push(repeated(stack, () => [0x41, 1]));
  for (const [name, depth] of nests) parts.push(repeated(depth, () => NESTS[name]![0](at())));
  for (const [name, times] of rows) parts.push(repeated(times, () => pieces[name]!(at())));
  const deep = nests.reduce((sum, [name, depth]) => sum + depth * (name === 'try_table' ? 2 : 1), 0);
  if (targets > 0 && nests.every(([name]) => name === 'block')) {
    parts.push(bytes(0x20), unsignedLeb(first), bytes(0x0e), unsignedLeb(targets));
    parts.push(repeated(targets + 1, (turn) => [...unsignedLeb(turn % (deep + 1))]));
  }
  for (const [name, depth] of nests.toReversed()) parts.push(repeated(depth, () => NESTS[name]![1]));
  parts.push(
    repeated(stack, () => [0x1a]),
    bytes(0x0b),
  );
  return concat(parts);
}

function repeated(times: number, each: (turn: number) => readonly number[]): Bytes {
  const all: number[] = [];
  for (let turn = 0; turn < times; turn++) for (const byte of each(turn)) all.push(byte);
  return Uint8Array.from(all);
}

const NONE: Shape = { locals: [], parameters: 0, stack: 0, nests: [], rows: [], targets: 0, copies: 1 };
export const shaped = (part: Partial<Shape>): Shape => ({ ...NONE, ...part });

export const INSTRUCTIONS = instructions((piece) =>
  WebAssembly.validate(hostileModule(shaped({ rows: [['it', 1]] }), { it: piece }).bytes),
);

export type Compiler = 'baseline' | 'optimising';
const FLAGS = ['--experimental-wasm-exnref', '--no-wasm-lazy-compilation', '--no-wasm-dynamic-tiering'];
const OF: Record<Compiler, readonly string[]> = {
  baseline: ['--liftoff-only'],
  optimising: ['--no-liftoff'],
};
const MEASURE = `
  const { readFileSync } = require('node:fs');
  const high = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
  const module = readFileSync(0);
  new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
  const before = high();
  try { new WebAssembly.Module(module); } catch (error) { console.error(error.message); process.exit(3); }
  console.log(high() - before);`;

const REFUSED = 3;
const COMPILING_MS = 60_000;

/**
 * What a process of its own takes at most beside the module itself. Undefined for one that V8 refuses, or that takes too long
 * here: what it took by then is not known. @throws Error for one that ends the process
 */
export async function compiledBytes(module: Uint8Array, by: Compiler): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const args = [...FLAGS, ...OF[by], '-e', MEASURE];
    const about = { timeout: COMPILING_MS, killSignal: 'SIGKILL' } as const;
    const child = execFile(process.execPath, args, about, (error, stdout, stderr) => {
      if (error === null) resolve(Number(stdout));
      else if (error.code === REFUSED || error.killed) resolve(undefined);
      else
        reject(new Error(`${by}: ${error.signal ?? error.code}: ${stderr.slice(0, 300)}`, { cause: error }));
    });
    child.stdin!.on('error', () => {});
    child.stdin!.end(module);
  });
}

export const LOCAL_TYPES = [I32, I64, F32, F64, V128, 0x70, 0x6f] as const;
