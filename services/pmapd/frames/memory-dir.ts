// The tmpfs that a node's frames are on: /dev/shm of the machine, also in a pod.
import { readdirSync, statfsSync, statSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { SettingError } from '@odonata/rpc/lifecycle.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { PmapdConfig } from '../config.ts';

/** `linux/magic.h` */
const TMPFS = 0x01021994;

/**
 * The frames of the node. A number that somebody gave must be there in whole; without one it is half of the machine's memory, or
 * the whole tmpfs where that is smaller.
 * @throws SettingError where the tmpfs cannot hold so many
 */
export function fitFrames(config: PmapdConfig, log: Logger): PmapdConfig {
  const { memoryDir } = config;
  const { type, blocks, bavail, bsize } = statfsSync(memoryDir);
  const sizeBytes = blocks * bsize;
  if (type !== TMPFS)
    log.warn({ memoryDir, type }, 'memory_dir is not on a tmpfs: pages are on a disk there, or not watched');
  const half = Math.floor(totalmem() / 2);
  // Of a file system without a size of its own (a ramfs) nothing is known.
  if (sizeBytes === 0) return { ...config, framesBytes: config.framesBytes || half };
  const framesBytes = config.framesBytes || Math.min(half, sizeBytes);
  const fix = `make it larger (of the machine: mount -o remount,size=${remountSize(framesBytes)} /dev/shm), or set frames_bytes to less`;
  if (framesBytes > sizeBytes)
    throw new SettingError(
      `frames_bytes: this node needs ${gibibytes(framesBytes)} of ${memoryDir}, whose tmpfs has ${gibibytes(sizeBytes)} in all: ${fix}`,
    );
  // What is ours already (of a pmapd before, or beside) is no more to come.
  const leftBytes = bavail * bsize + usedBytes(memoryDir);
  if (leftBytes < framesBytes)
    log.warn(
      { memoryDir, framesBytes, leftBytes, sizeBytes },
      `others use the memory of this node: it needs ${gibibytes(framesBytes)} of ${memoryDir}, and ${gibibytes(leftBytes)} are left; free some (df -h /dev/shm), or ${fix}`,
    );
  return { ...config, framesBytes };
}

/** Tests have nodes that differ. */
export function withTestBytes(config: PmapdConfig): PmapdConfig {
  const [node, bytes] = config.testNodeBytes.split('=');
  return node === config.node ? { ...config, framesBytes: Number(bytes) } : config;
}

function usedBytes(folder: string): number {
  return readdirSync(folder).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0) * 512,
    0,
  );
}

const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
/** A sixteenth more, for what others put there. */
const remountSize = (bytes: number): string => `${Math.ceil((bytes * 17) / 16 / 2 ** 20)}M`;
