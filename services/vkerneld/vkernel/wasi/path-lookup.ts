// Looks up a guest's path beneath a directory that it was granted, and never leaves that directory.
//
// A path is walked one component at a time. Each directory on the way is opened relative to the last one, without
// following a symbolic link; links are read and walked by us, under the same rules. So whatever anybody renames or
// links meanwhile, each step starts from a directory that was reached from the grant, and '..' goes back to a
// directory that we hold open: the kernel is never asked to resolve '..', an absolute path or a link.
//
// Node has no openat(2); '/proc/self/fd/N/name' means the same: N is a directory held open, and only `name` is
// looked up in it. Whoever uses the result must not let the kernel follow a link at `name` (O_NOFOLLOW, lstat, ...).
//
// A name is bytes, and need not be UTF-8: here a path is a string with one character a byte (`GuestMemory.path`).

import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, readlinkSync } from 'node:fs';
import { Errno, hostCodeOf, WasiError } from './errno.ts';
import { expectNameShown, expectOpenShown } from './hidden.ts';

const O_PATH = 0o10000000;
const openDirectoryFlags = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;

const pathBytesMax = 4096;
const depthMax = 512;
/** As Linux has it. */
const linksMax = 40;

/** The path of an open descriptor of this OS process. */
export function descriptorPath(hostFd: number): string {
  return `/proc/self/fd/${hostFd}`;
}

export class PathLookup {
  /** The directories from the grant downwards; the first belongs to the caller. */
  readonly #directories: number[];
  /** Components still to walk, the next one last. */
  #pending: string[] = [];
  #links = 0;
  #name = '.';
  /** True: the path ended in a slash, '.' or '..', so what it names has to be a directory. */
  mustBeDirectory = false;
  /** True: the path ended in '..'. */
  endsInParent = false;

  constructor(directory: number, path: string) {
    if (path === '') throw new WasiError(Errno.noent);
    if (path.length > pathBytesMax) throw new WasiError(Errno.nametoolong);
    if (path.includes('\0')) throw new WasiError(Errno.inval);
    this.#directories = [directory];
    try {
      this.#walk(path);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** The last component: a name in `directory`, or '.' for that directory itself. */
  get name(): string {
    return this.#name;
  }

  /** The host's descriptor of the directory that the last component is in. */
  get directory(): number {
    return this.#directories.at(-1)!;
  }

  /** A path for a host call that does not follow a link at its end. */
  get hostPath(): HostPath {
    return this.#name === '.' ? descriptorPath(this.directory) : hostPathOf(this.directory, this.#name);
  }

  get isDirectoryItself(): boolean {
    return this.#name === '.';
  }

  /** Where the last component is a link: walks on through it. False when it is none (any more). */
  followLink(): boolean {
    if (this.#name === '.') return false;
    const target = this.#readLink(this.#name);
    if (target === undefined) return false;
    this.#walk(target);
    return true;
  }

  /** @throws WasiError ENOTDIR where a path with a slash at its end names something else */
  expectDirectoryWhereNamedSo(): void {
    if (this.mustBeDirectory && !lstatSync(this.hostPath).isDirectory()) throw new WasiError(Errno.notdir);
  }

  /** A name that is to be made. @throws WasiError as the kernel does: EEXIST where something is, then ENOENT for a slash after nothing */
  expectNothingThere(): void {
    if (this.isDirectoryItself || lstatSync(this.hostPath, { throwIfNoEntry: false }) !== undefined)
      throw new WasiError(Errno.exist);
    if (this.mustBeDirectory) throw new WasiError(Errno.noent);
  }

  close(): void {
    while (this.#directories.length > 1) closeSync(this.#directories.pop()!);
  }

  #walk(path: string): void {
    this.#push(path);
    for (;;) {
      const component = this.#pending.pop()!;
      const isLast = this.#pending.length === 0;
      if (component === '.' || component === '..') {
        if (component === '..') this.#ascend();
        if (!isLast) continue;
        this.#name = '.';
        this.mustBeDirectory = true;
        this.endsInParent = component === '..';
        return;
      }
      if (isLast) {
        if (component.length > 255) throw new WasiError(Errno.nametoolong);
        expectNameShown(this.directory, component, () => hostPathOf(this.directory, component));
        this.#name = component;
        return;
      }
      this.#descend(component);
    }
  }

  #push(path: string): void {
    if (path.startsWith('/')) throw new WasiError(Errno.notcapable);
    const components = path.split('/').filter((component) => component !== '');
    if (path.endsWith('/') && this.#pending.length === 0) this.mustBeDirectory = true;
    for (const component of components.reverse()) this.#pending.push(component);
  }

  #ascend(): void {
    if (this.#directories.length === 1) throw new WasiError(Errno.notcapable);
    closeSync(this.#directories.pop()!);
  }

  #descend(component: string): void {
    if (this.#directories.length > depthMax) throw new WasiError(Errno.nametoolong);
    try {
      const path = hostPathOf(this.directory, component);
      expectNameShown(this.directory, component, () => path);
      const opened = openSync(path, openDirectoryFlags);
      expectOfGrant(this.directory, opened);
      this.#directories.push(opened);
    } catch (error) {
      const code = hostCodeOf(error);
      if (code !== 'ENOTDIR' && code !== 'ELOOP') throw error;
      const target = this.#readLink(component);
      if (target === undefined) throw new WasiError(Errno.notdir);
      this.#push(target);
    }
  }

  /** The target of a link; undefined when this is something else. */
  #readLink(component: string): string | undefined {
    let target: Buffer;
    try {
      target = readlinkSync(hostPathOf(this.directory, component), 'buffer');
    } catch (error) {
      if (hostCodeOf(error) === 'EINVAL') return undefined;
      throw error;
    }
    if (++this.#links > linksMax) throw new WasiError(Errno.loop);
    return target.toString('latin1');
  }
}

/** For node:fs; where it is the same as text, that takes half the time. */
export type HostPath = string | Buffer;

const NO_ASCII = /[\x80-\xff]/;

function hostPathOf(directory: number, name: string): HostPath {
  const path = `${descriptorPath(directory)}/${name}`;
  return NO_ASCII.test(name) ? Buffer.from(path, 'latin1') : path;
}

const mountOf = (host: number): string | undefined =>
  /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${host}`, 'utf8'))?.[1];

/**
 * What the host has mounted below a grant, procfs perhaps, is not part of it, nor is what is hidden: closes a descriptor
 * that was opened in a directory and is of another mount, or of that.
 * @param device of what was opened, where it is known
 */
export function expectOfGrant(directory: number, opened: number, device = fstatSync(opened).dev): void {
  try {
    expectOpenShown(opened);
  } catch (error) {
    closeSync(opened);
    throw error;
  }
  // Most have the same device: then it is the same file system, whatever the mount.
  if (fstatSync(directory).dev === device || mountOf(directory) === mountOf(opened)) return;
  closeSync(opened);
  throw new WasiError(Errno.notcapable);
}

/** Looks a path up, hands the result to `use`, and closes what the walk opened. */
export function withPath<T>(directory: number, path: string, use: (lookup: PathLookup) => T): T {
  const lookup = new PathLookup(directory, path);
  try {
    return use(lookup);
  } finally {
    lookup.close();
  }
}
