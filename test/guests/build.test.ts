import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildGuest } from './build.ts';
import { guests } from './catalogue.ts';
import { run } from './toolchain.ts';

const ROOT = join(import.meta.dirname, '../..');

/** The atomic instructions of a module, by name. */
async function atomicsOf(name: string): Promise<Set<string>> {
  const text = (await run(join(ROOT, 'node_modules/.bin/wasm-dis'), [await buildGuest(name)], ROOT)).output;
  return new Set(text.match(/i(32|64)\.atomic\.[a-z_.]+/g));
}

describe('buildGuest', () => {
  test('builds once and gives the same path again', async () => {
    const path = await buildGuest('hello');
    const before = (await stat(path)).ctimeMs;
    expect(WebAssembly.validate(await readFile(path))).toBe(true);
    expect(await buildGuest('hello')).toBe(path);
    expect((await stat(path)).ctimeMs).toBe(before);
  });

  test('side by side, two processes build the same file', async () => {
    const build = () => run(process.execPath, [join(import.meta.dirname, 'build.ts'), 'args'], ROOT);
    const [one, two] = await Promise.all([build(), build()]);
    expect([one.code, two.code]).toEqual([0, 0]);
    const path = /build\/guests\/args-\w+\.wasm/;
    expect(one.output.match(path)?.[0]).toBe(two.output.match(path)?.[0]);
  });

  test('names the guests when there is none of that name', () => {
    expect(() => buildGuest('nonsense')).toThrow(/no guest 'nonsense'; there are: wordcount, counter/);
  });

  test('says in one line what to install when the compiler is missing', async () => {
    const script = `import { findCompiler } from '${join(import.meta.dirname, 'toolchain.ts')}';
      await findCompiler().catch((error) => console.log(error.message));`;
    const args = ['PATH=/nonexistent', process.execPath, '--input-type=module', '-e', script];
    const { output } = await run('/usr/bin/env', args, ROOT);
    expect(output.trim().split('\n')).toHaveLength(1);
    expect(output).toMatch(/no C compiler for guests.*apt-get install -y clang lld wasi-libc/);
  });
});

describe('what the modules contain', () => {
  test('every guest exports its memory, or imports it for its threads, and starts as a WASI command', async () => {
    // sqlite takes the better part of a minute to build: it has a test of its own.
    for (const name of Object.keys(guests).filter((guest) => guest !== 'sqlite')) {
      const module = await WebAssembly.compile(await readFile(await buildGuest(name)));
      const exported = WebAssembly.Module.exports(module).map((entry) => entry.name);
      const imported = WebAssembly.Module.imports(module).filter(({ kind }) => kind === 'memory');
      const wanted = imported.length === 0 ? ['memory', '_start'] : ['wasi_thread_start', '_start'];
      expect(exported, name).toEqual(expect.arrayContaining(wanted));
    }
  }, 240_000);

  // The compiler turns atomics into plain accesses without a word where a file also uses errno.
  test.each([
    ['wordcount', ['i32.atomic.rmw.add', 'i32.atomic.rmw.cmpxchg', 'i64.atomic.rmw.add']],
    ['counter', ['i32.atomic.rmw.add', 'i32.atomic.load', 'i32.atomic.store']],
    ['litmus', ['i32.atomic.load', 'i32.atomic.store', 'i32.atomic.rmw.or']],
    ['pingpong', ['i32.atomic.load', 'i32.atomic.store']],
    ['touch', ['i32.atomic.rmw.add']],
    ['shared-counter', ['i32.atomic.rmw.add', 'i32.atomic.store']],
  ])('%s has real atomic instructions', async (name, wanted) => {
    expect([...(await atomicsOf(name))]).toEqual(expect.arrayContaining(wanted));
  });
});
