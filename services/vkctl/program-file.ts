import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { unrunnable } from '@odonata/guest/module/file-kind.ts';
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
  const { what, fix = '' } = unrunnable(module) ?? {};
  if (what !== undefined) {
    const sentence = fix && `${fix[0]!.toUpperCase()}${fix.slice(1)}.`;
    throw new Failure(`${path} is ${what}`, { ...NOT_EXECUTABLE, fix: sentence });
  }
  return { name: basename(path), module };
}
