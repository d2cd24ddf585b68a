// Who a service is to NATS: a file with a user and a password, a line each. It is read at each connection.
import { readFileSync } from 'node:fs';
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

/** For nats.js, which asks for it again at each connection. */
export function connectAs(file: string): {
  authenticator: () => { user: string; pass: string };
  inboxPrefix: string;
} {
  return {
    authenticator: () => {
      const { user, password } = readNatsCredential(file);
      return { user, pass: password };
    },
    inboxPrefix: inboxOf(readNatsCredential(file).user),
  };
}
