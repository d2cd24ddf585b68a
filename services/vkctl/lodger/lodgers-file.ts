// Clusters that lodge on this machine beside the one whose node it is: which there are, and what each may have. vkctl writes,
// the supervisor carries out. Who each of them is stands in the folder of that cluster (machine/membership.ts).
//
//   <stateDir>/identity/lodgers/lodgers.json   mode 0600
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityDir } from '@odonata/client/local/identity-folder.ts';
import { fileStamp } from '@odonata/rpc/file-stamp.ts';
import { LODGERS_MAX } from '@odonata/rpc/lodging/wanted.ts';
import { z } from 'zod';
import { replaceFile } from '../cluster/authority-lock.ts';
import { waitForLock } from '../cluster/lock.ts';
import { Failure } from '../failure.ts';

const LOCK_MS = 10_000;

const quotaSchema = z.object({
  /** 0: what the machine hands out. */
  memoryBytes: z.number().int().min(0),
  /** Of its virtual kernels, all together; 0: as one of them, 100. */
  cpuWeight: z.number().int().min(0),
  /** Thousandths of a processor; 0: all. */
  cpuMillis: z.number().int().min(0),
  /** Programs at one time; 0: any. */
  processes: z.number().int().min(0),
});
export type LodgerQuota = z.infer<typeof quotaSchema>;

const entrySchema = z.object({
  /** As the owner of this machine calls it, among virtual kernels. */
  name: z.string(),
  /** As the cluster is called on this machine: the name of its folder. */
  cluster: z.string(),
  /** The node of the own cluster whose pmap manager serves it. */
  host: z.string(),
  /** Whose it is. */
  user: z.string(),
  quota: quotaSchema,
  /** It is to end here for good. */
  leaving: z.boolean(),
});
export type LodgerEntry = z.infer<typeof entrySchema>;

const fileSchema = z.object({ version: z.literal(1), lodgers: z.array(entrySchema).max(LODGERS_MAX) });

interface Where {
  readonly stateDir: string;
}

const dirOf = (where: Where): string => join(identityDir(where), 'lodgers');
const fileOf = (where: Where): string => join(dirOf(where), 'lodgers.json');

/** Changes when the list does. */
export const lodgersStamp = (where: Where): string => fileStamp(fileOf(where));

/** @throws Error for a file that cannot be read, or holds something else */
export function readLodgers(where: Where): LodgerEntry[] {
  if (!existsSync(fileOf(where))) return [];
  return fileSchema.parse(JSON.parse(readFileSync(fileOf(where), 'utf8'))).lodgers;
}

/** The same where one that cannot be read is as good as none. */
export function lodgersHere(where: Where): LodgerEntry[] {
  try {
    return readLodgers(where);
  } catch {
    return [];
  }
}

export const lodgerNamed = (where: Where, name: string): LodgerEntry | undefined =>
  lodgersHere(where).find((each) => each.name === name);

/** By one at a time. @throws Failure */
export async function changeLodgers(
  where: Where,
  change: (lodgers: LodgerEntry[]) => LodgerEntry[],
): Promise<void> {
  mkdirSync(dirOf(where), { recursive: true, mode: 0o700 });
  const lock = await waitForLock(join(dirOf(where), 'lodgers.lock'), LOCK_MS);
  if (lock === undefined)
    throw new Failure('another vkctl is changing which clusters lodge here', { fix: 'Try again.' });
  try {
    const lodgers = change(readLodgers(where));
    replaceFile(fileOf(where), `${JSON.stringify({ version: 1, lodgers }, undefined, 2)}\n`);
  } finally {
    lock.release();
  }
}
