// The nodes of other machines that belong to a cluster of this one, and which nodes are to rest: what the door writes, and the
// supervisor carries out.
//
//   <stateDir>/identity/ca/nodes.json   mode 0600: it has passwords for NATS
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileStamp } from '@odonata/rpc/file-stamp.ts';
import { z } from 'zod';
import { type AuthorityPlace, alone, replaceFile } from './authority-lock.ts';
import { authorityDir } from './certificates.ts';

const memberSchema = z.object({
  name: z.string(),
  index: z.number().int(),
  /** Of all certificates that were made for it. */
  serials: z.array(z.string()),
  /** Of the requests by which it came in: the same again is no second one. */
  asked: z.string(),
  natsPassword: z.string(),
  /** Of its pmap manager, host:port. */
  address: z.string(),
  sinceMs: z.number(),
  /** Its machine has spoken since it joined; before, whoever asked may never have heard the answer. */
  confirmed: z.boolean(),
  removedMs: z.number().optional(),
});
export type Member = z.infer<typeof memberSchema>;

const fileSchema = z.object({
  version: z.literal(1),
  /** Those that were removed, too: their certificates count no more. */
  members: z.array(memberSchema),
  /** Nodes that are to rest, of any machine. */
  resting: z.array(z.string()),
});
export type NodesFile = z.infer<typeof fileSchema>;

const NONE: NodesFile = { version: 1, members: [], resting: [] };

type Where = Pick<AuthorityPlace, 'stateDir'>;

const fileOf = (plan: Where): string => join(authorityDir(plan), 'nodes.json');

/** @throws Error for a file that cannot be read, or holds something else */
export function readNodes(plan: Where): NodesFile {
  if (!existsSync(fileOf(plan))) return NONE;
  return fileSchema.parse(JSON.parse(readFileSync(fileOf(plan), 'utf8')));
}

/** Changes when the file does. */
export const nodesStamp = (plan: Where): string => fileStamp(fileOf(plan));

/** Under the lock of the authority. */
export const writeNodes = (plan: Where, nodes: NodesFile): void =>
  replaceFile(fileOf(plan), `${JSON.stringify(nodes, undefined, 2)}\n`, { lasting: true });

/** Those that are in. */
export const membersIn = ({ members }: NodesFile): Member[] =>
  members.filter(({ removedMs }) => removedMs === undefined);

/** Serial numbers that count no more. */
export const revokedOf = ({ members }: NodesFile): string[] =>
  members.filter(({ removedMs }) => removedMs !== undefined).flatMap(({ serials }) => serials);

/** Whether machines joined it: their certificates are of use as long as the authority stays. */
export function hasMembers(plan: Where): boolean {
  try {
    return membersIn(readNodes(plan)).length > 0;
  } catch {
    return true; // A list that cannot be read is no reason to delete it.
  }
}

/** When a cluster starts, its own nodes work. */
export const workAgain = (
  plan: AuthorityPlace & { readonly nodes: readonly { name: string }[] },
): Promise<void> =>
  alone(plan, () => {
    const nodes = readNodes(plan);
    const resting = nodes.resting.filter((each) => !plan.nodes.some(({ name }) => name === each));
    if (resting.length < nodes.resting.length) writeNodes(plan, { ...nodes, resting });
  });
