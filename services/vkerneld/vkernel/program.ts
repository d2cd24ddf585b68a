// From the bytes of a program to a compiled module that a guest's thread can instantiate.

import { setFlagsFromString } from 'node:v8';
import { assemblyscriptTypes } from './assemblyscript-calls.ts';
import { odonataTypes } from './odonata-calls.ts';
import { oneLine } from './trap.ts';
import { preview1Types } from './wasi/preview1.ts';
import type { ProgramImage } from './wasm/image.ts';
import type { KeptGlobal, KeptGlobals } from './wasm/kept-globals.ts';
import { prepareModule } from './wasm/module.ts';
import { ModuleError } from './wasm/module-error.ts';
import { TYPES_SEEN_MAX, type TypesSeen } from './wasm/types-seen.ts';

// What prepareModule says of functions is read.
setFlagsFromString('--experimental-wasm-compilation-hints');

const types: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map([
  ['wasi_snapshot_preview1', new Map(Object.entries(preview1Types))],
  ['odonata', new Map(Object.entries(odonataTypes))],
  ['env', new Map(Object.entries(assemblyscriptTypes))],
  ['wasi', new Map([['thread-spawn', 'i:i']])],
]);

export interface Program {
  readonly module: WebAssembly.Module;
  /** Pages of 64 KiB. */
  readonly initialPages: number;
  readonly maximumPages: number;
  /** What its tables, and V8 that compiles it, may take of its quota. */
  readonly besideBytes: number;
  /** It may start children. */
  readonly spawns: boolean;
  /** What its memory begins with, where the module does not write that itself. */
  readonly image: ProgramImage | undefined;
  /** Where it starts threads. */
  readonly threads: { readonly module: WebAssembly.Module; readonly instanceBytes: number } | undefined;
  /** Where it exports `odonata_resume`. */
  readonly snapshot: KeptGlobals | undefined;
  /** Where it can be parked: its globals. */
  readonly parkable: readonly KeptGlobal[] | undefined;
}

function withoutStart(module: WebAssembly.Module): string {
  const isReactor = WebAssembly.Module.exports(module).some(({ name }) => name === '_initialize');
  return isReactor
    ? 'the module exports no function _start: it is a library (a reactor), not a program; build it without -mexec-model=reactor, as one with a main'
    : 'the module exports no function _start: it is a library, not a program';
}

/** In the thread of the process. Throws ModuleError, whose message is one line for the program's user. */
export async function compileProgram(
  bytes: Uint8Array<ArrayBuffer>,
  quotaBytes: number,
  typesSeen: TypesSeen,
): Promise<Program> {
  const prepared = prepareModule(bytes, (module, name) => types.get(module)?.get(name) ?? false, quotaBytes);
  if (!typesSeen.note(prepared.types))
    throw new ModuleError(
      `a module of ${prepared.types.length} types of functions; programs of this virtual kernel had ${TYPES_SEEN_MAX} different ones so far, which is all that it can keep (run it in another, by --vkernel, or start this one anew)`,
    );
  let module: WebAssembly.Module;
  try {
    module = await WebAssembly.compile(prepared.bytes);
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError)) throw error;
    throw new ModuleError(`not a valid WebAssembly module: ${oneLine(error.message)}`);
  }
  const entry = WebAssembly.Module.exports(module).find(({ name }) => name === '_start');
  if (entry?.kind !== 'function' && !prepared.hasStartSection) throw new ModuleError(withoutStart(module));
  const { initialPages, maximumPages, besideBytes, startsThreads, tableBytes, image, snapshot, parkable } =
    prepared;
  const threads = startsThreads ? { module, instanceBytes: tableBytes } : undefined;
  const spawns = WebAssembly.Module.imports(module).some(
    (each) => each.module === 'odonata' && each.name === 'spawn',
  );
  return { module, initialPages, maximumPages, besideBytes, spawns, image, threads, snapshot, parkable };
}
