// How a process ends: what its caller is told of it.
import type { GuestMessage } from './kernel-call.ts';
import type { ProcessExit } from './process-spec.ts';
import { exitCodeOfSignal } from './trap.ts';

/** As a shell says that it could not run a program. */
export const refusedCode = 126;

/** The surroundings do not allow it. */
export class CannotStart extends Error {}

export function cannot(what: string, error: unknown): Error {
  return new CannotStart(`cannot ${what}: ${error instanceof Error ? error.message : String(error)}`);
}

export function refused(reason: string): ProcessExit {
  return { code: refusedCode, signal: '', reason, stack: '' };
}

/** A signal that the program's own doing became, or one that it was sent. */
export const kindOf = ({ stack }: ProcessExit): 'TRAP' | 'SIGNAL' => (stack === '' ? 'SIGNAL' : 'TRAP');

export function exitOf(
  end: Extract<GuestMessage, { kind: 'ended' }>['end'],
  failedBy: (bug: unknown) => ProcessExit,
): ProcessExit {
  switch (end.how) {
    case 'exit':
      return { code: end.code, signal: '', reason: '', stack: '' };
    case 'trap': {
      const { signal, reason, stack } = end;
      return { code: exitCodeOfSignal(signal), signal, reason, stack };
    }
    case 'failed':
      return { ...failedBy(end.bug), stack: end.stack };
    case 'refused':
      return refused(end.reason);
  }
}

export const isOutOfMemory = (error: Error): boolean =>
  (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';

export function outOfMemory(): ProcessExit {
  const reason = 'out of memory in its virtual kernel: its tables and exceptions are too many';
  return { code: exitCodeOfSignal('SIGKILL'), signal: 'SIGKILL', reason, stack: '' };
}

/** No doing of the program, so its user gets no stack of ours: that is in the log. */
export function failed(pid: bigint, nodeName: string): ProcessExit {
  const log = `see process ${pid} in the log of ${nodeName}/vkerneld`;
  const reason = `the virtual kernel failed, which is Odonata's fault and not the program's: ${log}`;
  return { code: exitCodeOfSignal('SIGSYS'), signal: 'SIGSYS', reason, stack: '' };
}

/** A thread ends within milliseconds; one that does not is in V8's compiler, or stuck in the host. */
const threadEndMaxMs = 5_000;
/** On a busy machine it waits for a processor, which is no time of its own: it is given as much again, so often. */
const AGAIN_MAX = 10;
const AGAIN_MIN_MS = 20;

/** False: it takes longer. @param waitedMs how long it has waited for a processor */
export async function inTime(
  thread: Promise<unknown>,
  {
    maxMs = threadEndMaxMs,
    waitedMs = () => 0,
  }: { maxMs?: number | undefined; waitedMs?: () => number } = {},
): Promise<boolean> {
  let hasEnded = false;
  const end = thread.then(() => {
    hasEnded = true;
  });
  let before = waitedMs();
  let leftMs = maxMs;
  for (let times = 0; times < AGAIN_MAX && !hasEnded && leftMs > AGAIN_MIN_MS; times++) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, leftMs);
    });
    await Promise.race([end, late]).finally(() => clearTimeout(timer));
    const now = waitedMs();
    leftMs = now - before;
    before = now;
  }
  // So may have we: what is there to be heard is heard first.
  for (let turns = 0; turns < 2 && !hasEnded; turns++) await new Promise((resolve) => setImmediate(resolve));
  return hasEnded;
}
