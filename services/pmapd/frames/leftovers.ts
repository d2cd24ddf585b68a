// What a pmap manager that died left in its memory directory: no virtual kernel may go on with it.
import { chmodSync, closeSync, openSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@odonata/rpc/log.ts';
import { punchHole } from '@odonata/userfault/libc.ts';

/**
 * Empties and removes memory files but those of `kept`. Punching takes the pages out of every mapping that still exists.
 */
export function clearMemoryDir(memoryDir: string, log: Logger, kept: ReadonlySet<string> = new Set()): void {
  const names = readdirSync(memoryDir).filter(
    (name) => /^(ds|anonymous|image)-/.test(name) && !kept.has(join(memoryDir, name)),
  );
  for (const name of names) {
    const path = join(memoryDir, name);
    if (name.startsWith('ds-')) {
      chmodSync(path, 0o600);
      const fd = openSync(path, 'r+');
      const { size } = statSync(path);
      if (size > 0) punchHole(fd, 0, size);
      closeSync(fd);
    }
    rmSync(path, { force: true });
  }
  if (names.length > 0) log.info({ files: names.length }, 'cleared memory files of an earlier pmap manager');
}
