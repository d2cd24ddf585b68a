// Makes the identities of a cluster for trials, as the Secrets that k8s/components/tls reads: a Job of
// k8s/components/tls-self-signed. Nothing is made while all are there, of one authority, and good for a month.
import { X509Certificate } from 'node:crypto';
import { type Caller, type RoleName, roleOf } from '@odonata/rpc/identity/identity.ts';
import { daysFromNow, issued, newAuthority, type Pair } from '../certificates.ts';
import { ownApiServer, Secrets } from './secrets.ts';

const DAYS = 365;
const LEFT_MS = 30 * 86_400_000;

/** By role: the namespace of its Secret. */
export const PLACES = {
  syslinkd: 'odonata',
  cohd: 'odonata',
  pmapd: 'odonata-nodes',
  vkerneld: 'odonata-nodes',
  admin: 'odonata',
} as const satisfies Partial<Record<RoleName, string>>;
const ROLES = Object.entries(PLACES) as [keyof typeof PLACES, string][];

/** As files of libs/rpc/identity/tls-folder.ts. */
interface IdentityFiles {
  readonly 'tls.crt': string;
  readonly 'tls.key': string;
  readonly 'ca.crt': string;
}

export const secretOf = (role: string): string => `odonata-tls-${role}`;

/** @returns true where they were made anew @throws Error what the API server says */
export async function makeIdentities(
  secrets: Secrets,
  cluster: string,
  nowMs = Date.now(),
): Promise<boolean> {
  const there = await Promise.all(ROLES.map(([role, place]) => secrets.read(place, secretOf(role))));
  const authorities = new Set(there.map((data) => data?.['ca.crt']));
  if (authorities.size === 1 && there.every((data) => isGood(data, nowMs))) return false;
  // Its key is nowhere but here, and gone with this process.
  const authority = await newAuthority(`odonata ${cluster}, for trials`, daysFromNow(DAYS));
  for (const [role, place] of ROLES) {
    // All instances of a role share one, so its name stands for each.
    const name = role === 'admin' ? 'admin' : '*';
    const caller: Caller = { cluster, role: roleOf(role)!, name, groups: [] };
    const files = await filesOf(authority, caller, ['odonata', role, 'localhost']);
    await secrets.write(place, secretOf(role), 'kubernetes.io/tls', { ...files });
  }
  return true;
}

/** @param dns names by which foreign clients check a service */
export async function filesOf(
  authority: Pair,
  caller: Caller,
  dns: readonly string[],
): Promise<IdentityFiles> {
  const validity = daysFromNow(DAYS);
  const { certificatePem, keyPem } = await issued(authority, caller, { validity, names: { dns } });
  return { 'tls.crt': certificatePem, 'tls.key': keyPem, 'ca.crt': authority.certificatePem };
}

function isGood(data: Readonly<Record<string, string>> | undefined, nowMs: number): boolean {
  try {
    const { 'tls.crt': certificate, 'ca.crt': authority } = data as unknown as IdentityFiles;
    const own = new X509Certificate(certificate);
    const signer = new X509Certificate(authority);
    return own.verify(signer.publicKey) && own.validToDate.getTime() > nowMs + LEFT_MS;
  } catch {
    return false;
  }
}

if (import.meta.main) {
  try {
    const made = await makeIdentities(new Secrets(ownApiServer()), process.argv[2] ?? 'odonata');
    console.log(made ? 'identities: made, of a new authority' : 'identities: all are there');
  } catch (error) {
    console.error(`identities: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
