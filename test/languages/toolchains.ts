// The toolchains of the distribution that tests use where they are there, and how to get those that are not.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { systemPath } from '../guests/toolchain.ts';

/** Debian's, not one of rustup that comes without a standard library for WASI. */
export const RUSTC = '/usr/bin/rustc';
export const hasRust = existsSync(RUSTC) && existsSync('/usr/lib/rustlib/wasm32-wasi');
export const hasGo = spawnSync('go', ['version']).status === 0;
export const hasCpp = existsSync('/usr/lib/wasm32-wasi/libc++.a');

if (!hasRust) console.log('Rust is skipped: apt-get install rustc libstd-rust-dev-wasm32');
if (!hasGo) console.log('Go is skipped: there is no go');
if (!hasCpp) console.log('C++ is skipped: apt-get install libc++-dev-wasm32 libc++abi-dev-wasm32');

export function rustc(folder: string, ...args: string[]): void {
  const env = { ...process.env, PATH: systemPath() };
  execFileSync(RUSTC, ['--target', 'wasm32-wasi', ...args], { cwd: folder, env, stdio: 'pipe' });
}
