// docs/vmspaces.md, command by command: by a client that knows only what reflection tells it, or by grpcurl where that is.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import { TestCluster } from '../cluster/cluster.ts';
import { commandsOf, runInShell } from './page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const commands = commandsOf(readFileSync(join(ROOT, 'docs/vmspaces.md'), 'utf8'));
const shown = commands.filter(({ line }) => !/^\.\/vkctl (up|down)/.test(line));

let cluster: TestCluster;
const folder = mkdtempSync(join(tmpdir(), 'odonata-vmspaces-page-'));
beforeAll(async () => {
  if (findTool('grpcurl') === undefined) {
    const client = join(import.meta.dirname, 'reflecting-client.ts');
    writeFileSync(join(folder, 'grpcurl'), `#!/bin/sh\nexec '${process.execPath}' '${client}' "$@"\n`);
    chmodSync(join(folder, 'grpcurl'), 0o755);
  }
  cluster = await TestCluster.up({ nodes: 1 });
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await cluster?.down();
});

const comparable = (output: string): string[] =>
  output
    .replace(/Message: \S+ has a vmspace/, 'Message: # has a vmspace')
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '))
    .filter((line) => line !== '');

it('docs/vmspaces.md says what its commands print', { timeout: 180_000 }, () => {
  expect(shown.length).toBeGreaterThan(20);
  const path = `${folder}${delimiter}${process.env.PATH}`;
  // Two dozen processes compile the same.
  const env = { ...cluster.env, PATH: path, NODE_COMPILE_CACHE: join(folder, 'compiled') };
  const printed = runInShell(
    shown.map(({ line }) => line),
    { cwd: ROOT, env },
  );
  const is = shown.map(({ line }, at) => ({ line, output: comparable(printed[at]!) }));
  // What makes things says so in words of its own.
  const quiet = is.map((each) =>
    each.line.startsWith('./vkctl ds create') ? { ...each, output: [] } : each,
  );
  expect(quiet).toEqual(shown.map(({ line, output }) => ({ line, output: comparable(output) })));
});
