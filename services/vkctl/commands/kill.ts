import { type Process, ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { Failure } from '../failure.ts';
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
    .argument('<pid...>', 'as "vkctl ps" shows them; -- -PID: the process group of that pid, on all nodes')
    .option('-s, --signal <name>', 'the same as -SIG', 'TERM')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(kill);
  examples(command, [
    ['vkctl kill 100001', 'SIGTERM'],
    ['vkctl kill -9 100001 200003', 'SIGKILL, on two nodes'],
    ['vkctl kill -- -100001', 'all of a process group, wherever they run'],
  ]);
}

async function kill(pids: string[], options: KillOptions): Promise<void> {
  const signal = signalName(options.signal);
  const groups = pids.filter(isGroup).map((text) => parsePid(text.slice(1)));
  const single = pids.filter((text) => !isGroup(text)).map(parsePid);
  const sent: object[] = [];
  await withCluster(options, async ({ programs }) => {
    const members = groups.length === 0 ? [] : membersOf(groups, (await programs.list()).processes);
    await forEachPid([...single, ...members], async (pid) => {
      await programs.kill(pid, signal);
      sent.push({ pid, signal });
    });
    if (options.json) printJson(sent);
  });
}

const isGroup = (text: string): boolean => /^-\d{3,}$/.test(text);

/** @throws Failure for a group that nobody is in */
function membersOf(groups: readonly bigint[], processes: readonly Process[]): bigint[] {
  return groups.flatMap((wanted) => {
    const members = processes.filter(({ group, state }) => group === wanted && state !== ProcessState.EXITED);
    if (members.length === 0)
      throw new Failure(`no process is in group ${wanted}`, { fix: 'List groups with: vkctl ps --json' });
    return members.map(({ pid }) => pid);
  });
}
