// Identities for tests: an authority in a folder of its own, which goes with the test.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Caller, parseIdentity } from '@odonata/rpc/identity/identity.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { Authority } from './authority.ts';

export class TestAuthority {
  readonly dir = mkdtempSync(join(tmpdir(), 'odonata-identity-'));
  readonly cluster: string;
  readonly #folders = new Map<string, TlsFolder>();
  #authority: Promise<Authority> | undefined;

  constructor(cluster = 'test') {
    this.cluster = cluster;
  }

  /** @param who `pmapd/node1`, `user/alice?groups=a+b` */
  async folder(who: string, days = 2): Promise<TlsFolder> {
    let folder = this.#folders.get(who);
    if (folder === undefined) {
      this.#authority ??= Authority.in(join(this.dir, 'ca'), this.cluster);
      const dir = join(this.dir, who.replaceAll(/[/?=+*]/g, '-'));
      await (await this.#authority).issue(this.caller(who), dir, { days });
      folder = new TlsFolder(dir);
      this.#folders.set(who, folder);
    }
    return folder;
  }

  /** Whose certificate ended long ago. */
  async expired(who: string): Promise<TlsFolder> {
    const { identity, dir } = await this.folder(who);
    const validity = { fromMs: Date.UTC(2020, 0, 1), untilMs: Date.UTC(2020, 1, 1) };
    await (await this.#authority)!.issue(identity.caller, dir, { validity });
    return new TlsFolder(dir);
  }

  caller(who: string): Caller {
    return parseIdentity(`odonata://${this.cluster}/${who}`)!;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
