// A measuring command as a process, seen from its test.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export interface Spawned {
  child: ChildProcess;
  result: Promise<{ code: number; stdout: string; stderr: string }>;
}

/**
 * Starts a command in a process group of its own. `folder` is its temporary folder: so it tells what the command leaves.
 * @param onShown hears all that it has written to standard error so far
 */
export function spawnCommand(
  main: string,
  args: string[],
  folder: string,
  onShown: (shown: string) => void = () => {},
): Spawned {
  const env = { ...process.env, TMPDIR: folder };
  const child = spawn(process.execPath, [main, ...args], { env, detached: true });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    stderr += piece;
    onShown(stderr);
  });
  const ended = Promise.all([once(child, 'close'), text(child.stdout)]);
  const result = ended.then(([[code], stdout]) => ({ code: code as number, stdout, stderr }));
  return { child, result };
}
