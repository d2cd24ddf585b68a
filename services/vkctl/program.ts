import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { Command, CommanderError } from 'commander';
import { addCompletion } from './commands/completion.ts';
import { addContext } from './commands/context.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDown } from './commands/down.ts';
import { addDs } from './commands/ds.ts';
import { addEvents } from './commands/events.ts';
import { addKill } from './commands/kill.ts';
import { addLogs } from './commands/logs.ts';
import { addMan } from './commands/man.ts';
import { type Example, examples, type QuietOption } from './commands/options.ts';
import { addPmap } from './commands/pmap.ts';
import { addPs } from './commands/ps.ts';
import { addRestart } from './commands/restart.ts';
import { addRun } from './commands/run.ts';
import { addSchema } from './commands/schema.ts';
import { addStatus } from './commands/status.ts';
import { addToken } from './commands/token.ts';
import { addTop } from './commands/top.ts';
import { addUp } from './commands/up.ts';
import { addUser } from './commands/user.ts';
import { addWhoami } from './commands/whoami.ts';
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

const indented = (text: string): string => text.replace(/^/gm, '  ');

/** The whole command line; each command's file adds itself. */
export function createProgram(): Command {
  const program = new Command('vkctl')
    .description('Runs a cluster that acts as one machine, and programs in its virtual kernels.')
    .option('-V, --version', 'print the release, its commit and the versions of the wire')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text) => printError(text.trimEnd().replace(/^error: /, 'vkctl: ')),
    })
    .addHelpText('after', [...SECTIONS].map(([head, text]) => `\n${head}:\n${indented(text)}`).join('\n'));
  program.on('option:version', () => {
    print(releaseLine(RELEASE));
    throw new CommanderError(0, 'commander.version', '');
  });
  examples(program, TOUR);
  for (const add of [
    addUp,
    addDown,
    addStatus,
    addTop,
    addEvents,
    addRestart,
    addDoctor,
    addRun,
    addPs,
    addKill,
    addLogs,
    addDs,
    addPmap,
    addUser,
    addWhoami,
    addContext,
    addToken,
    addCompletion,
    addMan,
    addSchema,
  ])
    add(program);
  program.hook('preAction', (_, command) => setQuiet(command.opts<QuietOption>().quiet === true));
  pointToHelp(program, 'vkctl');
  return program;
}

/** Who mistypes a command is sent to the help of that one. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(see "${path} --help")`);
  for (const each of command.commands) pointToHelp(each, `${path} ${each.name()}`);
}
