import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { printJson } from '../json.ts';
import { type ClusterOption, clusterOption, examples, jsonOption, quietOption } from './options.ts';
import { forEachPid, parsePid } from './pid.ts';
import { signalName } from './signal-name.ts';

interface KillOptions extends ClusterOption {
  signal: string;
  json?: boolean;
}

export function addKill(program: Command): void {
  const command = program
    .command('kill')
    .summary('signal processes')
    .usage('[-SIG] [options] <pid...>')
    .description(
      'Sends a signal to processes; -SIG is TERM (the default), INT, KILL, HUP, USR1, USR2, STOP, CONT or another one, or its number.',
    )
    .argument('<pid...>', 'as "vkctl ps" shows them')
    .option('-s, --signal <name>', 'the same as -SIG', 'TERM')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(kill);
  examples(command, [
    ['vkctl kill 100001', 'SIGTERM'],
    ['vkctl kill -9 100001 200003', 'SIGKILL, on two nodes'],
  ]);
}

async function kill(pids: string[], options: KillOptions): Promise<void> {
  const signal = signalName(options.signal);
  const targets = pids.map(parsePid);
  const sent: object[] = [];
  await withCluster(options, async ({ programs }) => {
    await forEachPid(targets, async (pid) => {
      await programs.kill(pid, signal);
      sent.push({ pid, signal });
    });
    if (options.json) printJson(sent);
  });
}
