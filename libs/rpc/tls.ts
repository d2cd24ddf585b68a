// Mutual TLS of a process: one certificate for what it serves and for what it calls, of the cluster's own authority.
//
//   tls.crt, tls.key   the certificate of this process, with its key
//   ca.crt             the authority: a peer is one of us when it shows a certificate of this one
//
// These are the names in a Secret that cert-manager makes. Addresses are those of pods and change, so each certificate
// carries the DNS name `odonata` and that name is what is checked. Unix sockets stay plain: their folder guards them.
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';

/** In every certificate of a cluster. */
export const TLS_NAME = 'odonata';
const FILES = ['tls.crt', 'tls.key', 'ca.crt'] as const;

let tlsDir = '';

/** From now on servers and channels of this process use the certificate in this folder; empty: no TLS. */
export function useTls(dir: string): void {
  tlsDir = dir;
}

/** The files that cannot be read there. */
export function missingTlsFiles(dir: string): string[] {
  return FILES.filter((file) => {
    try {
      accessSync(join(dir, file), constants.R_OK);
      return false;
    } catch {
      return true;
    }
  });
}

export function serverCredentials(address: string): grpc.ServerCredentials {
  if (!isSecured(address)) return grpc.ServerCredentials.createInsecure();
  const { authority, key, certificate } = readTls();
  return grpc.ServerCredentials.createSsl(authority, [{ private_key: key, cert_chain: certificate }], true);
}

/** Read anew for each channel: a renewed certificate is taken without a restart. */
export function channelCredentials(address: string): [grpc.ChannelCredentials, grpc.ChannelOptions] {
  if (!isSecured(address)) return [grpc.credentials.createInsecure(), {}];
  const { authority, key, certificate } = readTls();
  const credentials = grpc.credentials.createSsl(authority, key, certificate);
  return [credentials, { 'grpc.ssl_target_name_override': TLS_NAME, 'grpc.default_authority': TLS_NAME }];
}

function isSecured(address: string): boolean {
  return tlsDir !== '' && !address.startsWith('unix:');
}

function readTls(): { authority: Buffer; key: Buffer; certificate: Buffer } {
  const [certificate, key, authority] = FILES.map((file) => readFileSync(join(tlsDir, file)));
  return { authority: authority!, key: key!, certificate: certificate! };
}
