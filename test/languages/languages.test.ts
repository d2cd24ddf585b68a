// The bindings for Rust and Go, made from the one description: programs in both, and in C, on three nodes add to one counter.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { buildGo } from '../guests/go.ts';
import { systemPath } from '../guests/toolchain.ts';
import { LONG } from '../long.ts';

const ROOT = join(import.meta.dirname, '../..');
const GUEST = join(ROOT, 'libs/guest');

/** The distribution's: `apt-get install rustc libstd-rust-dev-wasm32`. */
const RUSTC = '/usr/bin/rustc';
const hasRust = existsSync(RUSTC) && existsSync('/usr/lib/rustlib/wasm32-wasi');
const hasGo = spawnSync('go', ['version']).status === 0;

function rust(folder: string): Buffer {
  const flags = ['--edition', '2021', '--target', 'wasm32-wasi', '-O', '-C', 'target-feature=+atomics'];
  const compile = (...args: string[]) =>
    execFileSync(RUSTC, [...flags, ...args], { cwd: folder, env: { ...process.env, PATH: systemPath() } });
  compile('--crate-type', 'rlib', '--crate-name', 'odonata', join(GUEST, 'rust/src/lib.rs'));
  const source = join(import.meta.dirname, 'counter/counter.rs');
  compile('--extern', 'odonata=libodonata.rlib', source, '-o', 'rust.wasm');
  return readFileSync(join(folder, 'rust.wasm'));
}

if (!hasRust) console.log('Rust is skipped: apt-get install rustc libstd-rust-dev-wasm32');
if (!hasGo) console.log('Go is skipped: there is no go');

test.runIf(LONG && (hasRust || hasGo))(
  'Rust, Go and C add to one counter',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-languages-'));
    const cluster = await TestCluster.up({ nodes: 3 });
    try {
      if (hasRust) cluster.addModule('rust', rust(folder));
      if (hasGo)
        cluster.addModule(
          'go',
          readFileSync(buildGo(join(import.meta.dirname, 'counter/counter.go'), folder)),
        );
      const runs = [cluster.output('node1', 'counter', ['tally', 'lock', '50'])];
      if (hasRust) runs.push(cluster.output('node2', 'rust', ['50']));
      if (hasGo) runs.push(cluster.output('node3', 'go', ['50']));
      await Promise.all(runs);
      expect(await cluster.json('node1', 'counter', ['tally', 'read'])).toMatchObject({
        seen: 50 * runs.length,
      });
    } finally {
      await cluster.down();
      rmSync(folder, { recursive: true });
    }
  },
  300_000,
);
