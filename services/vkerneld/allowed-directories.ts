// The directories that programs may be given (--allow-dir). Each is opened once; what is granted is opened once beneath it,
// component by component as the kernel does it, following no link. From then on there are descriptors and no paths: renames
// and links that anybody makes meanwhile change nothing of which directory a program has.
import { closeSync, constants, fstatSync, openSync, realpathSync } from 'node:fs';
import { normalize } from 'node:path';
import type { DirectoryGrant } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { invalidField, notFound } from '@odonata/rpc/refusal.ts';
import { close, Errno, SystemCallError } from '@odonata/userfault/libc.ts';
import { confined, type MountKind, openBeneath } from './directory-mount.ts';
import { DirectoryView } from './directory-view.ts';
import { expectFiles } from './file-system-kind.ts';
import { HiddenFolders } from './hidden-folders.ts';

/** Directories that are allowed on one node. */
export const ALLOWED_MAX = 1_024;
/** Directories of one program. */
export const GRANTS_MAX = 64;
const O_PATH = 0o10000000;

type Asked = Pick<DirectoryGrant, 'hostPath' | 'guestPath' | 'readOnly'>;

interface Root {
  /** As it was said, and where it was found when it was opened. */
  readonly paths: readonly string[];
  readonly fd: number;
  /** Where what is granted is opened instead, as it may be written or read only. */
  readonly views?: { readonly write: DirectoryView; readonly read: DirectoryView };
}

/** A directory for a program; whoever has it closes it. */
export interface OpenGrant {
  readonly fd: number;
  readonly guestPath: string;
  readonly readOnly: boolean;
  /** What lies below and is not for programs. */
  readonly hidden: string[];
  /** It is a home, whose size may be bounded. */
  readonly counted?: boolean;
}

export class AllowedDirectories {
  readonly #node: string;
  readonly #log: Logger;
  #said: readonly string[];
  /** Of these what is granted is for reading only. */
  readonly #readOnly = new Set<string>();
  #bwrap: string | undefined;
  /** After each change. */
  onChange: () => void = () => {};
  readonly #hidden: HiddenFolders;
  readonly #roots = new Map<string, Root>();
  /** What holds whoever gets one; undefined: nothing was granted yet. */
  #kind: MountKind | undefined;
  #mounts = true;

  /** @param hidden of these nothing is granted */
  constructor(dirs: readonly string[], node: string, log: Logger, hidden = new HiddenFolders([])) {
    this.#hidden = hidden;
    this.#node = node;
    this.#log = log;
    this.#said = dirs.map(withoutSlash);
    for (const dir of this.#said)
      if (this.#root(dir) === undefined) log.warn({ dir }, 'a directory of --allow-dir is not there yet');
  }

  /**
   * Where we are no root: has holders of what is granted confined to what is allowed. Those that are not there yet are not.
   * @param bwrap the path of bubblewrap
   */
  async confine(bwrap: string): Promise<void> {
    this.#bwrap = bwrap;
    for (const dir of this.#said) await this.#confine(bwrap, dir);
  }

  /** Landlock looks at what a folder lies below, which a mount of it alone does not say: from now on none is made. */
  withoutMounts(): void {
    this.#mounts = false;
  }

  /** By path. */
  list(): { path: string; readOnly: boolean }[] {
    return [...this.#said].sort().map((path) => ({ path, readOnly: this.#readOnly.has(path) }));
  }

  /** Allows one more. @throws RpcError NOT_FOUND, INVALID_ARGUMENT, PERMISSION_DENIED, RESOURCE_EXHAUSTED */
  async allow(asked: string, readOnly: boolean): Promise<void> {
    if (!asked.startsWith('/') || asked.includes('\0'))
      throw invalidField('directory.path', `"${asked}" is not an absolute path`);
    const dir = withoutSlash(normalize(asked));
    if (!this.#said.includes(dir) && this.#said.length >= ALLOWED_MAX)
      throw new RpcError(
        Code.ResourceExhausted,
        `${ALLOWED_MAX} directories are allowed on ${this.#node} already: take one away, or allow one above it`,
      );
    const root = this.#root(dir);
    if (root === undefined)
      throw notFound({ type: 'directory', name: dir }, `${dir} is no directory on ${this.#node}`);
    try {
      const what = `directory ${dir} of ${this.#node}`;
      expectFiles(root.fd, what);
      this.#hidden.expectShown(root.fd, what);
    } catch (error) {
      if (!this.#said.includes(dir)) this.#forget(dir);
      throw error;
    }
    if (readOnly) this.#readOnly.add(dir);
    else this.#readOnly.delete(dir);
    if (!this.#said.includes(dir)) {
      this.#said = [...this.#said, dir];
      if (this.#bwrap !== undefined) await this.#confine(this.#bwrap, dir);
    }
    this.onChange();
  }

  /** Takes one away. @throws RpcError NOT_FOUND */
  disallow(asked: string): void {
    const dir = withoutSlash(normalize(asked));
    if (!this.#said.includes(dir))
      throw notFound({ type: 'directory', name: dir }, `${dir} is not allowed on ${this.#node}`);
    this.#said = this.#said.filter((each) => each !== dir);
    this.#readOnly.delete(dir);
    this.#forget(dir);
    this.onChange();
  }

  #forget(dir: string): void {
    const root = this.#roots.get(dir);
    this.#roots.delete(dir);
    if (root === undefined) return;
    closeSync(root.fd);
    root.views?.write.close();
    root.views?.read.close();
  }

  async #confine(bwrap: string, dir: string): Promise<void> {
    const root = this.#root(dir);
    if (root === undefined) return;
    try {
      const path = root.paths.at(-1)!;
      const hidden = this.#hidden.pathsBeneath(path);
      const [write, read] = await Promise.all([
        DirectoryView.make(bwrap, path, { readOnly: false, hidden }),
        DirectoryView.make(bwrap, path, { readOnly: true, hidden }),
      ]);
      for (const { fd } of [write, read])
        if (!isSame(fd, root.fd)) throw new Error(`${path} is another directory than it was`);
      if (this.#roots.get(dir) === root) this.#roots.set(dir, { ...root, views: { write, read } });
      else for (const view of [write, read]) view.close();
    } catch (error) {
      this.#log.warn({ err: error, dir }, 'directories below it are granted as plain descriptors');
    }
  }

  // The one place where a link is followed: whoever starts this service says where its directories are.
  #root(dir: string): Root | undefined {
    const known = this.#roots.get(dir);
    if (known !== undefined) return known;
    try {
      const fd = openSync(dir, O_PATH | constants.O_DIRECTORY);
      const root = { fd, paths: [...new Set([dir, withoutSlash(realpathSync(`/proc/self/fd/${fd}`))])] };
      this.#roots.set(dir, root);
      return root;
    } catch {
      return undefined;
    }
  }

  /** Opens what a program asks for. @param idMapping of whoever gets them @throws RpcError PERMISSION_DENIED, NOT_FOUND, INVALID_ARGUMENT, RESOURCE_EXHAUSTED */
  open(dirs: readonly Asked[], idMapping?: number): OpenGrant[] {
    if (dirs.length > GRANTS_MAX)
      throw invalidField('start.dirs', `${GRANTS_MAX} directories are the most of one program`);
    const grants: OpenGrant[] = [];
    try {
      for (const dir of dirs) grants.push(this.#open(dir, idMapping));
      return grants;
    } catch (error) {
      closeGrants(grants);
      throw error;
    }
  }

  #open({ hostPath, guestPath, readOnly }: Asked, idMapping: number | undefined): OpenGrant {
    if (!hostPath.startsWith('/') || guestPath === '' || hostPath.includes('\0'))
      throw invalidField('start.dirs', `"${hostPath}" is not an absolute path with a path for the program`);
    const path = withoutSlash(normalize(hostPath));
    const found = this.#rootOf(path);
    if (found !== undefined) {
      const { root, beneath, dir } = found;
      if (this.#readOnly.has(dir) && !readOnly)
        throw new RpcError(
          Code.PermissionDenied,
          `directory ${hostPath} is allowed for reading only on ${this.#node}: ask for it so, as host:guest:ro`,
        );
      const directory = this.#beneath(root.fd, beneath, hostPath);
      let hidden: string[];
      try {
        const what = `directory ${hostPath} of ${this.#node}`;
        expectFiles(directory, what);
        this.#hidden.expectShown(directory, what);
        hidden = this.#hidden.beneath(directory);
      } catch (error) {
        close(directory);
        throw error;
      }
      if (root.views !== undefined) {
        close(directory);
        const view = readOnly ? root.views.read : root.views.write;
        this.#tell('view');
        return { fd: this.#beneath(view.fd, beneath, hostPath), guestPath, readOnly, hidden };
      }
      const { fd, kind } = this.#mounts
        ? confined(directory, readOnly, idMapping)
        : { fd: directory, kind: 'plain' as const };
      this.#tell(kind);
      return { fd, guestPath, readOnly, hidden };
    }
    const which = this.#said.length === 0 ? 'none is' : `allowed: ${this.#said.join(', ')}`;
    throw new RpcError(
      Code.PermissionDenied,
      `directory ${hostPath} is not allowed on ${this.#node} (${which}; vkerneld's --allow-dir says which)`,
    );
  }

  /**
   * Of those that hold a path, the one closest to it: where one lies below the other, what is between them, a link or a
   * mount perhaps, is no obstacle, in whichever order they were said.
   */
  #rootOf(path: string): { root: Root; beneath: string; dir: string } | undefined {
    let closest: { root: Root; beneath: string; dir: string } | undefined;
    for (const dir of this.#said) {
      const root = this.#root(dir);
      for (const each of root?.paths ?? []) {
        const beneath = below(path, each);
        if (beneath === undefined || (closest && closest.beneath.length <= beneath.length)) continue;
        closest = { root: root!, beneath, dir };
      }
    }
    return closest;
  }

  #beneath(root: number, path: string, asked: string): number {
    try {
      return openBeneath(root, path);
    } catch (error) {
      throw this.#refusal(error, asked);
    }
  }

  #refusal(error: unknown, path: string): unknown {
    if (!(error instanceof SystemCallError)) return error;
    const on = `${path} on ${this.#node}`;
    switch (error.errno) {
      case Errno.ENOENT:
        return notFound({ type: 'directory', name: path }, `no directory ${on} (ENOENT)`, { cause: error });
      case Errno.ENOTDIR:
        return invalidField('start.dirs', `${on} is not a directory`, { cause: error });
      case Errno.ELOOP:
      case Errno.EXDEV:
        return new RpcError(
          Code.PermissionDenied,
          `directory ${on} is not allowed: a part of the path is a link; give the path without it`,
          { cause: error },
        );
      case Errno.EACCES:
      case Errno.EPERM:
        return new RpcError(Code.PermissionDenied, `directory ${on}: ${error.code}`, { cause: error });
      default:
        return new RpcError(Code.ResourceExhausted, `directory ${on} cannot be opened: ${error.message}`, {
          cause: error,
        });
    }
  }

  #tell(kind: MountKind): void {
    if (this.#kind === kind) return;
    this.#kind = kind;
    if (kind === 'mount') this.#log.info('granted directories are mounts of their own');
    else if (kind === 'view')
      this.#log.info('granted directories are opened where nothing is but what is allowed');
    else
      this.#log.warn(
        'granted directories are plain descriptors: only the virtual kernel keeps a program within them, and from ' +
          'writing to what is read-only (mounts of their own take CAP_SYS_ADMIN)',
      );
  }

  close(): void {
    for (const { fd, views } of this.#roots.values()) {
      closeSync(fd);
      views?.write.close();
      views?.read.close();
    }
    this.#roots.clear();
    this.#hidden.close();
  }
}

const isSame = (a: number, b: number): boolean => {
  const [one, other] = [fstatSync(a), fstatSync(b)];
  return one.ino === other.ino && one.dev === other.dev;
};

export function closeGrants(grants: readonly OpenGrant[]): void {
  for (const { fd } of grants) close(fd);
}

const withoutSlash = (path: string): string =>
  path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;

/** The rest of a path beneath a directory: '' is that itself. */
function below(path: string, directory: string): string | undefined {
  if (path === directory) return '';
  const prefix = directory === '/' ? '/' : `${directory}/`;
  return path.startsWith(prefix) ? path.slice(prefix.length) : undefined;
}
