import type { Command } from 'commander';
import { EXIT, Failure } from '../failure.ts';
import { clusterOption, collect, examples, jsonOption, quietOption } from './options.ts';
import { DETACH_KEYS } from './own-terminal.ts';
import { parsePid } from './pid.ts';
import { type RunOptions, run } from './run.ts';

export function addExec(program: Command): void {
  const command = program
    .command('exec')
    .summary('run a program beside a process')
    .usage(
      '[options] <pid> <prog.wasm> [args...]\n       vkctl exec [options] --vkernel <name> <prog.wasm> [args...]',
    )
    .description(
      'Runs a WASI program in the virtual kernel of a process, with the folders that the process was given, its environment, and the ' +
        'places that it may connect to; or in a virtual kernel that is named. Else as "vkctl run".',
    )
    .argument(
      '<words...>',
      'the process, unless --vkernel names a virtual kernel; the program; its arguments',
    )
    .option('-i, --interactive', 'its standard input is ours (as without it)')
    .option('-t, --tty', 'a terminal of its own, which is ours: see "vkctl run -it"')
    .option('--detach-keys <keys>', 'with -t: keys that leave it', DETACH_KEYS)
    .option('-d, --detach', 'print its pid and return; see "vkctl logs"')
    .option('--vkernel <name>', 'in this virtual kernel (NAME or NODE/NAME), and not beside a process')
    .option('-e, --env <name=value>', 'set a variable; NAME alone: as it is here (repeatable)', collect)
    .addOption(clusterOption())
    .addOption(jsonOption('with -d: print its pid, node and virtual kernel as JSON'))
    .addOption(quietOption('do not say how it ended'))
    .passThroughOptions()
    .action(exec);
  examples(command, [
    ['vkctl exec 100001 ls.wasm /work', 'the folders that process 100001 sees'],
    ['vkctl exec -it --vkernel node2/default shell.wasm', 'a shell in a virtual kernel'],
    ['vkctl exec -d --json 100001 watch.wasm | jq .pid', 'for a program'],
  ]);
}

async function exec(words: string[], options: RunOptions): Promise<void> {
  const isBeside = options.vkernel === undefined;
  const [first, ...rest] = words;
  const [path, ...args] = isBeside ? rest : words;
  if (path === undefined || first === undefined)
    throw new Failure('exec: which program is missing', {
      fix: 'Give PID PROGRAM, or --vkernel NAME PROGRAM.',
      exitCode: EXIT.usage,
    });
  await run(path, args, isBeside ? { ...options, beside: parsePid(first) } : { ...options, existing: true });
}
