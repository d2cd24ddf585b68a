// docs/runbook.md names commands of vkctl that there are.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from '../../services/vkctl/program.ts';

const page = readFileSync(fileURLToPath(new URL('../../docs/runbook.md', import.meta.url)), 'utf8');
const named = [...new Set([...page.matchAll(/\bvkctl ([a-z][^`|;]*)`/g)].map(([, words]) => words!.trim()))];

test('it names enough of them', () => expect(named.length).toBeGreaterThan(8));

const program = await createProgram();

test.each(named)('vkctl %s', (words) => {
  let command: Command = program;
  for (const word of words.split(/\s+/)) {
    if (word.startsWith('--')) {
      expect(command.options.map(({ long }) => long)).toContain(word);
      continue;
    }
    const { commands } = command;
    if (commands.length === 0) continue; // An argument.
    const next = commands.find((each) => each.name() === word || each.aliases().includes(word));
    expect(next, `${command.name()} ${word}`).toBeDefined();
    command = next!;
  }
});
