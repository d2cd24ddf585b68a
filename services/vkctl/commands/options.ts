import { PERSON } from '@odonata/rpc/identity/person.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { clusterName } from '../cluster/paths.ts';

export interface ClusterOption {
  cluster?: string;
}

/** `--cluster`, which every command takes. */
export const clusterOption = (): Option =>
  new Option('-c, --cluster <name>', 'cluster of this machine (env: ODONATA_CLUSTER; default: "default")');

/** The cluster of a command, before anything else is done: a bad name is a usage error. */
export const clusterOf = (options: ClusterOption): string => clusterName(options.cluster);

export const jsonOption = (what = 'print JSON'): Option => new Option('--json', what);

export interface QuietOption {
  quiet?: boolean;
}

/** `--quiet`, which every command takes; main.ts tells output.ts. @param what is printed all the same */
export const quietOption = (what = 'print nothing but errors'): Option => new Option('-q, --quiet', what);

/** `--user`: whose it is. */
export const userOption = (): Option =>
  new Option('--user <name>', 'whose it is; else your own').argParser((name) => {
    if (PERSON.test(name)) return name;
    throw new InvalidArgumentError('Give the name of a person: small letters, digits, _ and -, at most 32.');
  });

export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= minimum && number <= maximum) return number;
    throw new InvalidArgumentError(`Give a whole number from ${minimum} to ${maximum}.`);
  };
}

/** For options that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

export type Example = [command: string, what: string];

const exampleLines = new WeakMap<Command, readonly Example[]>();

export function examples(command: Command, lines: Example[]): Command {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, what]) => `  $ ${line.padEnd(width)}  # ${what}`).join('\n');
  exampleLines.set(command, lines);
  return command.addHelpText('after', `\nExamples:\n${text}`);
}

/** For other forms of the help. */
export const examplesOf = (command: Command): readonly Example[] => exampleLines.get(command) ?? [];
