// See landlock.ts.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import koffi from 'koffi';
import { installFilter } from './install-filter.ts';
import { handledAccess, type LandlockedStart, type LandlockReport, type LandlockRule } from './landlock.ts';
import { landlockAbi } from './landlock-abi.ts';
import { memoryFile } from './memory-file.ts';

const libc = koffi.load('libc.so.6');
const addRule = libc.func(
  'long syscall(long number, long ruleset, int type, const void *rule, uint32_t flags)',
);
const restrictSelf = libc.func('long syscall(long number, long ruleset, uint32_t flags)');
const createRuleset = libc.func(
  'long syscall(long number, const void *attributes, size_t bytes, uint32_t flags)',
);
const prctl = libc.func(
  'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
);
const PR_SET_NO_NEW_PRIVS = 38;
const CREATE_RULESET = 444;
const ADD_RULE = 445;
const RESTRICT_SELF = 446;
const PATH_BENEATH = 1;
const O_PATH = 0o10000000;
/** bind and connect of TCP: none is named, so all are refused. */
const NET = 3n;
/** Abstract sockets, and signals. */
const SCOPED = 3n;

function checked(call: string, result: number | bigint): number {
  if (Number(result) < 0) throw new Error(`${call}: errno ${koffi.errno()}`);
  return Number(result);
}

function restrict(rules: readonly LandlockRule[]): void {
  const abi = landlockAbi();
  const attributes = new BigUint64Array([BigInt(handledAccess(abi)), NET, SCOPED]);
  const bytes = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
  const ruleset = checked('landlock_create_ruleset', createRuleset(CREATE_RULESET, attributes, bytes, 0));
  for (const { path, access } of rules) {
    const fd = openSync(path, O_PATH);
    // struct landlock_path_beneath_attr { uint64_t access; int fd; }, packed.
    const beneath = Buffer.alloc(12);
    beneath.writeBigUInt64LE(BigInt(access), 0);
    beneath.writeInt32LE(fd, 8);
    checked(`landlock_add_rule ${path}`, addRule(ADD_RULE, ruleset, PATH_BENEATH, beneath, 0));
    closeSync(fd);
  }
  checked('prctl', prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  checked('landlock_restrict_self', restrictSelf(RESTRICT_SELF, ruleset, 0));
  closeSync(ruleset);
}

const report = (message: LandlockReport): void => parentPort!.postMessage(message);
const { command, environment, settings, rules, filter } = workerData as LandlockedStart;
const settingsFd = memoryFile('settings', settings);
if (rules !== undefined) restrict(rules);
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
