// docs/inspect.md, command by command: by a client that knows only what reflection tells it, and by grpcurl itself
// where that is installed.
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findTool } from '../../services/vkctl/supervisor/tool.ts';
import { TestCluster } from '../cluster/cluster.ts';
import { commandsOf, runInShell } from './page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/inspect.md'), 'utf8');
const commands = commandsOf(page);
const lifetime = commands.filter(({ line }) => /^\.\/vkctl (up|down)/.test(line));
const once = commands.filter(({ line }) => line.startsWith('./vkctl ds create'));
const shown = commands.filter((command) => !lifetime.includes(command) && !once.includes(command));
const grpcurl = findTool('grpcurl');

/** As compared: what differs from start to start is a #, and layout does not count. */
function comparable(output: string): string[] {
  const lines = comparableLines(output);
  // grpcurl lays the fields of an error's details out in an order that changes from version to version.
  return lines[0] === 'ERROR:' ? lines.map((line) => line.replace(/,$/, '')).sort() : lines;
}

function comparableLines(output: string): string[] {
  return output
    .replace(/("(?:framesTotal|callsStarted|calls|creatorIncarnation|socketId)": ")\d+"/g, '$1#"')
    .replace(/("owner": ")[a-z0-9_-]+"/g, '$1#"')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:#')
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '))
    .filter((line) => line !== '');
}

let cluster: TestCluster;
const folder = mkdtempSync(join(tmpdir(), 'odonata-inspect-'));
beforeAll(async () => {
  writeFileSync(
    join(folder, 'grpcurl'),
    `#!/bin/sh\nexec '${process.execPath}' '${join(import.meta.dirname, 'reflecting-client.ts')}' "$@"\n`,
  );
  chmodSync(join(folder, 'grpcurl'), 0o755);
  cluster = await TestCluster.up({ nodes: 3 });
  runInShell(
    once.map(({ line }) => `${line} || exit`),
    { cwd: ROOT, env: cluster.env },
  );
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await cluster?.down();
});

function statusOf({ env }: TestCluster): { services: { name: string; address: string }[]; tlsDir: string } {
  const { stdout } = spawnSync(join(ROOT, 'vkctl'), ['status', '--json'], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  return JSON.parse(stdout);
}

function expectPage(env: NodeJS.ProcessEnv): void {
  const printed = runInShell(
    shown.map(({ line }) => line),
    { cwd: ROOT, env: { ...cluster.env, ...env } },
  );
  const is = shown.map(({ line }, at) => ({ line, output: comparable(printed[at]!) }));
  const said = shown.map(({ line, output }) => ({ line, output: comparable(output) }));
  expect(is).toEqual(said);
}

describe('docs/inspect.md', () => {
  it('has commands of every kind, and an output for each that grpcurl runs', () => {
    expect(lifetime.map(({ line }) => line)).toEqual(['./vkctl up', './vkctl down']);
    const calls = shown.filter(({ line }) => line.startsWith('grpcurl '));
    expect(calls.length).toBeGreaterThan(10);
    expect(calls.filter(({ output }) => output === '')).toEqual([]);
  });

  it.each(['v1', 'v1alpha'])('is what a client of reflection %s gets', (version) => {
    expectPage({ PATH: `${folder}${delimiter}${process.env.PATH}`, REFLECTION: version });
  });

  it('is what Python’s client prints, with the program that stands there', ({ skip }) => {
    const [, program] = /^```python\n(.*?)^```$/ms.exec(page)!;
    const [, said] = /^python3 list\.py .*?\n(.*?)^```$/ms.exec(page)!;
    writeFileSync(join(folder, 'list.py'), program!);
    const { services, tlsDir } = statusOf(cluster);
    const cohd = services.find(({ name }) => name === 'cohd')!.address;
    // PYTHON names another one, as of a virtual environment.
    const python = process.env.PYTHON ?? 'python3';
    const has = spawnSync(python, ['-c', 'import grpc, grpc_reflection'], { timeout: 30_000 }).status === 0;
    if (!has) return skip('no grpcio and grpcio-reflection here: pip install grpcio grpcio-reflection');
    const { stdout, stderr } = spawnSync(python, [join(folder, 'list.py'), cohd, tlsDir], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stdout, stderr).toBe(said);
  });

  it.runIf(grpcurl)('is what grpcurl prints', () => {
    expectPage({});
  });
});
