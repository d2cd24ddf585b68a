// wasi-testsuite, where ODONATA_WASI_TESTSUITE says where it is; without it what it tests is in services/vkerneld/vkernel/wasi.
// Its adapter, in each case.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { clusterPaths } from '../../services/vkctl/cluster/paths.ts';
import { startCluster } from '../../services/vkctl/cluster/start.ts';
import { stopCluster } from '../../services/vkctl/cluster/stop.ts';
import { buildGuest } from '../guests/build.ts';
import { runTests, takeTests } from './suite.ts';

const suite = process.env.ODONATA_WASI_TESTSUITE;
const hasPython = spawnSync('python3', ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'odonata-wasi-suite-'));
const cluster = `wasi-suite-${process.pid}`;
process.env.ODONATA_HOME = join(folder, 'home');
const env = { ...process.env, ODONATA_CLUSTER: cluster };
const adapter = (...args: string[]) =>
  spawnSync('python3', [join(import.meta.dirname, 'adapter.py'), ...args], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });

if (suite === undefined)
  console.log('wasi-testsuite itself is skipped: ODONATA_WASI_TESTSUITE says where a checkout of it is');
if (!hasPython) console.log('the adapter of wasi-testsuite is skipped: it takes python3');

describe.skipIf(!hasPython)('wasi-testsuite', () => {
  beforeAll(async () => {
    await startCluster({ cluster, nodes: 1, port: 0, allowDirs: [folder], owner: process.pid });
  });
  afterAll(async () => {
    await stopCluster(clusterPaths(cluster));
    rmSync(folder, { recursive: true });
  });

  test('the adapter hands arguments, variables and a folder on, and the exit code back', async () => {
    expect(adapter('--version').stdout).toMatch(/^odonata \d+\.\d+\.\d+\n$/);
    const words = ['--arg', 'the "second"', '--arg=--x', '--env', 'A=b c'];
    const { stdout, status } = adapter('--test-file', await buildGuest('args'), ...words);
    expect([status, stdout.split('\n').slice(1)]).toEqual([
      0,
      ['arg 1 the "second"', 'arg 2 --x', 'env A=b c', ''],
    ]);
    expect(adapter('--test-file', await buildGuest('misbehave'), '--arg=exit', '--arg=33').status).toBe(33);
    mkdirSync(join(folder, 'root/in'), { recursive: true });
    const copy = adapter(
      '--test-file',
      await buildGuest('copy'),
      '--dir',
      `${folder}/root::/`,
      '--arg=--tree',
      '--arg=/in',
    );
    expect(copy).toMatchObject({ status: 0, stderr: '' });
  });

  test.skipIf(suite === undefined)(
    'each test passes',
    async () => {
      const failed: string[] = [];
      for (const tests of await takeTests(suite!, folder)) {
        for await (const { name, failures } of runTests(tests, env))
          if (failures.length > 0) failed.push(`${name}: ${failures}`);
      }
      expect(failed).toEqual([]);
    },
    600_000,
  );
});
