// What commands say while something in the cluster does not answer: each ends within a bounded time, in one true line that
// names who is silent, without a stack and without the words of libraries. One cluster of two nodes for all rows.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { buildGuest } from '../../test/guests/build.ts';
import { clusterPaths } from './cluster/paths.ts';
import { readRecord } from './cluster/record.ts';
import { startCluster } from './cluster/start.ts';
import { stopCluster } from './cluster/stop.ts';

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const launcher = fileURLToPath(new URL('bin/vkctl.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'odonata-shown-'));
const cluster = `shown-test-${process.pid}`;
process.env.ODONATA_HOME = join(folder, 'home');
const env: NodeJS.ProcessEnv = { ...process.env, ODONATA_CLUSTER: cluster, NO_COLOR: '1' };
delete env.ODONATA_SYSLINK;
/** No command waits longer than this without a word, on a machine that is busy. */
const BOUND_MS = 40_000;
let hello: string;
const stopped: number[] = [];

beforeAll(async () => {
  hello = await buildGuest('hello');
  // Long enough that nobody is declared dead while a row stops him.
  await startCluster({ cluster, nodes: 2, port: 0, leaseMs: 60_000, owner: process.pid });
  writeFileSync(join(folder, 'two\nlines.wasm'), 'no module');
});

afterEach(() => {
  for (const pid of stopped.splice(0)) process.kill(pid, 'SIGCONT');
});

afterAll(async () => {
  await stopCluster(clusterPaths(cluster));
  rmSync(folder, { recursive: true });
});

async function vkctl(...args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [launcher, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: BOUND_MS,
    killSignal: 'SIGKILL',
  });
  const [[status], stdout, stderr] = await Promise.all([
    once(child, 'exit') as Promise<[number | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { status, stdout, stderr };
}

function stop(service: string): void {
  const found = readRecord(clusterPaths(cluster).clusterFile)!.services.find(({ name }) => name === service);
  const { pid } = found!.process!;
  process.kill(pid, 'SIGSTOP');
  stopped.push(pid);
}

const SILENT = /did not answer within [\d.]+ s|went away|is not connected/;

interface Row {
  args: () => string[];
  status: number;
  says: RegExp;
}

/** In parallel: most of what they do is wait. */
async function expectRows(rows: Row[]): Promise<void> {
  const ended = await Promise.all(rows.map(({ args }) => vkctl(...args())));
  rows.forEach(({ args, status, says }, i) => {
    const { status: got, stderr } = ended[i]!;
    const what = `vkctl ${args().join(' ')}: ${got} ${stderr}`;
    expect(got, what).toBe(status);
    expect(stderr, what).toMatch(says);
    expect(stderr, what).not.toMatch(
      /Deadline exceeded|LB pick|ECONN|Resolution note|odonata\.\w+\.v1|\n {4}at /,
    );
    expect(stderr.trimEnd().split('\n').length, what).toBe(1);
  });
}

const silentOf = (who: string): RegExp => new RegExp(`^vkctl: .*${who} (${SILENT.source})`);

describe('who does not answer is named, in time', () => {
  test('a pmapd that stopped takes no program, and other nodes do what it would have done', async () => {
    await vkctl('ds', 'create', 'base', '8K');
    stop('node1/pmapd');
    const placing = vkctl('run', '-d', hello);
    await expectRows([
      { args: () => ['run', '--node', 'node1', hello], status: 125, says: silentOf('node1/pmapd') },
      {
        args: () => ['ds', 'save', 'base', '-', '--node', 'node1'],
        status: 1,
        says: silentOf('node1/pmapd'),
      },
      { args: () => ['events'], status: 1, says: /the events of node1\/pmapd are missing/ },
      { args: () => ['status', '-c', cluster], status: 1, says: silentOf('node1/pmapd') },
    ]);
    const placed = await placing;
    expect(placed, placed.stderr).toMatchObject({ status: 0, stdout: expect.stringMatching(/^2\d{5}\n$/) });
  });

  test('a vkerneld that stopped', async () => {
    stop('node1/vkerneld');
    await expectRows([
      { args: () => ['ps'], status: 1, says: /the processes of node1 are missing: node1\/vkerneld/ },
      { args: () => ['run', '-d', '--node', 'node1', hello], status: 125, says: silentOf('node1/vkerneld') },
      { args: () => ['logs', '-f', '100001'], status: 1, says: silentOf('node1/vkerneld') },
      { args: () => ['kill', '100001'], status: 1, says: silentOf('node1/vkerneld') },
    ]);
  });

  test('a directory that stopped', async () => {
    stop('cohd');
    await expectRows([{ args: () => ['ds', 'ls'], status: 1, says: silentOf('cohd') }]);
  });

  test('names with control characters stay in one line', async () => {
    await expectRows([
      {
        args: () => ['run', join(folder, 'two\nlines.wasm')],
        status: 126,
        says: /two\?lines\.wasm is not a WebAss/,
      },
    ]);
  });
});
