// Compiles the allow lists to what the kernel takes, by libseccomp: it knows the numbers of calls by architecture, and is on
// every Debian and Ubuntu, since apt stands on it.

import { closeSync, fstatSync, readSync } from 'node:fs';
import koffi from 'koffi';
import { memoryFile } from './memory-file.ts';
import { ABSENT, rulesOf, type SeccompRule, type Stage } from './seccomp-list.ts';

const ALLOW = 0x7fff_0000;
const errno = (number: number): number => 0x0005_0000 | number;
const EPERM = 1;
const ENOSYS = 38;
const ATTRIBUTE_OPTIMIZE = 8;
/** A tree by number instead of a list: some comparisons a call instead of a hundred. */
const BY_TREE = 2;
const MASKED_EQUAL = 7;

interface Library {
  init(action: number): unknown;
  setAttribute(context: unknown, attribute: number, value: number): number;
  numberOf(name: string): number;
  add(context: unknown, action: number, number: number, count: number, comparisons: Buffer | null): number;
  export(context: unknown, fd: number): number;
  release(context: unknown): void;
}

let loaded: Library | undefined;

/** @throws Error where it is not installed */
function library(): Library {
  if (loaded !== undefined) return loaded;
  const so = koffi.load('libseccomp.so.2');
  loaded = {
    init: so.func('void *seccomp_init(uint32_t action)'),
    setAttribute: so.func('int seccomp_attr_set(void *context, int attribute, uint32_t value)'),
    numberOf: so.func('int seccomp_syscall_resolve_name(const char *name)'),
    add: so.func(
      'int seccomp_rule_add_array(void *context, uint32_t action, int number, unsigned int count, const void *comparisons)',
    ),
    export: so.func('int seccomp_export_bpf(const void *context, int fd)'),
    release: so.func('void seccomp_release(void *context)'),
  };
  return loaded;
}

/** The filter of a stage, as an array of struct sock_filter. @throws Error */
export function seccompFilter(stage: Stage): Buffer {
  return compiled(errno(EPERM), (seccomp, context) => {
    // Before 2.5 there is none: then it is a list.
    seccomp.setAttribute(context, ATTRIBUTE_OPTIMIZE, BY_TREE);
    for (const rule of rulesOf(stage)) add(seccomp, context, ALLOW, rule);
    for (const call of ABSENT) add(seccomp, context, errno(ENOSYS), { call, where: [] });
  });
}

/** An allow list of somebody else's, such as a container's; of what is absent Node does without. @throws Error */
export const allowFilter = (rules: readonly SeccompRule[], absent: readonly string[]): Buffer =>
  compiled(errno(EPERM), (seccomp, context) => {
    for (const rule of rules) add(seccomp, context, ALLOW, rule);
    for (const call of absent) add(seccomp, context, errno(ENOSYS), { call, where: [] });
  });

/**
 * All but io_uring: what Node sets up of it when it starts would go past the filter of the run, and end it when it is refused
 * then. For starts without the filter of the start.
 */
export function ringlessFilter(): Buffer {
  return compiled(ALLOW, (seccomp, context) =>
    add(seccomp, context, errno(ENOSYS), { call: 'io_uring_setup', where: [] }),
  );
}

function compiled(byDefault: number, fill: (seccomp: Library, context: unknown) => void): Buffer {
  const seccomp = library();
  const context = seccomp.init(byDefault);
  try {
    fill(seccomp, context);
    const fd = memoryFile('seccomp');
    try {
      check('seccomp_export_bpf', seccomp.export(context, fd));
      const bytes = Buffer.alloc(fstatSync(fd).size);
      readSync(fd, bytes, 0, bytes.length, 0);
      return bytes;
    } finally {
      closeSync(fd);
    }
  } finally {
    seccomp.release(context);
  }
}

function add(seccomp: Library, context: unknown, action: number, { call, where }: SeccompRule): void {
  const number = seccomp.numberOf(call);
  // Of a kernel that is younger than the library, or of another architecture.
  if (number < 0) return;
  // struct scmp_arg_cmp { unsigned arg; int op; uint64_t mask; uint64_t value; }
  const comparisons = Buffer.alloc(24 * where.length);
  for (const [i, [index, mask, value]] of where.entries()) {
    comparisons.writeUInt32LE(index, 24 * i);
    comparisons.writeInt32LE(MASKED_EQUAL, 24 * i + 4);
    comparisons.writeBigUInt64LE(mask, 24 * i + 8);
    comparisons.writeBigUInt64LE(value, 24 * i + 16);
  }
  check(`seccomp_rule_add ${call}`, seccomp.add(context, action, number, where.length, comparisons));
}

function check(call: string, result: number): void {
  if (result !== 0) throw new Error(`${call}: errno ${-result}`);
}
