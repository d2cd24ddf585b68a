// Makes the waits and wakes of a program calls of the virtual kernel's own (atomic-wait.ts).
//
// V8 looks at the word that is waited on under a lock of the whole OS process. A page of a guest may have to be brought first, which
// may take the main thread, which waits for that lock with the next wake that it gives: one program could hold up all others. And
// where threads of one program are to run on several nodes, this is where their waits have to go.
//
// No index in a program changes. What it waits by, `memory.atomic.wait32`, becomes the constant of its offset and a call of a function
// that is added behind all others. That calls by a table, added and exported, which the virtual kernel fills in before anything of
// the program runs: so what it has to run at its start is exported, too, for later.

import { BinaryReader, bytesOfName, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { type Section, SectionId, section } from '@odonata/guest/wasm/section.ts';
import { readLocals } from './function-frame.ts';
import { skipInstruction } from './instruction.ts';
import { ModuleError } from './module-error.ts';

/** Names that it exports for the virtual kernel. */
export const waitExports = { table: 'odonata_vkernel waits', start: 'odonata_vkernel start' } as const;

/** In the order of their instructions after 0xfe, and of the table. */
const calls = ['notify', 'wait32', 'wait64'] as const;
const [I32, I64] = [0x7f, 0x7e];
/** Address, count or expected value, timeout, offset. */
const parameters: Readonly<Record<(typeof calls)[number], readonly number[]>> = {
  notify: [I32, I32, I32],
  wait32: [I32, I32, I64, I32],
  wait64: [I32, I64, I64, I32],
};
const ATOMIC = 0xfe;
const FUNCTION_TYPE = 0x60;
const FUNCREF = 0x70;
const TABLE_EXPORT = 1;
const FUNCTION_EXPORT = 0;
const code = { i32Const: 0x41, call: 0x10, localGet: 0x20, callIndirect: 0x11, end: 0x0b } as const;

/** Sections in the order that a module has to have them. */
const order: readonly number[] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/** The same sections where the program waits for nothing, and wakes nobody. @param imported functions */
export function withOwnWaits(sections: readonly Section[], imported: number): readonly Section[] {
  const bodyOf = (id: number): Uint8Array<ArrayBuffer> | undefined =>
    sections.find((each) => each.id === id)?.body;
  const functions = bodyOf(SectionId.function);
  const bodies = bodyOf(SectionId.code);
  if (functions === undefined || bodies === undefined || !mayWait(bodies)) return sections;
  const firstHelper = imported + new BinaryReader(functions, 0).u32();
  const rewritten = rewriteBodies(bodies, firstHelper);
  if (rewritten === undefined) return sections;
  const typeCount = countOf(bodyOf(SectionId.type));
  const tableCount = countOf(bodyOf(SectionId.table));
  const types = calls.map((call) => typeOf(parameters[call]));
  const helpers = calls.map((call, i) => helperOf(parameters[call].length, i, typeCount + i, tableCount));
  const started = bodyOf(SectionId.start);
  const exports = [exportOf(waitExports.table, TABLE_EXPORT, tableCount)];
  if (started !== undefined)
    exports.push(exportOf(waitExports.start, FUNCTION_EXPORT, new BinaryReader(started, 0).u32()));
  const more = new Map<number, Uint8Array<ArrayBuffer>>([
    [SectionId.type, appended(bodyOf(SectionId.type), types)],
    [
      SectionId.function,
      appended(
        functions,
        calls.map((_, i) => unsignedLeb(typeCount + i)),
      ),
    ],
    [
      SectionId.table,
      appended(bodyOf(SectionId.table), [Uint8Array.of(FUNCREF, 1, calls.length, calls.length)]),
    ],
    [SectionId.export, appended(bodyOf(SectionId.export), exports)],
    [SectionId.code, appended(rewritten, helpers)],
  ]);
  return replaced(
    sections.filter(({ id }) => id !== SectionId.start),
    more,
  );
}

/** A quick look: the byte that atomics begin with, what may be one of these three, and what may be the alignment that V8 wants. */
function mayWait(bodies: Uint8Array<ArrayBuffer>): boolean {
  for (let at = bodies.indexOf(ATOMIC); at >= 0; at = bodies.indexOf(ATOMIC, at + 1)) {
    const [which, alignment] = [bodies[at + 1]!, bodies[at + 2]!];
    if ((which & 0x7f) >= calls.length) continue;
    // Longer than they have to be, numbers are what they are.
    if (which >= 0x80 || alignment >= 0x80 || [2, 3].includes(alignment & 0x3f)) return true;
  }
  return false;
}

/** Undefined where nothing in them waits. */
function rewriteBodies(
  bodies: Uint8Array<ArrayBuffer>,
  firstHelper: number,
): Uint8Array<ArrayBuffer> | undefined {
  const reader = new BinaryReader(bodies, 0);
  const count = reader.u32();
  const pieces = [unsignedLeb(count)];
  let any = false;
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    const length = reader.u32();
    const from = reader.at;
    const body = reader.bytes(length);
    const changed = mayWait(body) ? rewriteBody(body, firstHelper) : undefined;
    if (changed === undefined) pieces.push(bodies.subarray(start, from + length));
    else {
      any = true;
      pieces.push(unsignedLeb(changed.length), changed);
    }
  }
  return any ? concat(pieces) : undefined;
}

function rewriteBody(
  body: Uint8Array<ArrayBuffer>,
  firstHelper: number,
): Uint8Array<ArrayBuffer> | undefined {
  const reader = new BinaryReader(body, 0);
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  let kept = 0;
  readLocals(reader);
  while (!reader.atEnd) {
    const start = reader.at;
    if (body[start] === ATOMIC) {
      reader.u8();
      const which = reader.u32();
      if (which < calls.length) {
        if ((reader.u32() & 0x40) !== 0) reader.skipNumber();
        const offset = reader.u32();
        pieces.push(body.subarray(kept, start));
        pieces.push(Uint8Array.of(code.i32Const), signedLeb(offset | 0), Uint8Array.of(code.call));
        pieces.push(unsignedLeb(firstHelper + which));
        kept = reader.at;
        continue;
      }
      reader.at = start;
    }
    // What is no instruction: V8 says what is wrong.
    if (!skipInstruction(reader)) break;
  }
  if (pieces.length === 0) return undefined;
  pieces.push(body.subarray(kept));
  return concat(pieces);
}

/** A function that calls what the table has. */
function helperOf(
  parameterCount: number,
  index: number,
  type: number,
  table: number,
): Uint8Array<ArrayBuffer> {
  const gets = Array.from({ length: parameterCount }, (_, i) => Uint8Array.of(code.localGet, i));
  const body = concat([
    Uint8Array.of(0),
    ...gets,
    Uint8Array.of(code.i32Const, index, code.callIndirect),
    unsignedLeb(type),
    unsignedLeb(table),
    Uint8Array.of(code.end),
  ]);
  return concat([unsignedLeb(body.length), body]);
}

const typeOf = (values: readonly number[]): Uint8Array<ArrayBuffer> =>
  Uint8Array.of(FUNCTION_TYPE, values.length, ...values, 1, I32!);

const exportOf = (name: string, kind: number, index: number): Uint8Array<ArrayBuffer> =>
  concat([bytesOfName(name), Uint8Array.of(kind), unsignedLeb(index)]);

const countOf = (vector: Uint8Array<ArrayBuffer> | undefined): number =>
  vector === undefined ? 0 : new BinaryReader(vector, 0).u32();

/** A vector with more at its end. */
function appended(
  vector: Uint8Array<ArrayBuffer> | undefined,
  more: readonly Uint8Array<ArrayBuffer>[],
): Uint8Array<ArrayBuffer> {
  if (vector === undefined) return concat([unsignedLeb(more.length), ...more]);
  const reader = new BinaryReader(vector, 0);
  const count = reader.u32();
  return concat([unsignedLeb(count + more.length), vector.subarray(reader.at), ...more]);
}

/** Sections with other bodies, and those that were not there where they belong. */
function replaced(
  sections: readonly Section[],
  bodies: ReadonlyMap<number, Uint8Array<ArrayBuffer>>,
): Section[] {
  const made = new Map([...bodies].map(([id, body]) => [id, section(id, body)]));
  const result: Section[] = [];
  for (const each of sections) {
    const rank = order.indexOf(each.id);
    if (rank >= 0)
      for (const [id, fresh] of [...made].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))) {
        if (order.indexOf(id) > rank) break;
        result.push(fresh);
        made.delete(id);
      }
    if (!bodies.has(each.id)) result.push(each);
  }
  if (made.size > 0) throw new ModuleError('not a valid WebAssembly module: its sections are out of order');
  return result;
}

function signedLeb(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return Uint8Array.from(bytes);
  }
}
