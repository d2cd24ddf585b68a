// Runs spin on one configuration: model to C, C to a checker, and reads what the checker prints.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Configuration } from './configurations.ts';

const run = promisify(execFile);
/** Of one checker. */
const MEMORY_MIB = 1_000;
const LONG_MEMORY_MIB = 8_000;
const RUN_MS = 60_000;
const LONG_RUN_MS = 1_800_000;
const DEPTH_MAX = 100_000;
const OUTPUT_MAX = 16 * 1024 * 1024;

export interface Verdict {
  name: string;
  states: number;
  depth: number;
  memoryMiB: number;
  seconds: number;
  verdict: 'HOLDS' | 'REFUTED';
  /** What was violated, in the checker's words; empty where it holds. */
  violation: string;
}

/** @throws Error when spin or gcc is missing, or the search did not end within its bounds. */
export async function check(configuration: Configuration): Promise<Verdict> {
  const { name, model, defines, long = false } = configuration;
  const dir = await mkdtemp(join(tmpdir(), 'odonata-model-'));
  try {
    const macros = Object.entries(defines).map(
      ([key, value]) => `-D${key}${value === true ? '' : `=${value}`}`,
    );
    const memory = long ? LONG_MEMORY_MIB : MEMORY_MIB;
    await tool('spin', ['-a', ...macros, join(import.meta.dirname, `${model}.pml`)], dir);
    // Most of a short run is the compiler's.
    const flags = [
      long ? '-O2' : '-O0',
      '-w',
      '-DSAFETY',
      '-DCOLLAPSE',
      '-DVECTORSZ=2048',
      `-DMEMLIM=${memory}`,
    ];
    await tool('gcc', [...flags, '-o', 'pan', 'pan.c'], dir);
    const startMs = performance.now();
    const options = { cwd: dir, timeout: long ? LONG_RUN_MS : RUN_MS, maxBuffer: OUTPUT_MAX };
    const { stdout } = await run(join(dir, 'pan'), [`-m${DEPTH_MAX}`], options);
    return { name, ...read(name, stdout), seconds: (performance.now() - startMs) / 1_000 };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function tool(program: string, args: string[], cwd: string): Promise<void> {
  try {
    await run(program, args, { cwd, maxBuffer: OUTPUT_MAX });
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (missing) throw new Error(`${program} is missing; make setup installs it`, { cause: error });
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} failed: ${(stdout + stderr).slice(0, 500)}`, { cause: error });
  }
}

function read(name: string, output: string): Omit<Verdict, 'name' | 'seconds'> {
  const number = (pattern: RegExp): number => {
    const found = pattern.exec(output);
    if (found === null) throw new Error(`${name}: the checker did not finish: ${output.slice(0, 500)}`);
    return Number(found[1]);
  };
  const errors = number(/errors: (\d+)/);
  // A search that met a bound of depth or memory proves nothing.
  if (errors === 0 && /max search depth too small|out of memory|Search not completed/.test(output))
    throw new Error(`${name}: the search met its bound: ${output.slice(0, 300)}`);
  return {
    states: number(/(\d+) states, stored/),
    depth: number(/depth reached (\d+)/),
    memoryMiB: number(/([\d.]+)\s+total actual memory usage/),
    verdict: errors === 0 ? 'HOLDS' : 'REFUTED',
    violation: errors === 0 ? '' : (/^pan:1: (.*)$/m.exec(output)?.[1] ?? 'unknown'),
  };
}
