// What this node has taken of what the cluster wants of nodes: for the next vkerneld of it, so that what is wanted no more while none
// runs here goes then. A file in the folder of the sockets, which goes with the cluster.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '@odonata/rpc/log.ts';
import { z } from 'zod';

const about = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('vkernel'), user: z.string(), name: z.string() }),
  z.object({ kind: z.literal('folder'), path: z.string() }),
]);
const taken = z.object({ key: z.string(), revision: z.number(), about });

export type Taken = z.infer<typeof taken>;

export class TakenRecordFile {
  readonly #path: string;
  readonly #log: Logger;

  constructor(socketDir: string, log: Logger) {
    this.#path = join(socketDir, 'wanted.json');
    this.#log = log;
  }

  /** An empty one where there is none, or it is torn: all is taken again then. */
  read(): Taken[] {
    try {
      return z.array(taken).parse(JSON.parse(readFileSync(this.#path, 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn({ err: error, path: this.#path }, 'the record of what was taken is torn');
      return [];
    }
  }

  save(all: readonly Taken[]): void {
    const temporary = `${this.#path}.${process.pid}`;
    try {
      writeFileSync(temporary, JSON.stringify(all), { mode: 0o600 });
      renameSync(temporary, this.#path);
    } catch (error) {
      this.#log.error({ err: error, path: this.#path }, 'what was taken is not written down');
    }
  }
}
