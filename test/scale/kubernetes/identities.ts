// As whom the load comes: with the identity of a role, from its Secret (k8s/components/tls), in a folder as long as it is needed.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { Failure } from '../../../services/vkctl/failure.ts';
import { Kubectl, NODES } from './kubectl.ts';

const FILES = ['tls.crt', 'tls.key', 'ca.crt'];
/** By role: the namespace of its Secret; undefined: that of the routers. */
const PLACES = { admin: undefined, cohd: undefined, pmapd: NODES, vkerneld: NODES } as const;
export type LoadRole = keyof typeof PLACES;

/** Fetches the identities of these roles, hands them over in order, and removes them. @throws Failure for one that is not there */
export async function withIdentities<T>(
  signal: AbortSignal,
  roles: readonly LoadRole[],
  use: (folders: TlsFolder[]) => Promise<T>,
): Promise<T> {
  const all = mkdtempSync(join(tmpdir(), 'odonata-identities-'));
  try {
    const folders: TlsFolder[] = [];
    for (const role of roles) folders.push(await fetched(signal, role, join(all, role)));
    return await use(folders);
  } finally {
    rmSync(all, { recursive: true, force: true });
  }
}

async function fetched(signal: AbortSignal, role: LoadRole, dir: string): Promise<TlsFolder> {
  const name = `odonata-tls-${role}`;
  const { data = {} } = (await new Kubectl(signal, PLACES[role]).json('get', 'secret', name)) as {
    data?: Record<string, string>;
  };
  mkdirSync(dir, { mode: 0o700 });
  for (const file of FILES) {
    const coded = data[file];
    if (coded === undefined)
      throw new Failure(`secret/${name} has no ${file}`, {
        fix: 'Deploy with k8s/components/tls-self-signed or tls-cert-manager.',
      });
    writeFileSync(join(dir, file), Buffer.from(coded, 'base64'), { mode: 0o600 });
  }
  return new TlsFolder(dir);
}
