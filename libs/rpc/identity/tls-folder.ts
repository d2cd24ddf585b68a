// The identity of a process, in a folder:
//
//   tls.crt, tls.key   its certificate, with the key
//   ca.crt             the authority: somebody is of this cluster when they show a certificate of this one
//   revoked            serial numbers of certificates that count no more, hex, one a line; need not be there
//   people             who is let in, and their groups now; need not be there (people-list.ts)
//
// The first three are the names in a Secret that cert-manager makes. All are read anew when they change, without a restart;
// each of the last two on its own, so that somebody is out also where the others are of no use just then.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileStamp } from '../file-stamp.ts';
import { monotonicMs } from '../monotonic.ts';
import { identityOf, serialOf } from './certificate.ts';
import type { Caller } from './identity.ts';
import { PEOPLE_FILE, type PeopleList, readPeople } from './people-list.ts';

const FILES = ['tls.crt', 'tls.key', 'ca.crt'] as const;
const REVOKED = 'revoked';
const LOOK_MS = 1_000;
/** As openssl shows it, too: with colons. */
const SERIAL = /^[0-9A-Fa-f:]{1,128}$/;

export interface TlsIdentity {
  readonly certificatePem: Buffer;
  readonly keyPem: Buffer;
  readonly authorityPem: Buffer;
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly authorities: readonly X509Certificate[];
  /** Upper-case hex, without leading zeros. */
  readonly revoked: ReadonlySet<string>;
  /** Undefined: nobody keeps a list. */
  readonly people: PeopleList | undefined;
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
  #revokedStamp: string;
  #peopleStamp: string;
  /** By file, for what was found of no use when last read. */
  readonly #troubles = new Map<string, string>();
  #lookedMs = monotonicMs();

  /** @throws Error where the files are missing, do not belong together, or name nobody */
  constructor(dir: string) {
    this.dir = dir;
    this.#stamp = stampOf(dir, FILES);
    this.#revokedStamp = stampOf(dir, [REVOKED]);
    this.#peopleStamp = stampOf(dir, [PEOPLE_FILE]);
    this.#identity = read(dir);
  }

  /** Why files that changed do not count, in a line; undefined where they do. They are read again when they change. */
  get trouble(): string | undefined {
    return this.#troubles.size > 0 ? [...this.#troubles.values()].join('; ') : undefined;
  }

  /**
   * What is there now. While files are being replaced and do not belong together: what was there before. A list of what was
   * revoked that cannot be read lets nobody in again.
   */
  get identity(): TlsIdentity {
    const nowMs = monotonicMs();
    if (nowMs - this.#lookedMs < LOOK_MS) return this.#identity;
    this.#lookedMs = nowMs;
    this.#lookAtCertificate();
    this.#lookAtRevoked();
    this.#lookAtPeople();
    return this.#identity;
  }

  /** Who is in as the file says at this moment, for what is not asked often: somebody who has just been let in counts. */
  peopleNow(): PeopleList | undefined {
    this.#lookAtPeople();
    return this.#identity.people;
  }

  #lookAtCertificate(): void {
    const stamp = stampOf(this.dir, FILES);
    if (stamp === this.#stamp) return;
    try {
      const { revoked, people } = this.#identity;
      this.#identity = { ...readCertificate(this.dir), revoked, people };
      this.#stamp = stamp;
      this.#troubles.delete(FILES[0]);
    } catch (error) {
      // The next look may find them whole.
      this.#troubles.set(FILES[0], shownTrouble(error));
    }
  }

  #lookAtRevoked(): void {
    const stamp = stampOf(this.dir, [REVOKED]);
    if (stamp === this.#revokedStamp) return;
    try {
      this.#identity = { ...this.#identity, revoked: readRevoked(this.dir) };
      this.#revokedStamp = stamp;
      this.#troubles.delete(REVOKED);
    } catch (error) {
      this.#troubles.set(REVOKED, shownTrouble(error));
    }
  }

  #lookAtPeople(): void {
    const stamp = stampOf(this.dir, [PEOPLE_FILE]);
    if (stamp === this.#peopleStamp) return;
    try {
      this.#identity = { ...this.#identity, people: readPeople(join(this.dir, PEOPLE_FILE)) };
      this.#peopleStamp = stamp;
      this.#troubles.delete(PEOPLE_FILE);
    } catch (error) {
      this.#troubles.set(PEOPLE_FILE, shownTrouble(error));
    }
  }
}

const shownTrouble = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function stampOf(dir: string, files: readonly string[]): string {
  return files.map((file) => fileStamp(join(dir, file))).join();
}

const read = (dir: string): TlsIdentity => ({
  ...readCertificate(dir),
  revoked: readRevoked(dir),
  people: readPeople(join(dir, PEOPLE_FILE)),
});

function readCertificate(dir: string): Omit<TlsIdentity, 'revoked' | 'people'> {
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
  if (authorities.length === 0) throw new Error('ca.crt holds no certificate');
  return { certificatePem, keyPem, authorityPem, certificate, key, authorities, caller };
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const certificatesOf = (pem: string): X509Certificate[] =>
  (pem.match(PEM) ?? []).map((each) => new X509Certificate(each));

/** @throws Error where it cannot be read, or a line of it is no serial number: somebody would stay in */
function readRevoked(dir: string): ReadonlySet<string> {
  let text: string;
  try {
    text = readFileSync(join(dir, REVOKED), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
    throw error;
  }
  const lines = text.split('\n').map((line) => line.trim());
  const wrong = lines.findIndex((line) => line !== '' && !SERIAL.test(line));
  if (wrong >= 0) throw new Error(`line ${wrong + 1} of ${join(dir, REVOKED)} is no serial number in hex`);
  return new Set(lines.map(serialOf).filter(Boolean));
}
