// An authority for trials and what it signs, made in this process (RFC 5280): images have no openssl. Its key is nowhere but
// here, and gone with it. What a person keeps is made by ../authority.ts.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { type Caller, formatIdentity, isService, shownCaller } from '@odonata/rpc/identity/identity.ts';
import { bitString, boolean, der, integer, objectIdentifier, sequence, time } from './der.ts';

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;
const DAY_MS = 86_400_000;
/** Of the clocks of machines. */
const EARLIER_MS = 300_000;

/** As files of libs/rpc/identity/tls-folder.ts. */
export interface IdentityFiles {
  readonly 'tls.crt': string;
  readonly 'tls.key': string;
  readonly 'ca.crt': string;
}

export class TrialAuthority {
  readonly #key: KeyObject;
  readonly #name: string;
  readonly #identifier: Buffer;
  readonly #days: number;
  readonly #pem: string;

  constructor(cluster: string, days: number) {
    const { publicKey, privateKey } = newKey();
    this.#key = privateKey;
    this.#name = `odonata ${cluster}, for trials`;
    this.#identifier = identifierOf(publicKey);
    this.#days = days;
    this.#pem = this.#certificate(this.#name, publicKey, [
      extension(OID.basicConstraints, sequence(boolean(true), integer(Buffer.of(0))), true),
      extension(OID.keyUsage, bitString(Buffer.of(0b0000_0110), 1), true), // Signs certificates and lists of revoked ones.
    ]);
  }

  /** @param names of DNS, by which foreign clients check a service */
  issue(caller: Caller, names: readonly string[] = []): IdentityFiles {
    const { publicKey, privateKey } = newKey();
    const usages = [...(isService(caller) ? [OID.serverAuth] : []), OID.clientAuth];
    const alternatives = [
      der(0x86, Buffer.from(formatIdentity(caller))),
      ...names.map((name) => der(0x82, Buffer.from(name))),
    ];
    const certificate = this.#certificate(shownCaller(caller).slice(0, 64), publicKey, [
      extension(OID.basicConstraints, sequence(), true),
      extension(OID.keyUsage, bitString(Buffer.of(0b1000_0000), 7), true), // Signs.
      extension(OID.extendedKeyUsage, sequence(...usages.map(objectIdentifier))),
      extension(OID.authorityKeyIdentifier, sequence(der(0x80, this.#identifier))),
      extension(OID.subjectAltName, sequence(...alternatives)),
    ]);
    return {
      'tls.crt': certificate,
      'tls.key': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      'ca.crt': this.#pem,
    };
  }

  #certificate(subject: string, key: KeyObject, extensions: readonly Uint8Array[]): string {
    const serial = randomBytes(16);
    serial[0] = (serial[0]! & 0x7f) | 0x40; // Positive, and of full length.
    const nowMs = Date.now();
    const algorithm = sequence(objectIdentifier(OID.ecdsaWithSha256));
    const identifier = extension(OID.subjectKeyIdentifier, der('octetString', identifierOf(key)));
    const signed = sequence(
      der(0xa0, integer(Buffer.of(2))), // Version 3.
      integer(serial),
      algorithm,
      nameOf(this.#name),
      sequence(time(new Date(nowMs - EARLIER_MS)), time(new Date(nowMs + this.#days * DAY_MS))),
      nameOf(subject),
      key.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions, identifier)),
    );
    const whole = sequence(signed, algorithm, bitString(sign('sha256', signed, this.#key)));
    const lines = whole.toString('base64').match(/.{1,64}/g)!;
    return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
  }
}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

const nameOf = (commonName: string): Buffer =>
  sequence(
    der('set', sequence(objectIdentifier(OID.commonName), der('utf8String', Buffer.from(commonName)))),
  );

const extension = (oid: string, value: Uint8Array, critical = false): Buffer =>
  sequence(objectIdentifier(oid), ...(critical ? [boolean(true)] : []), der('octetString', value));

/** RFC 7093, its fourth method: any hash of the key. */
const identifierOf = (key: KeyObject): Buffer =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 20);
