// One export at a time writes a file: a lock beside it says which process does. That of one that is over is nobody's.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { startTicksOf } from '@odonata/rpc/process-stat.ts';

const TRIES = 3;

/** @returns gives it back. @throws RpcError ABORTED: another one writes it; Error of the system */
export async function lockPart(part: string): Promise<() => Promise<void>> {
  const path = `${part}.lock`;
  const own = `${process.pid} ${startTicksOf(process.pid)}`;
  for (let tries = 0; ; tries++) {
    try {
      await writeFile(path, own, { flag: 'wx', mode: 0o600 });
      return () => rm(path, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const [pid, startTicks] = (await readFile(path, 'utf8').catch(() => '')).split(' ');
    const lives = startTicksOf(Number(pid)) === startTicks && startTicks !== undefined;
    if (lives || tries >= TRIES)
      throw new RpcError(
        Code.Aborted,
        `${part} is being written by process ${pid}: wait for that one, or end it`,
      );
    await rm(path, { force: true });
  }
}
