// The programs of a node (docs/logins.md): a folder that every program of it has at /bin, for reading. Who logs in begins with one.
import { mkdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Logger } from '@odonata/rpc/log.ts';
import { notFound } from '@odonata/rpc/refusal.ts';
import { AllowedDirectories, type OpenGrant } from './allowed-directories.ts';

export const PROGRAMS_PATH = '/bin';
const NAME = /^[A-Za-z0-9[][A-Za-z0-9._+-]{0,63}$/;

export class ProgramsFolder {
  readonly #dir: string;
  readonly #node: string;
  readonly #directories: AllowedDirectories;

  /** @param dir made where it is not there */
  constructor(dir: string, node: string, log: Logger) {
    mkdirSync(dir, { recursive: true, mode: 0o755 });
    this.#dir = dir;
    this.#node = node;
    this.#directories = new AllowedDirectories([dir], node, log);
  }

  confine(bwrap: string): Promise<void> {
    return this.#directories.confine(bwrap);
  }

  /** Opens it for a program that has these as well; none where one of them covers it. @throws RpcError */
  open(grants: readonly { guestPath: string }[], idMapping?: number): OpenGrant[] {
    const places = grants.map(({ guestPath }) => posix.join('/', guestPath, '/'));
    if (places.some((place) => `${PROGRAMS_PATH}/`.startsWith(place))) return [];
    const all = { hostPath: this.#dir, guestPath: PROGRAMS_PATH, readOnly: true };
    return this.#directories.open([all], idMapping);
  }

  /** The module of one. @throws RpcError NOT_FOUND */
  module(name: string): Uint8Array {
    try {
      if (NAME.test(name)) return readFileSync(join(this.#dir, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    const missing = `${this.#node} has no program ${JSON.stringify(name.slice(0, 80))} among those of ${PROGRAMS_PATH}`;
    throw notFound({ type: 'program', name: name.slice(0, 80) }, missing);
  }

  close(): void {
    this.#directories.close();
  }
}
