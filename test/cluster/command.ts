// The command line, as a person uses it.
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const VKCTL = fileURLToPath(new URL('../../services/vkctl/bin/vkctl.js', import.meta.url));

export interface CommandEnd {
  /** Undefined: ended by a signal. */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

export interface Command {
  child: ChildProcess;
  ended: Promise<CommandEnd>;
}

export interface CommandOptions {
  env: NodeJS.ProcessEnv;
  stdin?: string | Uint8Array;
  /** Killed after so long; the test then sees no exit code. */
  timeoutMs?: number;
}

export function startCommand(
  command: string[],
  { env, stdin, timeoutMs = 120_000 }: CommandOptions,
): Command {
  const [program, ...args] = command;
  const child = spawn(program!, args, { env, timeout: timeoutMs, killSignal: 'SIGKILL' });
  const ended = new Promise<CommandEnd>((resolve, reject) => {
    const output = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output.stderr += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? undefined, ...output }));
  });
  child.stdin.on('error', () => {}); // It ended without reading all of it.
  child.stdin.end(stdin ?? '');
  return { child, ended };
}

export const startVkctl = (args: string[], options: CommandOptions): Command =>
  startCommand([process.execPath, VKCTL, ...args], options);
