// Who a service is to NATS: a file with a user and a password, a line each. It is read at each connection.
import { readFileSync } from 'node:fs';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { TlsOptions } from 'nats';
import { inboxOf } from './permissions.ts';

export interface NatsCredential {
  readonly user: string;
  readonly password: string;
}

/** @throws Error where the file cannot be read, or holds no credential */
export function readNatsCredential(file: string): NatsCredential {
  const [user = '', password = '', ...rest] = readFileSync(file, 'utf8').trimEnd().split('\n');
  if (user === '' || password === '' || rest.length > 0)
    throw new Error(`${file} holds no credential for NATS: a line with the user, one with the password`);
  return { user, password };
}

/**
 * For nats.js, which asks for it again at each connection.
 * @param onAsked hears which time it is
 */
export function connectAs(
  file: string,
  onAsked: (time: number) => void = () => {},
): {
  authenticator: () => { user: string; pass: string };
  inboxPrefix: string;
} {
  let last = readNatsCredential(file);
  let times = 0;
  return {
    authenticator: () => {
      onAsked(++times);
      try {
        last = readNatsCredential(file);
      } catch {
        // It is written just now, or its folder is gone: what was right may be so still.
      }
      return { user: last.user, pass: last.password };
    },
    inboxPrefix: inboxOf(last.user),
  };
}

/** What the certificate of the server says that it is: no service of the cluster can say the same. */
export const NATS_NAME = 'nats.odonata';

/**
 * For nats.js: TLS with a server of this authority. Addresses change, so that it is the NATS server is known by its name.
 * @param ca file with the certificate of the authority
 */
export function overTls(ca: string): { tls: TlsOptions } {
  // nats.js hands on what it does not know to node:tls.
  const tls = {
    caFile: ca,
    checkServerIdentity: (_: string, certificate: PeerCertificate) =>
      checkServerIdentity(NATS_NAME, certificate),
  };
  return { tls };
}
