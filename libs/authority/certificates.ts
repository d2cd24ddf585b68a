// Certificates as RFC 5280 has them, signed by an authority's key of P-256. What they are written in is pkijs' business: the
// same in a folder of this machine and in a pod, and no program of the system is needed for it.
import { createHash, createPrivateKey, randomBytes, subtle, type webcrypto } from 'node:crypto';
import { Role } from '@odonata/proto/auth/v1/access';
import { type Caller, formatIdentity, isService, shownCaller } from '@odonata/rpc/identity/identity.ts';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

const KEY = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const OID = {
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
/** The kinds of alternative names. */
const NAME = { dns: 2, uri: 6, ip: 7 } as const;
/** The first bits of a key's usage. */
const USAGE = {
  signs: { bits: 0b1000_0000, unused: 7 },
  certifies: { bits: 0b0000_0110, unused: 1 },
} as const;
const DAY_MS = 86_400_000;
/** Clocks of machines differ. */
const EARLIER_MS = 300_000;

export interface Pair {
  readonly keyPem: string;
  readonly certificatePem: string;
}

export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

export const daysFromNow = (days: number, nowMs = Date.now()): Validity => ({
  fromMs: nowMs - EARLIER_MS,
  untilMs: nowMs + days * DAY_MS,
});

/** Names by which foreign clients check a service, and ours of before those of a cluster. */
export interface ServiceNames {
  readonly dns: readonly string[];
  /** Of version 4 or 6, as bytes. */
  readonly ips?: readonly Uint8Array[];
}

/** A new authority: its key, and its certificate by itself. */
export async function newAuthority(name: string, validity: Validity): Promise<Pair> {
  const keys = await newKeys();
  const identifier = await identifierOf(keys.publicKey);
  return await certified(keys, {
    ...{ subject: name, issuer: nameOf(name), signer: keys.privateKey, serial: newSerial(), validity },
    extensions: [
      constraints(new pkijs.BasicConstraints({ cA: true, pathLenConstraint: 0 })),
      usage('certifies'),
      extension(OID.subjectKeyIdentifier, octets(identifier)),
    ],
  });
}

/** A service's certificate serves and calls; a person's only calls. */
export async function issued(
  authority: Pair,
  caller: Caller,
  { validity, names }: { readonly validity: Validity; readonly names: ServiceNames },
): Promise<Pair & { readonly serial: string }> {
  const keys = await newKeys();
  const by = pkijs.Certificate.fromBER(derOf(authority.certificatePem));
  const serial = newSerial();
  // A gateway serves those of other clusters, and is no service of its own.
  const service = isService(caller) || caller.role === Role.GATEWAY;
  const alternatives = [
    new pkijs.GeneralName({ type: NAME.uri, value: formatIdentity(caller) }),
    ...(service ? names.dns : []).map((value) => new pkijs.GeneralName({ type: NAME.dns, value })),
    ...((service && names.ips) || []).map(
      (ip) => new pkijs.GeneralName({ type: NAME.ip, value: octets(ip) }),
    ),
  ];
  const usages = [...(service ? [OID.serverAuth] : []), OID.clientAuth];
  const pair = await certified(keys, {
    ...{ subject: shownCaller(caller).slice(0, 64), issuer: by.subject, serial, validity },
    signer: await signerOf(authority.keyPem),
    extensions: [
      constraints(new pkijs.BasicConstraints()),
      usage('signs'),
      extension(OID.extendedKeyUsage, new pkijs.ExtKeyUsage({ keyPurposes: usages }).toSchema()),
      extension(OID.subjectKeyIdentifier, octets(await identifierOf(keys.publicKey))),
      extension(OID.authorityKeyIdentifier, authorityIdentifier(by).toSchema()),
      extension(OID.subjectAltName, new pkijs.GeneralNames({ names: alternatives }).toSchema()),
    ],
  });
  return { ...pair, serial: serial.toString('hex').toUpperCase() };
}

interface Wanted {
  readonly subject: string;
  readonly issuer: pkijs.RelativeDistinguishedNames;
  readonly signer: webcrypto.CryptoKey;
  readonly serial: Buffer;
  readonly validity: Validity;
  readonly extensions: pkijs.Extension[];
}

async function certified(keys: webcrypto.CryptoKeyPair, wanted: Wanted): Promise<Pair> {
  const { subject, issuer, signer, serial, validity, extensions } = wanted;
  const certificate = new pkijs.Certificate({
    ...{ version: 2, issuer, subject: nameOf(subject), extensions },
    serialNumber: new asn1js.Integer({ valueHex: exactly(serial) }),
    notBefore: timeOf(validity.fromMs),
    notAfter: timeOf(validity.untilMs),
  });
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey as CryptoKey);
  await certificate.sign(signer as CryptoKey, 'SHA-256');
  return {
    certificatePem: pemOf('CERTIFICATE', certificate.toSchema().toBER()),
    keyPem: pemOf('PRIVATE KEY', await subtle.exportKey('pkcs8', keys.privateKey)),
  };
}

const newKeys = async (): Promise<webcrypto.CryptoKeyPair> =>
  await subtle.generateKey(KEY, true, ['sign', 'verify']);

/** Of any encoding that OpenSSL writes, too. */
async function signerOf(pem: string): Promise<webcrypto.CryptoKey> {
  const pkcs8 = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return await subtle.importKey('pkcs8', pkcs8, KEY, false, ['sign']);
}

function newSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40; // Positive, and of full length.
  return serial;
}

function nameOf(commonName: string): pkijs.RelativeDistinguishedNames {
  const value = new asn1js.Utf8String({ value: commonName });
  const typesAndValues = [new pkijs.AttributeTypeAndValue({ type: OID.commonName, value })];
  return new pkijs.RelativeDistinguishedNames({ typesAndValues });
}

/** Two digits of the year before 2050, as RFC 5280 wants it. */
function timeOf(ms: number): pkijs.Time {
  const value = new Date(ms - (ms % 1_000));
  return new pkijs.Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

const extension = (extnID: string, value: asn1js.AsnType, critical = false): pkijs.Extension =>
  new pkijs.Extension({ extnID, critical, extnValue: value.toBER() });

const constraints = (value: pkijs.BasicConstraints): pkijs.Extension =>
  extension(OID.basicConstraints, value.toSchema(), true);

function usage(of: keyof typeof USAGE): pkijs.Extension {
  const { bits, unused } = USAGE[of];
  const valueHex = Uint8Array.of(bits).buffer;
  return extension(OID.keyUsage, new asn1js.BitString({ valueHex, unusedBits: unused }), true);
}

/** As the authority itself says, whichever way it was made. */
function authorityIdentifier({ extensions = [] }: pkijs.Certificate): pkijs.AuthorityKeyIdentifier {
  const own = extensions.find(({ extnID }) => extnID === OID.subjectKeyIdentifier);
  const keyIdentifier = own?.parsedValue as asn1js.OctetString | undefined;
  return new pkijs.AuthorityKeyIdentifier({
    ...(keyIdentifier && { keyIdentifier: octets(new Uint8Array(keyIdentifier.valueBlock.valueHexView)) }),
  });
}

/** RFC 7093, its fourth method: any hash of the key. */
const identifierOf = async (key: webcrypto.CryptoKey): Promise<Buffer> =>
  createHash('sha256')
    .update(Buffer.from(await subtle.exportKey('spki', key)))
    .digest()
    .subarray(0, 20);

const octets = (bytes: Uint8Array): asn1js.OctetString =>
  new asn1js.OctetString({ valueHex: exactly(bytes) });
const exactly = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;

const derOf = (pem: string): ArrayBuffer =>
  exactly(Buffer.from(pem.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64'));

function pemOf(label: string, der: ArrayBuffer): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)!;
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
