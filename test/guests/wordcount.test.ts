import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { buildGuest } from './build.ts';
import { OneNode } from './one-node/one-node.ts';
import { runAlone } from './run-alone.ts';
import { run } from './toolchain.ts';

const WORD_MAX = 64;

/** The table as `--dump` prints it, in another language and another way. */
function reference(text: Buffer): string {
  const counts = new Map<string, number>();
  // One character a byte: what sorts by code unit sorts by byte.
  for (const [word] of text.toString('latin1').matchAll(/[A-Za-z0-9_\x80-\xff]+/g)) {
    const kept = word.slice(0, WORD_MAX).replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    counts.set(kept, (counts.get(kept) ?? 0) + 1);
  }
  const words = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  return words.map(([word, count]) => `${word} ${count}\n`).join('');
}

/** Words of all lengths, up to some that are longer than a chunk, every byte value, repeated. */
function difficultText(bytes: number): Buffer {
  let seed = 12345;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const parts: string[] = [];
  let used = 0;
  while (used < bytes) {
    const kind = random(200);
    let part: string;
    if (kind === 0) part = 'q'.repeat(random(5000));
    else if (kind < 20) part = String.fromCharCode(...Array.from({ length: 40 }, () => random(256)));
    else part = `Word${random(3000)}${' \n.'.charAt(random(3))}`;
    parts.push(part);
    used += part.length;
  }
  return Buffer.from(parts.join(''), 'latin1');
}

let folder: string;
let node: OneNode;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'odonata-guests-'));
  node = new OneNode();
});
afterEach(async () => {
  await node.close();
  await rm(folder, { recursive: true, force: true });
});

async function alone(text: Buffer, ...args: string[]) {
  await writeFile(join(folder, 'text'), text);
  const wasm = await buildGuest('wordcount');
  return runAlone(wasm, { args: ['--file', '/in/text', ...args], dirs: { '/in': folder } });
}

describe('wordcount alone', () => {
  test('counts as another implementation does', async () => {
    const text = difficultText(400_000);
    const { code, stdout, stderr } = await alone(text, '--dump');
    expect({ code, stderr: stderr.toString() }).toEqual({ code: 0, stderr: '' });
    expect(stdout.toString('latin1')).toBe(reference(text));
  });

  test('the result does not depend on where chunks begin', async () => {
    const text = difficultText(100_000);
    expect((await alone(text, '--dump', '--chunk-kib', '1')).stdout.toString('latin1')).toBe(reference(text));
  });

  test.each([
    ['', ''],
    ['one', 'one 1\n'],
    ['..One, one_two!', 'one 1\none_two 1\n'],
    [`${'A'.repeat(70)} ${'a'.repeat(64)}b`, `${'a'.repeat(64)} 2\n`],
  ])('%j', async (text, dump) => {
    expect((await alone(Buffer.from(text), '--dump')).stdout.toString()).toBe(dump);
  });

  test('its own command line grants the folder of the file', async () => {
    await writeFile(join(folder, 'text'), 'to be or not to be');
    const script = join(import.meta.dirname, 'wordcount/run-alone.ts');
    const args = [script, await buildGuest('wordcount'), join(folder, 'text'), '--dump'];
    expect(await run(process.execPath, args, folder)).toEqual({
      code: 0,
      output: 'be 2\nnot 1\nor 1\nto 2\n',
    });
  });

  test('prints the most frequent words', async () => {
    const { stdout } = await alone(Buffer.from('b a b c b a'));
    expect(stdout.toString().split('\n')[0]).toBe('6 words, 3 distinct');
    expect(
      stdout
        .toString()
        .match(/\d+ {2}\w+ +\d+/g)
        ?.map((line) => line.replace(/ +/g, ' ')),
    ).toEqual(['1 b 3', '2 a 2', '3 c 1']);
  });

  test('a full table is an error that says what to do', async () => {
    const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `w${i}`).join(' '));
    const { code, stderr } = await alone(text, '--stripes', '2');
    expect({ code, stderr: stderr.toString() }).toEqual({
      code: 3,
      stderr: expect.stringContaining('--stripes'),
    });
  });
});

describe('wordcount by several processes', () => {
  test('three fill one table, equal to the one alone; the last prints the report', async () => {
    const text = difficultText(3_000_000);
    const wasm = await buildGuest('wordcount');
    node.load('text', text);
    const work = (worker: number) =>
      node.run(wasm, ['--progress', '--chunk-kib', '4', 'text', 'table', `${worker}`, '3']);
    const ends = await Promise.all([0, 1, 2].map(work));
    expect(ends.map((end) => end.code)).toEqual([0, 0, 0]);
    expect(ends.filter((end) => / distinct\n/.test(end.stdout))).toHaveLength(1);
    const done = ends.flatMap((end) => end.stderr.match(/^done worker=\d .*chunks=\d+/m) ?? []);
    const chunks = done.map((line) => Number(line.match(/chunks=(\d+)/)![1]));
    expect(chunks.reduce((sum, part) => sum + part)).toBe(Math.ceil(text.length / 4096));
    expect(ends.map((end) => end.stderr).join('')).toMatch(
      /^progress worker=\d phase=count done=\d+ total=\d+$/m,
    );
    const dump = await node.run(wasm, ['--dump', 'table']);
    expect(Buffer.from(dump.stdout).toString()).toBe((await alone(text, '--dump')).stdout.toString());
    const report = await node.run(wasm, ['--report', 'table']);
    expect(report.stdout).toBe(ends.find((end) => end.stdout !== '')!.stdout);
  });

  test('what cannot be is refused in one line', async () => {
    const wasm = await buildGuest('wordcount');
    const refusal = async (...args: string[]) => {
      const { code, stderr } = await node.run(wasm, args);
      return `${code} ${stderr.trimEnd()}`;
    };
    expect(await refusal('nowhere', 'table', '0', '1')).toBe(
      '3 dataspace nowhere: No such file or directory (errno 44)',
    );
    node.load('text', Buffer.from('a b c'));
    expect(await refusal('text', 'table', '1', '1')).toMatch(/^2 WORKER counts from 0/);
    expect(await refusal('--dump', 'text')).toMatch(/^2 dataspace text holds no word count/);
    const first = node.run(wasm, ['text', 'table', '0', '2']);
    await vi.waitFor(
      async () =>
        expect(await refusal('--dump', 'table')).toBe('2 the job is not finished: 0 of 2 processes are'),
      { timeout: 30_000 },
    );
    expect(await refusal('text', 'table', '1', '3')).toMatch(
      /^2 table table belongs to another job \(2 workers/,
    );
    expect((await node.run(wasm, ['text', 'table', '1', '2'])).code).toBe(0);
    expect((await first).code).toBe(0);
    expect(await refusal('text', 'table', '0', '2')).toMatch(/^2 table table holds a finished job/);
  });
});
