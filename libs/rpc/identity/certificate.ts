// What a certificate says of its holder.
import { X509Certificate } from 'node:crypto';
import { type Caller, parseIdentity } from './identity.ts';

const PREFIX = 'URI:';

/** The one identity in the alternative names; undefined where there is none, or more than one. */
export function identityOf({ subjectAltName }: X509Certificate): Caller | undefined {
  // A name that could be taken for several is quoted by Node; ours never needs that.
  const found = (subjectAltName ?? '')
    .split(', ')
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => parseIdentity(name.slice(PREFIX.length)));
  const [identity] = found;
  return found.length === 1 ? identity : undefined;
}

/** A serial number as it is compared: upper-case hex, without leading zeros. */
export const serialOf = (hex: string): string =>
  hex.trim().replaceAll(':', '').toUpperCase().replace(/^0+/, '');

/** Bounded: a peer's certificate is parsed once and not for each of its calls. */
const PARSED_LIMIT = 256;
const parsed = new Map<string, X509Certificate>();

export function parsedCertificate(der: Buffer): X509Certificate {
  const key = der.toString('latin1');
  let certificate = parsed.get(key);
  if (certificate === undefined) {
    certificate = new X509Certificate(der);
    if (parsed.size >= PARSED_LIMIT) parsed.clear();
    parsed.set(key, certificate);
  }
  return certificate;
}
