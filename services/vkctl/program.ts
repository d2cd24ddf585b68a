import { RELEASE } from '@odonata/rpc/wire-version.ts';
import { Command } from 'commander';
import { addContext } from './commands/context.ts';
import { addDoctor } from './commands/doctor.ts';
import { addDown } from './commands/down.ts';
import { addDs } from './commands/ds.ts';
import { addEvents } from './commands/events.ts';
import { addKill } from './commands/kill.ts';
import { addLogs } from './commands/logs.ts';
import { addPmap } from './commands/pmap.ts';
import { addPs } from './commands/ps.ts';
import { addRestart } from './commands/restart.ts';
import { addRun } from './commands/run.ts';
import { addStatus } from './commands/status.ts';
import { addToken } from './commands/token.ts';
import { addUp } from './commands/up.ts';
import { addUser } from './commands/user.ts';
import { addWhoami } from './commands/whoami.ts';
import { printError } from './output.ts';

const HELP = `
Exit codes:
  0  done
  1  failed; one line on standard error says what, where and how to mend it
  2  usage: an unknown command or option, a bad value
  run exits with the program's own code (128 + n when signal n ended it), or
  125  the cluster failed   126  the module cannot be executed   127  no such file

Environment:
  ODONATA_CLUSTER  the cluster that commands mean (default: "default")
  ODONATA_HOME     where clusters keep their state (default: ~/.local/state/odonata)
  ODONATA_SYSLINK  routers of a cluster that runs elsewhere, host:port with commas between; for run, ps, kill,
                   logs, events, ds and status. Any one of them is enough, and a command goes to another when one is away
  ODONATA_TLS_DIR  with ODONATA_SYSLINK: folder with tls.crt, tls.key and ca.crt: who one is there
  ODONATA_CONTEXT  the context that commands mean (see vkctl context); empty: clusters of this machine
  ODONATA_REQUEST_ID  goes with the command through the logs of all services (default: a new one); each call is a line
                   there after vkctl up --log-level debug
  ODONATA_BUNDLE   off: run the sources, not the bundle that is made of them
  NO_COLOR         no colours

A first tour:
  $ vkctl up --nodes 3          # three nodes on this machine
  $ vkctl run prog.wasm a b     # a WASI program in a virtual kernel
  $ vkctl ps -a                 # one process table for all nodes
  $ vkctl status                # services, nodes, faults
  $ vkctl down                  # nothing is left`;

/** The whole command line; each command's file adds itself. */
export function createProgram(): Command {
  const program = new Command('vkctl')
    .description('Runs a cluster that acts as one machine, and programs in its virtual kernels.')
    .version(RELEASE)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text) => printError(text.trimEnd().replace(/^error: /, 'vkctl: ')),
    })
    .addHelpText('after', HELP);
  for (const add of [
    addUp,
    addDown,
    addStatus,
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
  ])
    add(program);
  pointToHelp(program, 'vkctl');
  return program;
}

/** Who mistypes a command is sent to the help of that one. */
function pointToHelp(command: Command, path: string): void {
  command.showHelpAfterError(`(see "${path} --help")`);
  for (const each of command.commands) pointToHelp(each, `${path} ${each.name()}`);
}
