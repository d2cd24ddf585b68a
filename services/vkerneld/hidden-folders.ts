// Folders that no program gets, whatever is allowed: where clusters keep their keys, sockets and memory. They are known by
// device and inode, so what is renamed, linked or mounted somewhere else meanwhile stays hidden.
//
//   granted          refused, at or below one of them
//   above a grant    the virtual kernel is told which ones lie below what it gets, and lets no program in; where a grant is
//                    opened in a view (directory-view.ts) something else is mounted over them as well
import { closeSync, constants, fstatSync, openSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { Code, RpcError } from '@odonata/rpc/error.ts';

const O_PATH = 0o10000000;
/** Of one grant. */
const TOLD_MAX = 1_000;
/** Of all clusters. */
const HELD_MAX = 1_000;
/** Folders above each other. */
const DEPTH_MAX = 512;

export class HiddenFolders {
  readonly #said: readonly string[];
  /** Open, by device and inode: a program that may rename a folder above makes nothing of that. */
  readonly #held = new Map<string, number>();

  /** @param said absolute paths; with `*` at the end all that begin so, also those that are made later */
  constructor(said: readonly string[]) {
    this.#said = said.filter((path) => path !== '');
    this.#here();
  }

  /** @throws RpcError PERMISSION_DENIED where an open directory is one of them, or below one */
  expectShown(directory: number, what: string): void {
    const hidden = new Set(this.#here().map(keyOf));
    if (ancestry(`/proc/self/fd/${directory}`).some((key) => hidden.has(key)))
      throw new RpcError(
        Code.PermissionDenied,
        `${what} is of a cluster itself, its keys, sockets or memory, and is never granted to programs`,
      );
  }

  /** Those below an open directory: DEVICE:INODE, or DEVICE:INODE/BEGIN for all in a folder that begin so. */
  beneath(directory: number): string[] {
    const key = keyOf(`/proc/self/fd/${directory}`);
    const told = [
      ...this.#here().map((path) => ({ path, as: keyOf(path) })),
      ...this.#said.filter(isPattern).flatMap((pattern) => {
        const path = dirname(pattern);
        return isThere(path) ? [{ path, as: `${keyOf(path)}/${basename(pattern).slice(0, -1)}` }] : [];
      }),
    ].filter(({ path }) => ancestry(path).includes(key));
    return told.slice(0, TOLD_MAX).map(({ as }) => as);
  }

  /** Folders below a path, as from there. */
  pathsBeneath(top: string): string[] {
    return this.#here().flatMap((path) => {
      const below = relative(top, realpathSync(path));
      const isBelow = below !== '' && below !== '..' && !below.startsWith('../');
      return isBelow && statSync(path).isDirectory() ? [below] : [];
    });
  }

  close(): void {
    for (const fd of this.#held.values()) closeSync(fd);
    this.#held.clear();
  }

  /** Those that there are, and were since the start, wherever they are by now: paths of descriptors. */
  #here(): string[] {
    for (const path of this.#said.flatMap((said) => (isPattern(said) ? beginning(said) : [said]))) {
      if (this.#held.size >= HELD_MAX || !isThere(path)) continue;
      const fd = openSync(path, O_PATH);
      const key = keyOf(heldPath(fd));
      if (this.#held.has(key)) closeSync(fd);
      else this.#held.set(key, fd);
    }
    for (const [key, fd] of this.#held) {
      if (fstatSync(fd).nlink > 0) continue;
      closeSync(fd);
      this.#held.delete(key);
    }
    return [...this.#held.values()].map(heldPath);
  }
}

const heldPath = (fd: number): string => `/proc/self/fd/${fd}`;
const isPattern = (path: string): boolean => path.endsWith('*');
const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

function beginning(pattern: string): string[] {
  const [folder, begin] = [dirname(pattern), basename(pattern).slice(0, -1)];
  try {
    return readdirSync(folder)
      .filter((name) => name.startsWith(begin))
      .map((name) => join(folder, name));
  } catch {
    return [];
  }
}

function keyOf(path: string): string {
  const { dev, ino } = statSync(path, { bigint: true });
  return `${dev}:${ino}`;
}

/** Of a file or folder, and of all folders above it, through mounts. */
function ancestry(path: string): string[] {
  const first = keyOf(path);
  const isFolder = statSync(path).isDirectory();
  const fd = openSync(isFolder ? path : dirname(path), O_PATH | constants.O_DIRECTORY);
  try {
    const keys = [first];
    for (let above = `/proc/self/fd/${fd}`, depth = 0; depth < DEPTH_MAX; depth++, above += '/..') {
      const key = keyOf(above);
      if (depth > 0 && key === keys.at(-1)) break;
      keys.push(key);
    }
    return keys;
  } finally {
    closeSync(fd);
  }
}
