import type { ProcessEnd, Programs } from '@odonata/client/programs.ts';
import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { say } from '../output.ts';
import {
  type ClusterOption,
  clusterOption,
  examples,
  jsonOption,
  quietOption,
  wholeNumber,
} from './options.ts';
import { forEachPid, parsePid } from './pid.ts';

/** As timeout(1) has it. */
const TIMEOUT_EXIT = 124;
const INTERRUPTED_EXIT = 130;

interface WaitOptions extends ClusterOption {
  timeout?: number;
  json?: boolean;
}

export function addWait(program: Command): void {
  const command = program
    .command('wait')
    .summary('wait until processes have ended')
    .description(
      'Returns when all of the processes have ended, and says how; with the exit code of the last one, as the shell does. ' +
        `It ends with ${TIMEOUT_EXIT} when --timeout is over.`,
    )
    .argument('<pid...>', 'as "vkctl ps -a" shows them')
    .option('--timeout <seconds>', 'wait no longer than so', wholeNumber(1, 86_400 * 366))
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('only the exit code'))
    .action(wait);
  examples(command, [
    ['pid=$(vkctl run -d build.wasm); vkctl wait $pid', 'in the background, and its exit code'],
    ['vkctl wait --timeout 60 $(vkctl ps -q)', 'all that runs, for a minute at most'],
    ["vkctl wait --json 100001 | jq '.[].code'", 'for a program'],
  ]);
}

async function wait(pids: string[], options: WaitOptions): Promise<void> {
  const targets = pids.map(parsePid);
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  const ends: (ProcessEnd & { pid: bigint })[] = [];
  let running = 0;
  await withCluster(options, ({ programs }) => {
    // From here on: what has ended by now is told, however long the way there took.
    const late = options.timeout === undefined ? [] : [AbortSignal.timeout(options.timeout * 1000)];
    const signal = AbortSignal.any([abort.signal, ...late]);
    return forEachPid(targets, async (pid) => {
      const end = await endOf(programs, pid, signal);
      if (end === undefined) {
        running += 1;
        return;
      }
      ends.push({ pid, ...end });
      if (!options.json) say(shownEnd(pid, end));
      process.exitCode = end.code;
    });
  });
  if (options.json) printJson(ends);
  if (abort.signal.aborted) process.exitCode = INTERRUPTED_EXIT;
  else if (running > 0)
    throw new Failure(`${running} of ${targets.length} did not end within ${options.timeout} s`, {
      fix: 'See what runs: vkctl ps',
      exitCode: TIMEOUT_EXIT,
    });
}

/** Undefined: not before the signal. */
async function endOf(programs: Programs, pid: bigint, signal: AbortSignal): Promise<ProcessEnd | undefined> {
  if (signal.aborted) return undefined;
  try {
    return await programs.wait(pid, { signal });
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

function shownEnd(pid: bigint, { code, signal, reason }: ProcessEnd): string {
  const how = signal === '' ? `exit code ${code}` : signal;
  return `${pid} has ended: ${how}${reason === '' ? '' : ` (${reason})`}`;
}
