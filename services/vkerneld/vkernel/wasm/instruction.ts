// Instructions, one after another, whatever they do.

import type { BinaryReader } from '@odonata/guest/wasm/binary.ts';
import { blockType } from './compile-cost.ts';
import { number, prefixed, simple } from './opcodes.ts';

type Read = (code: BinaryReader) => void;

const LOOP = 0x03;
const TRY_TABLE = 0x1f;
const DELEGATE = 0x18;
const END = 0x0b;

/** Reads past the next one. False where it is none that there is. */
export function skipInstruction(code: BinaryReader): boolean {
  const opcode = code.u8();
  const known = simple[opcode] ?? (prefixed.has(opcode) ? prefixed.get(opcode)![code.u32()] : undefined);
  if (known !== undefined) {
    known.skip(code);
    return true;
  }
  const read = control[opcode];
  read?.(code);
  return read !== undefined;
}

/** Which one it is does not matter. */
const anyBlockType: Read = (code) => void blockType(code, []);

/** What follows each instruction of control flow. */
export const control: readonly (Read | undefined)[] = (() => {
  const all: (Read | undefined)[] = [];
  const set = (read: Read, ...opcodes: number[]): void => {
    for (const opcode of opcodes) all[opcode] = read;
  };
  set(anyBlockType, 0x02, LOOP, 0x04, 0x06);
  // unreachable, else, throw_ref, end, return, catch_all
  set(() => {}, 0x00, 0x05, 0x0a, END, 0x0f, 0x19);
  // catch, throw, rethrow, br, br_if, call, return_call, call_ref, return_call_ref, delegate, br_on_null, br_on_non_null
  set(number, 0x07, 0x08, 0x09, 0x0c, 0x0d, 0x10, 0x12, 0x14, 0x15, DELEGATE, 0xd5, 0xd6);
  set(
    (code) => {
      number(code);
      number(code);
    },
    0x11,
    0x13,
  );
  // br_table
  set((code) => {
    for (let left = code.u32() + 1; left > 0; left--) number(code);
  }, 0x0e);
  set((code) => {
    anyBlockType(code);
    for (let left = code.u32(); left > 0; left--) {
      if (code.u8() < 2) number(code);
      number(code);
    }
  }, TRY_TABLE);
  return all;
})();
