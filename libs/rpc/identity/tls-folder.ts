// The identity of a process, in a folder:
//
//   tls.crt, tls.key   its certificate, with the key
//   ca.crt             the authority: somebody is of this cluster when they show a certificate of this one
//   revoked            serial numbers of certificates that count no more, hex, one a line; need not be there
//
// The first three are the names in a Secret that cert-manager makes. All are read anew when they change, without a restart.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs } from '../monotonic.ts';
import { identityOf, serialOf } from './certificate.ts';
import type { Caller } from './identity.ts';

const FILES = ['tls.crt', 'tls.key', 'ca.crt'] as const;
const REVOKED = 'revoked';
const LOOK_MS = 1_000;

export interface TlsIdentity {
  readonly certificatePem: Buffer;
  readonly keyPem: Buffer;
  readonly authorityPem: Buffer;
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly authorities: readonly X509Certificate[];
  /** Upper-case hex, without leading zeros. */
  readonly revoked: ReadonlySet<string>;
  readonly caller: Caller;
}

/** What is wrong with the identity in a folder, in a line; undefined: nothing. */
export function whyNoIdentity(dir: string): string | undefined {
  const missing = FILES.filter((file) => {
    try {
      accessSync(join(dir, file), constants.R_OK);
      return false;
    } catch {
      return true;
    }
  });
  if (missing.length > 0) return `${missing.join(', ')} cannot be read there`;
  try {
    read(dir);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export class TlsFolder {
  readonly dir: string;
  #identity: TlsIdentity;
  #stamp: string;
  #lookedMs = monotonicMs();

  /** @throws Error where the files are missing, do not belong together, or name nobody */
  constructor(dir: string) {
    this.dir = dir;
    this.#stamp = stampOf(dir);
    this.#identity = read(dir);
  }

  /** What is there now. While files are being replaced and do not belong together: what was there before. */
  get identity(): TlsIdentity {
    const nowMs = monotonicMs();
    if (nowMs - this.#lookedMs < LOOK_MS) return this.#identity;
    this.#lookedMs = nowMs;
    const stamp = stampOf(this.dir);
    if (stamp === this.#stamp) return this.#identity;
    try {
      this.#identity = read(this.dir);
      this.#stamp = stamp;
    } catch {
      // The next look may find them whole.
    }
    return this.#identity;
  }
}

function stampOf(dir: string): string {
  return [...FILES, REVOKED]
    .map((file) => {
      const stat = statSync(join(dir, file), { throwIfNoEntry: false });
      return stat === undefined ? '-' : `${stat.mtimeMs}:${stat.size}:${stat.ino}`;
    })
    .join();
}

function read(dir: string): TlsIdentity {
  const [certificatePem, keyPem, authorityPem] = FILES.map((file) => readFileSync(join(dir, file))) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const certificate = new X509Certificate(certificatePem);
  const key = createPrivateKey(keyPem);
  if (!certificate.checkPrivateKey(key)) throw new Error('tls.key is not the key of tls.crt');
  const caller = identityOf(certificate);
  if (caller === undefined)
    throw new Error('tls.crt names nobody; it needs a URI odonata://CLUSTER/ROLE/NAME as subjectAltName');
  const authorities = certificatesOf(authorityPem.toString('latin1'));
  return {
    ...{ certificatePem, keyPem, authorityPem, certificate, key, authorities, caller },
    revoked: readRevoked(dir),
  };
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const certificatesOf = (pem: string): X509Certificate[] =>
  (pem.match(PEM) ?? []).map((each) => new X509Certificate(each));

function readRevoked(dir: string): ReadonlySet<string> {
  let text: string;
  try {
    text = readFileSync(join(dir, REVOKED), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
    throw error;
  }
  return new Set(text.split('\n').map(serialOf).filter(Boolean));
}
