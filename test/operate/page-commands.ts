// Commands in a page of Markdown, each with what the page says it prints; and a shell that runs them.
import { spawnSync } from 'node:child_process';

export interface PageCommand {
  line: string;
  /** What the page says; empty where the page says nothing. */
  output: string;
}

/** `$ command` lines of fenced blocks of no language, in order, each with the lines up to the next. */
export function commandsOf(page: string): PageCommand[] {
  const commands: PageCommand[] = [];
  for (const [, language, block] of page.matchAll(/^```(\w*)\n(.*?)^```$/gms)) {
    if (language !== '') continue;
    for (const text of block!.trimEnd().split('\n')) {
      if (text.startsWith('$ ')) commands.push({ line: text.slice(2), output: '' });
      else commands.at(-1)!.output += `${text}\n`;
    }
  }
  return commands;
}

const END = '--- end of a command ---';

/** Runs the lines in one bash, so that variables and functions last; what each printed, errors included. */
export function runInShell(lines: string[], options: { cwd: string; env: NodeJS.ProcessEnv }): string[] {
  const script = lines.map((line) => `${line}\necho '${END}'\n`).join('');
  const { stdout, status } = spawnSync('bash', ['-c', `exec 2>&1\n${script}`], {
    ...options,
    encoding: 'utf8',
    timeout: 150_000,
    killSignal: 'SIGKILL',
  });
  const outputs = stdout.split(`${END}\n`);
  if (status !== 0 || outputs.length !== lines.length + 1)
    throw new Error(`bash ended with ${status} after:\n${stdout}`);
  return outputs.slice(0, -1);
}
