// What AssemblyScript's compiler imports from `env` for a program that uses no bindings of its own: abort and friends.

import type { OutputWriter } from './output-ring.ts';
import { WasiError } from './wasi/errno.ts';
import type { GuestMemory } from './wasi/guest-memory.ts';

/** With their types: see wasm/function-type.ts. */
export const assemblyscriptTypes: Readonly<Record<string, string>> = {
  abort: 'iiii:',
  trace: 'iiFFFFF:',
  seed: ':F',
  'Date.now': ':F',
  'console.log': 'i:',
  'console.info': 'i:',
  'console.debug': 'i:',
  'console.warn': 'i:',
  'console.error': 'i:',
};

const textBytesMax = 1 << 16;
const decoder = new TextDecoder('utf-16le');
const encoder = new TextEncoder();

type Imports = Record<string, (...args: number[]) => number | undefined>;

/** @param abort ends the process with SIGABRT; does not return */
export function assemblyscriptImports(
  memory: GuestMemory,
  output: OutputWriter,
  abort: (reason: string) => never,
): Imports {
  /** A string: UTF-16, its length in bytes stands before it. One that is not in the memory is a trap, as a load is. */
  function text(at: number): string {
    const start = at >>> 0;
    if (start < 4) return '';
    try {
      const length = Math.min(memory.u32(start - 4), textBytesMax);
      return decoder.decode(memory.copyOut(start, length));
    } catch (error) {
      if (!(error instanceof WasiError)) throw error;
      throw new WebAssembly.RuntimeError('memory access out of bounds');
    }
  }

  function print(stream: 1 | 2, line: string): undefined {
    try {
      output.write(stream, encoder.encode(`${line}\n`));
    } catch (error) {
      if (!(error instanceof WasiError)) throw error;
      abort('nobody reads what it writes (EPIPE)');
    }
  }

  const toOutput = (at: number): undefined => print(1, text(at));
  const toError = (at: number): undefined => print(2, text(at));
  return {
    abort: (message, file, line, column) => {
      const what = text(message!) || 'abort';
      const where = text(file!);
      const reason = where === '' ? what : `${what} in ${where} (${line! >>> 0}:${column! >>> 0})`;
      print(2, `abort: ${reason}`);
      return abort(`abort: ${reason}`);
    },
    trace: (message, count, ...values) => {
      const shown = values.slice(0, count).join(', ');
      return print(2, `trace: ${text(message!)}${shown === '' ? '' : ` ${shown}`}`);
    },
    seed: () => Math.random() * Number.MAX_SAFE_INTEGER,
    'Date.now': () => Date.now(),
    'console.log': toOutput,
    'console.info': toOutput,
    'console.debug': toOutput,
    'console.warn': toError,
    'console.error': toError,
  };
}
