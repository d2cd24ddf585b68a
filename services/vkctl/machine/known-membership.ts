// What a machine was, or is, of a cluster that it joined, for words about it: no more of `member.json` than that (membership.ts).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityDir } from '@odonata/client/local/identity-folder.ts';
import { stateFolder } from '@odonata/client/local/state-folder.ts';
import { z } from 'zod';

const known = z.object({
  cluster: z.string(),
  node: z.object({ name: z.string() }),
  lodgesWith: z.string().optional(),
  removed: z.boolean().optional(),
});

/** Undefined where it joined nothing by this name, or nobody can tell. */
export function knownMembership(cluster: string): z.infer<typeof known> | undefined {
  try {
    const file = join(identityDir(stateFolder(cluster)), 'member', 'member.json');
    return known.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return undefined;
  }
}
