// The system calls that a virtual kernel may make: an allow list, in two stages.
//
//   run    from before any code of a guest is loaded until the end: what Node, V8's threads, gRPC on unix sockets, userfaultfd and
//          files of granted directories take. Nothing that starts a program, makes a namespace, a mount or a network socket,
//          looks into another process or signals one, loads code into the kernel or talks to its larger and younger parts.
//   start  from bubblewrap on: the same, and what takes the way from there to the first line of our code.
//
// Everything else answers EPERM; what a library tries and does without answers ENOSYS, as an older kernel would.

/** Number of an argument, which must equal `value` in the bits of `mask`. */
export type Comparison = readonly [index: number, mask: bigint, value: bigint];

/** A call, and what must hold of its arguments. */
export interface SeccompRule {
  readonly call: string;
  readonly where: readonly Comparison[];
}

export type Stage = 'start' | 'run';

const ALL_BITS = 0xffff_ffff_ffff_ffffn;
/** Where the kernel looks at 32 bits only. */
const INT_BITS = 0xffff_ffffn;

const AF_UNIX = 1n;
const MSG_FASTOPEN = 0x2000_0000n;
const TCP_FASTOPEN_CONNECT = 30n;
const UFFD_USER_MODE_ONLY = 1n;
const CLONE_THREAD = 0x1_0000n;
/** CLONE_NEWTIME, NS, CGROUP, UTS, IPC, USER, PID, NET. */
const CLONE_NEW =
  0x80n | 0x2_0000n | 0x200_0000n | 0x400_0000n | 0x800_0000n | 0x1000_0000n | 0x2000_0000n | 0x4000_0000n;
const CLONE_NEWUSER = 0x1000_0000n;

const words = (text: string): string[] => text.trim().split(/\s+/);

const ANY_ARGUMENTS = words(`
  read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek close close_range dup dup2 dup3
  fcntl fstat newfstatat statx stat lstat fstatfs statfs access faccessat faccessat2 readlink readlinkat getcwd
  open openat openat2 mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat symlink symlinkat
  ftruncate fallocate fadvise64 fsync fdatasync sync_file_range getdents64 utimensat copy_file_range sendfile
  poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd2 pipe2
  connect accept4 shutdown recvfrom recvmsg getsockopt getsockname getpeername
  mmap munmap mremap mprotect madvise brk membarrier mlock munlock mincore msync
  futex set_robust_list get_robust_list set_tid_address rseq sched_yield sched_getaffinity sched_getparam
  sched_getscheduler sched_get_priority_max sched_get_priority_min getpriority getcpu
  rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack restart_syscall
  clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage sysinfo uname
  getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getgroups getrlimit capget
  getrandom exit exit_group arch_prctl umask setitimer
`);

const always = (call: string): SeccompRule => ({ call, where: [] });
const only = (call: string, ...where: Comparison[]): SeccompRule => ({ call, where });
/** Any other value of an argument: some bit of it differs. */
const allBut = (call: string, index: number, value: bigint): SeccompRule[] =>
  Array.from({ length: 32 }, (_, i) => 1n << BigInt(i)).map((bit) => only(call, [index, bit, ~value & bit]));

/** ioctl(2): of the userfaultfd (made, registered, filled, woken), and what libuv asks of any descriptor. */
const IOCTLS = [
  ...[0xc018aa3f, 0xc020aa00, 0x8010aa01, 0x8010aa02, 0xc028aa03, 0xc020aa04, 0xc018aa06, 0xc020aa07],
  ...[0x5401 /* TCGETS */, 0x5413 /* TIOCGWINSZ */, 0x541b /* FIONREAD */, 0x5421 /* FIONBIO */],
  ...[0x5450 /* FIONCLEX */, 0x5451 /* FIOCLEX */],
];
const USERFAULTFD_IOC_NEW = 0xaa00n;
const PRCTLS = [
  3 /* PR_GET_DUMPABLE */, 15 /* PR_SET_NAME */, 16 /* PR_GET_NAME */, 0x53564d41 /* PR_SET_VMA */,
];

const RUN: readonly SeccompRule[] = [
  ...ANY_ARGUMENTS.map(always),
  // Faults of a system call are the kernel's own: whoever can make those wait can win races in it.
  only('userfaultfd', [0, UFFD_USER_MODE_ONLY, UFFD_USER_MODE_ONLY]),
  only('ioctl', [1, INT_BITS, USERFAULTFD_IOC_NEW], [2, UFFD_USER_MODE_ONLY, UFFD_USER_MODE_ONLY]),
  only('socket', [0, INT_BITS, AF_UNIX]),
  only('socketpair', [0, INT_BITS, AF_UNIX]),
  // What connects besides connect(2), and would take data along in its first packet (locked-filter.ts).
  only('sendto', [3, MSG_FASTOPEN, 0n]),
  only('sendmsg', [2, MSG_FASTOPEN, 0n]),
  ...allBut('setsockopt', 2, TCP_FASTOPEN_CONNECT),
  // Threads, and no processes. The C library asks clone3, whose flags are out of sight, and goes on by clone.
  only('clone', [0, CLONE_THREAD | CLONE_NEW, CLONE_THREAD]),
  ...IOCTLS.map((request) => only('ioctl', [1, INT_BITS, BigInt(request)])),
  ...PRCTLS.map((option) => only('prctl', [0, INT_BITS, BigInt(option)])),
  // Of itself only.
  only('prlimit64', [0, INT_BITS, 0n]),
  only('sched_setattr', [0, INT_BITS, 0n]),
  only('sched_getattr', [0, INT_BITS, 0n]),
  only('setpriority', [0, INT_BITS, 0n], [1, INT_BITS, 0n]),
];

const START: readonly SeccompRule[] = [
  ...RUN,
  ...words(
    'execve prctl seccomp setuid setgid setresuid setresgid setgroups capset setsid wait4 sched_setaffinity',
  ).map(always),
  only('unshare', [0, ALL_BITS, CLONE_NEWUSER]),
];

/** What is tried, and done without. */
export const ABSENT = words(
  'clone3 io_uring_setup io_uring_enter io_uring_register pkey_alloc mseal map_shadow_stack set_mempolicy get_mempolicy mbind',
);

export const rulesOf = (stage: Stage): readonly SeccompRule[] => (stage === 'run' ? RUN : START);
