// Whose a certificate is, checked against our authority, our cluster and what was revoked.
import type { X509Certificate } from 'node:crypto';
import type { RpcError } from '../error.ts';
import { AccessRefusal } from './access-refusal.ts';
import { identityOf, serialOf } from './certificate.ts';
import { type Caller, formatIdentity } from './identity.ts';
import type { TlsIdentity } from './tls-folder.ts';

/** Extended key usage: somebody who calls. */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export const unauthenticated = (reason: string, cause?: unknown): RpcError =>
  new AccessRefusal('authentication', reason, { cause });

/** Whose certificate this is, that TLS has found to be of our authority. @throws RpcError UNAUTHENTICATED */
export function callerOfCertificate(certificate: X509Certificate, own: TlsIdentity): Caller {
  const caller = identityOf(certificate);
  if (caller === undefined)
    throw unauthenticated('the certificate names nobody of a cluster (subjectAltName)');
  if (caller.cluster !== own.caller.cluster)
    throw unauthenticated(`${formatIdentity(caller)} is of another cluster than ${own.caller.cluster}`);
  const serial = serialOf(certificate.serialNumber);
  if (own.revoked.has(serial))
    throw unauthenticated(`the certificate of ${formatIdentity(caller)} was revoked`);
  return { ...caller, serial };
}

/** The same for one that nobody has checked yet. @throws RpcError UNAUTHENTICATED */
export function callerOfUnchecked(certificate: X509Certificate, own: TlsIdentity, nowMs: number): Caller {
  const authority = own.authorities.find((each) => certificate.checkIssued(each));
  if (authority === undefined || !certificate.verify(authority.publicKey))
    throw unauthenticated('the certificate is not of the authority of this cluster');
  for (const each of [certificate, authority]) {
    if (nowMs < each.validFromDate.getTime() || nowMs > each.validToDate.getTime())
      throw unauthenticated('a certificate is not valid now');
  }
  if (!(certificate.keyUsage ?? []).includes(CLIENT_AUTH))
    throw unauthenticated('the certificate is not one to call with (extendedKeyUsage clientAuth)');
  return callerOfCertificate(certificate, own);
}
