// docs/programs.md: each program that stands there builds by the command below it, and is a module that runs here.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compileProgram } from '../../services/vkerneld/vkernel/program.ts';
import { hasClang } from '../../services/vkerneld/vkernel/testdata/programs.ts';
import { TypesSeen } from '../../services/vkerneld/vkernel/wasm/types-seen.ts';
import { systemPath } from '../guests/toolchain.ts';
import { hasCpp, hasGo, hasRust, RUSTC } from '../languages/toolchains.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/programs.md'), 'utf8');
const blocks = [...page.matchAll(/^```(\w+) (\S+)\n(.*?)^```$/gms)].map(([, language, what, text]) => ({
  language: language!,
  what: what!,
  text: text!,
}));
const programs = blocks.flatMap(({ what, text }, i) =>
  what === 'build' ? [{ ...blocks[i - 1]!, command: text.trim() }] : [],
);

/** What is missing said so already. */
const HAS: Readonly<Record<string, boolean>> = { cpp: hasCpp, rust: hasRust, go: hasGo };
const IMPORTS_NOTHING_OF_OURS = new Set(['prog.cpp', 'server.c']);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'odonata-programs-'));
  symlinkSync(join(ROOT, 'libs'), join(folder, 'libs'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('the page has programs', () =>
  expect(programs.map(({ what }) => what)).toEqual([
    ...['prog.c', 'shared.c', 'prog.cpp', 'prog.ts', 'prog.rs', 'prog.go', 'server.c', 'client.c'],
  ]));

test.each(programs)(
  '$what',
  async ({ language, what, text, command }) => {
    if (language === 'c' && !hasClang) return console.log(`${what} is skipped: no clang for WASI`);
    if (!(HAS[language] ?? true)) return;
    writeFileSync(join(folder, what), text);
    // The distribution's Rust, with the name that it has for the target.
    const here = command.replaceAll('rustc --target wasm32-wasip1', `${RUSTC} --target wasm32-wasi`);
    const env = { ...process.env, PATH: `${join(ROOT, 'node_modules/.bin')}:${systemPath()}` };
    execFileSync('/bin/sh', ['-ec', here], { cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'] });
    const { module } = await compileProgram(
      new Uint8Array(readFileSync(join(folder, 'prog.wasm'))),
      1 << 28,
      new TypesSeen(TypesSeen.memory()),
    );
    const imports = WebAssembly.Module.imports(module).map((each) => each.module);
    expect(imports.includes('odonata')).toBe(!IMPORTS_NOTHING_OF_OURS.has(what));
  },
  60_000,
);
