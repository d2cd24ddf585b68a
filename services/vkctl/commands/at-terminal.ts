// A program whose terminal is ours: raw here, its line discipline there. It is left by its end, by keys, or by ours.

import type { ProgramIo, ProgramRun, TerminalSize } from '@odonata/client/program-run.ts';
import { Code } from '@odonata/rpc/error.ts';
import { EXIT, Failure, hasCode } from '../failure.ts';
import { say } from '../output.ts';
import { tellEnd } from './how-it-ended.ts';
import { OwnTerminal } from './own-terminal.ts';
import { writeTo } from './stdio.ts';

/** 128 + SIGHUP: we were ended. */
const HANGUP_EXIT = 129;

/** @param begin starts the program, or looks at one that is there. @returns the exit code */
export async function atTerminal(
  name: string,
  keys: Uint8Array,
  begin: (io: ProgramIo, size: TerminalSize) => ProgramRun | Promise<ProgramRun>,
): Promise<number> {
  const terminal = new OwnTerminal(keys);
  const abort = new AbortController();
  const leave = (): void => abort.abort();
  let pid: bigint | undefined;
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);
  try {
    const running = await begin(
      {
        stdin: terminal.input(),
        signal: abort.signal,
        onStarted: (started) => {
          pid = started.pid;
        },
        onOutput: async ({ data }) => {
          if (!(await writeTo(process.stdout, data))) abort.abort();
        },
      },
      terminal.size,
    );
    terminal.onDetach = () => running.detach();
    terminal.take((size) => running.resize(size));
    const { code, signal, reason } = await running.exited();
    terminal.restore();
    tellEnd(name, { signal, reason });
    return code;
  } catch (error) {
    terminal.restore();
    if (terminal.isDetached) {
      say(`\nvkctl: left ${name}, which goes on; back to it: vkctl attach ${pid}`);
      return EXIT.ok;
    }
    if (abort.signal.aborted) return HANGUP_EXIT;
    if (pid !== undefined && hasCode(error, Code.Unavailable, Code.NotFound))
      throw new Failure(`${name}: the line to process ${pid} broke`, {
        fix: `Where it goes on: vkctl attach ${pid}, or vkctl logs -f ${pid}`,
        exitCode: EXIT.runFailed,
        cause: error,
      });
    throw error;
  } finally {
    terminal.restore();
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, leave);
    process.stdin.pause();
    process.stdin.unref?.();
  }
}
