// The commands of vkctl, of the same as its --help and its man pages; and what their --json prints, of the schemas.
import type { Command } from 'commander';
import { examplesOf } from '../../services/vkctl/commands/options.ts';
import { SECTIONS } from '../../services/vkctl/help/sections.ts';
import { commandsOf, type Named } from '../../services/vkctl/help/walk.ts';
import { createProgram } from '../../services/vkctl/program.ts';
import { ANSWERS, jsonSchemaOf } from '../../services/vkctl/schema/commands.ts';

export async function commandsPage(): Promise<string> {
  const all = commandsOf(await createProgram()).filter(({ words }) => words !== '');
  return [
    '# Commands of vkctl',
    'The same as `vkctl COMMAND --help` and `vkctl man COMMAND`.',
    ...[...SECTIONS].map(([head, text]) => `## ${head}\n\n\`\`\`text\n${text}\n\`\`\``),
    ...all.map(section),
    '',
  ].join('\n\n');
}

function section({ words, command }: Named): string {
  const help = command.createHelp();
  const rows = (head: string, list: readonly (readonly [string, string])[]) =>
    list.length === 0
      ? ''
      : `${table(
          [head, 'what'],
          list.map(([term, what]) => [`\`${cell(term)}\``, cell(what)]),
        )}`;
  return [
    `## vkctl ${words}`,
    `\`\`\`text\nvkctl ${words} ${command.usage()}\n\`\`\``,
    escaped(command.description()),
    rows(
      'argument',
      help.visibleArguments(command).map((each) => [help.argumentTerm(each), help.argumentDescription(each)]),
    ),
    rows(
      'option',
      help.visibleOptions(command).map((each) => [help.optionTerm(each), help.optionDescription(each)]),
    ),
    exampleBlock(command),
  ]
    .filter(Boolean)
    .join('\n\n');
}

function exampleBlock(command: Command): string {
  const lines = examplesOf(command).map(([line, what]) => `# ${what}\n${line}`);
  return lines.length === 0 ? '' : `\`\`\`sh\n${lines.join('\n')}\n\`\`\``;
}

export function jsonPage(): string {
  return [
    '# What --json of a command prints',
    'JSON Schemas, as `vkctl schema COMMAND` prints them. [scripts.md](../docs/scripts.md) has the rules that all keep.',
    ...Object.entries(ANSWERS).map(
      ([words, { lines }]) =>
        `## ${words}\n\n${lines ? 'Of each line.\n\n' : ''}\`\`\`json\n${JSON.stringify(jsonSchemaOf(words), null, 2)}\n\`\`\``,
    ),
    '',
  ].join('\n\n');
}

/** Words in angle brackets are no tags. */
const escaped = (text: string): string => text.replaceAll('<', '\\<');
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

function table(heads: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}
