// The job of `make k8s-test`: words of a text in shared memory are counted in shared memory, and the counts are checked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CommandEnd } from '../cluster/command.ts';
import { buildGuest } from '../guests/build.ts';

const WORDS = { dragonfly: 5000, odonata: 3000, pmap: 1000 };

/** `round` names its dataspaces. @throws Error when a command fails or a count is wrong. */
export async function countWords(
  vkctl: (args: string[]) => Promise<CommandEnd>,
  round: number,
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
    await run('run', wasm, `text${round}`, `words${round}`, '0', '1');
    const dump = await run('run', wasm, '--dump', `words${round}`);
    const lines = dump.trimEnd().split('\n').sort();
    const expected = Object.entries(WORDS).map(([word, count]) => `${word} ${count}`);
    if (lines.join() !== expected.sort().join()) throw new Error(`wrong counts:\n${dump}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
