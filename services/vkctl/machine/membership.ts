// What a machine knows of the cluster that it joined, also while nothing of it runs:
//
//   <stateDir>/identity/member/member.json   mode 0600
//   <stateDir>/identity/pmapd-NODE/, vkerneld-NODE/   its identities; the keys were made here
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityDir } from '@odonata/client/local/identity-folder.ts';
import { LOG_LEVELS } from '@odonata/rpc/silent-log.ts';
import { LAYERS } from '@odonata/userfault/sandbox/layer-names.ts';
import { z } from 'zod';
import { replaceFile } from '../cluster/authority-lock.ts';

const membershipSchema = z.object({
  version: z.literal(1),
  /** As it is called where it began. */
  cluster: z.string(),
  node: z.object({ name: z.string(), index: z.number().int().positive() }),
  /** Where the door and the services of the cluster are, host:port. */
  door: z.string(),
  routers: z.string(),
  nats: z.string(),
  directories: z.array(z.string()),
  /** By which other machines reach this one, and what it listens on. */
  host: z.string(),
  listenHost: z.string(),
  port: z.number().int(),
  joinedMs: z.number(),
  /** The cluster of this machine that it lodges with; absent: it is a node of its own. */
  lodgesWith: z.string().optional(),
  /** The cluster has put it out. */
  removed: z.boolean().optional(),
  /** As `join` was told. */
  options: z.object({
    allowDirs: z.array(z.string()).optional(),
    framesBytes: z.number().optional(),
    allowUnconfined: z.array(z.enum(LAYERS)).optional(),
    logLevel: z.enum(LOG_LEVELS).optional(),
  }),
});
export type Membership = z.infer<typeof membershipSchema>;

interface Where {
  readonly stateDir: string;
}

const fileOf = (where: Where): string => join(identityDir(where), 'member', 'member.json');

/** Undefined: this machine joined nothing by this name. @throws Error for a file that holds something else */
export function readMembership(where: Where): Membership | undefined {
  const file = fileOf(where);
  if (!existsSync(file)) return undefined;
  return membershipSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
}

/** Whether it is a node of another machine's cluster, however readable that is. */
export const isMember = (where: Where): boolean => existsSync(fileOf(where));

export function writeMembership(where: Where, membership: Membership): void {
  mkdirSync(join(identityDir(where), 'member'), { recursive: true, mode: 0o700 });
  replaceFile(fileOf(where), `${JSON.stringify(membership, undefined, 2)}\n`);
}

/** What was joined stays known, so that `up` says why it does not start. */
export function markRemoved(where: Where): void {
  const membership = readMembership(where);
  if (membership !== undefined) writeMembership(where, { ...membership, removed: true });
}
