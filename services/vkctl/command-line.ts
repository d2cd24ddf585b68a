import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { Command, CommanderError } from 'commander';
import { type Example, examples, type QuietOption } from './commands/options.ts';
import { SECTIONS } from './help/sections.ts';
import { print, printError, setQuiet } from './output.ts';
import { releaseLine } from './release.ts';

const TOUR: Example[] = [
  ['vkctl up --nodes 3', 'three nodes on this machine'],
  ['vkctl run prog.wasm a b', 'a WASI program in a virtual kernel'],
  ['vkctl ps -a', 'one process table for all nodes'],
  ['vkctl status', 'services, nodes, faults'],
  ['vkctl top', 'the same as it changes'],
  ['vkctl down', 'nothing is left'],
];

/** Adds a command to the command line. */
export type Add = (program: Command) => void;

/** Commander has a word of its own for the arguments of a command. */
const inOurWords = (text: string): string =>
  text
    .replace(
      /^error: command-argument value '([^']*)' is invalid for argument '([^']*)'\. /,
      "error: '$1' is no $2: ",
    )
    .replace(/^error: /, 'vkctl: ');

const indented = (text: string): string => text.replace(/^/gm, '  ');

/** The command line with these commands. */
export function programOf(commands: readonly Add[]): Command {
  const program = new Command('vkctl')
    .description('Runs a cluster that acts as one machine, and programs in its virtual kernels.')
    .option('-V, --version', 'print the release, its commit and the versions of the wire')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text) => printError(inOurWords(text.trimEnd())),
    })
    .addHelpText('after', [...SECTIONS].map(([head, text]) => `\n${head}:\n${indented(text)}`).join('\n'));
  program.on('option:version', () => {
    print(releaseLine(RELEASE));
    throw new CommanderError(0, 'commander.version', '');
  });
  examples(program, TOUR);
  for (const add of commands) add(program);
  program.hook('preAction', (_, command) => setQuiet(command.opts<QuietOption>().quiet === true));
  pointToHelp(program, 'vkctl');
  refuseHelpOfNothing(program);
  return program;
}

/** Who mistypes a command is sent to the help of that one. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(see "${path} --help")`);
  for (const each of command.commands) pointToHelp(each, `${path} ${each.name()}`);
}

/** `vkctl frob --help`, `vkctl help frob`: Commander shows the help of the command above, as if there were a frob. */
function refuseHelpOfNothing(command: Command): void {
  if (command.commands.length === 0) return;
  command.on('beforeHelp', () => {
    const [named] = command.args[0] === 'help' ? command.args.slice(1) : command.args;
    const known = ['help', ...command.commands.flatMap((each) => [each.name(), ...each.aliases()])];
    if (named === undefined || named.startsWith('-') || known.includes(named)) return;
    command.error(`error: unknown command '${named}'`, { code: 'commander.unknownCommand' });
  });
  for (const each of command.commands) refuseHelpOfNothing(each);
}
