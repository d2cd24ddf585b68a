// Processes as they come and go. Nobody tells of them, so they are asked for now and then.
import { type Process, ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { delay } from '@odonata/rpc/backoff.ts';
import { notFound } from '@odonata/rpc/refusal.ts';
import { expectNotAborted } from './abort.ts';
import type { ProcessList } from './process-list.ts';

const EVERY_MS = 500;

export interface WatchOptions {
  /** This one only, until it has ended. */
  pid?: bigint;
  everyMs?: number;
  signal?: AbortSignal;
}

/** @throws RpcError CANCELLED when the signal aborts */
export async function* watchProcesses(
  list: () => Promise<ProcessList>,
  { pid, everyMs = EVERY_MS, signal }: WatchOptions,
): AsyncGenerator<Process, void, undefined> {
  let seen = new Map<bigint, Process>();
  for (;;) {
    const { processes, silent } = await list();
    const now = new Map<bigint, Process>();
    // Of a node that does not answer nothing is known to have changed.
    const away = new Set(silent.map(({ node }) => node));
    for (const [key, process] of seen) if (away.has(process.node)) now.set(key, process);
    for (const process of processes) now.set(process.pid, process);
    const wanted = pid === undefined ? now : new Map([...now].filter(([key]) => key === pid));
    for (const process of wanted.values()) if (seen.get(process.pid)?.state !== process.state) yield process;
    if (pid !== undefined) {
      const state = wanted.get(pid)?.state;
      if (state === ProcessState.EXITED) return;
      if (state === undefined && away.size === 0)
        throw notFound({ type: 'process', name: pid }, `no process ${pid}`);
    }
    seen = now;
    await delay(everyMs, signal);
    expectNotAborted(signal);
  }
}
