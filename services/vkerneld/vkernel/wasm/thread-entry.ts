// What a module has that starts threads, as the proposal wasi-threads says: a shared memory, and a function that each new thread
// begins in.

import { BinaryReader } from '@odonata/guest/wasm/binary.ts';
import { shownType } from './function-type.ts';
import { ModuleError } from './module-error.ts';

export const threadSpawn = 'wasi.thread-spawn';
export const threadEntry = 'wasi_thread_start';
const entryType = 'ii:';
const FUNCTION = 0;

interface Functions {
  readonly types: readonly string[];
  /** Of those that are imported, the index of the type. */
  readonly imported: readonly number[];
}

/** @throws ModuleError */
export function expectThreadEntry(
  exported: Uint8Array<ArrayBuffer> | undefined,
  declared: Uint8Array<ArrayBuffer> | undefined,
  functions: Functions,
): void {
  const index = exported && entryOf(exported);
  if (index === undefined)
    throw new ModuleError(
      `the program imports ${threadSpawn}, and exports no function ${threadEntry} for its threads to begin in (link it with --export=${threadEntry})`,
    );
  const type = typeOf(index, declared, functions);
  if (type !== entryType)
    throw new ModuleError(
      `the program exports ${threadEntry} as ${shownType(type)}; threads begin in ${shownType(entryType)}`,
    );
}

/** @throws ModuleError */
export function expectSharedMemory(shared: boolean): void {
  if (!shared)
    throw new ModuleError(
      `the program imports ${threadSpawn}, and its memory is not shared: build it with -pthread, and link it with --shared-memory, --import-memory and --max-memory`,
    );
}

function entryOf(exported: Uint8Array<ArrayBuffer>): number | undefined {
  const reader = new BinaryReader(exported, 0);
  for (let left = reader.u32(); left > 0; left--) {
    const name = reader.name();
    const kind = reader.u8();
    const index = reader.u32();
    if (name === threadEntry && kind === FUNCTION) return index;
  }
  return undefined;
}

function typeOf(index: number, declared: Uint8Array<ArrayBuffer> | undefined, functions: Functions): string {
  const { types, imported } = functions;
  if (index < imported.length) return types[imported[index]!] ?? ':';
  if (declared === undefined) return ':';
  const reader = new BinaryReader(declared, 0);
  const count = reader.u32();
  for (let at = imported.length; at < imported.length + count; at++) {
    const type = reader.u32();
    if (at === index) return types[type] ?? ':';
  }
  return ':';
}
