import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import type { Command } from 'commander';
import { withConnection } from '../connection.ts';
import { printError } from '../output.ts';
import { formatSize } from '../size.ts';
import { type ClusterOption, clusterOf, clusterOption, examples } from './options.ts';
import { nodeOfPid, parsePid } from './pid.ts';
import { writeTo } from './stdio.ts';

interface LogsOptions extends ClusterOption {
  follow?: boolean;
}

export function addLogs(program: Command): void {
  const command = program
    .command('logs')
    .summary('what a process wrote')
    .description(
      'Prints what a process wrote: its standard output here to standard output, its error to error.',
    )
    .argument('<pid>', 'as "vkctl ps -a" shows it')
    .option('-f, --follow', 'go on until it ends')
    .addOption(clusterOption())
    .action(logs);
  examples(command, [
    ['vkctl logs 100001', 'what is kept: the last 1 MiB'],
    ['vkctl logs -f 100001', 'and what comes'],
  ]);
}

async function logs(text: string, options: LogsOptions): Promise<void> {
  const pid = parsePid(text);
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  await withConnection(clusterOf(options), async (to) => {
    const node = await nodeOfPid(to, pid);
    const request = { pid, follow: options.follow ?? false };
    try {
      for await (const { output, droppedBytes } of to
        .vkerneld(node)
        .getLogs(request, { signal: abort.signal })) {
        if (droppedBytes > 0n)
          printError(`vkctl: ${formatSize(droppedBytes)} before this are no longer kept`);
        if (!output) continue;
        const stream = output.stream === StdStream.ERR ? process.stderr : process.stdout;
        if (!(await writeTo(stream, output.data))) return;
      }
    } catch (error) {
      if (!abort.signal.aborted) throw error;
      process.exitCode = 130;
    }
  });
}
