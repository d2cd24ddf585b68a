// Scenarios as conversations: text files in a folder. A line that starts with '>' is a command; the lines under it are what
// the shipped machine did. REWRITE=1 writes them anew, for a reader to review as a diff.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Does one command. @returns what happened, a line an action */
type Machine = (words: string[]) => string[];

interface Scenarios {
  folder: string;
  /** Which of the folder's files; all without. */
  isOf?(name: string): boolean;
  atLeast: number;
}

/** @param start makes a machine, for each scenario a new one */
export function transcripts({ folder, isOf = () => true, atLeast }: Scenarios, start: () => Machine): void {
  const names = readdirSync(folder).filter((name) => name.endsWith('.txt') && isOf(name));

  test('there are scenarios', () => {
    expect(names.length).toBeGreaterThanOrEqual(atLeast);
  });

  test.each(names)('%s', (name) => {
    const path = join(folder, name);
    const text = readFileSync(path, 'utf8');
    const played = play(text, start());
    if (process.env['REWRITE'] === '1') writeFileSync(path, played);
    else expect(played).toBe(text);
  });
}

function play(text: string, command: Machine): string {
  const said = text.split('\n').filter((line) => !line.startsWith('  '));
  const lines = said.flatMap((line) => {
    if (!line.startsWith('> ')) return [line];
    return [line, ...command(line.slice(2).split(' ')).map((what) => `  ${what}`)];
  });
  return lines.join('\n');
}
