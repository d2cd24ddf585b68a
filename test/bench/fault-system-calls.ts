// The system calls of a fault, by process, as strace counts them. It slows what it looks at down: calls count, and not their time.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Around } from './fault-profile.ts';
import { columns, type ResultTable } from './part.ts';

const TOP = 7;
const ATTACHED_MS = 1_000;

export interface SystemCalls {
  fault: string;
  process: string;
  /** Of a fault. */
  calls: { name: string; count: number }[];
}

/** @returns undefined: this machine has no strace, or does not let it look */
export async function countSystemCalls(
  { fault, process: name, pid, folder }: { fault: string; process: string; pid: number; folder: string },
  play: (around: Around) => Promise<number>,
): Promise<SystemCalls | undefined> {
  const file = join(folder, `strace-${pid}`);
  let strace: ChildProcess | undefined;
  let failed = false;
  const accesses = await play({
    before: async () => {
      strace = spawn('strace', ['-c', '-f', '-q', '-o', file, '-p', String(pid)], { stdio: 'ignore' });
      strace.on('error', () => {
        failed = true;
      });
      await new Promise((resolve) => setTimeout(resolve, ATTACHED_MS));
      failed ||= strace.exitCode !== null;
    },
    after: async () => {
      if (failed || strace === undefined) return;
      strace.kill('SIGINT');
      if (strace.exitCode === null) await once(strace, 'exit');
    },
  });
  return failed ? undefined : { fault, process: name, calls: callsOf(readFileSync(file, 'utf8'), accesses) };
}

/** `% time, seconds, us a call, calls, errors where there are some, name`: a line each. */
export function callsOf(text: string, faults: number): SystemCalls['calls'] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((cells) => cells.length >= 5 && /^\d+$/.test(cells[3]!) && cells.at(-1) !== 'total')
    .map((cells) => ({ name: cells.at(-1)!, count: Number(cells[3]) / faults }))
    .sort((a, b) => b.count - a.count)
    .slice(0, TOP);
}

export function systemCallTable(counted: SystemCalls[]): ResultTable {
  return {
    title: 'System calls of a fault, by process',
    columns: columns('FAULT', 'PROCESS', '>SUM', 'CALLS'),
    rows: counted.map(({ fault, process: name, calls }) => [
      ...[fault, name, calls.reduce((sum, { count }) => sum + count, 0).toFixed(1)],
      calls.map((call) => `${call.name} ${call.count.toFixed(1)}`).join(', '),
    ]),
    notes:
      counted.length === 0
        ? ['Not counted: this machine has no strace, or does not let it look.']
        : [
            'All threads; counted by strace, which slows what it looks at down, so that less of it goes together.',
          ],
  };
}
