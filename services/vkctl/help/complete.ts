// Completes a word of a command line. What it answers is the protocol of Cobra's completions, for which @bomb.sh/tab has the
// shells' side: lines `value<tab>description`, and then what the shell should do about files.
import type { Argument, Command, Option } from 'commander';
import { plainText } from '../output.ts';
import { type Value, valuesOf } from './values.ts';

/** The shell may offer files too. */
const FILES = ':0';
const NO_FILES = ':4';
const ANSWERS_MAX = 500;
/** Its `take` may be left out. */
const TAKEN = 'snapshot';

/** @param words of the line after `vkctl`, the last one as far as it was typed, which may be nothing */
export async function complete(program: Command, words: readonly string[]): Promise<string[]> {
  const word = words.at(-1) ?? '';
  const at = placeOf(program, words.slice(0, -1));
  const { values, files } = await candidates(at, word);
  const fitting = values.filter(({ value }) => value.startsWith(word)).slice(0, ANSWERS_MAX);
  return [
    ...fitting.map(({ value, what = '' }) => `${plainText(value)}\t${plainText(what)}`),
    files ? FILES : NO_FILES,
  ];
}

interface Place {
  readonly command: Command;
  /** `ds load` */
  readonly path: string;
  /** That wants its value now. */
  readonly option?: Option | undefined;
  /** How many arguments stand before. */
  readonly argsBefore: number;
  /** All options that were given, with their values. */
  readonly given: ReadonlyMap<string, string>;
  /** Options are not ours any more: after the program of `run`, after `--`. */
  readonly passed: boolean;
}

function placeOf(program: Command, before: readonly string[]): Place {
  let command = program;
  let path = '';
  let option: Option | undefined;
  let argsBefore = 0;
  let passed = false;
  const given = new Map<string, string>();
  for (const word of before) {
    if (option !== undefined) {
      given.set(option.attributeName(), word);
      option = undefined;
    } else if (!passed && word === '--') passed = true;
    else if (!passed && word.startsWith('-')) {
      const found = optionOf(command, word.split('=')[0]!);
      if (found === undefined) continue;
      if (word.includes('=')) given.set(found.attributeName(), word.slice(word.indexOf('=') + 1));
      else if (found.required) option = found;
    } else {
      const below = argsBefore === 0 ? command.commands.find((each) => each.name() === word) : undefined;
      if (below === undefined) {
        if (path === TAKEN && argsBefore === 0) {
          command = command.commands.find((each) => each.name() === 'take') ?? command;
          path = `${path} take`;
        }
        argsBefore += 1;
        passed ||= path === 'run';
      } else {
        command = below;
        path = path === '' ? word : `${path} ${word}`;
      }
    }
  }
  return { command, path, option, argsBefore, given, passed };
}

const optionOf = (command: Command, flag: string): Option | undefined =>
  command.options.find(({ short, long }) => flag === short || flag === long);

interface Candidates {
  readonly values: readonly Value[];
  readonly files: boolean;
}

async function candidates(at: Place, word: string): Promise<Candidates> {
  const { command, option, passed, given } = at;
  if (option !== undefined) return await ofOption(at, option);
  const help = command.createHelp();
  if (!passed && word.startsWith('-')) {
    const [flag, value] = word.split('=');
    const found = value === undefined ? undefined : optionOf(command, flag!);
    if (found !== undefined) {
      const { values, files } = await ofOption(at, found);
      return { values: values.map((each) => ({ ...each, value: `${flag}=${each.value}` })), files };
    }
    const values = help.visibleOptions(command).flatMap((each) => {
      const names = word.startsWith('--') || !each.short ? [each.long] : [each.short, each.long];
      const open = given.has(each.attributeName()) && !each.variadic;
      return open ? [] : names.flatMap((name) => (name ? [{ value: name, what: each.description }] : []));
    });
    return { values, files: false };
  }
  const below = at.argsBefore === 0 ? help.visibleCommands(command) : [];
  if (below.length > 0) {
    const { values } = at.path === TAKEN ? await valuesOf(`${TAKEN} take pid`, given) : { values: [] };
    return {
      values: [...below.map((each) => ({ value: each.name(), what: each.summary() })), ...values],
      files: false,
    };
  }
  const args = command.registeredArguments;
  const argument = args[at.argsBefore] ?? (args.at(-1)?.variadic ? args.at(-1) : undefined);
  return argument === undefined ? { values: [], files: false } : await ofArgument(at, argument);
}

async function ofOption({ path, given }: Place, option: Option): Promise<Candidates> {
  if (option.argChoices) return { values: option.argChoices.map((value) => ({ value })), files: false };
  return await valuesOf(`${path} ${option.long}`, given);
}

async function ofArgument({ path, given }: Place, argument: Argument): Promise<Candidates> {
  if (argument.argChoices) return { values: argument.argChoices.map((value) => ({ value })), files: false };
  return await valuesOf(`${path} ${argument.name()}`, given);
}
