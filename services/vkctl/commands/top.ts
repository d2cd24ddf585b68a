import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { withCluster } from '../connection.ts';
import { EXIT, explain, Failure } from '../failure.ts';
import { printJson, printLines } from '../json.ts';
import { isOutputRead, print, sayAside } from '../output.ts';
import { type ClusterOption, clusterOption, examples, jsonOption, quietOption } from './options.ts';

interface TopOptions extends ClusterOption {
  once?: boolean;
  interval: number;
  list: 'processes' | 'dataspaces' | 'vkernels' | 'queues';
  sort?: string;
  filter: string;
  json?: boolean;
}

const [LEAST_S, MOST_S] = [0.2, 600];

export function addTop(program: Command): void {
  const command = program
    .command('top')
    .summary('the cluster as it changes: nodes, faults, processes, dataspaces')
    .description(
      'Shows what goes on: of each node its memory and pages in and out a second, faults a second by who served them with their ' +
        'median and 99th percentile since its pmapd started, what the directory does, and a list of processes, dataspaces, ' +
        'virtual kernels or queues: what waits now, as faults for pages (FAULTS), pages for the line to another node (OUT, ON ' +
        'THE WAY), pages that change hands (CHANGING), events until a shard knows all (PARKED), bytes that a service has ' +
        'not read from its router (UNREAD). Keys: tab for another list, s to sort, / to filter, up and down to select, k or K to end a process, ' +
        'space to pause, q to quit.',
    )
    .option('--once', 'one look, over an interval, and no terminal needed')
    .option('-i, --interval <seconds>', `between two looks, ${LEAST_S} to ${MOST_S}`, interval, 2)
    .addOption(
      new Option('--list <what>', 'the list to begin with')
        .choices(['processes', 'dataspaces', 'vkernels', 'queues'])
        .default('processes'),
    )
    .option(
      '--sort <by>',
      'processes: cpu, private, shared, waits, pid; dataspaces: moved, size, lost, name; vkernels: processes, name; queues: faults, out, changing, unread, name',
    )
    .option('--filter <text>', 'of the list only rows with this in them', '')
    .addOption(clusterOption())
    .addOption(jsonOption('print JSON: with --once one document, else a line an interval'))
    .addOption(quietOption('do not say who does not answer'))
    .action(top);
  examples(command, [
    ['vkctl top', 'until q'],
    ['vkctl top --list dataspaces', 'the hottest first'],
    ['vkctl top --list queues --sort unread', 'what waits, and where'],
    ['vkctl top --once', 'for a log'],
    ["vkctl top --once --json -i 1 | jq '.nodes[].faults'", 'for a program'],
  ]);
}

function interval(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds >= LEAST_S && seconds <= MOST_S) return seconds;
  throw new InvalidArgumentError(`Give seconds from ${LEAST_S} to ${MOST_S}.`);
}

async function top(options: TopOptions): Promise<void> {
  const { SORTS, linesOf } = await import('../top/lines.ts');
  const { list, filter, once = false } = options;
  const sorts: readonly string[] = SORTS[list];
  const sort = options.sort ?? sorts[0]!;
  if (!sorts.includes(sort))
    throw new Failure(`--sort: ${list} have no "${sort}"; there are: ${sorts.join(', ')}`, {
      exitCode: EXIT.usage,
    });
  if (!once && !options.json && !(process.stdin.isTTY && process.stdout.isTTY))
    throw new Failure('top: there is no terminal', {
      fix: 'Give --once, or --json.',
      exitCode: EXIT.usage,
    });
  const chosen = { list, sort, filter, row: 0 };
  await withCluster(options, async (cluster) => {
    const { Looks } = await import('@odonata/client/look/look.ts');
    const { topOf } = await import('@odonata/client/look/top.ts');
    const looks = new Looks(cluster, explain);
    let before = await looks.look();
    let seen = topOf(undefined, before);
    const next = async () => {
      await sleep(options.interval * 1_000);
      const now = await looks.look(seen.dataspaces.map(({ name }) => name));
      seen = topOf(before, now);
      before = now;
      return seen;
    };
    if (options.json) {
      if (!once) printLines();
      do printJson(await next());
      while (!once && isOutputRead());
    } else if (once) {
      for (const { text } of linesOf(await next(), chosen)) print(text);
    } else {
      // Of the start of no other command: it takes longer than all else.
      process.env.NODE_ENV ??= 'production';
      const { showScreen } = await import('../top/screen.ts');
      const kill = async (pid: bigint, signal: 'SIGTERM' | 'SIGKILL'): Promise<string> => {
        try {
          await cluster.programs.kill(pid, signal);
          return `${signal} to ${pid}: sent`;
        } catch (error) {
          return explain(error);
        }
      };
      await showScreen({ first: seen, chosen, next, kill });
    }
    if (once) {
      for (const line of seen.silent) sayAside(`vkctl: ${line}`);
      if (seen.silent.length > 0) process.exitCode = 1;
    }
  });
}
