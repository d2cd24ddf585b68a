// What a descriptor of a granted directory lets its holder do, whoever that is: also a virtual kernel that was taken over
// from within, and asks the host's kernel itself.
//
//   mount   a mount of the directory alone, part of no namespace: '..' at its top leads nowhere, what is mounted below is not
//           there, nothing in it is a device or set-uid, and of a read-only one the kernel refuses every write. Nobody can
//           change these later, since nobody can name the mount. Takes CAP_SYS_ADMIN in the mount namespace.
//   view    the same in a mount namespace that holds what is allowed, and nothing else: '..' leads up to that. For a plain user
//           (directory-view.ts)
//   plain   a descriptor of the directory: what a program may do there only the virtual kernel looks after
import { constants } from 'node:fs';
import {
  cloneMount,
  close,
  Errno,
  MountAttribute,
  openat2,
  Resolve,
  SystemCallError,
  setMountAttributes,
} from '@odonata/userfault/libc.ts';

const O_CLOEXEC = 0o2000000;
// A link at the end is none that is followed, and is told from what is no directory.
export const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | O_CLOEXEC;
const STRICT = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS;

export type MountKind = 'mount' | 'view' | 'plain';

/** No right to it, a seccomp profile, a file system that cannot be mounted so, locked mounts below. */
const NOT_HERE: ReadonlySet<number> = new Set([Errno.EPERM, Errno.ENOSYS, Errno.EINVAL]);

/** Where a file system cannot do it, the holder has the rights there that everybody has. */
function mapIds(mount: number, idMapping: number): void {
  try {
    setMountAttributes(mount, MountAttribute.IDMAP, idMapping);
  } catch (error) {
    if (!(error instanceof SystemCallError) || !NOT_HERE.has(error.errno)) throw error;
  }
}

/** Opens a directory beneath another one, in which no component of the path is a link. */
export const openBeneath = (root: number, path: string): number =>
  openat2(root, path === '' ? '.' : path, OPEN_DIRECTORY, STRICT);

/**
 * A descriptor to pass on, in the place of this one, which is closed.
 * @param idMapping a user namespace: whose files are whose for the holder, who has another uid than we
 */
export function confined(
  directory: number,
  readOnly: boolean,
  idMapping?: number,
): { fd: number; kind: MountKind } {
  let mount: number;
  try {
    mount = cloneMount(directory);
  } catch (error) {
    if (error instanceof SystemCallError && NOT_HERE.has(error.errno))
      return { fd: directory, kind: 'plain' };
    close(directory);
    throw error;
  }
  try {
    const { RDONLY, NOSUID, NODEV } = MountAttribute;
    const attributes = NOSUID | NODEV | (readOnly ? RDONLY : 0);
    if (idMapping !== undefined) mapIds(mount, idMapping);
    setMountAttributes(mount, attributes);
    return { fd: openat2(mount, '.', OPEN_DIRECTORY, STRICT), kind: 'mount' };
  } finally {
    // The mount goes out of every namespace with this descriptor; the one that is passed on keeps it alive.
    close(mount);
    close(directory);
  }
}
