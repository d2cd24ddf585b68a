// docs/gateways.md, command by command: two clusters of two owners, and programs that talk from one to the other.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { freePort } from '../../services/syslinkd/gateway/testdata/two-clusters.ts';
import { ANSWERS } from '../../services/vkctl/schema/commands.ts';
import { systemPath } from '../guests/toolchain.ts';
import { commandsOf, runInShell } from '../operate/page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const FOLDER = '/tmp/gateways';
const HOME = join(FOLDER, 'home');
const env = { ...process.env, ODONATA_HOME: HOME, PATH: systemPath() };

afterAll(() => {
  for (const cluster of ['north', 'south'])
    try {
      execFileSync(join(ROOT, 'vkctl'), ['down', '-q', '-c', cluster], { env, stdio: 'ignore' });
    } catch {
      // It is down.
    }
  rmSync(FOLDER, { recursive: true, force: true });
});

it('docs/gateways.md says what its commands print', { timeout: 180_000 }, async () => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(HOME, { recursive: true });
  const port = await freePort();
  const names = readFileSync(join(ROOT, 'docs/names.md'), 'utf8');
  for (const [, name, text] of names.matchAll(/^```c (\w+)\.c\n(.*?)^```$/gms)) {
    const source = join(FOLDER, `${name}.c`);
    writeFileSync(source, text!);
    const args = ['--target=wasm32-wasi', '-O2', '-I', join(ROOT, 'libs/guest'), '-Wl,--stack-first'];
    execFileSync('clang', [...args, '-o', join(FOLDER, `${name}.wasm`), source], { env });
  }
  const page = readFileSync(join(ROOT, 'docs/gateways.md'), 'utf8');
  const policies = /^```yaml (\w+\.yaml)\n(.*?)^```$/gms;
  for (const [, name, text] of page.matchAll(policies))
    writeFileSync(join(FOLDER, name!), text!.replace('7443', String(port)));
  const shown = commandsOf(page.replaceAll(policies, ''));
  expect(shown.length).toBeGreaterThan(20);
  const lines = shown.map(({ line }) => line);
  const last = lines.findIndex((line) => line.startsWith('kill'));
  lines[last] = `./vkctl gateway ls -c north --json > ${FOLDER}/ls.json; ${lines[last]}`;
  const printed = runInShell(lines, { cwd: ROOT, env });
  expect(shown.map(({ line }, i) => ({ line, output: printed[i] }))).toEqual(
    shown.map(({ line, output }) => ({ line, output })),
  );
  const listed = JSON.parse(readFileSync(join(FOLDER, 'ls.json'), 'utf8'));
  expect(ANSWERS['gateway ls']!.schema.parse(listed)).toMatchObject([
    { peer: 'south', connected: true, exported: [] },
  ]);
});
