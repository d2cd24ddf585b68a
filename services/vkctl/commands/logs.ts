import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { printJsonLine } from '../json.ts';
import { isOutputRead, sayAside } from '../output.ts';
import { formatSize } from '../size.ts';
import { withCarets } from './carets.ts';
import { type ClusterOption, clusterOption, examples, jsonOption, quietOption } from './options.ts';
import { parsePid } from './pid.ts';
import { writeTo } from './stdio.ts';

interface LogsOptions extends ClusterOption {
  raw?: boolean;
  follow?: boolean;
  json?: boolean;
}

export function addLogs(program: Command): void {
  const command = program
    .command('logs')
    .summary('what a process wrote')
    .description(
      'Prints what a process wrote: its standard output here to standard output, its error to error. To a terminal control ' +
        'characters are shown, as ^[, and not sent.',
    )
    .argument('<pid>', 'as "vkctl ps -a" shows it')
    .option('-f, --follow', 'go on until it ends')
    .option('--raw', 'as it was written, also to a terminal: escapes in it change yours')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption('do not say what is no longer kept'))
    .action(logs);
  examples(command, [
    ['vkctl logs 100001', 'what is kept: the last 1 MiB'],
    ['vkctl logs -f 100001', 'and what comes'],
    ["vkctl logs --json 100001 | jq -rj '.data | @base64d'", 'a line for each piece, as it was written'],
  ]);
}

async function logs(text: string, options: LogsOptions): Promise<void> {
  const pid = parsePid(text);
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  const { signal } = abort;
  await withCluster(options, async ({ programs }) => {
    try {
      const pieces = programs.logs(pid, { follow: options.follow ?? false, signal });
      for await (const { stream, data, droppedBytes } of pieces) {
        if (options.json) {
          printJsonLine({ stream, data, droppedBytes });
          if (!isOutputRead()) return;
          continue;
        }
        if (droppedBytes > 0n) sayAside(`vkctl: ${formatSize(droppedBytes)} before this are no longer kept`);
        if (data.length === 0) continue;
        const to = stream === 'stderr' ? process.stderr : process.stdout;
        const shown = to.isTTY && !options.raw ? withCarets(data) : data;
        if (!(await writeTo(to, shown))) return;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      process.exitCode = 130;
    }
  });
}
