// Puts the rules of Landlock on the thread that calls, landlock(7).
import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import type { LandlockRule } from './landlock.ts';
import { landlockAbi } from './landlock-abi.ts';

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

function checked(call: string, result: number | bigint): number {
  if (Number(result) < 0) throw new Error(`${call}: errno ${koffi.errno()}`);
  return Number(result);
}

/** What is refused where no rule allows it, bits of `linux/landlock.h`; of the net and the scopes where the kernel knows them. */
export interface Handled {
  readonly fs: number;
  readonly net?: number;
  readonly scoped?: number;
}

/** Binds this thread, and what it starts, for good. @throws Error where the kernel refuses it */
export function restrictThread(
  { fs, net = 0, scoped = 0 }: Handled,
  rules: readonly LandlockRule[] = [],
): void {
  const abi = landlockAbi();
  const attributes = new BigUint64Array([fs, net, scoped].map(BigInt));
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
