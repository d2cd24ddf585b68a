// The home of each person on this node's machine: a folder of the cluster's that their programs have at /home/NAME, of which a program
// gets a descriptor as of any granted directory. It outlives programs and virtual kernels. With it they have /bin, where there is one.
import { mkdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Logger } from '@odonata/rpc/log.ts';
import { AllowedDirectories, closeGrants, type OpenGrant } from './allowed-directories.ts';
import type { ProgramsFolder } from './programs-folder.ts';

/** As a folder's name; who has another name has no home. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/** Where a program has it; undefined: nowhere, as one of its folders is there, or covers everything. */
export function homePath(user: string, grants: readonly { guestPath: string }[]): string | undefined {
  if (!NAME.test(user)) return undefined;
  const guestPath = `/home/${user}`;
  const places = grants.map((grant) => posix.join('/', grant.guestPath, '/'));
  return places.some((place) => `${guestPath}/`.startsWith(place)) ? undefined : guestPath;
}

export class Homes {
  readonly #dir: string;
  readonly #directories: AllowedDirectories;
  readonly programs: ProgramsFolder | undefined;

  /** @param dir made where it is not there */
  constructor(dir: string, node: string, log: Logger, programs?: ProgramsFolder) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#dir = dir;
    // It lies among what no program gets; of it each gets its own alone.
    this.#directories = new AllowedDirectories([dir], node, log);
    this.programs = programs;
  }

  async confine(bwrap: string): Promise<void> {
    await this.#directories.confine(bwrap);
    await this.programs?.confine(bwrap);
  }

  /**
   * Opens that of a person, and /bin, for a program that has these as well: each where none of them covers it, or is there, as a home
   * of another node is.
   * @throws RpcError
   */
  open(user: string, grants: readonly { guestPath: string }[], idMapping?: number): OpenGrant[] {
    const home = this.#open(user, grants, idMapping);
    try {
      return [...home, ...(this.programs?.open(grants, idMapping) ?? [])];
    } catch (error) {
      closeGrants(home);
      throw error;
    }
  }

  #open(user: string, grants: readonly { guestPath: string }[], idMapping?: number): OpenGrant[] {
    const guestPath = homePath(user, grants);
    if (guestPath === undefined) return [];
    const hostPath = join(this.#dir, user);
    mkdirSync(hostPath, { recursive: true, mode: 0o700 });
    const opened = this.#directories.open([{ hostPath, guestPath, readOnly: false }], idMapping);
    return opened.map((each) => ({ ...each, counted: true }));
  }

  close(): void {
    this.#directories.close();
    this.programs?.close();
  }
}
