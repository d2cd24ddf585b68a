import { EXIT, explainWithFix, Failure } from '../failure.ts';
import { printError } from '../output.ts';

export function parsePid(text: string): bigint {
  if (/^\d{1,18}$/.test(text) && BigInt(text) > 0n) return BigInt(text);
  throw new Failure(`"${text}" is not a pid`, { fix: 'List them with: vkctl ps -a', exitCode: EXIT.usage });
}

/** Does it to each, as kill(1) does: where it fails for one, that is said, and the others get theirs all the same. */
export async function forEachPid(
  pids: readonly bigint[],
  act: (pid: bigint) => Promise<void>,
): Promise<void> {
  for (const pid of pids) {
    try {
      await act(pid);
    } catch (error) {
      printError(`vkctl: ${explainWithFix(error)}`);
      process.exitCode = 1;
    }
  }
}
