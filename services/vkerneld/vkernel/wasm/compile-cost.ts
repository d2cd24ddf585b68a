// How much memory V8 may take to compile a program: it is under no quota of V8's own, and a virtual kernel that runs out of
// memory ends, with its neighbours. So it is estimated here, from above, and counts against the quota of the program.
//
// What takes it, as measured by functions made for that:
//
//   - the baseline compiler keeps a note of all locals and all of the stack, 12 bytes each, at every end of a block that is
//     branched to, at every loop, and two at an `if` (three at a handler): 50,000 locals and 5,000 ifs, 25 KB of code: 5 GiB
//   - the optimising one keeps what each local is at those places, 8 to 24 bytes; and where a local was set within the block,
//     a node for what it is afterwards, that all later phases copy: 240
//   - and nodes for each instruction, from 50 bytes (an addition) to 5 KiB (a call through a table): 2 MB of calls, 2.4 GiB
//   - and, where several branches lead to one block, what each local is at each of them: 10 to 16 bytes. 20,000 branches out of
//     one block, and 5,000 locals, 84 KB of code: 1 GiB
//   - what is thrown, value by value: 1.3 KiB each, a vector four times that
//   - what one handler within others does not catch: 130 bytes for each two of them. 7,500, and one call within: 3.5 GiB
//   - it puts small functions into their callers, which takes their locals with them.
//
//   - what a call may find of references, a bit or more for each local of that kind and value of the stack: 50,000 and 20,000
//     calls, 190 MiB.
//
// Compilers compile one function at a time and let go of it all then. At most one in the thread of the program, by the
// baseline, and one in each of V8's four threads are under way: what the five dearest take is what a program may take.
// Only large functions are walked through for that; the others cannot come near to what a program has free.
//
// The code that comes of it stays, of all functions together. It is some times the bytes of the module, but for what moves many
// values by few bytes: a call or a branch that carries a thousand, 15 to 20 bytes each, 5,000 functions of 230 bytes, 1.4 GiB; and
// what sets all locals at the start of a function. So these are summed up over all functions that there are.

import type { BinaryReader } from '@odonata/guest/wasm/binary.ts';
import { type Arity, type Frame, type FunctionTypes, frameOf, NO_ARITY } from './function-frame.ts';
import { ModuleError } from './module-error.ts';
import { COST, number, prefixed, simple } from './opcodes.ts';

/** V8's threads, and that of the program. */
const AT_ONCE = 5;
/** What a call notes of each local that is a reference, and each value of the stack. */
const ROOT_BYTES = 0.25;

/** Of the code that stays: what a value takes that is moved, a local at its start, and at each place that has notes. */
const KEPT = { value: 24, local: 10, note: 3 } as const;
/** So many move, and so many locals a function has, as it is in all programs: their code is as large as what it is made of. */
const USUAL_VALUES = 4;
const USUAL_LOCALS = 64;
const beyondValues = (values: number): number => Math.max(0, values - USUAL_VALUES) * KEPT.value;
const beyondLocals = (locals: number): number => Math.max(0, locals - USUAL_LOCALS);
/** Less than this of all functions is not looked at. */
const SMALL_KEPT = 64 * 2 ** 20;

/** A note of one local or value of the stack, by whichever compiler takes more. */
const NOTE_BYTES = 24;
/** What each local is where a branch arrives, at a block that has its notes and more branches than they count for. */
const EDGE_BYTES = 18;
/** What a local that was set in a block takes after it. */
const PHI_BYTES = 300;
/** Functions up to this size (--wasm-inlining-max-size) may be compiled within others, ... */
const INLINED_BYTES = 500;
/** ... and so much of them in one (--wasm-inlining-budget). */
const INLINED_TOTAL_BYTES = 5_000;
/** Each is some hundred bytes to whoever reads it. */
const NESTED_MAX = 100_000;

/** Bytes that V8 may take at one time. @throws ModuleError for an instruction that is none */
export function compileBytes(code: BinaryReader, module: FunctionTypes, imported: number): number {
  const dearest = new Array<number>(AT_ONCE).fill(0);
  const starts: number[] = [];
  let kept = 0;
  let keptMost = 0;
  let smallLocals = 0;
  const valuesMax = module.types.reduce(
    (most, { parameters, results }) => Math.max(most, parameters, results),
    1,
  );
  const count = code.u32();
  for (let i = 0; i < count; i++) {
    const bytes = code.u32();
    const end = code.at + bytes;
    const frame = frameOf(code, module, imported + i);
    const { locals } = frame;
    if (bytes <= INLINED_BYTES) smallLocals = Math.max(smallLocals, locals);
    kept += beyondLocals(locals) * KEPT.local;
    const keptHere = keptAtMost(end - code.at, locals, valuesMax);
    if (!isSmall(end - code.at, locals, valuesMax)) {
      const found = costOf(code, end, frame, module);
      kept += found.kept;
      const at = dearest.findIndex((each) => found.cost > each);
      if (at >= 0) {
        dearest.splice(at, 0, found.cost);
        dearest.pop();
      }
    } else if (keptHere > 0) {
      keptMost += keptHere;
      starts.push(i, end - bytes, end);
    }
    code.at = end;
  }
  const whole = code.at;
  if (keptMost > SMALL_KEPT)
    for (let at = 0; at < starts.length; at += 3) {
      code.at = starts[at + 1]!;
      kept += costOf(code, starts[at + 2]!, frameOf(code, module, imported + starts[at]!), module).kept;
    }
  code.at = whole;
  const inlined = (INLINED_TOTAL_BYTES / 2) * smallLocals * NOTE_BYTES;
  const inlining = inlined > SMALL_COST ? inlined : 0;
  return dearest.reduce((sum, cost) => sum + cost, AT_ONCE * inlining + kept);
}

/** Less than this is not looked at. */
const SMALL_COST = 32 * 2 ** 20;

/**
 * A note takes a byte, a value of the stack two (of a call, all of its results): at most half of the bytes make each. What is
 * caught is as many values as a type has.
 */
function isSmall(bytes: number, locals: number, valuesMax: number): boolean {
  const notes = (bytes * locals + (bytes / 2) * (bytes / 4) * valuesMax) * NOTE_BYTES;
  return notes + bytes * COST.call + (bytes / 2) * valuesMax * COST.value < SMALL_COST;
}

/** The most that the code of a function may take beyond what is usual: each instruction moves what a type has, or opens a block. */
function keptAtMost(bytes: number, locals: number, valuesMax: number): number {
  return (bytes / 2) * beyondValues(valuesMax) + bytes * beyondLocals(locals) * KEPT.note;
}

interface Block {
  /** Of the stack below it. */
  readonly base: number;
  readonly parameters: number;
  readonly results: number;
  /** Locals set before it. */
  readonly setsBefore: number;
  readonly handles: boolean;
  /** Branches to it that its notes count for. */
  branches: number;
}

/** One function, from its first instruction. */
function costOf(
  code: BinaryReader,
  end: number,
  { locals, references, results: returned }: Frame,
  { types, functions, tags }: FunctionTypes,
): { cost: number; kept: number } {
  const whole = { base: 0, parameters: 0, results: returned, setsBefore: 0, handles: false };
  // Whatever leaves the function ends.
  const blocks: Block[] = [{ ...whole, branches: Number.POSITIVE_INFINITY }];
  let cost = 0;
  let kept = 0;
  let height = 0;
  let sets = 0;
  let handlers = 0;
  /** Of the innermost block: what is below is not its. */
  let base = 0;

  const notes = (count: number): void => {
    cost += count * (COST.block + (locals + height) * NOTE_BYTES);
    kept += count * beyondLocals(locals) * KEPT.note;
  };
  const open = (pops: number, states: number, handles = false): void => {
    if (blocks.length > NESTED_MAX)
      throw new ModuleError(
        `a function of more than ${NESTED_MAX} nested blocks; build it with smaller functions`,
      );
    height = Math.max(0, height - pops);
    const { parameters, results } = blockType(code, types);
    notes(states);
    cost += states * (parameters + results) * COST.value;
    kept += beyondValues(parameters);
    base = Math.max(base, height - parameters);
    blocks.push({ base, parameters, results, setsBefore: sets, handles, branches: states === 1 ? 1 : 2 });
    if (handles) handlers++;
  };
  const top = (): Block => blocks.at(-1) ?? blocks[0]!;
  /** What comes then is not reached, and takes what it likes from the stack. */
  const leave = (results = 0): void => {
    cost += COST.branch + (height - Math.min(height, base)) * 16;
    kept += beyondValues(Math.min(height, results));
    height = base;
  };
  const afterSets = (block: Block): void => {
    cost += Math.min(locals, sets - block.setsBefore) * PHI_BYTES;
  };
  const callOf = (arity: Arity, pops: number, valueCost: number = COST.value): void => {
    const { parameters, results } = arity;
    cost += COST.call + (parameters + results) * valueCost + (references + height) * ROOT_BYTES;
    kept += beyondValues(parameters + results);
    // Whatever handles it may be entered from here, with all locals as they are.
    if (handlers > 0) cost += COST.handler + Math.min(handlers, 8) * 64;
    height = Math.max(base, height - parameters - pops) + results;
  };
  const typeOf = (index: number): Arity => types[index] ?? NO_ARITY;

  while (code.at < end) {
    const opcode = code.u8();
    // More than half of all instructions.
    if (opcode >= 0x20 && opcode <= 0x22) {
      code.skipNumber();
      cost += COST.plain;
      if (opcode !== 0x20) sets++;
      if (opcode === 0x20) height++;
      else if (opcode === 0x21 && height > base) height--;
      continue;
    }
    const known = simple[opcode];
    if (known !== undefined) {
      known.skip(code);
      cost += known.cost;
      height = Math.max(base, height - known.pops) + known.pushes;
      continue;
    }
    const more = prefixed.get(opcode);
    if (more !== undefined) {
      const number = code.u32();
      const found = more[number];
      if (found === undefined) throw unknown(opcode, number);
      found.skip(code);
      cost += found.cost;
      height = Math.max(base, height - found.pops) + found.pushes;
      continue;
    }
    switch (opcode) {
      case 0x00: // unreachable
        leave();
        break;
      case 0x02: // block
        open(0, 1);
        break;
      case 0x03: // loop: what is set in it is something else at its start, too
        open(0, 2);
        break;
      case 0x04: // if
        open(1, 3);
        break;
      case 0x06: // try
        open(0, 3, true);
        break;
      case 0x1f: // try_table
        open(0, 2, true);
        for (let left = code.u32(); left > 0; left--) {
          const kind = code.u8();
          if (kind < 2) {
            cost += typeOf(tags[code.u32()] ?? -1).parameters * COST.value;
            goesOn();
          }
          branchTo(code.u32() + 1);
          notes(2);
        }
        break;
      case 0x05: // else
      case 0x07: // catch
      case 0x19: {
        // catch_all
        const { parameters } = top();
        afterSets(top());
        const caught = opcode === 0x07 ? typeOf(tags[code.u32()] ?? -1).parameters : 0;
        height = base + (opcode === 0x05 ? parameters : caught);
        cost += caught * COST.value;
        if (opcode === 0x07) goesOn();
        notes(1);
        break;
      }
      case 0x18: // delegate
        number(code);
        closeBlock();
        break;
      case 0x0b: // end
        if (blocks.length > 1) closeBlock();
        break;
      case 0x08: // throw
        callOf(typeOf(tags[code.u32()] ?? -1), 0, COST.thrown);
        leave();
        break;
      case 0x09: // rethrow
        number(code);
        leave();
        break;
      case 0x0c: // br
        branchTo(code.u32());
        leave();
        break;
      case 0x0a: // throw_ref
      case 0x0f: // return
        leave(opcode === 0x0f ? returned : 0);
        break;
      case 0x0d: // br_if
      case 0xd5: // br_on_null
      case 0xd6: // br_on_non_null
        height = Math.max(base, height - 1);
        branchTo(code.u32(), COST.branch, 2 * COST.value);
        break;
      case 0x0e: // br_table
        for (let left = code.u32() + 1; left > 0; left--) branchTo(code.u32(), COST.target, COST.value);
        leave();
        break;
      case 0x10: // call
      case 0x12: // return_call
        callOf(typeOf(functions[code.u32()] ?? -1), 0);
        if (opcode === 0x12) leave();
        break;
      case 0x11: // call_indirect
      case 0x13: {
        const type = code.u32();
        number(code);
        cost += COST.dearest;
        callOf(typeOf(type), 1);
        if (opcode === 0x13) leave();
        break;
      }
      case 0x14: // call_ref
      case 0x15:
        cost += COST.dearest;
        callOf(typeOf(code.u32()), 1);
        if (opcode === 0x15) leave();
        break;
      default:
        throw unknown(opcode);
    }
  }
  return { cost, kept };

  function closeBlock(): void {
    const block = blocks.pop()!;
    afterSets(block);
    kept += beyondValues(block.results);
    if (block.handles) handlers--;
    height = block.base + block.results;
    base = top().base;
  }

  /** What a handler does not catch comes by all others around it. */
  function goesOn(): void {
    cost += handlers * COST.rethrown;
  }

  function branchTo(depth: number, branchCost = 0, valueCost = 0): void {
    cost += branchCost;
    const block = blocks.at(-1 - depth);
    if (block === undefined) return;
    const values = Math.max(block.results, block.parameters);
    cost += values * valueCost;
    kept += beyondValues(values);
    if (--block.branches < 0) cost += locals * EDGE_BYTES;
  }
}

/** Of none, of one value, or of a type of functions. */
export function blockType(code: BinaryReader, types: readonly Arity[]): Arity {
  const at = code.at;
  const first = code.u8();
  if (first === 0x40) return NO_ARITY;
  if (first === 0x63 || first === 0x64) number(code);
  // Types of values are negative numbers of one byte.
  if (first >= 0x40 && first < 0x80) return { parameters: 0, results: 1 };
  code.at = at;
  return types[code.u32()] ?? NO_ARITY;
}

function unknown(...opcode: number[]): ModuleError {
  const shown = opcode.map((each) => `0x${each.toString(16)}`).join(' ');
  return new ModuleError(`a module with an instruction ${shown}, which no virtual kernel has`);
}
