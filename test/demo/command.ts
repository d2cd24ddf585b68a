// The demo drives the same command line that a person does.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Failure } from '../../services/vkctl/failure.ts';

const VKCTL = fileURLToPath(new URL('../../services/vkctl/bin/vkctl.js', import.meta.url));

export interface CommandResult {
  stdout: Buffer;
  /** From start to exit. */
  elapsedMs: number;
}

export interface CommandOptions {
  signal: AbortSignal;
  /** Each whole line of standard error. */
  onLine?: (line: string) => void;
  /** Besides our own. */
  env?: Record<string, string>;
}

/** Runs `node <args>`; an exit code other than 0 is an error with the last lines of its standard error. */
export function runNode(args: string[], { signal, onLine, env }: CommandOptions): Promise<CommandResult> {
  signal.throwIfAborted();
  const startMs = performance.now();
  return new Promise((resolve, reject) => {
    // In a session of its own: Ctrl-C in the terminal is the demo's alone, which ends its commands in order.
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...env },
    });
    const end = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', end, { once: true });
    const output: Buffer[] = [];
    const lastLines: string[] = [];
    let partial = '';
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      const lines = (partial + text).split('\n');
      partial = lines.pop()!;
      for (const line of lines) {
        onLine?.(line);
        lastLines.push(line);
        if (lastLines.length > 8) lastLines.shift();
      }
    });
    child.once('error', reject);
    child.once('close', (code, killedBy) => {
      signal.removeEventListener('abort', end);
      if (code === 0)
        return resolve({ stdout: Buffer.concat(output), elapsedMs: performance.now() - startMs });
      const what = lastLines.concat(partial).join('\n').trim() || '(nothing on standard error)';
      reject(signal.aborted ? signal.reason : new Failure(`${killedBy ?? `exit code ${code}`}: ${what}`));
    });
  });
}

export const vkctl = (args: string[], options: CommandOptions): Promise<CommandResult> =>
  runNode([VKCTL, ...args], options);
