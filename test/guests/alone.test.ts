import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildGuest } from './build.ts';
import { type AloneOptions, runAlone } from './run-alone.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'odonata-guests-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function run(name: string, args: string[], options: AloneOptions = {}) {
  const { code, stdout, stderr } = await runAlone(await buildGuest(name), {
    timeoutMs: 50_000,
    ...options,
    args,
  });
  return { code, stdout: stdout.toString(), stderr: stderr.toString() };
}

describe('small guests', () => {
  test('hello tells the time of its first instructions', async () => {
    const before = Date.now();
    const { code, stdout } = await run('hello', ['there']);
    expect(code).toBe(0);
    const [, name, ns] = stdout.match(/^\{"hello":"(\w+)","realtime_ns":(\d+)\}\n$/)!;
    expect(name).toBe('there');
    expect(Number(ns) / 1e6).toBeGreaterThanOrEqual(before - 1);
  });

  test('args prints arguments and environment', async () => {
    const { stdout } = await run('args', ['one', 'two words', ''], { env: { COLOUR: 'blue' } });
    expect(stdout.split('\n').slice(1)).toEqual([
      'arg 1 one',
      'arg 2 two words',
      'arg 3 ',
      'env COLOUR=blue',
      '',
    ]);
  });

  test('echo copies its input, or writes so much', async () => {
    const input = Buffer.alloc(300_000, 'some text\n');
    const echoed = await runAlone(await buildGuest('echo'), { stdin: input });
    expect(echoed.stdout.equals(input)).toBe(true);
    expect(echoed.stderr.toString()).toBe('echoed 300000 bytes\n');
    expect((await run('echo', ['--bytes', '100001'])).stdout).toHaveLength(100_001);
  });

  test('copy copies files, walks through the calls on files, and gets no further than its folder', async () => {
    await writeFile(join(folder, 'from'), 'x'.repeat(200_000));
    const dirs = { '/data': folder };
    expect(await run('copy', ['/data/from', '/data/to'], { dirs })).toMatchObject({
      code: 0,
      stdout: '{"bytes":200000}\n',
    });
    expect((await readFile(join(folder, 'to'))).length).toBe(200_000);
    expect(await run('copy', ['/data/missing', '/data/to'], { dirs })).toMatchObject({
      code: 3,
      stderr: '/data/missing: No such file or directory\n',
    });
    expect(await run('copy', ['--tree', '/data'], { dirs })).toEqual({
      code: 0,
      stdout: '{"entries":["four","three","two"]}\n',
      stderr: '',
    });
  });
});

describe('misbehave', () => {
  test.each([
    ['exit', '7', 7, ''],
    ['unreachable', '', 134, 'unreachable'],
    ['abort', '', 134, 'unreachable'],
    ['divide', '', 134, 'divide by zero'],
    ['overflow', '', 134, 'divide result unrepresentable'],
    ['bounds', '', 134, 'memory access out of bounds'],
    ['recursion', '', 134, 'Maximum call stack size exceeded'],
    ['stack', '', 134, 'memory access out of bounds'],
    ['table', '', 134, 'null function or function signature mismatch'],
    ['sleep', '10', 0, ''],
    ['random', '', 0, ''],
  ])('%s %s', async (way, argument, code, trap) => {
    const result = await run('misbehave', [way, ...(argument === '' ? [] : [argument])]);
    expect(result.code).toBe(code);
    expect(result.stdout).toMatch(`misbehave ${way}\n`);
    expect(result.stderr).toBe(trap === '' ? '' : `trap: ${trap}\n`);
  });

  test('hog touches what it is told to', async () => {
    const { code, stdout } = await run('misbehave', ['hog', '40']);
    expect(code).toBe(0);
    expect(stdout.match(/touched_mib":\d+/g)).toEqual([
      'touched_mib":16',
      'touched_mib":32',
      'touched_mib":40',
    ]);
  });

  test('spin and flood go on until they are stopped', async () => {
    for (const way of ['spin', 'flood']) {
      const path = await buildGuest('misbehave');
      const stopped = runAlone(path, { args: [way], signal: AbortSignal.timeout(500) });
      await expect(stopped).rejects.toThrow(/abort/i);
    }
  });

  test('a call of the cluster is refused by name', async () => {
    expect(await run('counter', ['ds', 'atomic', '1'])).toMatchObject({
      code: 2,
      stderr: 'odonata.ds_open was called, but the program runs alone\n',
    });
    expect(await run('missing-import', [])).toMatchObject({ code: 2, stderr: /make_coffee/ });
  });
});

describe('bench kernels', () => {
  test.each([
    ['matmul', '64'],
    ['qsort', '10'],
    ['chase', '1'],
    ['crc32', '1'],
    ['hashtable', '10'],
    ['alloc', '2'],
    ['fib', '20'],
  ])('%s %s has one checksum', async (kernel, scale) => {
    const [one, two] = await Promise.all([run(kernel, [scale]), run(kernel, [scale])]);
    const { ns, ...first } = JSON.parse(one.stdout);
    expect(first).toMatchObject({ kernel, scale: Number(scale), checksum: /^[0-9a-f]{16}$/ });
    expect(ns).toBeGreaterThan(0);
    expect(JSON.parse(two.stdout).checksum).toBe(first.checksum);
  });

  test('known results', async () => {
    expect(JSON.parse((await run('fib', ['20'])).stdout).checksum).toBe('0000000000001a6d'); // 6765
  });
});

describe('programs that we did not write', () => {
  test('SQLite keeps a database in a file', async () => {
    const dirs = { '/data': folder };
    const create = `CREATE TABLE dragonfly (name TEXT PRIMARY KEY, wings INTEGER);
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
      INSERT INTO dragonfly SELECT 'species ' || i, 4 FROM n;`;
    expect(await run('sqlite', ['/data/test.db'], { dirs, stdin: create })).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
    const queries = ['SELECT count(*), sum(wings) FROM dragonfly', 'PRAGMA integrity_check'];
    expect((await run('sqlite', ['/data/test.db', ...queries], { dirs })).stdout).toBe('5000|20000\nok\n');
    expect((await readFile(join(folder, 'test.db'))).subarray(0, 15).toString()).toBe('SQLite format 3');
    expect(await run('sqlite', ['/data/test.db', 'SELECT nonsense'], { dirs })).toMatchObject({
      code: 1,
      stderr: 'sqlite: no such column: nonsense\n',
    });
  }, 240_000);

  test('lz4 compresses and restores files', async () => {
    const dirs = { '/data': folder };
    const text = await readFile(import.meta.filename);
    await writeFile(join(folder, 'text'), Buffer.concat(Array.from({ length: 50 }, () => text)));
    expect(await run('lz4', ['-9', '-q', '/data/text', '/data/text.lz4'], { dirs })).toMatchObject({
      code: 0,
    });
    expect(await run('lz4', ['-d', '-q', '/data/text.lz4', '/data/back'], { dirs })).toMatchObject({
      code: 0,
    });
    const [original, packed, back] = await Promise.all(
      ['text', 'text.lz4', 'back'].map((name) => readFile(join(folder, name))),
    );
    expect(packed!.length).toBeLessThan(original!.length / 4);
    expect(back!.equals(original!)).toBe(true);
  });
});
