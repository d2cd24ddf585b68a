// A login: a shell in the virtual kernel of a person, which has the person's name and is there again at the next one.
import type { Cluster } from '@odonata/client/cluster.ts';
import { Code } from '@odonata/rpc/error.ts';
import type { Command } from 'commander';
import { clusterPaths } from '../cluster/paths.ts';
import { buildPrograms, fillPrograms } from '../cluster/programs.ts';
import { elsewhere, withCluster } from '../connection.ts';
import { contextFor } from '../context/destination.ts';
import { EXIT, explainWithFix, Failure, hasCode } from '../failure.ts';
import { printError } from '../output.ts';
import { atTerminal } from './at-terminal.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  type QuietOption,
  quietOption,
} from './options.ts';
import { DETACH_KEYS, keysOf } from './own-terminal.ts';
import { runHere, terminalStreams } from './run.ts';

interface LoginOptions extends ClusterOption, QuietOption {
  node?: string;
}

const SHELL = 'sh';

export function addLogin(program: Command): void {
  const command = program
    .command('login')
    .summary('a shell in a virtual kernel of your own')
    .usage('[options] [user@][context] [command...]')
    .description(
      'Runs a shell in a virtual kernel that has your name, with your home, until it ends; with a command, that alone. ' +
        'Who you are is said by your certificate: of this machine, or of a context (vkctl context add).',
    )
    .argument('[destination]', 'USER@CONTEXT, USER@ (a context of that user) or CONTEXT; @: as you are')
    .argument('[command...]', 'what the shell runs, in the place of what is typed')
    .option('--node <name>', 'on this node; else where your virtual kernel runs, or the fewest processes do')
    .addOption(clusterOption())
    .addOption(quietOption('do not say how it ended'))
    .passThroughOptions()
    .action(login);
  examples(command, [
    ['vkctl login', 'as who you are'],
    ['vkctl login alice@prod', 'by the context prod, which has to be of alice'],
    ["vkctl login @ 'ls /bin | on node2 sort | wc -l'", 'a command'],
    ["echo 'ls | wc' | vkctl login", 'commands from a file or a pipe'],
  ]);
}

async function login(destination: string | undefined, words: string[], options: LoginOptions): Promise<void> {
  const { user, context } = contextFor(destination ?? '@');
  if (context !== undefined) {
    if (options.cluster !== undefined)
      throw new Failure(`login: ${destination} and --cluster ${options.cluster} name two places`, {
        fix: 'Give one of them.',
        exitCode: EXIT.usage,
      });
    process.env.ODONATA_CONTEXT = context;
    delete process.env.ODONATA_CLUSTER;
  }
  const isHere = elsewhere(options.cluster) === undefined;
  if (isHere) await bringPrograms(options);
  try {
    process.exitCode = await withCluster(options, (to) => shell(to, { user, words, options, isHere }));
  } catch (error) {
    if (error instanceof Failure && error.exitCode !== EXIT.failed) throw error;
    const missing = hasCode(error, Code.NotFound);
    throw new Failure(`login: ${explainWithFix(error)}`, {
      exitCode: EXIT.runFailed,
      fix: missing ? 'On the machine of the cluster, vkctl login brings them there.' : undefined,
      cause: error,
    });
  }
}

/** What was built is in the cluster from now on; the first time it is built. */
async function bringPrograms(options: LoginOptions): Promise<void> {
  const paths = clusterPaths(clusterOf(options));
  try {
    await buildPrograms((line) => printError(`vkctl: ${line}`));
  } catch (error) {
    // Older ones do, too.
    if (await fillPrograms(paths)) return printError(`vkctl: ${(error as Error).message}`);
    throw error;
  }
  await fillPrograms(paths);
}

interface Shell {
  user: string | undefined;
  words: string[];
  options: LoginOptions;
  isHere: boolean;
}

async function shell(to: Cluster, { user, words, options, isHere }: Shell): Promise<number> {
  const name = to.connection.identity?.caller.name ?? 'anyone';
  if (user !== undefined && user !== name)
    throw new Failure(`login: you are ${name} there, not ${user}`, {
      fix: `A login is by certificate: vkctl context add ${user}.context, and vkctl login ${user}@`,
      exitCode: EXIT.usage,
    });
  const place = await to.programs.place({ node: options.node, vkernel: vkernelOf(name) });
  const spec = {
    name: SHELL,
    folderProgram: SHELL,
    args: ['-l', ...(words.length > 0 ? ['-c', words.join(' ')] : [])],
    env: environment(name),
    terminalStreams: terminalStreams(true),
  };
  const [keys, { stdin, stdout }] = [keysOf(DETACH_KEYS), process];
  if (words.length === 0 && stdin.isTTY && stdout.isTTY)
    return await atTerminal('login', keys, (io, size) =>
      to.programs.begin(place, { ...spec, terminalSize: size }, new Uint8Array(), io),
    );
  return await runHere(to, place, spec, new Uint8Array(), { isHere, input: true });
}

/** As virtual kernels may be called. */
export const vkernelOf = (user: string): string =>
  user
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .replace(/^-+/, '')
    .slice(0, 32) || 'login';

function environment(user: string): string[] {
  const home = `/home/${user}`;
  const own = { USER: user, LOGNAME: user, HOME: home, PWD: home, PATH: '/bin', SHELL: '/bin/sh' };
  const terminal = process.env.TERM === undefined ? {} : { TERM: process.env.TERM };
  return Object.entries({ ...own, ...terminal }).map(([key, value]) => `${key}=${value}`);
}
