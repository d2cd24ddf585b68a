import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { EXIT, Failure } from './failure.ts';

const MODULE_BYTES = 256 * 2 ** 20;
const NOT_EXECUTABLE = { exitCode: EXIT.runNotExecutable };

export interface ProgramFile {
  name: string;
  module: Uint8Array;
}

/** Reads a module, and refuses what is none before it travels. What the module needs, the vkernel judges. */
export function readProgram(path: string): ProgramFile {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) throw new Failure(`${path}: no such file`, { exitCode: EXIT.runNotFound });
  if (!stat.isFile()) throw new Failure(`${path} is not a file`, NOT_EXECUTABLE);
  if (stat.size > MODULE_BYTES) throw new Failure(`${path} is larger than 256 MiB`, NOT_EXECUTABLE);
  const module = readFileSync(path);
  const header = module.subarray(0, 8).toString('hex');
  if (!header.startsWith('0061736d')) {
    const fix = 'Give a module that a WASI compiler made, as clang --target=wasm32-wasi.';
    throw new Failure(`${path} is not a WebAssembly module`, { ...NOT_EXECUTABLE, fix });
  }
  if (header !== '0061736d01000000') {
    const fix = 'Compile for WASI preview 1 (wasm32-wasi, wasip1), not as a component.';
    throw new Failure(`${path} is not a WebAssembly module of version 1`, { ...NOT_EXECUTABLE, fix });
  }
  return { name: basename(path), module };
}
