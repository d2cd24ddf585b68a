// Which directories were allowed, and which were taken away, while the node ran: for the next vkerneld of it. A file in the folder of
// the sockets, which goes with the cluster.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { z } from 'zod';
import type { AllowedDirectories } from './allowed-directories.ts';

const record = z.object({
  allowed: z.array(z.object({ path: z.string(), readOnly: z.boolean() })).default([]),
  /** Of those that vkerneld was started with. */
  disallowed: z.array(z.string()).default([]),
});

type AllowedRecord = z.infer<typeof record>;

class AllowedRecordFile {
  readonly #path: string;
  readonly #log: Logger;

  constructor(socketDir: string, log: Logger) {
    this.#path = join(socketDir, 'allowed.json');
    this.#log = log;
  }

  /** An empty one where there is none, or it is torn. */
  read(): AllowedRecord {
    try {
      return record.parse(JSON.parse(readFileSync(this.#path, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn({ err: error, path: this.#path }, 'the record of allowed directories is torn');
      return { allowed: [], disallowed: [] };
    }
  }

  /** @throws what node:fs throws */
  save(next: AllowedRecord): void {
    const temporary = `${this.#path}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(next), { mode: 0o600 });
    renameSync(temporary, this.#path);
  }
}

/**
 * Allows what was allowed before this start, and keeps what changes from now on.
 * @param said those that vkerneld was started with; from now on all that are allowed: virtual kernels that Landlock confines get them
 */
export async function keepAllowed(
  directories: AllowedDirectories,
  said: string[],
  socketDir: string,
  log: Logger,
): Promise<void> {
  const file = new AllowedRecordFile(socketDir, log);
  const first = new Set(directories.list().map(({ path }) => path));
  const { allowed, disallowed } = file.read();
  for (const path of disallowed) if (first.has(path)) directories.disallow(path);
  for (const { path, readOnly } of allowed) {
    try {
      await directories.allow(path, readOnly);
    } catch (error) {
      if (!RpcError.is(error)) throw error;
      log.warn({ err: error, path }, 'a directory that was allowed is not any more');
    }
  }
  const tell = (): void => {
    said.splice(0, said.length, ...directories.list().map(({ path }) => path));
  };
  tell();
  directories.onChange = () => {
    const now = directories.list();
    const paths = new Set(now.map(({ path }) => path));
    file.save({
      allowed: now.filter(({ path, readOnly }) => readOnly || !first.has(path)),
      disallowed: [...first].filter((path) => !paths.has(path)),
    });
    tell();
  };
}
