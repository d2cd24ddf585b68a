// What a program shows the cluster to be let in: a certificate of the cluster's authority, with who it is.
import { Code } from '@odonata/rpc/error.ts';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { clientError } from './client-error.ts';

export interface Credential {
  /** A folder with `tls.crt`, `tls.key` and `ca.crt`. What is renewed there is taken without a word. */
  readonly tlsDir: string;
}

/** Of the environment: ODONATA_TLS_DIR; undefined: none. */
export function credentialOfEnv(env: NodeJS.ProcessEnv = process.env): Credential | undefined {
  return env.ODONATA_TLS_DIR ? { tlsDir: env.ODONATA_TLS_DIR } : undefined;
}

/** @throws RpcError UNAUTHENTICATED where the folder holds no identity */
export function folderOf(credential: Credential | undefined): TlsFolder | undefined {
  if (credential === undefined) return undefined;
  const { tlsDir } = credential;
  try {
    return new TlsFolder(tlsDir);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const what = `the folder ${tlsDir} holds no identity to show: ${why}`;
    throw clientError(Code.Unauthenticated, 'NO_IDENTITY', { tlsDir, why }, what, { cause });
  }
}
