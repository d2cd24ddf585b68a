import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { Code } from '@odonata/rpc/error.ts';
import type { Command } from 'commander';
import { withConnection } from '../connection.ts';
import { hasCode } from '../failure.ts';
import { printError } from '../output.ts';
import { formatSize } from '../size.ts';
import { type ClusterOption, clusterOf, clusterOption, examples } from './options.ts';
import { answeringNodeOfPid, parsePid } from './pid.ts';
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

/** A router that went away is back, or another one is there, within this. */
const AWAY_MS = 18_000;

async function logs(text: string, options: LogsOptions): Promise<void> {
  const pid = parsePid(text);
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  await withConnection(clusterOf(options), async (to) => {
    const node = await answeringNodeOfPid(to, pid);
    const request = { pid, follow: options.follow ?? false };
    /** Of all that the process wrote: printed, or said to be lost. */
    let seenBytes = 0n;
    /** Where the stream of this time is. */
    let atBytes = 0n;
    let endMs = 0;
    const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
    for (;;) {
      try {
        atBytes = 0n;
        const lines = to.vkerneld(node).getLogs(request, { signal: abort.signal });
        for await (const { output, droppedBytes } of lines) {
          endMs = 0;
          backoff.reset();
          atBytes += droppedBytes;
          if (atBytes > seenBytes) {
            printError(`vkctl: ${formatSize(atBytes - seenBytes)} before this are no longer kept`);
            seenBytes = atBytes;
          }
          if (!output) continue;
          // A stream that begins anew brings again what is here already.
          const known = Number(seenBytes - atBytes);
          atBytes += BigInt(output.data.length);
          if (known >= output.data.length) continue;
          seenBytes = atBytes;
          const stream = output.stream === StdStream.ERR ? process.stderr : process.stdout;
          if (!(await writeTo(stream, output.data.subarray(known)))) return;
        }
        return;
      } catch (error) {
        if (abort.signal.aborted) {
          process.exitCode = 130;
          return;
        }
        // Its router went away, and not its supervisor: that has what it wrote.
        if (!options.follow || !hasCode(error, Code.Unavailable)) throw error;
        endMs ||= performance.now() + AWAY_MS;
        if (performance.now() > endMs) throw error;
        await delay(backoff.nextDelayMs());
        await to.ready(Math.max(1, endMs - performance.now()));
      }
    }
  });
}
