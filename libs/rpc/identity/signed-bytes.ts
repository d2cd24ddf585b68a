// Bytes that somebody of the cluster has signed with the key of their certificate, and that go on through others.
import { sign, verify } from 'node:crypto';
import { callerOfUnchecked, unauthenticated } from './caller-of-certificate.ts';
import { parsedCertificate } from './certificate.ts';
import type { Caller } from './identity.ts';
import type { TlsIdentity } from './tls-folder.ts';

export interface Signature {
  readonly signature: Uint8Array;
  /** DER. */
  readonly certificate: Uint8Array;
}

const digestOf = (keyType: string | undefined): string | null => (keyType === 'ed25519' ? null : 'sha256');

/** What is signed begins with what it is for: it can be taken for nothing else. */
const about = (purpose: string, bytes: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`odonata ${purpose}\0`), bytes]);

export function signBytes(own: TlsIdentity, purpose: string, bytes: Uint8Array): Signature {
  const { certificate, key } = own;
  const digest = digestOf(key.asymmetricKeyType);
  const signature = sign(digest, about(purpose, bytes), { key, dsaEncoding: 'ieee-p1363' });
  return { signature, certificate: certificate.raw };
}

/** Who signed them. @throws RpcError UNAUTHENTICATED: nobody of this cluster whose certificate counts */
export function signerOf(
  own: TlsIdentity,
  purpose: string,
  bytes: Uint8Array,
  signed: Signature,
  nowMs: number,
): Caller {
  let certificate: ReturnType<typeof parsedCertificate>;
  try {
    certificate = parsedCertificate(Buffer.from(signed.certificate));
  } catch (error) {
    throw unauthenticated('the certificate of the signer cannot be read', error);
  }
  const signer = callerOfUnchecked(certificate, own, nowMs);
  const key = certificate.publicKey;
  const digest = digestOf(key.asymmetricKeyType);
  if (!verify(digest, about(purpose, bytes), { key, dsaEncoding: 'ieee-p1363' }, signed.signature))
    throw unauthenticated('the signature is wrong');
  return signer;
}
