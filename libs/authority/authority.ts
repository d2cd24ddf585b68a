// The authority of a cluster: makes certificates that say who somebody is, with openssl(1) (3.0 or later), in folders as
// libs/rpc/identity/tls-folder.ts reads them.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Caller, formatIdentity, isService, shownCaller } from '@odonata/rpc/identity/identity.ts';

const run = promisify(execFile);
const OPENSSL_MS = 30_000;
const AUTHORITY_DAYS = 3_650;
const CURVE = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
/** By which foreign clients (grpcurl) check the services of this machine, and ours of before those of a cluster. */
const SERVICE_NAMES = ['DNS:odonata', 'DNS:localhost', 'IP:127.0.0.1', 'IP:::1'];

export interface IssueOptions {
  readonly days: number;
}

export interface Issued {
  /** Upper-case hex. */
  readonly serial: string;
}

export class Authority {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  /** The authority in a folder, made where there is none. @throws Error what openssl says */
  static async in(dir: string, cluster: string): Promise<Authority> {
    const authority = new Authority(dir);
    if (existsSync(join(dir, 'ca.crt')) && existsSync(join(dir, 'ca.key'))) return authority;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const config = [
      ...request(`odonata ${cluster}`),
      'basicConstraints=critical,CA:TRUE,pathlen:0',
      'keyUsage=critical,keyCertSign,cRLSign',
      'subjectKeyIdentifier=hash',
    ];
    await authority.#openssl(dir, config, AUTHORITY_DAYS, 'ca', []);
    return authority;
  }

  get certificateFile(): string {
    return join(this.#dir, 'ca.crt');
  }

  /**
   * Makes a new key and certificate for somebody, and puts them and the certificate of the authority in a folder (made
   * where it is missing, mode 0700), in the place of what is there.
   */
  async issue(caller: Caller, into: string, { days }: IssueOptions): Promise<Issued> {
    mkdirSync(into, { recursive: true, mode: 0o700 });
    chmodSync(into, 0o700);
    const serial = randomBytes(16);
    serial[0] = (serial[0]! & 0x7f) | 0x40; // Positive, and of full length.
    const forService = isService(caller);
    const names = [`URI:${formatIdentity(caller)}`, ...(forService ? SERVICE_NAMES : [])];
    const config = [
      ...request(shownCaller(caller).slice(0, 64)),
      'basicConstraints=critical,CA:FALSE',
      'keyUsage=critical,digitalSignature',
      `extendedKeyUsage=${forService ? 'serverAuth,' : ''}clientAuth`,
      'subjectKeyIdentifier=hash',
      'authorityKeyIdentifier=keyid',
      `subjectAltName=${names.join(',')}`,
    ];
    const by = ['-CA', this.certificateFile, '-CAkey', join(this.#dir, 'ca.key')];
    await this.#openssl(into, config, days, 'tls', [...by, '-set_serial', `0x${serial.toString('hex')}`]);
    copyFileSync(this.certificateFile, join(into, 'ca.crt.new'));
    renameSync(join(into, 'ca.crt.new'), join(into, 'ca.crt'));
    return { serial: serial.toString('hex').toUpperCase() };
  }

  /** Writes NAME.key and NAME.crt; whoever reads meanwhile finds the old or the new ones. */
  async #openssl(
    dir: string,
    config: readonly string[],
    days: number,
    name: string,
    more: readonly string[],
  ): Promise<void> {
    const at = (file: string) => join(dir, `.${name}.${file}`);
    writeFileSync(at('cnf'), `${config.join('\n')}\n`, { mode: 0o600 });
    try {
      const files = ['-keyout', at('key'), '-out', at('crt')];
      const args = ['req', '-x509', ...CURVE, '-config', at('cnf'), '-days', String(days), ...files, ...more];
      await run('openssl', args, { timeout: OPENSSL_MS, env: { PATH: process.env.PATH } });
      chmodSync(at('key'), 0o600);
      renameSync(at('key'), join(dir, `${name}.key`));
      renameSync(at('crt'), join(dir, `${name}.crt`));
    } catch (error) {
      const { code, stderr = '' } = error as NodeJS.ErrnoException & { stderr?: string };
      const said = code === 'ENOENT' ? 'openssl is not installed' : stderr.trim().split('\n').at(-1);
      throw new Error(`cannot make a certificate in ${dir}: ${said || String(error)}`, { cause: error });
    } finally {
      for (const file of ['cnf', 'key', 'crt']) rmSync(at(file), { force: true });
    }
  }
}

const request = (commonName: string): string[] => [
  '[req]',
  'prompt=no',
  'distinguished_name=dn',
  'x509_extensions=extensions',
  '[dn]',
  `CN=${commonName}`,
  '[extensions]',
];
