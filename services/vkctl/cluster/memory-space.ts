// The memory of this machine that clusters share: /dev/shm. Each cluster writes what its nodes were promised into its lock
// file, which is there, and locked, as long as the cluster is; so the next one promises only what is left. The folder is
// everybody's: of what stands there, only root and we ourselves are believed, and nothing there is waited for or followed.

import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  type Stats,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PAGE_BYTES } from '@odonata/coherency/page.ts';
import { EXIT, Failure } from '../failure.ts';
import { formatSize } from '../size.ts';

/** Nodes that were promised nothing by name share so much of what is left. */
const DEFAULT_PART = 0.75;
/** And get so much each all the same, where it is there now, however much others were promised. */
const DEFAULT_LEAST_BYTES = 256 * 2 ** 20;
/** With less a node cannot start a program. */
const LEAST_BYTES = 4 * 2 ** 20;
const LOCK = /^odonata-.*\.lock$/;

export interface MemorySpace {
  /** Where it is. */
  folder: string;
  sizeBytes: number;
  /** Nobody has written there yet. */
  availableBytes: number;
  /** What other clusters were promised and have not used yet. */
  promisedBytes: number;
}

/** What is there, and what others were promised of it. @param ownLock of the cluster that asks */
export function memorySpace(ownLock: string, folder = '/dev/shm'): MemorySpace {
  const { blocks, bavail, bsize } = statfsSync(folder);
  const sizeBytes = blocks * bsize;
  const held = lockedFiles();
  let promisedBytes = 0;
  for (const name of readdirSync(folder).filter((each) => LOCK.test(each))) {
    const file = join(folder, name);
    if (file === ownLock) continue;
    const promised = promiseIn(file, held);
    if (promised > 0) promisedBytes += Math.max(0, promised - usedBytes(file.replace(/\.lock$/, '')));
  }
  return {
    folder,
    sizeBytes,
    availableBytes: bavail * bsize,
    promisedBytes: Math.min(promisedBytes, sizeBytes),
  };
}

/** Bytes; 0 where it is nothing that a cluster of ours or of root's holds. */
function promiseIn(file: string, held: ReadonlySet<string>): number {
  let fd: number | undefined;
  try {
    fd = openSync(file, PROMISE_FLAGS);
    const about = fstatSync(fd);
    // One that nobody holds is of a dead cluster.
    if (!about.isFile() || !isTrusted(about) || !held.has(fileName(about))) return 0;
    const text = Buffer.alloc(PROMISE_CHARS);
    const promised = Number(text.toString('latin1', 0, readSync(fd, text, 0, PROMISE_CHARS, 0)));
    return Number.isSafeInteger(promised) ? promised : 0;
  } catch {
    // It went away meanwhile, is a link, or another user's and not ours to read.
    return 0;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** A pipe is not waited for, a link not followed. */
const PROMISE_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const PROMISE_CHARS = 32;

/** Anybody else may write there what they like. */
const isTrusted = ({ uid }: Stats): boolean => uid === 0 || uid === process.getuid!();

/** Writes down what a cluster promises. @param lockFile held by the caller */
export function promise(lockFile: string, bytes: number): void {
  writeFileSync(lockFile, `${bytes}\n`, { mode: 0o600 });
}

/** Files that somebody holds by flock(2), as /proc/locks names them. */
function lockedFiles(): Set<string> {
  const lines = readFileSync('/proc/locks', 'utf8').split('\n');
  return new Set(lines.flatMap((line) => /FLOCK .* ([0-9a-f]+:[0-9a-f]+:\d+) /.exec(line)?.[1] ?? []));
}

/** major:minor:inode, the first two in hexadecimal. */
function fileName({ dev, ino }: { dev: number; ino: number }): string {
  const hex = (number: number): string => number.toString(16).padStart(2, '0');
  return `${hex((dev >> 8) & 0xfff)}:${hex((dev & 0xff) | ((dev >> 12) & 0xfff00))}:${ino}`;
}

/** Of a folder that is trusted as its lock is: the folder of a stranger says nothing, however deep it is. */
function usedBytes(folder: string): number {
  const about = lstatSync(folder, { throwIfNoEntry: false });
  if (!about?.isDirectory() || !isTrusted(about)) return 0;
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    bytes += (lstatSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return bytes;
}

/**
 * Memory of each node.
 * @param wantedBytes what was asked for by name; absent: a share of what is left
 * @returns `note`: a line for people, where it is less than it could be
 * @throws Failure where there is not so much
 */
export function nodeMemory(
  space: MemorySpace,
  nodes: number,
  wantedBytes: number | undefined,
): { bytes: number; note?: string } {
  const { folder, sizeBytes, availableBytes, promisedBytes } = space;
  const left = Math.max(0, availableBytes - promisedBytes);
  const there = `${folder} has ${formatSize(availableBytes)} of ${formatSize(sizeBytes)} left`;
  const others = promisedBytes > 0 ? `, ${formatSize(promisedBytes)} of it promised to other clusters` : '';
  const largest = Math.floor(left / nodes / 2 ** 20);
  if (wantedBytes !== undefined) {
    if (wantedBytes < LEAST_BYTES)
      throw new Failure(`--node-memory: ${formatSize(LEAST_BYTES)} is the least that a node works with`, {
        exitCode: EXIT.usage,
      });
    if (wantedBytes * nodes <= left) return { bytes: wantedBytes };
    const asked = `--node-memory: ${nodes} x ${formatSize(wantedBytes)} is more than there is: ${there}${others}`;
    const fix = `Give ${largest}M or less, fewer nodes, or ${folder} more: mount -o remount,size=... ${folder}`;
    throw new Failure(asked, { fix });
  }
  const share = (bytes: number): number =>
    Math.floor((bytes * DEFAULT_PART) / nodes / PAGE_BYTES) * PAGE_BYTES;
  const alone = share(availableBytes);
  const bytes = Math.max(share(left), Math.min(alone, DEFAULT_LEAST_BYTES));
  if (bytes < LEAST_BYTES) {
    const fix = `Free some (df -h ${folder}), or give it more: mount -o remount,size=... ${folder}`;
    throw new Failure(`${there}: that is too little for ${nodes} nodes`, { fix });
  }
  return bytes < alone
    ? { bytes, note: `each node gets ${formatSize(bytes)} of memory: ${there}${others}` }
    : { bytes };
}
