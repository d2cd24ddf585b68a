// The authority of a cluster: makes certificates that say who somebody is, in folders as libs/rpc/identity/tls-folder.ts
// reads them.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Caller } from '@odonata/rpc/identity/identity.ts';
import {
  type Certified,
  daysFromNow,
  issued,
  issuedFor,
  issuedServer,
  newAuthority,
  type Pair,
  type ServiceNames,
  type Validity,
} from './certificates.ts';

const AUTHORITY_DAYS = 3_650;
/** By which foreign clients (grpcurl) check the services of this machine, and ours of before those of a cluster. */
const SERVICE_NAMES: ServiceNames = {
  dns: ['odonata', 'localhost'],
  ips: [Uint8Array.of(127, 0, 0, 1), new Uint8Array(16).fill(1, 15)],
};

export type IssueOptions = ({ readonly days: number } | { readonly validity: Validity }) & {
  /** A name or address by which foreign clients of other machines reach it. */
  readonly host?: string | undefined;
};

function namesWith(host: string | undefined): ServiceNames {
  if (host === undefined) return SERVICE_NAMES;
  const { dns, ips = [] } = SERVICE_NAMES;
  const bytes = addressBytes(host);
  return bytes === undefined ? { dns: [...dns, host], ips } : { dns, ips: [...ips, bytes] };
}

/** Undefined: it is no address. */
function addressBytes(host: string): Uint8Array | undefined {
  if (isIPv4(host)) return Uint8Array.from(host.split('.'), Number);
  if (!isIPv6(host)) return undefined;
  // As WHATWG writes it: hexadecimal groups alone, one run of zeros left out.
  const short = new URL(`http://[${host.split('%')[0]}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = short.split('::').map((part) => part.split(':').filter(Boolean));
  const zeros = Array<string>(8 - head.length - tail.length).fill('0');
  return Uint8Array.from(
    [...head, ...zeros, ...tail].flatMap((group) => {
      const word = Number.parseInt(group, 16);
      return [word >> 8, word & 0xff];
    }),
  );
}

export interface Issued {
  /** Upper-case hex. */
  readonly serial: string;
}

export class Authority {
  readonly #dir: string;
  readonly #pair: Pair;

  private constructor(dir: string, pair: Pair) {
    this.#dir = dir;
    this.#pair = pair;
  }

  /** The authority in a folder, made where there is none. @throws Error for one that cannot be read, or written */
  static async in(dir: string, cluster: string): Promise<Authority> {
    const [certificate, key] = ['ca.crt', 'ca.key'].map((file) => join(dir, file)) as [string, string];
    if (existsSync(certificate) && existsSync(key)) {
      const read = (file: string): string => readFileSync(file, 'utf8');
      return new Authority(dir, { certificatePem: read(certificate), keyPem: read(key) });
    }
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const pair = await newAuthority(`odonata ${cluster}`, daysFromNow(AUTHORITY_DAYS));
    put(dir, 'ca', pair);
    return new Authority(dir, pair);
  }

  get certificateFile(): string {
    return join(this.#dir, 'ca.crt');
  }

  /**
   * Makes a new key and certificate for somebody, and puts them and the certificate of the authority in a folder (made
   * where it is missing, mode 0700), in the place of what is there.
   */
  async issue(caller: Caller, into: string, options: IssueOptions): Promise<Issued> {
    const validity = 'validity' in options ? options.validity : daysFromNow(options.days);
    mkdirSync(into, { recursive: true, mode: 0o700 });
    chmodSync(into, 0o700);
    const { serial, ...pair } = await issued(this.#pair, caller, {
      validity,
      names: namesWith(options.host),
    });
    put(into, 'tls', pair);
    replace(join(into, 'ca.crt'), this.#pair.certificatePem, 0o644);
    return { serial };
  }

  /** The same for a server that is nobody of the cluster and has a name, as nats-server. */
  async issueServer(name: string, into: string, { days }: { days: number }): Promise<void> {
    mkdirSync(into, { recursive: true, mode: 0o700 });
    const terms = { validity: daysFromNow(days), names: { dns: [name] } };
    put(into, 'tls', await issuedServer(this.#pair, name, terms));
    replace(join(into, 'ca.crt'), this.#pair.certificatePem, 0o644);
  }

  /** A certificate for a key that stays where it is. @throws Error for a request that is none */
  async certify(requestPem: string, caller: Caller, { days }: { days: number }): Promise<Certified> {
    return await issuedFor(this.#pair, requestPem, caller, {
      validity: daysFromNow(days),
      names: SERVICE_NAMES,
    });
  }
}

/** Writes NAME.key and NAME.crt; whoever reads meanwhile finds the old or the new ones. */
function put(dir: string, name: string, { keyPem, certificatePem }: Pair): void {
  replace(join(dir, `${name}.key`), keyPem, 0o600);
  replace(join(dir, `${name}.crt`), certificatePem, 0o644);
}

function replace(file: string, text: string, mode: number): void {
  writeFileSync(`${file}.new`, text, { mode });
  renameSync(`${file}.new`, file);
}
