// Puts a seccomp filter on this process, for good.
import koffi from 'koffi';

const libc = koffi.load('libc.so.6');
const prctl = libc.func(
  'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
);
const syscall = libc.func(
  'long syscall(long number, long operation, unsigned long flags, const void *program)',
);
const addressIn = libc.func('uintptr_t memchr(const uint8_t *p, int c, size_t n)');

const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP = process.arch === 'arm64' ? 277 : 317;
const SET_MODE_FILTER = 1;
/** Also on the threads that V8 and libuv have started. */
const TSYNC = 1;
/** What is refused is told to the audit log of the machine, where that wants it. */
const LOG = 2;
const FILTER_BYTES = 8;

/** @param filter of `seccompFilter` @param allThreads else this one, and what it starts @throws Error where the kernel refuses it: then nothing of a guest may run */
export function installFilter(filter: Buffer, { logs = false, allThreads = true } = {}): void {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw new Error(`prctl: errno ${koffi.errno()}`);
  // Over a buffer of its own: a small one lies in a pool, and may move.
  const instructions = new Uint8Array(new ArrayBuffer(filter.length));
  instructions.set(filter);
  // struct sock_fprog { unsigned short length; struct sock_filter *instructions; }
  const program = new DataView(new ArrayBuffer(16));
  program.setUint16(0, filter.length / FILTER_BYTES, true);
  program.setBigUint64(8, addressOf(instructions), true);
  const flags = (allThreads ? TSYNC : 0) | (logs ? LOG : 0);
  const result = Number(syscall(SECCOMP, SET_MODE_FILTER, flags, new Uint8Array(program.buffer)));
  if (result !== 0)
    throw new Error(
      `seccomp: ${result > 0 ? `thread ${result} has another filter` : `errno ${koffi.errno()}`}`,
    );
}

/** Of a buffer that does not move: its first byte is found by looking for it. */
function addressOf(bytes: Uint8Array): bigint {
  return BigInt(addressIn(bytes, bytes[0]!, 1));
}
