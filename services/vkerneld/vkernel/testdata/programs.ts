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

export const imports = `
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 16) "hello\\n")
  (tag $error)`;

/** A program; `$print` writes "hello" and a line's end. */
export function program(body: string, more = ''): Uint8Array<ArrayBuffer> {
  return assemble(`(module ${imports} ${more}
    (func $print (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func $main (export "_start") ${body}))`);
}
