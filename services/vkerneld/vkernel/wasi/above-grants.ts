/**
 * The directories that lead to the grants and to the mounts of the virtual kernel: `/`, what is between it and a grant, and `/dev`.
 * They can be listed and looked at, and lead into these; nothing else is in them. Programs look at the directories above a file, and
 * take one that they cannot list for none. Where a grant and a mount have the same path, the grant is there.
 */
import { fstatSync } from 'node:fs';
import { Filetype } from './abi.ts';
import type {
  Descriptor,
  DescriptorTable,
  DirectoryDescriptor,
  DirectoryEntry,
  NowhereDescriptor,
} from './descriptor-table.ts';
import { Errno, WasiError } from './errno.ts';
import { deviceEntries, deviceOf } from './mounts/devices.ts';
import type { FileAt } from './mounts/file-request.ts';

/** What a C library looks for at the beginning of a path: '' stands at that of each. */
export const covers = (guestPath: string): string => guestPath.replace(/^(\/|\.\/|\.$)+/, '');

/** The grants of a process that are still open, by what they cover. */
type Grants = ReadonlyMap<string, DirectoryDescriptor>;

export function grantsOf(open: Iterable<Descriptor>): Grants {
  const grants = new Map<string, DirectoryDescriptor>();
  for (const each of open) {
    if (each.kind !== 'directory' || each.preopen === undefined) continue;
    // A path of the host's calls is a string with one character a byte.
    grants.set(covers(Buffer.from(each.preopen).toString('latin1')), each);
  }
  return grants;
}

const join = (above: string, name: string): string => (above === '' ? name : `${above}/${name}`);
const leadsTo = (above: string, grants: Grants, mounts: ReadonlySet<string>): boolean =>
  above === '' ||
  (mounts.has('dev') && (above === 'dev' || above === 'dev/fd')) ||
  [...grants.keys(), ...mounts].some((path) => path.startsWith(`${above}/`));

/** Every directory above one of these grants, `/` first, and those of devices. */
export function leadingTo(preopens: Iterable<Uint8Array<ArrayBuffer>>): string[] {
  const above = new Set(['', 'dev', 'dev/fd']);
  for (const preopen of preopens) {
    const components = covers(Buffer.from(preopen).toString('latin1')).split('/');
    for (let count = 1; count < components.length; count++) above.add(components.slice(0, count).join('/'));
  }
  return [...above];
}

/** Where a path leads that begins at a descriptor: into a grant, beneath what was opened, or above the grants. */
export function placeAt(descriptors: DescriptorTable, fd: number, rights: bigint, path: string): Place {
  const descriptor = descriptors.get(fd, rights);
  if (descriptor.kind === 'mounted-folder') {
    if (path === '') throw new WasiError(Errno.noent);
    return { at: { handle: descriptor.handle }, path };
  }
  if (descriptor.kind !== 'nowhere') return { directory: descriptors.directory(fd, rights), path };
  const place = placeOf(descriptor, path, grantsOf(descriptors.all()), descriptors.mounts);
  if ('directory' in place && ((place.directory.lost ?? 0n) & rights) !== 0n)
    throw new WasiError(Errno.notcapable);
  return place;
}

export type Place =
  | { readonly directory: DirectoryDescriptor; readonly path: string }
  /** In a mount of the virtual kernel. */
  | { readonly at: FileAt; readonly path: string }
  /** In /dev. */
  | { readonly device: string }
  | { readonly above: string };

/** Where a path leads that begins in such a directory. ENOENT where neither a grant is, nor what leads to one. */
export function placeOf(
  { above: from }: NowhereDescriptor,
  path: string,
  grants: Grants,
  mounts: ReadonlySet<string> = new Set(),
): Place {
  if (path === '') throw new WasiError(Errno.noent);
  if (path.startsWith('/')) throw new WasiError(Errno.notcapable);
  const components = path.split('/').filter((each) => each !== '');
  // Which descriptors are open only the process itself knows.
  if (
    from === '' &&
    mounts.has('proc') &&
    mounts.has('dev') &&
    /^proc\/self\/fd(\/|$)/.test(components.join('/'))
  )
    components.splice(0, 3, 'dev', 'fd');
  let above = from;
  for (const [i, component] of components.entries()) {
    if (component === '.') continue;
    above = component === '..' ? above.replace(/\/?[^/]*$/, '') : join(above, component);
    const after = components.slice(i + 1);
    // Back at once: what is here is no link.
    if (after.find((each) => each !== '.') === '..') {
      if (grants.has(above) || leadsTo(above, grants, mounts) || mounts.has(above)) continue;
    }
    const rest = after.join('/');
    const pathThere = rest === '' ? '.' : path.endsWith('/') ? `${rest}/` : rest;
    const directory = grants.get(above);
    if (directory !== undefined) return { directory, path: pathThere };
    if (mounts.has(above) && above !== 'dev') {
      if (!liesBelow(join(above, rest), above, [...grants.keys(), ...mounts]))
        return { at: { mount: above }, path: pathThere };
      continue;
    }
    const device = mounts.has('dev') ? deviceOf(above) : undefined;
    if (device !== undefined) {
      if (rest !== '' || path.endsWith('/')) throw new WasiError(Errno.notdir);
      return { device };
    }
    if (!leadsTo(above, grants, mounts)) throw new WasiError(Errno.noent);
  }
  return { above };
}

/** A path leads into a grant or a mount that lies below a mount. */
const liesBelow = (path: string, mount: string, others: readonly string[]): boolean =>
  others.some((grant) => grant.startsWith(`${mount}/`) && (path === grant || path.startsWith(`${grant}/`)));

/** What such a directory lists. */
export function entriesAbove(
  { above }: NowhereDescriptor,
  grants: Grants,
  mounts: ReadonlySet<string> = new Set(),
  open: readonly number[] = [],
): DirectoryEntry[] {
  // Some take a name whose number is 0 for one that was removed.
  const names = new Map([
    ['.', 1n],
    ['..', 1n],
  ]);
  const add = (path: string, inode: () => bigint): void => {
    if (above !== '' && !path.startsWith(`${above}/`)) return;
    const rest = path.slice(above === '' ? 0 : above.length + 1);
    const name = rest.split('/')[0]!;
    names.set(name, name === rest ? inode() : (names.get(name) ?? 1n));
  };
  for (const mount of mounts) add(mount, () => 1n);
  for (const [grant, { host }] of grants) add(grant, () => fstatSync(host, { bigint: true }).ino);
  const directories = [...names].map(([name, inode]) => ({
    name: new Uint8Array(Buffer.from(name, 'latin1')),
    filetype: Filetype.directory,
    inode,
  }));
  return mounts.has('dev') ? [...directories, ...deviceEntries(above, open)] : directories;
}
