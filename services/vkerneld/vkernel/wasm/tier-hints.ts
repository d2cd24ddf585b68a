// Which functions of a program V8 compiles by its optimising compiler when they are called first. By itself it begins each by
// the baseline compiler, and optimises what was called often or looped long, for the next call of it: a program whose work is
// one call of one function runs all of it at a third of the speed. So functions that loop within loops, and call little there,
// are named to it, in a section that it reads (v8/src/wasm/module-decoder-impl.h, "compilationHints").
//
// What is named costs some milliseconds at its first call. So only functions of some size are, of programs of some size: what
// loops and calls a lot (printf, interpreters) is long and seldom hot in one call, and large programs start sooner as it is.
// A long function (a `main` that has the kernels of its program in it) has to be loops within loops for a good part, and to call
// still less: printf's and SQLite's long ones call once in 70 to 300 bytes, or have a loop somewhere.
import { BinaryReader, bytesOfName, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { readLocals } from './function-frame.ts';
import { control } from './instruction.ts';
import { prefixed, simple } from './opcodes.ts';

export const HINTS_SECTION = 'compilationHints';

/** Of a module's code. */
const CODE_BYTES_MAX = 2 ** 20;
const LONG_BYTES = 4_096;
const FUNCTION_BYTES_MAX = 16_384;
/** Calls within loops: one in so many bytes of the function at most. */
const BYTES_A_CALL = 64;
const LONG_BYTES_A_CALL = 400;
/** Of a long function, what is in loops within loops. */
const LONG_DEEP_LEAST = 0.1;
const DEPTH_LEAST = 2;

/** A byte for each function: when it is compiled (2 bits), by what first, by what at last (2 bits each). */
const DEFAULT_HINT = 0;
const LAZY = 1;
const OPTIMISED = 2;
const OPTIMISE_HINT = LAZY | (OPTIMISED << 2) | (OPTIMISED << 4);

interface Loops {
  /** Of loops within loops. */
  depth: number;
  callsWithin: number;
  /** In loops within loops. */
  deepBytes: number;
}

/** The content of the section for a module's code; undefined where V8 does best without. */
export function tierHints(code: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> | undefined {
  if (code.length > CODE_BYTES_MAX) return undefined;
  const reader = new BinaryReader(code, 0);
  const hints = new Uint8Array(Math.min(reader.u32(), code.length));
  let named = false;
  for (let i = 0; i < hints.length; i++) {
    const end = reader.u32() + reader.at;
    const bytes = end - reader.at;
    const hot = bytes <= FUNCTION_BYTES_MAX && isHot(loopsOf(reader, end), bytes);
    hints[i] = hot ? OPTIMISE_HINT : DEFAULT_HINT;
    named ||= hot;
    reader.at = end;
  }
  return named ? concat([bytesOfName(HINTS_SECTION), unsignedLeb(hints.length), hints]) : undefined;
}

const isHot = ({ depth, callsWithin, deepBytes }: Loops, bytes: number): boolean =>
  bytes <= LONG_BYTES
    ? depth >= DEPTH_LEAST && callsWithin * BYTES_A_CALL <= bytes
    : deepBytes >= bytes * LONG_DEEP_LEAST && callsWithin * LONG_BYTES_A_CALL <= bytes;

/** Of a function, from its locals on. What is no instruction ends it: V8 says what is wrong. */
function loopsOf(code: BinaryReader, end: number): Loops {
  readLocals(code);
  const loops: Loops = { depth: 0, callsWithin: 0, deepBytes: 0 };
  /** True for a loop. */
  const blocks: boolean[] = [];
  let depth = 0;
  let last = code.at;
  while (code.at < end) {
    if (depth >= DEPTH_LEAST) loops.deepBytes += code.at - last;
    last = code.at;
    const opcode = code.u8();
    const known = simple[opcode];
    if (known !== undefined) {
      known.skip(code);
      continue;
    }
    const more = prefixed.get(opcode)?.[prefixed.has(opcode) ? code.u32() : 0];
    if (more !== undefined) {
      more.skip(code);
      continue;
    }
    const read = control[opcode];
    if (read === undefined) return loops;
    read(code);
    if (opens.has(opcode)) {
      blocks.push(opcode === LOOP);
      if (opcode === LOOP) loops.depth = Math.max(loops.depth, ++depth);
    } else if (opcode === END || opcode === DELEGATE) {
      if (blocks.pop() === true) depth--;
    } else if (calls.has(opcode) && depth > 0) loops.callsWithin++;
  }
  return loops;
}

const LOOP = 0x03;
const TRY_TABLE = 0x1f;
const DELEGATE = 0x18;
const END = 0x0b;
const opens: ReadonlySet<number> = new Set([0x02, LOOP, 0x04, 0x06, TRY_TABLE]);
const calls: ReadonlySet<number> = new Set([0x10, 0x11, 0x12, 0x13, 0x14, 0x15]);
