// What a snapshot of a program takes beside its memory: its globals. They are exported, so that its thread can read them; or it is said
// why there can be no snapshot of it. A program that exports no `odonata_resume` is left as it is.
import { BinaryReader, bytesOfName, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { readGlobals, ValueType } from '@odonata/guest/wasm/globals.ts';
import { type Section, SectionId, section } from '@odonata/guest/wasm/section.ts';
import { readLocals } from './function-frame.ts';
import { skipInstruction } from './instruction.ts';

/** Where what is started from a snapshot begins. */
export const RESUME = 'odonata_resume';
/** More than any compiler makes: each is read at each call of the virtual kernel. */
export const GLOBALS_MAX = 1_000;
const GLOBALS_READ_MAX = 1_000_000;
const PREFIX = 'odonata_global_';
export const exportOfGlobal = (index: number): string => `${PREFIX}${index}`;

export interface SnapshotGlobal {
  readonly index: number;
  readonly type: 'i32' | 'i64' | 'f32' | 'f64';
}

export type Snapshotable =
  | { readonly globals: readonly SnapshotGlobal[] }
  /** Why not, after "there can be no snapshot of it: ". */
  | { readonly refused: string };

const FUNCTION = 0;
const GLOBAL = 3;
const typeNames = Object.entries(ValueType) as [SnapshotGlobal['type'], number][];

/** @param functions the types of all, those that are imported first. @returns undefined: it does not ask for it */
export function snapshotableOf(
  sections: readonly Section[],
  {
    functions,
    types,
    startsThreads,
  }: { functions: readonly number[]; types: readonly string[]; startsThreads: boolean },
): Snapshotable | undefined {
  const bodyOf = (id: number): Uint8Array<ArrayBuffer> | undefined =>
    sections.find((each) => each.id === id)?.body;
  const exported = bodyOf(SectionId.export);
  const found = exported === undefined ? [] : readExports(exported);
  const resume = found.find(({ name, kind }) => name === RESUME && kind === FUNCTION);
  if (resume === undefined) return undefined;
  if (types[functions[resume.index] ?? -1] !== ':')
    return { refused: `its ${RESUME} takes or returns something` };
  if (startsThreads) return { refused: 'it is one that starts threads' };
  if (found.some(({ name }) => name.startsWith(PREFIX)))
    return { refused: `it has exports of its own that begin with ${PREFIX}` };
  const global = bodyOf(SectionId.global);
  const globals: SnapshotGlobal[] = [];
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
  const code = bodyOf(SectionId.code);
  if (code !== undefined && changesTables(code))
    return { refused: 'it has instructions that change tables, which no snapshot has' };
  return { globals };
}

interface Export {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

function readExports(body: Uint8Array<ArrayBuffer>): Export[] {
  const reader = new BinaryReader(body, 0);
  return Array.from({ length: reader.u32() }, () => ({
    name: reader.name(),
    kind: reader.u8(),
    index: reader.u32(),
  }));
}

/** With an export of each of them. */
export function withGlobals(exported: Section, globals: readonly SnapshotGlobal[]): Section {
  if (globals.length === 0) return exported;
  const reader = new BinaryReader(exported.body, 0);
  const count = reader.u32();
  const more = globals.map(({ index }) =>
    concat([bytesOfName(exportOfGlobal(index)), Uint8Array.of(GLOBAL), unsignedLeb(index)]),
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
