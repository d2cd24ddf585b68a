// See landlock.ts.
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { installFilter } from './install-filter.ts';
import { handledAccess, type LandlockedStart, type LandlockReport } from './landlock.ts';
import { landlockAbi } from './landlock-abi.ts';
import { restrictThread } from './landlock-rules.ts';
import { memoryFile } from './memory-file.ts';

/** bind and connect of TCP: none is named, so all are refused. */
const NET = 3;
/** Abstract sockets, and signals. */
const SCOPED = 3;

const report = (message: LandlockReport): void => parentPort!.postMessage(message);
const { command, environment, settings, rules, filter } = workerData as LandlockedStart;
const settingsFd = memoryFile('settings', settings);
if (rules !== undefined)
  restrictThread({ fs: handledAccess(landlockAbi()), net: NET, scoped: SCOPED }, rules);
if (filter !== undefined) installFilter(Buffer.from(filter), { allThreads: false });
const child = spawn(command[0]!, command.slice(1), {
  stdio: ['ignore', 2, 2, settingsFd],
  env: { ...environment },
  cwd: '/',
});
closeSync(settingsFd);
child.once('error', (error) => report({ type: 'ended', how: error.message }));
child.once('exit', (code, signal) => report({ type: 'ended', how: signal ?? `exit code ${code}` }));
if (child.pid !== undefined) report({ type: 'started', pid: child.pid });
