import type { Command } from 'commander';
import { withCluster } from '../connection.ts';
import { atTerminal } from './at-terminal.ts';
import { type ClusterOption, clusterOption, examples, quietOption } from './options.ts';
import { DETACH_KEYS, keysOf } from './own-terminal.ts';
import { parsePid } from './pid.ts';

interface AttachOptions extends ClusterOption {
  detachKeys: string;
}

export function addAttach(program: Command): void {
  const command = program
    .command('attach')
    .summary('look at the terminal of a process')
    .description(
      'Our terminal is that of a process that was started with "vkctl run -t", until it ends or the keys are typed that leave it: ' +
        'Ctrl-P Ctrl-Q. Several may look, and type, at one time; its size is that of whoever changed last. Its exit code is ours.',
    )
    .argument('<pid>', 'as "vkctl ps" shows it: of the session that the terminal is of')
    .option('--detach-keys <keys>', 'other keys that leave it, as ctrl-a,d; "" for none', DETACH_KEYS)
    .addOption(clusterOption())
    .addOption(quietOption('do not say that it was left, nor how it ended'))
    .action(attach);
  examples(command, [
    ['pid=$(vkctl run -dt shell.wasm); vkctl attach $pid', 'a program with a terminal, in the background'],
    ['vkctl attach --detach-keys ctrl-a,d 100001', 'leave it by Ctrl-A d'],
  ]);
}

async function attach(text: string, options: AttachOptions): Promise<void> {
  const pid = parsePid(text);
  const keys = keysOf(options.detachKeys);
  process.exitCode = await withCluster(options, ({ programs }) =>
    atTerminal(`process ${pid}`, keys, (io, size) => programs.attach(pid, size, io)),
  );
}
