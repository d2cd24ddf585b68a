// The tmpfs that a node's frames are on.
import { statfsSync } from 'node:fs';
import type { Logger } from '@odonata/rpc/log.ts';
import type { PmapdConfig } from './config.ts';

/** Frames that are not there cannot be promised: what is configured is reduced to what the file system holds. */
export function fitFrames(config: PmapdConfig, log: Logger): PmapdConfig {
  const { memoryDir, framesBytes } = config;
  const { blocks, bsize } = statfsSync(memoryDir);
  const sizeBytes = blocks * bsize;
  // Of a file system without a size of its own (a ramfs) nothing is known.
  if (sizeBytes === 0 || framesBytes <= sizeBytes) return config;
  const fix = 'set frames_bytes to what this node may use of it, or make it larger';
  log.warn(
    { memoryDir, framesBytes, sizeBytes },
    `frames_bytes is reduced to the size of memory_dir: ${fix}`,
  );
  return { ...config, framesBytes: sizeBytes };
}
