// Mutual TLS of what this process serves and calls by TCP, with the identity in its folder. Unix sockets are plain: their
// folder guards them, and calls on them show a token (identity/token.ts). Addresses are those of pods and change, so whom
// one has connected to is known by the identity in the certificate, and not by a host's name.

import type { PeerCertificate } from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { Role } from '@odonata/proto/auth/v1/access';
import { isUnix } from './address.ts';
import { ownTurn } from './bug.ts';
import { identityOf, parsedCertificate, serialOf } from './identity/certificate.ts';
import { formatIdentity, isService, nameOfRole } from './identity/identity.ts';
import type { TlsFolder, TlsIdentity } from './identity/tls-folder.ts';

const LOOK_MS = 2_000;

/** Tells grpc-js certificates. */
export type Provider = grpc.experimental.CertificateProvider;
type CaListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

export function serverCredentials(address: string, folder: TlsFolder | undefined): grpc.ServerCredentials {
  if (folder === undefined || isUnix(address)) return grpc.ServerCredentials.createInsecure();
  const provider = providerOf(folder);
  return grpc.experimental.createCertificateProviderServerCredentials(provider, provider, true);
}

/** Of a channel with TLS: RFC 6066 knows no addresses as names of servers. */
export const TLS_OPTIONS: grpc.ChannelOptions = {
  'grpc.ssl_target_name_override': 'odonata',
  'grpc.default_authority': 'odonata',
};

/** @param server the roles that the other end may have; any service of the cluster unless told otherwise */
export function channelCredentials(
  address: string,
  folder: TlsFolder | undefined,
  server?: Role | readonly Role[],
): grpc.ChannelCredentials {
  if (folder === undefined || isUnix(address)) return grpc.credentials.createInsecure();
  const provider = providerOf(folder);
  return grpc.experimental.createCertificateProviderChannelCredentials(provider, provider, {
    checkServerIdentity: (_host, certificate) => whyNotService(certificate, folder.identity, server),
  });
}

/** Undefined for a service of our cluster, in one of these roles. */
function whyNotService(
  { raw }: PeerCertificate,
  { caller: own, revoked }: TlsIdentity,
  wanted: Role | readonly Role[] | undefined,
): Error | undefined {
  const certificate = parsedCertificate(raw);
  const server = identityOf(certificate);
  if (server === undefined) return new Error('the certificate of the server names nobody of a cluster');
  const roles = wanted === undefined ? undefined : [wanted].flat();
  // A gateway is one for who expects one.
  const isOurs =
    isService(server) || (server.role === Role.GATEWAY && roles?.includes(Role.GATEWAY) === true);
  if (server.cluster !== own.cluster || !isOurs)
    return new Error(`the server is ${formatIdentity(server)}, no service of the cluster ${own.cluster}`);
  if (roles?.includes(server.role) === false)
    return new Error(`the server is ${formatIdentity(server)}, no ${roles.map(nameOfRole).join(' or ')}`);
  if (revoked.has(serialOf(certificate.serialNumber)))
    return new Error(`the certificate of the server, ${formatIdentity(server)}, was revoked`);
  return undefined;
}

const providers = new WeakMap<TlsFolder, CertificateFiles>();

export function providerOf(folder: TlsFolder): Provider {
  let provider = providers.get(folder);
  if (provider === undefined) {
    provider = new CertificateFiles(folder);
    providers.set(folder, provider);
  }
  return provider;
}

/** Tells grpc-js the certificates of a folder, at once and when they change. */
class CertificateFiles implements Provider {
  readonly #folder: TlsFolder;
  readonly #authority = new Set<CaListener>();
  readonly #identity = new Set<IdentityListener>();
  #told: object | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(folder: TlsFolder) {
    this.#folder = folder;
  }

  addCaCertificateListener(listener: CaListener): void {
    this.#authority.add(listener);
    // Not at once: grpc-js adds whoever waits for it right after this.
    process.nextTick(listener, { caCertificate: this.#folder.identity.authorityPem });
    this.#watch();
  }

  removeCaCertificateListener(listener: CaListener): void {
    this.#authority.delete(listener);
    this.#rest();
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.add(listener);
    const { certificatePem, keyPem } = this.#folder.identity;
    process.nextTick(listener, { certificate: certificatePem, privateKey: keyPem });
    this.#watch();
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#identity.delete(listener);
    this.#rest();
  }

  #watch(): void {
    this.#told ??= this.#folder.identity;
    this.#timer ??= setInterval(
      ownTurn({ timer: 'certificates' }, () => this.#look()),
      LOOK_MS,
    ).unref();
  }

  #rest(): void {
    if (this.#authority.size + this.#identity.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const { identity } = this.#folder;
    if (identity === this.#told) return;
    this.#told = identity;
    for (const tell of this.#authority) tell({ caCertificate: identity.authorityPem });
    for (const tell of this.#identity)
      tell({ certificate: identity.certificatePem, privateKey: identity.keyPem });
  }
}
