// The example of libs/client/examples: a web server serves a table that guests on three nodes keep up to date.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster, until } from '../cluster/cluster.ts';
import { startCommand } from '../cluster/command.ts';
import { findCompiler, systemPath } from '../guests/toolchain.ts';

const EXAMPLES = join(import.meta.dirname, '../../libs/client/examples');
const GUESTS = join(import.meta.dirname, '../../libs/guest');
const NODES = ['node1', 'node2', 'node3'];
/** Of some two milliseconds each: time for many answers, also on a busy machine. */
const ROUNDS = 1_500;

interface Row {
  version: number;
  node: number;
  values: number[];
}

const folder = mkdtempSync(join(tmpdir(), 'odonata-example-'));
let cluster: TestCluster;
beforeAll(async () => {
  const { command } = await findCompiler();
  const flags = [
    '--target=wasm32-wasi',
    '-O2',
    '-matomics',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-Wl,--stack-first',
  ];
  const row = join(folder, 'row.wasm');
  execFileSync(command, [...flags, '-I', GUESTS, join(EXAMPLES, 'row.c'), '-o', row], {
    env: { ...process.env, PATH: systemPath() },
  });
  cluster = await TestCluster.up({ nodes: 3 });
  cluster.addModule('row', readFileSync(row));
}, 150_000);
afterAll(async () => {
  await cluster.down();
  rmSync(folder, { recursive: true });
}, 90_000);

test('each answer is what stands in the memory of the guests, row by row whole, and never goes back', async () => {
  const server = startCommand([process.execPath, join(EXAMPLES, 'table-server.ts'), 'table', '3'], {
    env: cluster.env,
  });
  let said = '';
  server.child.stdout!.on('data', (text) => {
    said += text;
  });
  await until('it listens', () => said.endsWith('\n'));
  const get = async (path: string): Promise<Row[]> => {
    const answer = await fetch(`${said.trim()}${path}`, { signal: AbortSignal.timeout(30_000) });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return (await answer.json()) as Row[];
  };
  const guests = await Promise.all(
    NODES.map((node, i) => cluster.start(node, 'row', ['table', '3', `${i}`, `${ROUNDS}`])),
  );
  const ends = Promise.all(guests.map((guest) => guest.end()));
  const seen: Row[][] = [];
  const over = ends.then(() => true);
  while (!(await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 5, false))])))
    seen.push(await get('/'));
  for (const { stdout, code } of await ends)
    expect([code, stdout.toString()]).toEqual([0, `${2 * ROUNDS}\n`]);
  seen.push(await get('/'));
  for (const [i, rows] of seen.entries()) {
    for (const [row, { version, values }] of rows.entries()) {
      expect(values).toEqual(Array(64).fill(version / 2));
      expect(version).toBeGreaterThanOrEqual(seen[i - 1]?.[row]?.version ?? 0);
    }
  }
  expect(seen.at(-1)!.map(({ version, node }) => [version, node])).toEqual([
    [2 * ROUNDS, 1],
    [2 * ROUNDS, 2],
    [2 * ROUNDS, 3],
  ]);
  // While they wrote, not only before and after.
  expect(new Set(seen.map((rows) => rows[1]!.version)).size).toBeGreaterThan(2);
  expect((await get('/2')).length).toBe(1);
  await expect(get('/3')).rejects.toThrow('404');
  server.child.kill('SIGTERM');
  expect(await server.ended).toMatchObject({ code: 0, stderr: '' });
}, 120_000);
