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

export const jsonOption = (): Option => new Option('--json', 'print JSON');

export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= minimum && number <= maximum) return number;
    throw new InvalidArgumentError(`Give a whole number from ${minimum} to ${maximum}.`);
  };
}

/** For options that may be given several times. */
export const collect = (value: string, before: string[] = []): string[] => [...before, value];

export function examples(command: Command, lines: [command: string, what: string][]): Command {
  const width = Math.max(...lines.map(([line]) => line.length));
  const text = lines.map(([line, what]) => `  $ ${line.padEnd(width)}  # ${what}`).join('\n');
  return command.addHelpText('after', `\nExamples:\n${text}`);
}
