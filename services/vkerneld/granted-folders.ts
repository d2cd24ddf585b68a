// The folders that a program gets, on this node and on others: those that it was granted, and a home.
import { posix } from 'node:path';
import type { DirectoryGrant, ProgramSpec } from '@odonata/proto/vkernel/v1/vkernel';
import { invalidField } from '@odonata/rpc/refusal.ts';
import { GRANTS_MAX } from './allowed-directories.ts';
import { homePath } from './homes.ts';
import type { Dir } from './process-table.ts';

type Asked = Pick<DirectoryGrant, 'hostPath' | 'guestPath' | 'readOnly' | 'node'>;

const placeOf = (guestPath: string): string => posix.join('/', guestPath, '/');

/** Those on this node have none. @throws RpcError INVALID_ARGUMENT where one would hide another one */
export function foldersOf(
  { dirs: asked, homeNode, bare }: Pick<ProgramSpec, 'homeNode' | 'bare'> & { dirs: readonly Asked[] },
  { node, user }: { node: string; user: string },
): Dir[] {
  const dirs = asked.map(({ hostPath, guestPath, readOnly, node: on }): Dir => {
    if (on !== '' && on !== node && !hostPath.startsWith('/'))
      throw invalidField('start.dirs', `"${hostPath}" is not an absolute path of ${on}`);
    return { hostPath, guestPath, readOnly, ...(on !== '' && on !== node && { node: on }) };
  });
  if (!bare && homeNode !== '' && homeNode !== node) dirs.push(...homeElsewhere(homeNode, user, dirs));
  if (dirs.length > GRANTS_MAX)
    throw invalidField('start.dirs', `${GRANTS_MAX} directories are the most of one program`);
  expectShown(dirs);
  return dirs;
}

export const localDirs = (dirs: readonly Dir[]): Dir[] => dirs.filter(({ node }) => node === undefined);

/** Those of a parent on `node`, for a child on another one. */
export function foldersForChild(
  dirs: readonly Dir[],
  node: string,
  hasHome: boolean,
): { dirs: Asked[]; homeNode: string } {
  const home = dirs.find((dir) => dir.home === true);
  return {
    dirs: dirs
      .filter((dir) => dir.home !== true)
      .map(({ hostPath, guestPath, readOnly, node: on = node }) => ({
        hostPath,
        guestPath,
        readOnly,
        node: on,
      })),
    homeNode: home?.node ?? (hasHome ? node : ''),
  };
}

function homeElsewhere(node: string, user: string, dirs: readonly Dir[]): Dir[] {
  const guestPath = homePath(user, dirs);
  return guestPath === undefined ? [] : [{ node, home: true, hostPath: '', guestPath, readOnly: false }];
}

/** A folder elsewhere is seen beside those that are here, and below others elsewhere. */
function expectShown(dirs: readonly Dir[]): void {
  for (const dir of dirs) {
    if (dir.node === undefined) continue;
    const place = placeOf(dir.guestPath);
    const above = dirs.find(
      (other) =>
        other !== dir &&
        place.startsWith(placeOf(other.guestPath)) &&
        (other.node === undefined || placeOf(other.guestPath) === '/'),
    );
    if (above === undefined) continue;
    throw invalidField(
      'start.dirs',
      `${dir.guestPath} of ${dir.node} lies below ${above.guestPath}, which is another folder: give it a path beside that`,
    );
  }
}
