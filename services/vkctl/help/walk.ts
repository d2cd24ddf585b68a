// The commands, as commander knows them: what --help, man pages and shell completion are made of.
import type { Command } from 'commander';

export interface Named {
  /** `ds load`; empty: vkctl itself. */
  readonly words: string;
  readonly command: Command;
}

/** A command and all below it, but those that are for programs. */
export function commandsOf(command: Command, words = ''): Named[] {
  const below = command
    .createHelp()
    .visibleCommands(command)
    .filter((each) => each.name() !== 'help');
  return [
    { words, command },
    ...below.flatMap((each) => commandsOf(each, words === '' ? each.name() : `${words} ${each.name()}`)),
  ];
}

/** Those that do something by themselves. */
export const leavesOf = (program: Command): Named[] =>
  commandsOf(program).filter(({ command }) => command.commands.length === 0);
