/**
 * The directories that lead to the grants: `/`, and what is between it and a grant. They can be listed and looked at, and
 * lead into the grants; nothing else is in them. Programs look at the directories above a file, and take one that they
 * cannot list for none.
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
const leadsTo = (above: string, grants: Grants): boolean =>
  above === '' || [...grants.keys()].some((grant) => grant.startsWith(`${above}/`));

/** Every directory above one of these grants, `/` first. */
export function leadingTo(preopens: Iterable<Uint8Array<ArrayBuffer>>): string[] {
  const above = new Set(['']);
  for (const preopen of preopens) {
    const components = covers(Buffer.from(preopen).toString('latin1')).split('/');
    for (let count = 1; count < components.length; count++) above.add(components.slice(0, count).join('/'));
  }
  return [...above];
}

/** Where a path leads that begins at a descriptor: into a grant, beneath what was opened, or above the grants. */
export function placeAt(descriptors: DescriptorTable, fd: number, rights: bigint, path: string): Place {
  const descriptor = descriptors.get(fd, rights);
  if (descriptor.kind !== 'nowhere') return { directory: descriptors.directory(fd, rights), path };
  const place = placeOf(descriptor, path, grantsOf(descriptors.all()));
  if ('directory' in place && ((place.directory.lost ?? 0n) & rights) !== 0n)
    throw new WasiError(Errno.notcapable);
  return place;
}

export type Place =
  | { readonly directory: DirectoryDescriptor; readonly path: string }
  | { readonly above: string };

/** Where a path leads that begins in such a directory. ENOENT where neither a grant is, nor what leads to one. */
export function placeOf({ above: from }: NowhereDescriptor, path: string, grants: Grants): Place {
  if (path === '') throw new WasiError(Errno.noent);
  if (path.startsWith('/')) throw new WasiError(Errno.notcapable);
  const components = path.split('/').filter((each) => each !== '');
  let above = from;
  for (const [i, component] of components.entries()) {
    if (component === '.') continue;
    above = component === '..' ? above.replace(/\/?[^/]*$/, '') : join(above, component);
    const directory = grants.get(above);
    if (directory !== undefined) {
      const rest = components.slice(i + 1).join('/');
      return { directory, path: rest === '' ? '.' : path.endsWith('/') ? `${rest}/` : rest };
    }
    if (!leadsTo(above, grants)) throw new WasiError(Errno.noent);
  }
  return { above };
}

/** What such a directory lists. */
export function entriesAbove({ above }: NowhereDescriptor, grants: Grants): DirectoryEntry[] {
  // Some take a name whose number is 0 for one that was removed.
  const names = new Map([
    ['.', 1n],
    ['..', 1n],
  ]);
  for (const [grant, { host }] of grants) {
    if (above !== '' && !grant.startsWith(`${above}/`)) continue;
    const rest = grant.slice(above === '' ? 0 : above.length + 1);
    const name = rest.split('/')[0]!;
    names.set(name, name === rest ? fstatSync(host, { bigint: true }).ino : (names.get(name) ?? 1n));
  }
  return [...names].map(([name, inode]) => ({
    name: new Uint8Array(Buffer.from(name, 'latin1')),
    filetype: Filetype.directory,
    inode,
  }));
}
