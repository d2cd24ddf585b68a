// docs/files.md, command by command.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TestCluster } from '../cluster/cluster.ts';
import { commandsOf, runInShell } from './page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const commands = commandsOf(readFileSync(join(ROOT, 'docs/files.md'), 'utf8'));
const shown = commands.filter(({ line }) => !/^\.\/vkctl (up|down)/.test(line));

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await TestCluster.up({ nodes: 2 });
});
afterAll(() => cluster?.down());

const comparable = (output: string): string[] =>
  output
    .replace(/^Pid:\t\d+$/m, 'Pid:\t#')
    .replace(/files-[0-9a-f]+\.wasm/, 'files.wasm')
    .split('\n')
    .filter((line) => line !== '');

it('docs/files.md says what its commands print', { timeout: 180_000 }, () => {
  expect(shown.length).toBeGreaterThan(20);
  const printed = runInShell(
    shown.map(({ line }) => line),
    { cwd: ROOT, env: cluster.env },
  );
  const is = shown.map(({ line }, at) => ({ line, output: comparable(printed[at]!) }));
  expect(is).toEqual(shown.map(({ line, output }) => ({ line, output: comparable(output) })));
});
