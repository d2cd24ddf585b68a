// Programs for tests: C by clang where it is installed, text format by binaryen.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import binaryen from 'binaryen';

const here = new URL('./', import.meta.url).pathname;
const bin = new URL('../../../../node_modules/.bin/', import.meta.url).pathname;

export const hasClang = existsSync('/usr/include/wasm32-wasi') && existsSync('/usr/bin/clang');

function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-program-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** testdata/NAME.c as a WASI command module. */
export function compileC(name: string, ...flags: string[]): Uint8Array<ArrayBuffer> {
  return inFolder((folder) => {
    const out = join(folder, 'out.wasm');
    const args = [
      '--target=wasm32-wasi',
      '--sysroot=/usr',
      '-O2',
      ...flags,
      join(here, `${name}.c`),
      '-o',
      out,
    ];
    execFileSync('clang', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    return new Uint8Array(readFileSync(out));
  });
}

/** A module in text format, with the names of its functions. */
export function assemble(text: string): Uint8Array<ArrayBuffer> {
  const module = binaryen.parseText(text);
  try {
    module.setFeatures(binaryen.Features.All);
    binaryen.setDebugInfo(true);
    return new Uint8Array(module.emitBinary());
  } finally {
    module.dispose();
  }
}

/** AssemblyScript source. */
export function compileAssemblyscript(source: string, ...flags: string[]): Uint8Array<ArrayBuffer> {
  return inFolder((folder) => {
    const file = join(folder, 'in.ts');
    writeFileSync(file, source);
    const out = join(folder, 'out.wasm');
    execFileSync(join(bin, 'asc'), [file, '-o', out, '--exportStart', '_start', ...flags]);
    return new Uint8Array(readFileSync(out));
  });
}
