// Identities for tests: an authority in a folder of its own, which goes with the test.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Caller, formatIdentity, parseIdentity } from '@odonata/rpc/identity/identity.ts';
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
    const at = (file: string) => join(dir, file);
    const config = [
      '[ca]\ndefault_ca=this\n[this]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any',
      '[any]\ncommonName=supplied\n[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN=late',
      `[extensions]\nextendedKeyUsage=clientAuth\nsubjectAltName=URI:${formatIdentity(identity.caller)}`,
    ];
    writeFileSync(at('late.cnf'), `${config.join('\n')}\n`);
    writeFileSync(at('index'), '');
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
    openssl('req', '-new', '-key', 'tls.key', '-config', 'late.cnf', '-out', 'late.csr');
    const when = [
      '-startdate',
      '20200101000000Z',
      '-enddate',
      '20200201000000Z',
      '-extensions',
      'extensions',
    ];
    const by = ['-cert', '../ca/ca.crt', '-keyfile', '../ca/ca.key', '-config', 'late.cnf'];
    openssl('ca', '-batch', '-notext', ...by, ...when, '-in', 'late.csr', '-out', 'tls.crt');
    return new TlsFolder(dir);
  }

  caller(who: string): Caller {
    return parseIdentity(`odonata://${this.cluster}/${who}`)!;
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
