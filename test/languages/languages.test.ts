// The bindings for Rust and Go, made from the one description: programs in both, and in C, on three nodes add to one counter.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { buildGo } from '../guests/go.ts';
import { LONG } from '../long.ts';
import { hasGo, hasRust, rustc } from './toolchains.ts';

const ROOT = join(import.meta.dirname, '../..');
const GUEST = join(ROOT, 'libs/guest');

function rust(folder: string): Buffer {
  const flags = ['--edition', '2021', '-O', '-C', 'target-feature=+atomics'];
  const compile = (...args: string[]) => rustc(folder, ...flags, ...args);
  compile('--crate-type', 'rlib', '--crate-name', 'odonata', join(GUEST, 'rust/src/lib.rs'));
  const source = join(import.meta.dirname, 'counter/counter.rs');
  compile('--extern', 'odonata=libodonata.rlib', source, '-o', 'rust.wasm');
  return readFileSync(join(folder, 'rust.wasm'));
}

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
