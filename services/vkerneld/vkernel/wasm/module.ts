// Prepares a program's WebAssembly module for a virtual kernel.
//
// A program brings its own memory; here the virtual kernel has to make it, because it is demand-paged. So the memory
// that a module defines becomes one that it imports as (`odonata_vkernel`, `memory`), shared and with a maximum. A
// memory has an index space of its own, so no index in the code changes.
//
// What would be allocated elsewhere than in that memory is bounded, or refused: it is under no quota, and V8 ends the
// whole virtual kernel when it runs out. So tables get a maximum, which counts against the program's quota, and the types
// of WebAssembly's garbage collection are not to be had; and what V8 may take to compile it (compile-cost.ts) counts as well,
// beyond what every program has free.
//
// A module is somebody else's: it is read in the thread of its process, and what it has of each kind has a bound.

import { hintOfImports, unrunnable } from '@odonata/guest/module/file-kind.ts';
import { BinaryReader, bytesOfName, concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import { type Section, SectionId, section } from '@odonata/guest/wasm/section.ts';
import { FREE_COMPILE_BYTES } from './compile-allowance.ts';
import { compileBytes } from './compile-cost.ts';
import type { Arity } from './function-frame.ts';
import { letterOf, shownType } from './function-type.ts';
import { type ProgramImage, splitImage } from './image.ts';
import { exportsOfGlobals, type KeptGlobal, type KeptGlobals, withExports } from './kept-globals.ts';
import { ModuleError } from './module-error.ts';
import { PARK_AREA, PARKS, parkableOf } from './parkable.ts';
import { snapshotableOf } from './snapshotable.ts';
import { tableFor } from './table-function.ts';
import { boundedTables, limitsHasMaximum } from './tables.ts';
import { expectSharedMemory, expectThreadEntry, threadSpawn } from './thread-entry.ts';
import { HINTS_SECTION, tierHints } from './tier-hints.ts';
import { withOwnWaits } from './waits.ts';

export const memoryImport = { module: 'odonata_vkernel', name: 'memory' } as const;

/** 4 GiB, the most that 32-bit addresses reach, in pages of 64 KiB. */
export const pagesMax = 65536;

export type Provided = (module: string, name: string) => boolean | string;

export interface PreparedModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Pages of 64 KiB. */
  readonly initialPages: number;
  /** Pages of 64 KiB. */
  readonly maximumPages: number;
  /** What its tables may take of its quota, beside its memory, and V8 to compile it. */
  readonly besideBytes: number;
  /** What of it is for tables, which each thread has of its own. */
  readonly tableBytes: number;
  /** It imports `wasi.thread-spawn`. */
  readonly startsThreads: boolean;
  /** The types of its functions, as they are in the file: types-seen.ts counts them. */
  readonly types: readonly Uint8Array[];
  /** It runs something when it is instantiated. */
  readonly hasStartSection: boolean;
  /** What its memory begins with, where that is taken out of it. */
  readonly image: ProgramImage | undefined;
  /** Where it asks for snapshots: which of its globals are exported for that. */
  readonly snapshot: KeptGlobals | undefined;
  /** Where it can be parked: its globals, which are exported. */
  readonly parkable: readonly KeptGlobal[] | undefined;
}

const ImportKind = { function: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;
const kindNames = ['function', 'table', 'memory', 'global', 'tag'];

interface Limits {
  readonly initialPages: number;
  readonly maximumPages: number;
  readonly shared: boolean;
}

/**
 * @param provided whether the virtual kernel has a function of this name; its type, where that is to be checked
 * @param quotaBytes of memory and tables together
 * @throws ModuleError
 */
export function prepareModule(
  bytes: Uint8Array<ArrayBuffer>,
  provided: Provided,
  quotaBytes = Number.MAX_SAFE_INTEGER,
): PreparedModule {
  checkHeader(bytes);
  try {
    return rewrite(bytes, provided, quotaBytes);
  } catch (error) {
    if (error instanceof RangeError) throw new ModuleError('not a valid WebAssembly module: it is cut short');
    throw error;
  }
}

function checkHeader(bytes: Uint8Array): void {
  const { what, fix } = unrunnable(bytes) ?? {};
  if (what !== undefined) throw new ModuleError(fix ? `${what}: ${fix}` : what);
}

/** Sections by which a linker knows what is no whole program. */
function expectLinked(sections: readonly Section[]): void {
  for (const { id, body } of sections) {
    if (id !== SectionId.custom) continue;
    const name = new BinaryReader(body, 0).name();
    if (name === 'linking' || name.startsWith('reloc.'))
      throw new ModuleError('an object file, not a program: link it (without -c, or by wasm-ld)');
    if (name === 'dylink' || name === 'dylink.0')
      throw new ModuleError('a shared library, not a program: link it statically, without -shared and -fPIC');
  }
}

function rewrite(bytes: Uint8Array<ArrayBuffer>, provided: Provided, quotaBytes: number): PreparedModule {
  const sections = readSections(bytes);
  expectLinked(sections);
  const typeBody = sections.find(({ id }) => id === SectionId.type)?.body;
  const { types, entries } = readTypes(typeBody);
  const exported = sections.find(({ id }) => id === SectionId.export)?.body;
  if (exported !== undefined) bounded(new BinaryReader(exported, 0).u32(), exportsMax, 'exports');
  const imports = readImports(sections.find(({ id }) => id === SectionId.import)?.body, types, provided);
  const defined = readMemories(sections.find(({ id }) => id === SectionId.memory)?.body);
  const memories = [...imports.memories, ...defined];
  if (memories.length > 1)
    throw new ModuleError('a module with several memories, which no virtual kernel has');
  const startsThreads = imports.names.has(threadSpawn);
  if (startsThreads) {
    const declared = sections.find(({ id }) => id === SectionId.function)?.body;
    expectThreadEntry(exported, declared, { types, imported: imports.functions });
    expectSharedMemory(memories[0]?.shared ?? false);
  }
  // Without a memory of its own it gets an empty one, which it cannot use.
  const limits = memories[0] ?? { initialPages: 0, maximumPages: 0, shared: false };

  const pieces: Uint8Array<ArrayBuffer>[] = [bytes.subarray(0, 8)];
  const importSection = section(
    SectionId.import,
    concat([unsignedLeb(imports.kept.length + 1), ...imports.kept, importOfMemory(limits)]),
  ).whole;
  const functions = imports.functions.concat(declaredFunctions(sections));
  const snapshot = snapshotableOf(sections, { types, startsThreads, functions });
  const parkable = imports.names.has(PARK_AREA)
    ? parkableOf(sections, { types, startsThreads, functions })
    : undefined;
  const kept = parkable ?? (snapshot !== undefined && 'globals' in snapshot ? snapshot.globals : undefined);
  const ownExports = [...exportsOfGlobals(kept ?? []), ...tableFor(sections, imports.names)];
  const own = withOwnWaits(sections, imports.functions.length);
  let placed = false;
  let tableBytes = 0;
  let image: ProgramImage | undefined;
  for (const { id, whole, body } of own) {
    const goesBefore = id === SectionId.custom || id === SectionId.type;
    if (!placed && !goesBefore) {
      pieces.push(importSection);
      placed = true;
    }
    if (id === SectionId.table) {
      const tables = boundedTables(body, quotaBytes);
      tableBytes += tables.bytesMax;
      pieces.push(section(id, tables.body).whole);
    } else if (id === SectionId.data) {
      // Each further thread would write its segments anew, over what was changed: those of one that has threads stay.
      const least = parkable === undefined ? undefined : 0;
      const split = startsThreads ? undefined : splitImage(body, limits.initialPages, least);
      if (parkable !== undefined && split === undefined) throw new ModuleError(UNPARKABLE_DATA);
      image = split?.image.bytes.length === 0 ? undefined : split?.image;
      pieces.push(split === undefined ? whole : section(id, split.body).whole);
    } else if (id === SectionId.export) {
      pieces.push(withExports({ id, whole, body }, ownExports).whole);
    } else if (id !== SectionId.import && id !== SectionId.memory && !isHints(id, body)) pieces.push(whole);
    if (id === SectionId.function) pieces.push(...hintsFor(own));
  }
  if (!placed) pieces.push(importSection);
  return {
    bytes: concat(pieces),
    initialPages: limits.initialPages,
    maximumPages: limits.maximumPages,
    types: entries,
    tableBytes,
    startsThreads,
    besideBytes: tableBytes + compileBeyond(own, types, imports.functions, quotaBytes - tableBytes),
    hasStartSection: sections.some(({ id }) => id === SectionId.start),
    image,
    snapshot,
    parkable,
  };
}

/** What it writes into its memory when it is instantiated it would write again, over what was changed. */
const UNPARKABLE_DATA = `${PARKS}, but it has data at addresses that are not known beforehand, so it cannot be parked: build it without that`;

/** The types of those that it has itself. */
function declaredFunctions(sections: readonly Section[]): number[] {
  const body = sections.find(({ id }) => id === SectionId.function)?.body;
  if (body === undefined) return [];
  const reader = new BinaryReader(body, 0);
  return Array.from({ length: bounded(reader.u32(), functionsMax, 'functions') }, () => reader.u32());
}

/** Those of the program are its own wishes. */
function isHints(id: number, body: Uint8Array<ArrayBuffer>): boolean {
  if (id !== SectionId.custom) return false;
  return new BinaryReader(body, 0).name() === HINTS_SECTION;
}

function hintsFor(sections: readonly Section[]): Uint8Array<ArrayBuffer>[] {
  const code = sections.find(({ id }) => id === SectionId.code);
  const hints = code && tierHints(code.body);
  return hints === undefined ? [] : [section(SectionId.custom, hints).whole];
}

/** What V8 may take beyond what every program has free. */
function compileBeyond(
  sections: readonly Section[],
  types: readonly string[],
  imported: readonly number[],
  leftBytes: number,
): number {
  const readerOf = (wanted: number): BinaryReader | undefined => {
    const body = sections.find(({ id }) => id === wanted)?.body;
    return body && new BinaryReader(body, 0);
  };
  const code = readerOf(SectionId.code);
  if (code === undefined) return 0;
  const arities = types.map((type): Arity => {
    const parameters = type.indexOf(':');
    return { parameters, results: type.length - parameters - 1 };
  });
  const functions = imported.concat(declaredFunctions(sections));
  const tags: number[] = [];
  const tagged = readerOf(SectionId.tag);
  for (let left = bounded(tagged?.u32() ?? 0, functionsMax, 'tags'); left > 0; left--) {
    tagged!.u8();
    tags.push(tagged!.u32());
    const { parameters } = arities[tags.at(-1)!] ?? { parameters: 0 };
    if (parameters > thrownMax)
      throw new ModuleError(`a module with exceptions of ${parameters} values; there may be ${thrownMax}`);
  }
  const bytes = compileBytes(code, { types: arities, functions, tags }, imported.length);
  const beyond = Math.max(0, bytes - FREE_COMPILE_BYTES);
  if (beyond <= leftBytes) return beyond;
  const [needed, has] = [beyond, Math.max(0, leftBytes)].map((each) => Math.ceil(each / 2 ** 20));
  throw new ModuleError(
    `a module with functions so large that compiling them may take ${needed} MiB of its quota of memory, which has ${has} MiB for that (raise it with --memory, or build it with smaller functions)`,
  );
}

/** A dozen, and custom ones; each is an object here. */
const sectionsMax = 10_000;

function readSections(bytes: Uint8Array<ArrayBuffer>): Section[] {
  const reader = new BinaryReader(bytes, 8);
  const sections: Section[] = [];
  while (!reader.atEnd) {
    if (sections.length === sectionsMax) {
      throw new ModuleError(`a module of more than ${sectionsMax} sections, which no compiler makes`);
    }
    const start = reader.at;
    const id = reader.u8();
    const body = reader.bytes(reader.u32());
    sections.push({ id, body, whole: bytes.subarray(start, reader.at) });
  }
  return sections;
}

/** The imports that stay, as they are in the file, and the memories among them. */
function readImports(
  body: Uint8Array<ArrayBuffer> | undefined,
  types: readonly string[],
  provided: Provided,
): { kept: Uint8Array<ArrayBuffer>[]; memories: Limits[]; functions: number[]; names: ReadonlySet<string> } {
  const kept: Uint8Array<ArrayBuffer>[] = [];
  const memories: Limits[] = [];
  const functions: number[] = [];
  const missing: string[] = [];
  const names = new Set<string>();
  const from = new Set<string>();
  if (body === undefined) return { kept, memories, functions, names };
  // A call with other types would fail here, in the virtual kernel, each time anew.
  const checkFunction = (module: string, name: string, type = ''): void => {
    const ours = provided(module, name);
    if (ours === false) {
      missing.push(`${module}.${name}`);
      from.add(module);
    } else if (ours !== true && ours !== type && type !== '') {
      const [theirs, has] = [type, ours].map(shownType);
      throw new ModuleError(
        `the program imports ${module}.${name} as ${theirs}; a virtual kernel has it as ${has}`,
      );
    }
  };
  const reader = new BinaryReader(body, 0);
  const count = bounded(reader.u32(), importsMax, 'imports');
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    const module = reader.name();
    const name = reader.name();
    const kind = reader.u8();
    switch (kind) {
      case ImportKind.function:
        functions.push(reader.u32());
        if (module === 'wasi' || module === 'odonata') names.add(`${module}.${name}`);
        checkFunction(module, name, types[functions.at(-1)!]);
        kept.push(body.subarray(start, reader.at));
        break;
      case ImportKind.memory:
        memories.push(readLimits(reader));
        break;
      default:
        throw new ModuleError(
          `the program imports ${shownName(`${module}.${name}`)} (a ${kindNames[kind] ?? 'thing of unknown kind'}), which a virtual kernel does not have`,
        );
    }
  }
  if (missing.length > 0) throw new ModuleError(missingMessage(missing, from));
  return { kept, memories, functions, names };
}

const namedMax = 5;
const nameCharsMax = 100;

function shownName(name: string): string {
  return name.length > nameCharsMax ? `${name.slice(0, nameCharsMax)}…` : name;
}

function missingMessage(missing: readonly string[], modules: Iterable<string>): string {
  const named = missing.slice(0, namedMax).map(shownName).join(', ');
  const rest = missing.length > namedMax ? ` and ${missing.length - namedMax} more` : '';
  const hint = hintOfImports(modules, missing);
  return `the program imports ${named}${rest}, which a virtual kernel does not have${hint ? `: ${hint}` : ''}`;
}

/** V8 takes a million, and ends the process for one more in all of its programs. The largest programs have some hundred. */
const typesMax = 10_000;
/** An object of JavaScript each, when the program starts. */
const exportsMax = 100_000;
// V8's own bounds (v8/src/wasm/wasm-limits.h), of what is read here before V8 does.
const importsMax = 1_000_000;
const functionsMax = 1_000_000;
const valuesMax = 1_000;
/** Each place that catches one has code for each of its values: 22 KB for 1,000, of 7 bytes. Compilers throw one value, or two. */
const thrownMax = 16;

function bounded(count: number, max: number, what: string): number {
  if (count > max) throw new ModuleError(`a module with ${count} ${what}; there may be ${max}`);
  return count;
}

const functionType = 0x60;
const referenceTypes = [0x63, 0x64];

interface Types {
  /** By index, as function-type.ts has them. */
  readonly types: string[];
  readonly entries: Uint8Array[];
}

/** The types of functions. Structures and arrays, and the groups that they come in, are refused. */
function readTypes(body: Uint8Array<ArrayBuffer> | undefined): Types {
  const types: string[] = [];
  const entries: Uint8Array[] = [];
  if (body === undefined) return { types, entries };
  const reader = new BinaryReader(body, 0);
  const count = bounded(reader.u32(), typesMax, 'types');
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    if (reader.u8() !== functionType) {
      throw new ModuleError('a module with garbage-collected types, which no virtual kernel has');
    }
    const [parameters, results] = [readValues(reader), readValues(reader)];
    types.push(`${parameters.letters}:${results.letters}`);
    const entry = body.subarray(start, reader.at);
    // By itself the index of another type says nothing: what it is does, in this module.
    entries.push(parameters.refers || results.refers ? concat([entry, unsignedLeb(i), body]) : entry);
  }
  return { types, entries };
}

function readValues(reader: BinaryReader): { letters: string; refers: boolean } {
  let letters = '';
  let refers = false;
  const count = bounded(reader.u32(), valuesMax, 'parameters or results of one function');
  for (let i = 0; i < count; i++) {
    const type = reader.u8();
    if (referenceTypes.includes(type)) {
      refers = true;
      reader.u32(); // to a type, by its index
    }
    letters += letterOf(type);
  }
  return { letters, refers };
}

function readMemories(body: Uint8Array<ArrayBuffer> | undefined): Limits[] {
  if (body === undefined) return [];
  const reader = new BinaryReader(body, 0);
  return Array.from({ length: bounded(reader.u32(), 100_000, 'memories') }, () => readLimits(reader));
}

const limitsShared = 2;

function readLimits(reader: BinaryReader): Limits {
  const flags = reader.u8();
  if ((flags & ~(limitsHasMaximum | limitsShared)) !== 0) {
    throw new ModuleError('a module with 64-bit memory or an unusual page size, which no virtual kernel has');
  }
  const initialPages = reader.u32();
  const maximumPages = flags & limitsHasMaximum ? reader.u32() : pagesMax;
  if (initialPages > pagesMax || initialPages > maximumPages) {
    throw new ModuleError('not a valid WebAssembly module: its memory has impossible limits');
  }
  const shared = (flags & limitsShared) !== 0;
  return { initialPages, maximumPages: Math.min(maximumPages, pagesMax), shared };
}

function importOfMemory(limits: Limits): Uint8Array<ArrayBuffer> {
  return concat([
    bytesOfName(memoryImport.module),
    bytesOfName(memoryImport.name),
    Uint8Array.of(ImportKind.memory, limitsHasMaximum | limitsShared),
    unsignedLeb(limits.initialPages),
    unsignedLeb(limits.maximumPages),
  ]);
}
