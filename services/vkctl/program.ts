import type { Command } from 'commander';
import { type Add, programOf } from './command-line.ts';

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

/** The whole command line, or of its commands this one alone; each command's file adds itself. */
export async function createProgram(named?: string): Promise<Command> {
  return programOf(await Promise.all(neededBy(named).map(([, load]) => load())));
}

function neededBy(named: string | undefined): typeof COMMANDS {
  if (VERSION.has(named)) return [];
  const alone = COMMANDS.filter(([name]) => name === named && !ASKS_ALL.has(name));
  return alone.length > 0 ? alone : COMMANDS;
}
