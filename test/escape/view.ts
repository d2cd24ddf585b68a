// A hostile virtual kernel's look around: runs in the place of the real one, in the real sandbox, and tells what it found on the
// socket that it was given. Attempts are harmless where they succeed.
import { closeSync, constants, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

import { connect } from 'node:net';
import { hostname } from 'node:os';
import koffi from 'koffi';

/** open(2); Node has no name for it. */
const O_TMPFILE = 0o20200000;

/** What it reports. */
export interface Found {
  hostname: string;
  uid: number;
  /** Of /proc/self/status. */
  status: Record<string, string>;
  environ: string[];
  descriptors: string[];
  processes: number[];
  /** What came of opening each path: `read`, `listed` or the error. */
  read: Record<string, string>;
  written: Record<string, string>;
  /** By attempt: `ok` or the errno. */
  calls: Record<string, string>;
  top: string[];
}

export interface Asked {
  report: string;
  read: string[];
  write: string[];
  /** Bytes to fill memory with before the report. */
  fill?: number;
}

const syscall = koffi
  .load('libc.so.6')
  .func('long syscall(long n, long a, long b, long c, long d, long e, long f)');
const EPERM = 1;
const ENOSYS = 38;

/** Numbers of x86_64; of arm64 the younger ones are the same. */
const X64 = process.arch === 'x64';
const CALLS: Record<string, [x64: number, arm64: number, ...args: (number | bigint)[]]> = {
  ptrace: [101, 117, 16, 0x7fff_ffff],
  process_vm_readv: [310, 270, 0x7fff_ffff],
  process_vm_writev: [311, 271, 0x7fff_ffff],
  kcmp: [312, 272],
  mount: [165, 40],
  umount2: [166, 39],
  pivot_root: [155, 41],
  chroot: [161, 51],
  open_tree: [428, 428, -1],
  move_mount: [429, 429, -1],
  fsopen: [430, 430],
  mount_setattr: [442, 442, -1],
  'unshare user': [272, 97, 0x1000_0000],
  'unshare network': [272, 97, 0x4000_0000],
  setns: [308, 268, -1],
  clone3: [435, 435],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  add_key: [248, 217],
  keyctl: [250, 219],
  request_key: [249, 218],
  io_uring_setup: [425, 425],
  execve: [59, 221],
  execveat: [322, 281, -1],
  kill: [62, 129, 0x7fff_ffff],
  tgkill: [234, 131, 0x7fff_ffff, 0x7fff_ffff],
  pidfd_open: [434, 434, 0x7fff_ffff],
  pidfd_getfd: [438, 438, -1],
  open_by_handle_at: [304, 265, -1],
  name_to_handle_at: [303, 264, -1],
  init_module: [175, 105],
  finit_module: [313, 273, -1],
  kexec_load: [246, 104],
  reboot: [169, 142],
  swapon: [167, 224],
  syslog: [103, 116, 3],
  personality: [135, 92, 0xffff_ffff],
  mknodat: [259, 33, -1],
  fanotify_init: [300, 262],
  setuid: [105, 146, 0],
  capset: [126, 91],
  seccomp: [317, 277, 99],
  prctl: [157, 167, 22],
  bind: [49, 200, -1],
  listen: [50, 201, -1],
  chmod: [268, 53, -1],
  'socket inet': [41, 198, 2, 1, 0],
  'socket inet6': [41, 198, 10, 1, 0],
  'socket netlink': [41, 198, 16, 3, 0],
  'socket packet': [41, 198, 17, 3, 0],
  'socket vsock': [41, 198, 40, 1, 0],
  'socket alg': [41, 198, 38, 5, 0],
  'socket unix': [41, 198, 1, 1, 0],
  'sendto that connects': [44, 206, -1, 0, 0, 0x2000_0000],
  'sendmsg that connects': [46, 211, -1, 0, 0x2000_0000],
  'setsockopt of what connects': [54, 208, -1, 6, 30],
  'userfaultfd for faults of the kernel': [323, 282, 0],
  'userfaultfd for user mode': [323, 282, 1],
  'ioctl TIOCSTI': [16, 29, 1, 0x5412],
  'sched_setattr of another': [314, 274, 0x7fff_ffff],
  'prlimit of another': [302, 261, 0x7fff_ffff],
};

function call(name: string): string {
  const [x64, arm64, ...args] = CALLS[name]!;
  const all = [...args, 0, 0, 0, 0, 0, 0].slice(0, 6);
  if (Number(syscall(X64 ? x64 : arm64, ...all)) >= 0) return 'ok';
  const errno = koffi.errno();
  return errno === EPERM ? 'EPERM' : errno === ENOSYS ? 'ENOSYS' : `errno ${errno}`;
}

const attempt = (what: () => unknown, done: string): string => {
  try {
    what();
    return done;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
};

function read(path: string): string {
  const listed = attempt(() => readdirSync(path), 'listed');
  return listed === 'ENOTDIR' ? attempt(() => readFileSync(path), 'read') : listed;
}

const listOf = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};
const textOf = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

const asked = JSON.parse(process.env.ODONATA_ESCAPE ?? '{}') as Asked;
const kept: Buffer[] = [];
for (let bytes = 0; bytes < (asked.fill ?? 0); bytes += 2 ** 24) kept.push(Buffer.alloc(2 ** 24, 1));
const found: Found = {
  hostname: hostname(),
  uid: process.getuid!(),
  status: Object.fromEntries(
    textOf('/proc/self/status')
      .split('\n')
      .map((line) => line.split(/:\s*/) as [string, string])
      .filter(([name]) => name),
  ),
  environ: textOf('/proc/self/environ').split('\0').filter(Boolean),
  descriptors: listOf('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return 'gone';
    }
  }),
  processes: listOf('/proc').map(Number).filter(Number.isInteger),
  read: Object.fromEntries(asked.read.map((path) => [path, read(path)])),
  written: Object.fromEntries(
    asked.write.map((folder) => [
      folder,
      // Without a name: nobody else ever sees it.
      attempt(() => closeSync(openSync(folder, O_TMPFILE | constants.O_RDWR, 0o600)), 'written'),
    ]),
  ),
  calls: Object.fromEntries(Object.keys(CALLS).map((name) => [name, call(name)])),
  top: listOf('/'),
};
connect(asked.report, function (this: import('node:net').Socket) {
  this.end(JSON.stringify({ ...found, kept: kept.length }), () => process.exit(0));
});
