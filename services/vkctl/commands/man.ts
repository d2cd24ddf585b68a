import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { SECTIONS } from '../help/sections.ts';
import { commandsOf } from '../help/walk.ts';
import { plural, print, say } from '../output.ts';
import { examples, quietOption } from './options.ts';

interface ManOptions {
  out?: string;
}

export function addMan(program: Command): void {
  const command = program
    .command('man')
    .summary('man pages of all commands')
    .description(
      'Prints the man page of a command, or writes those of all into a folder. They are made of the same as --help.',
    )
    .argument('[command...]', 'its words, as: ds load; else vkctl itself')
    .option('--out <folder>', 'write a file for each command, such as vkctl-ds-load.1')
    .addOption(quietOption())
    .action((words: string[], options: ManOptions) => man(program, words, options));
  examples(command, [
    ['vkctl man ds load | man -l -', 'read one'],
    ['vkctl man --out ~/.local/share/man/man1', 'for: man vkctl-ds-load'],
  ]);
}

async function man(program: Command, words: string[], { out }: ManOptions): Promise<void> {
  const { manPage, pageName } = await import('../help/man-page.ts');
  const all = commandsOf(program);
  const pageOf = (each: (typeof all)[number]): string =>
    manPage(each, each.words === '' ? SECTIONS : new Map(), all);
  if (out !== undefined && words.length > 0)
    throw new Failure('--out writes the pages of all commands: name none', { exitCode: EXIT.usage });
  if (out === undefined) {
    const named = all.find((each) => each.words === words.join(' '));
    if (named === undefined)
      throw new Failure(`no command "vkctl ${words.join(' ')}"`, {
        fix: 'See: vkctl --help.',
        exitCode: EXIT.usage,
      });
    print(pageOf(named).trimEnd());
    return;
  }
  try {
    mkdirSync(out, { recursive: true });
    for (const each of all) writeFileSync(join(out, `${pageName(each.words)}.1`), pageOf(each));
  } catch (error) {
    throw new Failure(`cannot write to ${out}: ${reasonOf(error)}`, { cause: error });
  }
  say(`${plural(all.length, 'page')} in ${out}`);
}
