// A snapshot of a program as a module (as Wizer makes them): the program's own, but that
//
//   its memory begins as large as it was, and its data segments are what was in it
//   its globals begin with the values that they had
//   its `_start` is what it called `odonata_resume`, and it has no start section
//
// No index of it changes. Passive segments stay as they are; the active ones stay, empty, since indices count them.
import { BinaryReader, bytesOfName, concat, signedLeb, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import {
  constantOf,
  type Global,
  readGlobals,
  skipConstant,
  ValueType,
} from '@odonata/guest/wasm/globals.ts';
import { type Section, SectionId, section } from '@odonata/guest/wasm/section.ts';

export const RESUME = 'odonata_resume';
const START = '_start';
const SECTIONS_MAX = 10_000;
const GLOBALS_MAX = 1_000_000;
const FUNCTION = 0;
const MEMORY = 2;
const HAS_MAXIMUM = 1;
const I32_CONST = 0x41;
const END = 0x0b;
const Kind = { active: 0, passive: 1, activeOf: 2 } as const;

export interface Span {
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** As it was when its thread stood. */
export interface ProgramState {
  /** Of 64 KiB. */
  readonly memoryPages: number;
  /** Those that can change: an i32 and an f32 in the lower half. */
  readonly globals: readonly { readonly index: number; readonly bits: bigint }[];
  /** What of its memory is not zero, in order, and not overlapping. */
  readonly spans: readonly Span[];
}

type Bytes = Uint8Array<ArrayBuffer>;

/** @throws RangeError where it is no module that a virtual kernel would have run, or has no such global */
export function snapshotModule(module: Bytes, state: ProgramState): Bytes {
  const sections = readSections(module);
  const data = dataOf(sections.find(({ id }) => id === SectionId.data)?.body, state.spans);
  const pieces: Bytes[] = [module.subarray(0, 8)];
  let placed = false;
  for (const each of sections) {
    const { id, body, whole } = each;
    if (id === SectionId.start) continue;
    if (id === SectionId.import) pieces.push(section(id, importsOf(body, state.memoryPages)).whole);
    else if (id === SectionId.memory) pieces.push(section(id, memoriesOf(body, state.memoryPages)).whole);
    else if (id === SectionId.global) pieces.push(section(id, globalsOf(body, state.globals)).whole);
    else if (id === SectionId.export) pieces.push(section(id, exportsOf(body)).whole);
    else if (id === SectionId.dataCount) pieces.push(section(id, unsignedLeb(data.count)).whole);
    else if (id !== SectionId.data) pieces.push(whole);
    // Data come right after the code.
    if (id !== SectionId.code && id !== SectionId.data) continue;
    if (id === SectionId.code && sections.some((other) => other.id === SectionId.data)) continue;
    if (data.count > 0) pieces.push(section(SectionId.data, data.body).whole);
    placed = true;
  }
  if (!placed && data.count > 0) throw new RangeError('a module with memory and without code');
  return concat(pieces);
}

function readSections(module: Bytes): Section[] {
  const reader = new BinaryReader(module, 8);
  const sections: Section[] = [];
  while (!reader.atEnd) {
    if (sections.length === SECTIONS_MAX) throw new RangeError(`more than ${SECTIONS_MAX} sections`);
    const start = reader.at;
    const id = reader.u8();
    const body = reader.bytes(reader.u32());
    sections.push({ id, body, whole: module.subarray(start, reader.at) });
  }
  return sections;
}

/** Limits as they were, but for the size to begin with. */
function withSize(reader: BinaryReader, body: Bytes, pages: number): Bytes {
  const flags = reader.u8();
  reader.u32();
  const rest = reader.at;
  if ((flags & HAS_MAXIMUM) !== 0) reader.skipNumber();
  return concat([Uint8Array.of(flags), unsignedLeb(pages), body.subarray(rest, reader.at)]);
}

function importsOf(body: Bytes, pages: number): Bytes {
  const reader = new BinaryReader(body, 0);
  const count = reader.u32();
  const pieces = [unsignedLeb(count)];
  for (let left = count; left > 0; left--) {
    const start = reader.at;
    reader.name();
    reader.name();
    const kind = reader.u8();
    const head = body.subarray(start, reader.at);
    if (kind === MEMORY) {
      pieces.push(head, withSize(reader, body, pages));
      continue;
    }
    if (kind !== FUNCTION) throw new RangeError('an import that no virtual kernel has');
    reader.skipNumber();
    pieces.push(body.subarray(start, reader.at));
  }
  return concat(pieces);
}

function memoriesOf(body: Bytes, pages: number): Bytes {
  const reader = new BinaryReader(body, 0);
  const count = reader.u32();
  return concat([unsignedLeb(count), ...Array.from({ length: count }, () => withSize(reader, body, pages))]);
}

function globalsOf(body: Bytes, values: ProgramState['globals']): Bytes {
  const globals: Bytes[] = readGlobals(body, GLOBALS_MAX).map(({ whole }) => whole);
  const known = readGlobals(body, GLOBALS_MAX);
  for (const { index, bits } of values) {
    const global = known[index];
    if (global?.mutable !== true) throw new RangeError(`global ${index} is none that can change`);
    globals[index] = withValue(global, bits);
  }
  return concat([unsignedLeb(globals.length), ...globals]);
}

function withValue({ whole, type, valueAt }: Global, bits: bigint): Bytes {
  const opcode = constantOf[type];
  if (opcode === undefined) throw new RangeError('a global that is no number');
  return concat([
    whole.subarray(0, valueAt),
    Uint8Array.of(opcode),
    constant(type, bits),
    Uint8Array.of(END),
  ]);
}

function constant(type: number, bits: bigint): Bytes {
  if (type === ValueType.i32) return signedLeb(BigInt.asIntN(32, bits));
  if (type === ValueType.i64) return signedLeb(BigInt.asIntN(64, bits));
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, bits), true);
  return type === ValueType.f32 ? bytes.subarray(0, 4) : bytes;
}

function exportsOf(body: Bytes): Bytes {
  const reader = new BinaryReader(body, 0);
  const kept: Bytes[] = [];
  let resume: Bytes | undefined;
  for (let left = reader.u32(); left > 0; left--) {
    const start = reader.at;
    const name = reader.name();
    const at = reader.at;
    const kind = reader.u8();
    reader.u32();
    if (name === RESUME && kind === FUNCTION) resume = body.subarray(at, reader.at);
    else if (name !== START) kept.push(body.subarray(start, reader.at));
  }
  if (resume === undefined) throw new RangeError(`no function ${RESUME}`);
  kept.push(concat([bytesOfName(START), resume]));
  return concat([unsignedLeb(kept.length), ...kept]);
}

function dataOf(body: Bytes | undefined, spans: readonly Span[]): { body: Bytes; count: number } {
  const segments: Bytes[] = [];
  if (body !== undefined) {
    const reader = new BinaryReader(body, 0);
    for (let left = reader.u32(); left > 0; left--) {
      const start = reader.at;
      const kind = reader.u32();
      if (kind === Kind.activeOf) reader.skipNumber();
      if (kind !== Kind.passive) skipConstant(reader);
      reader.bytes(reader.u32());
      segments.push(kind === Kind.passive ? body.subarray(start, reader.at) : EMPTY);
    }
  }
  for (const { address, bytes } of spans) {
    const head = [Uint8Array.of(Kind.active, I32_CONST), signedLeb(BigInt(address | 0)), Uint8Array.of(END)];
    segments.push(concat([...head, unsignedLeb(bytes.length), bytes as Bytes]));
  }
  return { count: segments.length, body: concat([unsignedLeb(segments.length), ...segments]) };
}

const EMPTY: Bytes = Uint8Array.of(Kind.active, I32_CONST, 0, END, 0);
