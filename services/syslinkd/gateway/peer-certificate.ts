// Who a gateway of another cluster is: by a certificate of that cluster's own authority, which was pinned, with the role of a gateway
// of that cluster in it. An authority vouches for its own cluster and for no other, and for nobody in ours.
import type { X509Certificate } from 'node:crypto';
import { Role } from '@odonata/proto/auth/v1/access';
import { unauthenticated } from '@odonata/rpc/identity/caller-of-certificate.ts';
import { identityOf, parsedCertificate, serialOf } from '@odonata/rpc/identity/certificate.ts';
import { Gate, type Greeted } from '@odonata/rpc/identity/gate.ts';
import { type Caller, formatIdentity } from '@odonata/rpc/identity/identity.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { type Provider, providerOf } from '@odonata/rpc/tls.ts';
import type { Peer, Policy } from './policy.ts';

/** SHA-256: 64 hex digits, as a policy denies it. */
export const fingerprintOf = ({ fingerprint256 }: X509Certificate): string =>
  fingerprint256.replaceAll(':', '').toUpperCase();

/** Undefined: it is that of a gateway of this peer, and counts now. */
export function whyNotPeer(certificate: X509Certificate, peer: Peer, nowMs: number): string | undefined {
  const who = identityOf(certificate);
  if (who === undefined) return 'its certificate names nobody of a cluster';
  const shown = formatIdentity(who);
  if (who.cluster !== peer.name || who.role !== Role.GATEWAY)
    return `its certificate is of ${shown}, no gateway of cluster ${peer.name}`;
  const authority = peer.authorities.find(
    (each) => certificate.checkIssued(each) && certificate.verify(each.publicKey),
  );
  if (authority === undefined)
    return `the certificate of ${shown} is not of the pinned authority of ${peer.name}`;
  for (const { validFromDate, validToDate } of [certificate, authority])
    if (nowMs < validFromDate.getTime() || nowMs > validToDate.getTime())
      return `the certificate of ${shown} is not valid now`;
  if (peer.denied.has(fingerprintOf(certificate))) return `the certificate of ${shown} was denied`;
  return undefined;
}

/** Lets in gateways of peers, and nobody of our own cluster. */
export class PeerGate extends Gate {
  readonly #policy: () => Policy;
  readonly #certificates = new WeakMap<Caller, X509Certificate>();

  constructor(policy: () => Policy) {
    super(undefined);
    this.#policy = policy;
  }

  override get isOpen(): boolean {
    return false;
  }

  certificateOf(caller: Caller): X509Certificate | undefined {
    return this.#certificates.get(caller);
  }

  override callerOf(call: Greeted): Caller {
    const raw = call.getAuthContext()?.sslPeerCertificate?.raw;
    if (raw === undefined) throw unauthenticated('no certificate');
    const certificate = parsedCertificate(raw);
    const who = identityOf(certificate);
    const peer = who && this.#policy().peers.get(who.cluster);
    if (peer === undefined) throw unauthenticated('the certificate is of no gateway that the policy knows');
    const why = whyNotPeer(certificate, peer, Date.now());
    if (why !== undefined) throw unauthenticated(why);
    const caller = { ...who!, groups: [], serial: serialOf(certificate.serialNumber) };
    this.#certificates.set(caller, certificate);
    return caller;
  }
}

type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];

/** The authorities that were pinned, beside our own certificate, as grpc-js is told both: it takes them for one another. */
export class PinnedAuthorities implements Provider {
  readonly #listeners = new Set<CaListener>();
  readonly #pem: () => Buffer;
  readonly #own: Provider;

  constructor(pem: () => Buffer, folder: TlsFolder) {
    this.#pem = pem;
    this.#own = providerOf(folder);
  }

  /** They have changed. */
  tell(): void {
    for (const listener of this.#listeners) listener({ caCertificate: this.#pem() });
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#listeners.add(listener);
    process.nextTick(listener, { caCertificate: this.#pem() });
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#listeners.delete(listener);
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#own.addIdentityCertificateListener(listener);
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#own.removeIdentityCertificateListener(listener);
  }
}
