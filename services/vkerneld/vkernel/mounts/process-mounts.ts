// What a process sees beside its granted folders: the mounts of its virtual kernel, and its folders on other nodes.

import type { ProcessSpec, ProcessSurroundings } from '../process-spec.ts';
import { covers } from '../wasi/above-grants.ts';
import type { MountTable } from './process-files.ts';
import { RemoteMount } from './remote/remote-files.ts';

export function mountsOf(
  { pid, bare, remotes = [] }: Pick<ProcessSpec, 'pid' | 'bare' | 'remotes'>,
  { mounts, folders }: Pick<ProcessSurroundings, 'mounts' | 'folders'>,
): MountTable {
  const table = new Map(bare === true ? [] : (mounts?.(pid) ?? []));
  if (folders === undefined) return table;
  for (const { guestPath, place } of remotes) {
    // Paths of calls have one character a byte.
    const path = covers(Buffer.from(guestPath.replace(/\/+$/, '')).toString('latin1'));
    table.set(path, new RemoteMount(folders, pid, place).top);
  }
  return table;
}
