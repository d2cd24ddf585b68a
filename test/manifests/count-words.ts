// The job of `make k8s-test`: words of a text in shared memory are counted in shared memory, and the counts are checked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandEnd } from '../cluster/command.ts';
import { buildGuest } from '../guests/build.ts';

const WORDS = { dragonfly: 5000, odonata: 3000, pmap: 1000 };

/**
 * `round` names its dataspaces. On each of `nodes` at the same time; without them on one, whichever it is.
 * @throws Error when a command fails or a count is wrong.
 */
export async function countWords(
  vkctl: (args: string[]) => Promise<CommandEnd>,
  round: number,
  nodes: readonly string[] = [],
): Promise<void> {
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await vkctl(args);
    if (code !== 0) throw new Error(`vkctl ${args.join(' ')} ended with ${code}: ${stderr}`);
    return stdout;
  };
  const folder = mkdtempSync(join(tmpdir(), 'odonata-words-'));
  try {
    const text = Object.entries(WORDS).map(([word, count]) => `${word} `.repeat(count));
    writeFileSync(join(folder, 'text'), `${text.join('\n')}\n`);
    const wasm = await buildGuest('wordcount');
    await run('ds', 'load', `text${round}`, join(folder, 'text'));
    const places = nodes.length > 0 ? nodes.map((node) => ['--node', node]) : [[]];
    const work = [wasm, `text${round}`, `words${round}`];
    await Promise.all(places.map((place, i) => run('run', ...place, ...work, `${i}`, `${places.length}`)));
    const dump = await run('run', wasm, '--dump', `words${round}`);
    const lines = dump.trimEnd().split('\n').sort();
    const expected = Object.entries(WORDS).map(([word, count]) => `${word} ${count}`);
    if (lines.join() !== expected.sort().join()) throw new Error(`wrong counts:\n${dump}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
