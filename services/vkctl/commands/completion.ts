import assert from 'node:assert/strict';
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

/** What the package bash-completion brings, and what follows uses: where that is not there. */
const WORDS_OF_BASH = `\
if ! declare -F _get_comp_words_by_ref >/dev/null; then
  _get_comp_words_by_ref() {
    local line="\${COMP_LINE:0:COMP_POINT}"
    read -ra words <<<"$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    cword=$((\${#words[@]} - 1))
    cur="\${words[cword]}"
    prev="\${words[cword - 1]}"
  }
fi`;

async function completion(shell: string): Promise<void> {
  const { RootCommand } = await import('@bomb.sh/tab');
  // By its path: it need not be on PATH, and stays the one that was asked.
  const here = [process.execPath, realpathSync(process.argv[1]!)].map(shellWord).join(' ');
  const script = saidBy(() => new RootCommand().setup('vkctl', here, shell));
  print(shell === 'bash' ? `${WORDS_OF_BASH}\n${quotedInBash(script)}` : script);
}

/** The words as they stand in the line are handed to `eval` there: none of them may be a command. */
function quotedInBash(script: string): string {
  const [raw, quoted] = [
    `\${words[@]:1}"`,
    `$(for word in "\${words[@]:1}"; do [[ -n "$word" ]] && printf "%q " "$word"; done)"`,
  ];
  assert(script.includes(raw), 'the script for bash hands on its words');
  return script.replace(raw, () => quoted);
}

/** It prints, and gives nothing back. */
function saidBy(speak: () => void): string {
  const said: string[] = [];
  const { log } = console;
  console.log = (text: string) => said.push(text);
  try {
    speak();
  } finally {
    console.log = log;
  }
  return said.join('\n');
}

const shellWord = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
