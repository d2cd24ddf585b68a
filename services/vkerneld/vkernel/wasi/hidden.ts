// Folders below what a program was granted that it does not get, by device and inode: of clusters of this machine. The
// supervisor says which. One program runs in a thread at a time.
import { fstatSync, lstatSync } from 'node:fs';
import { Errno, WasiError } from './errno.ts';

const inodes = new Set<string>();
/** By folder: what begins so in it. */
const beginnings = new Map<string, string[]>();

/** @param said DEVICE:INODE, or DEVICE:INODE/BEGIN */
export function hide(said: readonly string[]): void {
  inodes.clear();
  beginnings.clear();
  for (const each of said) {
    const [inode, begin] = each.split('/') as [string, string?];
    if (begin === undefined) inodes.add(inode);
    else beginnings.set(inode, [...(beginnings.get(inode) ?? []), begin]);
  }
}

/** Nothing is: no name need be looked at. */
export const hidesNothing = (): boolean => inodes.size === 0 && beginnings.size === 0;

/** @throws WasiError EACCES of an open file or directory */
export function expectOpenShown(host: number): void {
  if (inodes.size === 0) return;
  const { dev, ino } = fstatSync(host, { bigint: true });
  if (inodes.has(`${dev}:${ino}`)) throw new WasiError(Errno.acces);
}

/** @param path of that name in the directory, for the host. @throws WasiError EACCES of a name, whether or not it is there */
export function expectNameShown(directory: number, name: string, path: () => string | Buffer): void {
  if (beginnings.size > 0) {
    const { dev, ino } = fstatSync(directory, { bigint: true });
    const begins = beginnings.get(`${dev}:${ino}`) ?? [];
    if (begins.some((begin) => name.startsWith(begin))) throw new WasiError(Errno.acces);
  }
  if (inodes.size === 0) return;
  const found = lstatSync(path(), { bigint: true, throwIfNoEntry: false });
  if (found && inodes.has(`${found.dev}:${found.ino}`)) throw new WasiError(Errno.acces);
}
