import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@odonata/rpc/log.ts';
import { z } from 'zod';

const AT_ONCE_CHARS = 64 * 1024;

/** A virtual kernel that was started, and may outlive its supervisor. */
const vkernelRecord = z.object({
  name: z.string(),
  /** Whose it is. */
  user: z.string().default('anyone'),
  groups: z.array(z.string()).default([]),
  index: z.number(),
  token: z.string(),
  /** Its own, where we are root. */
  uid: z.number().optional(),
  /** Of its process, as this machine numbers it; 0: it is not there yet. */
  hostPid: z.number(),
  /** Of the host process, from /proc: tells it from another one that got its pid later. */
  startTicks: z.string(),
  startedAtMs: z.number(),
});
/** What somebody said that a virtual kernel may have. */
const quotaRecord = z.object({
  name: z.string(),
  user: z.string(),
  /** Its service said it, and takes it along. */
  ofService: z.boolean().default(false),
  quota: z.object({
    memoryBytes: z.number(),
    cpuWeight: z.number(),
    cpuMillis: z.number(),
    processes: z.number(),
    dataspaces: z.number(),
    diskBytes: z.number().default(0),
    descriptors: z.number().default(0),
  }),
});
/** Which names somebody said that its programs may use. */
const namesRecord = z.object({
  name: z.string(),
  user: z.string(),
  names: z.object({ listen: z.array(z.string()), connect: z.array(z.string()), none: z.boolean() }),
});
/** One that nobody used for a while. */
const parkedRecord = z.object({ name: z.string(), user: z.string(), sinceMs: z.number() });
export type ParkedRecord = z.infer<typeof parkedRecord>;
const record = z.object({
  /** Who is whose parent (libs/processes/record.ts); empty: none is. */
  home: z.string().default(''),
  lastNumber: z.number().default(0),
  lastVkernel: z.number().default(0),
  vkernels: z.array(vkernelRecord).default([]),
  quotas: z.array(quotaRecord).default([]),
  names: z.array(namesRecord).default([]),
  parked: z.array(parkedRecord).default([]),
  processes: z
    .array(
      z.object({
        pid: z.string(),
        vkernel: z.string(),
        user: z.string().default('anyone'),
        command: z.array(z.string()),
        startedAtMs: z.number(),
        quotaBytes: z.number().optional(),
        connect: z.array(z.string()).optional(),
        dirs: z
          .array(
            z.object({
              hostPath: z.string(),
              guestPath: z.string(),
              readOnly: z.boolean(),
              node: z.string().optional(),
              home: z.boolean().optional(),
            }),
          )
          .optional(),
      }),
    )
    .default([]),
});
export type VkernelRecord = z.infer<typeof vkernelRecord>;
export type Record = z.infer<typeof record>;

/**
 * What a supervisor must know of the last one: which virtual kernels run, what they show as their token, and which
 * pids are taken. A file in the node's socket folder, readable by its owner only.
 */
export class RecordFile {
  readonly #path: string;
  readonly #log: Logger;
  #writing: Promise<void> | undefined;
  #next: Record | undefined;

  constructor(folder: string, log: Logger) {
    this.#path = join(folder, 'vkerneld.json');
    this.#log = log;
  }

  /** What the last one left; an empty record where there is none or it is torn. */
  read(): Record {
    let text: string;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return record.parse({});
      throw error;
    }
    try {
      return record.parse(JSON.parse(text));
    } catch (error) {
      this.#log.warn(
        { err: error, path: this.#path },
        'the record of the last supervisor is torn; starting anew',
      );
      return record.parse({});
    }
  }

  /** Writes it soon; the last of several wins. */
  save(next: Record): void {
    this.#next = next;
    this.#writing ??= this.#write();
  }

  /** Resolves when all that was saved is written. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #write(): Promise<void> {
    // All that changes in this turn is written once.
    await Promise.resolve();
    while (this.#next !== undefined) {
      const text = JSON.stringify(this.#next);
      this.#next = undefined;
      const temporary = `${this.#path}.${process.pid}`;
      try {
        // What is told to a caller is in here by then, also where this process is killed next; a long one takes its time.
        if (text.length <= AT_ONCE_CHARS) writeFileSync(temporary, text, { mode: 0o600 });
        else await writeFile(temporary, text, { mode: 0o600 });
        if (text.length <= AT_ONCE_CHARS) renameSync(temporary, this.#path);
        else await rename(temporary, this.#path);
      } catch (error) {
        this.#log.error({ err: error }, 'cannot write the record: a new start will not know what runs');
      }
    }
    // In the turn in which there is nothing more: whoever saves later begins anew.
    this.#writing = undefined;
  }
}

export function newToken(): string {
  return randomBytes(24).toString('base64url');
}
