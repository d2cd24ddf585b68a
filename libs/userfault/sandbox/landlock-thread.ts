// See landlock.ts.
import { spawn } from 'node:child_process';
import type { Writable } from 'node:stream';
import { parentPort, workerData } from 'node:worker_threads';
import { installFilter } from './install-filter.ts';
import { handledAccess, type LandlockedStart, type LandlockReport } from './landlock.ts';
import { landlockAbi } from './landlock-abi.ts';
import { restrictThread } from './landlock-rules.ts';

/** bind and connect of TCP: none is named, so all are refused. */
const NET = 3;
/** Abstract sockets, and signals. */
const SCOPED = 3;

const report = (message: LandlockReport): void => parentPort!.postMessage(message);
const { command, environment, settings, output, rules, filter } = workerData as LandlockedStart;
if (rules !== undefined)
  restrictThread({ fs: handledAccess(landlockAbi()), net: NET, scoped: SCOPED }, rules);
if (filter !== undefined) installFilter(Buffer.from(filter), { allThreads: false });
const child = spawn(command[0]!, command.slice(1), {
  stdio: ['ignore', output, output, 'pipe'],
  env: { ...environment },
  cwd: '/',
});
const given = child.stdio[3] as Writable;
given.on('error', () => {}); // It ended; its end is told.
parentPort!.once('message', () => given.end(Buffer.from(settings)));
child.once('error', (error) => report({ type: 'ended', how: error.message }));
child.once('exit', (code, signal) => report({ type: 'ended', how: signal ?? `exit code ${code}` }));
if (child.pid !== undefined) report({ type: 'started', pid: child.pid });
