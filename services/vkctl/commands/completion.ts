import { realpathSync } from 'node:fs';
import { Argument, type Command } from 'commander';
import { print } from '../output.ts';
import { examples, quietOption } from './options.ts';

export function addCompletion(program: Command): void {
  const command = program
    .command('completion')
    .summary('complete words in bash, zsh and fish')
    .description(
      'Prints what a shell needs to complete commands, options, and names of what there is: processes, dataspaces, nodes, ' +
        'services, contexts. It asks this vkctl for each.',
    )
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .addOption(quietOption())
    .action(completion);
  examples(command, [
    ['source <(vkctl completion bash)', 'in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit'],
    ['vkctl completion fish > ~/.config/fish/completions/vkctl.fish', 'fish'],
  ]);
  // Who calls it is what `completion` printed: `complete -- WORD...`, the last one as far as it was typed.
  program
    .command('complete', { hidden: true })
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[words...]')
    .passThroughOptions()
    .helpOption(false)
    .action(async (words: string[]) => {
      const { complete } = await import('../help/complete.ts');
      print((await complete(program, words)).join('\n'));
    });
}

async function completion(shell: string): Promise<void> {
  const { RootCommand } = await import('@bomb.sh/tab');
  // By its path: it need not be on PATH, and stays the one that was asked.
  const here = [process.execPath, realpathSync(process.argv[1]!)].map(shellWord).join(' ');
  new RootCommand().setup('vkctl', here, shell);
}

const shellWord = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
