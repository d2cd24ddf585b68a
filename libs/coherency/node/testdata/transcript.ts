// Scenarios as conversations, for the machines of a node: files whose names begin with the machine's. A line that starts
// with '>' is a command; the lines under it are what the machine did. REWRITE=1 writes them anew.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** @param start makes a machine; what it returns does one command, @returns what happened, a line an action */
export function transcripts(machine: string, start: () => (words: string[]) => string[]): void {
  const names = readdirSync(import.meta.dirname).filter((name) => name.startsWith(`${machine}-`));
  assert(names.length > 0, `no transcripts of ${machine}`);
  test.each(names)('%s', (name) => {
    const path = join(import.meta.dirname, name);
    const text = readFileSync(path, 'utf8');
    const command = start();
    const said = text.split('\n').filter((line) => !line.startsWith('  '));
    const lines = said.flatMap((line) => {
      if (!line.startsWith('> ')) return [line];
      return [line, ...command(line.slice(2).trim().split(/\s+/)).map((what) => `  ${what}`)];
    });
    const played = lines.join('\n');
    if (process.env['REWRITE'] === '1') writeFileSync(path, played);
    else expect(played).toBe(text);
  });
}
