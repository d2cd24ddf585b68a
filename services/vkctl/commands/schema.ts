import type { Command } from 'commander';
import { EXIT, Failure } from '../failure.ts';
import { json } from '../json.ts';
import { print, printNames } from '../output.ts';
import { examples, quietOption } from './options.ts';

export function addSchema(program: Command): void {
  const command = program
    .command('schema')
    .summary('what --json of a command prints')
    .description(
      'Prints the JSON Schema of what a command prints with --json; without a command: which have one. docs/scripts.md has the rules.',
    )
    .argument('[command...]', 'its words, as: ds ls')
    .addOption(quietOption())
    .action(schema);
  examples(command, [
    ['vkctl schema', 'the commands'],
    ['vkctl schema ds ls', 'of that one'],
  ]);
}

async function schema(words: string[]): Promise<void> {
  const { ANSWERS, jsonSchemaOf } = await import('../schema/commands.ts');
  const command = words.join(' ');
  if (command === '') return printNames(Object.keys(ANSWERS));
  if (!(command in ANSWERS))
    throw new Failure(`"vkctl ${command}" prints no JSON`, {
      fix: 'See: vkctl schema.',
      exitCode: EXIT.usage,
    });
  print(json(jsonSchemaOf(command)));
}
