// Certificates as RFC 5280 has them, signed by an authority's key of P-256. What they are written in is pkijs' business: the
// same in a folder of this machine and in a pod, and no program of the system is needed for it.
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  randomBytes,
  subtle,
  type webcrypto,
} from 'node:crypto';
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
  const certificatePem = await certified(keys.publicKey, {
    ...{ subject: name, issuer: nameOf(name), signer: keys.privateKey, serial: newSerial(), validity },
    extensions: [
      constraints(new pkijs.BasicConstraints({ cA: true, pathLenConstraint: 0 })),
      usage('certifies'),
      extension(OID.subjectKeyIdentifier, octets(identifier)),
    ],
  });
  return { certificatePem, keyPem: await pemOfKey(keys.privateKey) };
}

export interface IssueTerms {
  readonly validity: Validity;
  readonly names: ServiceNames;
}

/** With a serial number in upper-case hex. */
export interface Certified {
  readonly certificatePem: string;
  readonly serial: string;
}

/** A service's certificate serves and calls; a person's only calls. */
export async function issued(authority: Pair, caller: Caller, terms: IssueTerms): Promise<Pair & Certified> {
  const keys = await newKeys();
  const made = await signed(authority, keys.publicKey, whoIs(caller, terms));
  return { ...made, keyPem: await pemOfKey(keys.privateKey) };
}

/** A server that is nobody of the cluster, as nats-server: its names are all that it is. */
export async function issuedServer(
  authority: Pair,
  name: string,
  terms: IssueTerms,
): Promise<Pair & Certified> {
  const keys = await newKeys();
  const made = await signed(authority, keys.publicKey, {
    ...{ subject: name, validity: terms.validity, usages: [OID.serverAuth] },
    alternatives: namesOf(terms.names),
  });
  return { ...made, keyPem: await pemOfKey(keys.privateKey) };
}

export interface CertificateRequest {
  readonly keyPem: string;
  readonly requestPem: string;
}

/** A key, and the request that shows that one has it. Who one is to be, only the authority says. */
export async function newRequest(): Promise<CertificateRequest> {
  const keys = await newKeys();
  const request = new pkijs.CertificationRequest({ version: 0, subject: nameOf('odonata'), attributes: [] });
  await request.subjectPublicKeyInfo.importKey(keys.publicKey as CryptoKey);
  await request.sign(keys.privateKey as CryptoKey, 'SHA-256');
  return {
    keyPem: await pemOfKey(keys.privateKey),
    requestPem: pemOf('CERTIFICATE REQUEST', request.toSchema().toBER()),
  };
}

/** A certificate for the key of a request. @throws Error for what is no request, or not one by its key */
export async function issuedFor(
  authority: Pair,
  requestPem: string,
  caller: Caller,
  terms: IssueTerms,
): Promise<Certified> {
  return await signed(authority, await requestedKey(requestPem), whoIs(caller, terms));
}

async function requestedKey(pem: string): Promise<webcrypto.CryptoKey> {
  let request: pkijs.CertificationRequest;
  let spki: Buffer;
  try {
    request = pkijs.CertificationRequest.fromBER(derOf(pem));
    spki = Buffer.from(request.subjectPublicKeyInfo.toSchema().toBER());
    const { namedCurve } =
      createPublicKey({ key: spki, format: 'der', type: 'spki' }).asymmetricKeyDetails ?? {};
    if (namedCurve !== 'prime256v1') throw new Error('its key is none of P-256');
  } catch (cause) {
    throw new Error(`no certificate request: ${(cause as Error).message}`, { cause });
  }
  if (!(await request.verify().catch(() => false)))
    throw new Error('the certificate request is not signed by its own key');
  return await subtle.importKey('spki', spki, KEY, true, ['verify']);
}

interface Who {
  readonly subject: string;
  readonly validity: Validity;
  readonly usages: string[];
  readonly alternatives: pkijs.GeneralName[];
}

function whoIs(caller: Caller, { validity, names }: IssueTerms): Who {
  // A gateway serves those of other clusters, and is no service of its own.
  const service = isService(caller) || caller.role === Role.GATEWAY;
  return {
    ...{ subject: shownCaller(caller).slice(0, 64), validity },
    usages: [...(service ? [OID.serverAuth] : []), OID.clientAuth],
    alternatives: [
      new pkijs.GeneralName({ type: NAME.uri, value: formatIdentity(caller) }),
      ...(service ? namesOf(names) : []),
    ],
  };
}

const namesOf = ({ dns, ips = [] }: ServiceNames): pkijs.GeneralName[] => [
  ...dns.map((value) => new pkijs.GeneralName({ type: NAME.dns, value })),
  ...ips.map((ip) => new pkijs.GeneralName({ type: NAME.ip, value: octets(ip) })),
];

async function signed(authority: Pair, key: webcrypto.CryptoKey, who: Who): Promise<Certified> {
  const by = pkijs.Certificate.fromBER(derOf(authority.certificatePem));
  const serial = newSerial();
  const certificatePem = await certified(key, {
    ...{ subject: who.subject, issuer: by.subject, serial, validity: who.validity },
    signer: await signerOf(authority.keyPem),
    extensions: [
      constraints(new pkijs.BasicConstraints()),
      usage('signs'),
      extension(OID.extendedKeyUsage, new pkijs.ExtKeyUsage({ keyPurposes: who.usages }).toSchema()),
      extension(OID.subjectKeyIdentifier, octets(await identifierOf(key))),
      extension(OID.authorityKeyIdentifier, authorityIdentifier(by).toSchema()),
      extension(OID.subjectAltName, new pkijs.GeneralNames({ names: who.alternatives }).toSchema()),
    ],
  });
  return { certificatePem, serial: serial.toString('hex').toUpperCase() };
}

interface Wanted {
  readonly subject: string;
  readonly issuer: pkijs.RelativeDistinguishedNames;
  readonly signer: webcrypto.CryptoKey;
  readonly serial: Buffer;
  readonly validity: Validity;
  readonly extensions: pkijs.Extension[];
}

async function certified(key: webcrypto.CryptoKey, wanted: Wanted): Promise<string> {
  const { subject, issuer, signer, serial, validity, extensions } = wanted;
  const certificate = new pkijs.Certificate({
    ...{ version: 2, issuer, subject: nameOf(subject), extensions },
    serialNumber: new asn1js.Integer({ valueHex: exactly(serial) }),
    notBefore: timeOf(validity.fromMs),
    notAfter: timeOf(validity.untilMs),
  });
  await certificate.subjectPublicKeyInfo.importKey(key as CryptoKey);
  await certificate.sign(signer as CryptoKey, 'SHA-256');
  return pemOf('CERTIFICATE', certificate.toSchema().toBER());
}

const pemOfKey = async (key: webcrypto.CryptoKey): Promise<string> =>
  pemOf('PRIVATE KEY', await subtle.exportKey('pkcs8', key));

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
