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
type Add = (program: Command) => void;

/** In the order of the help. A command loads itself alone: the others would take more time than it. */
const COMMANDS: readonly (readonly [name: string, load: () => Promise<Add>])[] = [
  ['up', async () => (await import('./commands/up.ts')).addUp],
  ['down', async () => (await import('./commands/down.ts')).addDown],
  ['join', async () => (await import('./commands/join.ts')).addJoin],
  ['node', async () => (await import('./commands/node.ts')).addNode],
  ['status', async () => (await import('./commands/status.ts')).addStatus],
  ['top', async () => (await import('./commands/top.ts')).addTop],
  ['console', async () => (await import('./commands/console.ts')).addConsole],
  ['events', async () => (await import('./commands/events.ts')).addEvents],
  ['restart', async () => (await import('./commands/restart.ts')).addRestart],
  ['doctor', async () => (await import('./commands/doctor.ts')).addDoctor],
  ['run', async () => (await import('./commands/run.ts')).addRun],
  ['login', async () => (await import('./commands/login.ts')).addLogin],
  ['exec', async () => (await import('./commands/exec.ts')).addExec],
  ['attach', async () => (await import('./commands/attach.ts')).addAttach],
  ['cp', async () => (await import('./commands/cp.ts')).addCp],
  ['allow', async () => (await import('./commands/allow.ts')).addAllow],
  ['disallow', async () => (await import('./commands/allow.ts')).addDisallow],
  ['ps', async () => (await import('./commands/ps.ts')).addPs],
  ['kill', async () => (await import('./commands/kill.ts')).addKill],
  ['wait', async () => (await import('./commands/wait.ts')).addWait],
  ['logs', async () => (await import('./commands/logs.ts')).addLogs],
  ['ds', async () => (await import('./commands/ds.ts')).addDs],
  ['snapshot', async () => (await import('./commands/snapshot.ts')).addSnapshot],
  ['vkernel', async () => (await import('./commands/vkernel.ts')).addVkernel],
  ['apply', async () => (await import('./commands/service-apply.ts')).addApply],
  ['service', async () => (await import('./commands/service.ts')).addService],
  ['pmap', async () => (await import('./commands/pmap.ts')).addPmap],
  ['route', async () => (await import('./commands/route.ts')).addRoute],
  ['name', async () => (await import('./commands/name.ts')).addName],
  ['gateway', async () => (await import('./commands/gateway.ts')).addGateway],
  ['user', async () => (await import('./commands/user.ts')).addUser],
  ['whoami', async () => (await import('./commands/whoami.ts')).addWhoami],
  ['context', async () => (await import('./commands/context.ts')).addContext],
  ['token', async () => (await import('./commands/token.ts')).addToken],
  ['completion', async () => (await import('./commands/completion.ts')).addCompletion],
  ['man', async () => (await import('./commands/man.ts')).addMan],
  ['schema', async () => (await import('./commands/schema.ts')).addSchema],
];

/** These ask the others. */
const ASKS_ALL: ReadonlySet<string | undefined> = new Set(['completion', 'man']);
const VERSION: ReadonlySet<string | undefined> = new Set(['-V', '--version']);

/** Commander has a word of its own for the arguments of a command. */
const inOurWords = (text: string): string =>
  text
    .replace(
      /^error: command-argument value '([^']*)' is invalid for argument '([^']*)'\. /,
      "error: '$1' is no $2: ",
    )
    .replace(/^error: /, 'vkctl: ');

const indented = (text: string): string => text.replace(/^/gm, '  ');

/** The whole command line, or of its commands this one alone; each command's file adds itself. */
export async function createProgram(named?: string): Promise<Command> {
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
  for (const add of await Promise.all(neededBy(named).map(([, load]) => load()))) add(program);
  program.hook('preAction', (_, command) => setQuiet(command.opts<QuietOption>().quiet === true));
  pointToHelp(program, 'vkctl');
  refuseHelpOfNothing(program);
  return program;
}

function neededBy(named: string | undefined): typeof COMMANDS {
  if (VERSION.has(named)) return [];
  const alone = COMMANDS.filter(([name]) => name === named && !ASKS_ALL.has(name));
  return alone.length > 0 ? alone : COMMANDS;
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
