// A process behind Landlock, landlock(7), where no namespaces can be made: a pod of Kubernetes, mostly. Rules bind the thread
// that takes them, and whatever it starts: so a thread of ours takes them, starts the process, and lives until that ends.
import { statSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

export interface LandlockedStart {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What it reads from a descriptor before all else, once it is told to go on. */
  readonly settings: Uint8Array;
  /** Descriptor of its output; it stays open until the process has started. */
  readonly output: number;
  /** Undefined: it is not restricted. */
  readonly rules: readonly LandlockRule[] | undefined;
  /** Seccomp, from its start on. */
  readonly filter: Uint8Array | undefined;
}

/** What may be done below a path, bits of `linux/landlock.h`. */
export interface LandlockRule {
  readonly path: string;
  readonly access: number;
}

/** From the thread. */
export type LandlockReport =
  | { readonly type: 'started'; readonly pid: number }
  | { readonly type: 'ended'; readonly how: string };

const EXECUTE = 1 << 0;
const WRITE_FILE = 1 << 1;
const READ_FILE = 1 << 2;
const READ_DIR = 1 << 3;
export const TRUNCATE = 1 << 14;
/** Devices, sockets and pipes are none of a program's business. */
const MAKE_SPECIAL = (1 << 6) | (1 << 9) | (1 << 10) | (1 << 11);
const IOCTL_DEVICE = 1 << 15;
const OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE;
const READ = EXECUTE | READ_FILE | READ_DIR;

/** All that a kernel knows of files. */
export const handledAccess = (abi: number): number =>
  abi >= 5 ? 0xffff : abi >= 3 ? 0x7fff : abi >= 2 ? 0x3fff : 0x1fff;

export function landlockRules(
  { readOnly, writable }: { readOnly: readonly string[]; writable: readonly string[] },
  abi: number,
): LandlockRule[] {
  const known = handledAccess(abi);
  const write = known & ~(EXECUTE | MAKE_SPECIAL | IOCTL_DEVICE);
  const rule = (path: string, access: number): LandlockRule[] => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    return [{ path, access: known & (stat.isDirectory() ? access : access & OF_FILES) }];
  };
  return [
    ...readOnly.flatMap((path) => rule(path, READ)),
    ...writable.flatMap((path) => rule(path, write)),
    ...rule('/dev/null', READ_FILE | WRITE_FILE),
    ...rule('/dev/urandom', READ_FILE),
  ];
}

/** Starts it. @returns its pid, how it ends, and what lets it go on: until then it waits, and has run nothing */
export function startLandlocked(start: LandlockedStart): {
  pid: Promise<number>;
  ended: Promise<string>;
  goOn: () => void;
} {
  const thread = new Worker(new URL('./landlock-thread.ts', import.meta.url), {
    workerData: start,
    trackUnmanagedFds: false,
  });
  const pid = Promise.withResolvers<number>();
  const ended = Promise.withResolvers<string>();
  const failed = (reason: string) => {
    pid.reject(new Error(reason));
    ended.resolve(reason);
  };
  thread.on('message', (report: LandlockReport) => {
    if (report.type === 'started') pid.resolve(report.pid);
    else failed(report.how);
  });
  thread.on('error', (error) => failed(error.message));
  thread.on('exit', () => failed('its thread ended'));
  return { pid: pid.promise, ended: ended.promise, goOn: () => thread.postMessage('go on') };
}
