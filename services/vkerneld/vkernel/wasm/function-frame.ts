// What a function has before its first instruction: of its type, and of the locals that it declares.

import type { BinaryReader } from '@odonata/guest/wasm/binary.ts';
import { ModuleError } from './module-error.ts';

/** Of a function, by the index of its type. */
export interface Arity {
  readonly parameters: number;
  readonly results: number;
}

export interface FunctionTypes {
  readonly types: readonly Arity[];
  /** The type of each function, those that are imported first. */
  readonly functions: readonly number[];
  /** The type of each tag. */
  readonly tags: readonly number[];
}

/** One of V8's: each is noted with its types. */
const LOCALS_MAX = 50_000;

export const NO_ARITY: Arity = { parameters: 0, results: 0 };

interface Locals {
  readonly locals: number;
  readonly references: number;
}

/** Of a function: its parameters are among its locals. */
export interface Frame extends Locals {
  readonly results: number;
}

export function frameOf(code: BinaryReader, { types, functions }: FunctionTypes, index: number): Frame {
  const { parameters, results } = types[functions[index] ?? -1] ?? NO_ARITY;
  const { locals, references } = readLocals(code);
  return { locals: locals + parameters, references: references + parameters, results };
}

/** Past the locals that a function declares. @throws ModuleError for too many of them */
export function readLocals(code: BinaryReader): Locals {
  let locals = 0;
  let references = 0;
  for (let groups = code.u32(); groups > 0; groups--) {
    const count = code.u32();
    locals += count;
    if (locals > LOCALS_MAX)
      throw new ModuleError(`a function of ${locals} locals; there may be ${LOCALS_MAX}`);
    // A reference to a type has its index behind it.
    const type = code.u8();
    if (type === 0x63 || type === 0x64) code.skipNumber();
    if (type < V128) references += count;
  }
  return { locals, references };
}

/** Numbers and vectors are from here on. */
const V128 = 0x7b;
