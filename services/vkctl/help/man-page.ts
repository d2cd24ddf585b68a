// A man page of a command, in the roff of man(7), made of the same as its --help.

import { RELEASE } from '@odonata/rpc/wire-version.ts';
import type { Command } from 'commander';
import { examplesOf } from '../commands/options.ts';
import type { Named } from './walk.ts';

export const pageName = (words: string): string => ['vkctl', ...words.split(' ')].filter(Boolean).join('-');

/** @param sections of the help of vkctl itself, by their heads */
export function manPage(
  { words, command }: Named,
  sections: ReadonlyMap<string, string>,
  all: readonly Named[],
): string {
  const help = command.createHelp();
  const name = pageName(words);
  const options = help.visibleOptions(command);
  const args = help.visibleArguments(command);
  const below = help.visibleCommands(command).filter((each) => each.name() !== 'help');
  const path = ['vkctl', words].filter(Boolean).join(' ');
  return [
    `.TH ${quoted(name.toUpperCase())} 1 "" ${quoted(`odonata ${RELEASE}`)} "Odonata"`,
    '.SH NAME',
    `${text(name)} \\- ${text(aboutOf(command))}`,
    '.SH SYNOPSIS',
    `.B ${text(path)}`,
    text(usageOf(command)),
    '.SH DESCRIPTION',
    ...paragraphs(command.description()),
    ...list(
      'ARGUMENTS',
      args.map((each) => [help.argumentTerm(each), help.argumentDescription(each)]),
    ),
    ...list(
      'OPTIONS',
      options.map((each) => [help.optionTerm(each), help.optionDescription(each)]),
    ),
    ...list(
      'COMMANDS',
      below.map((each) => [`${path} ${each.name()}`, each.summary()]),
    ),
    ...[...sections].flatMap(([head, body]) => [`.SH ${text(head.toUpperCase())}`, ...verbatim(body)]),
    ...(examplesOf(command).length === 0 ? [] : ['.SH EXAMPLES']),
    ...examplesOf(command).flatMap(([line, what]) => ['.TP', `.B ${text(line)}`, text(what)]),
    '.SH SEE ALSO',
    seeAlso(words, all),
    '',
  ].join('\n');
}

const usageOf = (command: Command): string => command.usage();

/** The page above, those below, and vkctl itself. */
function seeAlso(words: string, all: readonly Named[]): string {
  const above = words.includes(' ') ? words.slice(0, words.lastIndexOf(' ')) : '';
  const related = all.filter(
    (each) =>
      each.words !== words &&
      (each.words === above || each.words === '' || (words !== '' && each.words.startsWith(`${words} `))),
  );
  const shown = words === '' ? all.filter((each) => each.words !== '' && !each.words.includes(' ')) : related;
  return shown.map((each) => `.BR ${text(pageName(each.words))} (1)`).join('\n');
}

const list = (head: string, rows: readonly (readonly [string, string])[]): string[] =>
  rows.length === 0
    ? []
    : [`.SH ${head}`, ...rows.flatMap(([term, what]) => ['.TP', `.B ${text(term)}`, text(what || term)])];

const paragraphs = (body: string): string[] =>
  body.split('\n\n').flatMap((each, i) => (i === 0 ? [text(each)] : ['.PP', text(each)]));

const verbatim = (body: string): string[] => ['.nf', ...body.split('\n').map(text), '.fi'];

/** What roff would take for its own is not: backslashes, dashes, and lines that begin as a request does. */
const text = (words: string): string =>
  words
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1');

const quoted = (words: string): string => `"${text(words).replaceAll('"', '\\(dq')}"`;

/** What it does, in a line that stands alone: "list them" of "ds" is "shared dataspaces: list them". */
function aboutOf(command: Command): string {
  const about = command.summary() || command.description();
  const group = command.parent?.parent ? command.parent.summary() || command.parent.description() : '';
  return group === '' ? about : `${group.replace(/[:,].*/s, '')}: ${about}`;
}
