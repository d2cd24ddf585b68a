// The frames of /tmp, of the node's pmap manager: asked for when the first byte is written.

import type { Pmap, PrivateFile } from '@odonata/pmap/pmap-interface.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { type FrameSource, FrameStore } from './frame-store.ts';
import { MemoryTree } from './memory-tree.ts';

/** What the files of one virtual kernel may have there. */
export const MEMORY_MOUNT_BYTES = 256 << 20;
/** Of the file of memory: frames are never so many. */
const FILE_BYTES = 2 ** 30;
/** By this programs tell one file system from another. */
export const memoryMountDev = 0x746d_7066n;

export function memoryMount({ pmap, log }: { pmap: Promise<Pmap>; log: Logger }): MemoryTree {
  let file: Promise<PrivateFile> | undefined;
  const opened = (): Promise<PrivateFile> => {
    file ??= pmap.then((made) =>
      made.createFile({
        sizeBytes: FILE_BYTES,
        quotaBytes: MEMORY_MOUNT_BYTES,
        onLost: (reason) => {
          log.warn(
            { reason },
            '/tmp of this virtual kernel is lost: its files answer EIO until they are emptied or removed',
          );
          tree.lost();
          file = undefined;
          current = undefined;
        },
      }),
    );
    // Asked for again by the next write.
    file.catch(() => {
      file = undefined;
    });
    return file;
  };
  let current: PrivateFile | undefined;
  const source: FrameSource = {
    descriptor: async () => {
      current = await opened();
      return current.fd;
    },
    take: (count) => (current === undefined ? Promise.resolve(0) : current.take(count)),
    give: (count) => current?.give(count),
  };
  const tree = new MemoryTree(new FrameStore(source, MEMORY_MOUNT_BYTES / 4096), memoryMountDev);
  return tree;
}
