// The state of a program that lies outside of its memory: its globals. They are exported, so that its thread can read and set them; or
// it is said why that is not all of its state.
import { BinaryReader, bytesOfName, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { readGlobals, ValueType } from '@odonata/guest/wasm/globals.ts';
import { type Section, SectionId, section } from '@odonata/guest/wasm/section.ts';
import { readLocals } from './function-frame.ts';
import { skipInstruction } from './instruction.ts';

/** More than any compiler makes: each is read at each call of the virtual kernel. */
export const GLOBALS_MAX = 1_000;
const GLOBALS_READ_MAX = 1_000_000;
const PREFIX = 'odonata_global_';
export const exportOfGlobal = (index: number): string => `${PREFIX}${index}`;

export interface KeptGlobal {
  readonly index: number;
  readonly type: 'i32' | 'i64' | 'f32' | 'f64';
}

/** Why not: what stands after "there can be no snapshot of it: ", or "it cannot be parked: ". */
export type KeptGlobals = { readonly globals: readonly KeptGlobal[] } | { readonly refused: string };

export const ExportKind = { function: 0, table: 1, global: 3 } as const;
const typeNames = Object.entries(ValueType) as [KeptGlobal['type'], number][];

export interface Export {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

export function exportsOf(sections: readonly Section[]): Export[] {
  const body = bodyOf(sections, SectionId.export);
  if (body === undefined) return [];
  const reader = new BinaryReader(body, 0);
  return Array.from({ length: reader.u32() }, () => ({
    name: reader.name(),
    kind: reader.u8(),
    index: reader.u32(),
  }));
}

export function keptGlobalsOf(sections: readonly Section[], startsThreads: boolean): KeptGlobals {
  if (startsThreads) return { refused: 'it is one that starts threads' };
  if (exportsOf(sections).some(({ name }) => name.startsWith(PREFIX)))
    return { refused: `it has exports of its own that begin with ${PREFIX}` };
  const global = bodyOf(sections, SectionId.global);
  const globals: KeptGlobal[] = [];
  for (const [index, { type, mutable }] of (global === undefined
    ? []
    : readGlobals(global, GLOBALS_READ_MAX)
  ).entries()) {
    if (!mutable) continue;
    const name = typeNames.find(([, code]) => code === type)?.[0];
    if (name === undefined) return { refused: `global ${index}, which can change, is no number` };
    globals.push({ index, type: name });
  }
  if (globals.length > GLOBALS_MAX)
    return { refused: `it has ${globals.length} globals that can change; ${GLOBALS_MAX} are the most` };
  const code = bodyOf(sections, SectionId.code);
  if (code !== undefined && changesTables(code))
    return { refused: 'it has instructions that change tables, which are not kept' };
  return { globals };
}

const bodyOf = (sections: readonly Section[], id: number): Uint8Array<ArrayBuffer> | undefined =>
  sections.find((each) => each.id === id)?.body;

export const exportsOfGlobals = (globals: readonly KeptGlobal[]): Export[] =>
  globals.map(({ index }) => ({ name: exportOfGlobal(index), kind: ExportKind.global, index }));

/** With these, too. */
export function withExports(exported: Section, exports: readonly Export[]): Section {
  if (exports.length === 0) return exported;
  const reader = new BinaryReader(exported.body, 0);
  const count = reader.u32();
  const more = exports.map(({ name, kind, index }) =>
    concat([bytesOfName(name), Uint8Array.of(kind), unsignedLeb(index)]),
  );
  const body = concat([unsignedLeb(count + more.length), exported.body.subarray(reader.at), ...more]);
  return section(SectionId.export, body);
}

const TABLE_SET = 0x26;
const BULK = 0xfc;
/** table.init, table.copy, table.grow, table.fill */
const CHANGING: ReadonlySet<number> = new Set([12, 14, 15, 17]);

function changesTables(bodies: Uint8Array<ArrayBuffer>): boolean {
  const reader = new BinaryReader(bodies, 0);
  for (let left = reader.u32(); left > 0; left--) {
    const end = reader.u32() + reader.at;
    readLocals(reader);
    while (reader.at < end) {
      const at = reader.at;
      const opcode = reader.u8();
      if (opcode === TABLE_SET || (opcode === BULK && CHANGING.has(reader.u32()))) return true;
      reader.at = at;
      // What is no instruction: V8 says what is wrong.
      if (!skipInstruction(reader)) return true;
    }
    reader.at = end;
  }
  return false;
}
