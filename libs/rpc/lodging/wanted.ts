// Clusters that lodge on a machine: what the supervisor of the node asks of its pmap manager, and what that answers. Both are
// files in the folder of the node's sockets, which is of one user alone.
//
//   lodgers.json         the supervisor: each lodger with the command line of its pmap manager
//   lodgers-state.json   pmapd: how each of them is
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { fileStamp } from '../file-stamp.ts';
import { replaceJson } from './replace-json.ts';

/** Clusters that lodge on a machine beside the one whose node it is. */
export const LODGERS_MAX = 7;

export const lodgerSchema = z.object({
  /** As the owner of the machine calls it. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/),
  /** The command line of its pmap manager, behind the program. */
  args: z.array(z.string()).max(200),
  logFile: z.string().startsWith('/'),
  /** Memory that it may have; 0: what the machine hands out. */
  framesBytes: z.number().int().min(0),
  /** It is to hand over what it has, and end. */
  rest: z.boolean(),
});
export type Lodger = z.infer<typeof lodgerSchema>;

const wantedSchema = z.object({ version: z.literal(1), lodgers: z.array(lodgerSchema).max(LODGERS_MAX) });

const stateSchema = z.object({
  version: z.literal(1),
  lodgers: z.array(
    z.object({
      name: z.string(),
      /** starting: it waits for its cluster; up: it is the pmap manager of its node; waiting: it ended, and begins again. */
      state: z.enum(['starting', 'standing by', 'up', 'waiting', 'stopped']),
      restarts: z.number().int(),
      /** How its last life ended. */
      lastEnd: z.string().optional(),
      /** Memory that it has. */
      bytes: z.number(),
    }),
  ),
});
export type LodgerState = z.infer<typeof stateSchema>['lodgers'][number];

const wantedFile = (socketDir: string): string => join(socketDir, 'lodgers.json');
const stateFile = (socketDir: string): string => join(socketDir, 'lodgers-state.json');

/** Changes when the wishes do. */
export const wantedStamp = (socketDir: string): string => fileStamp(wantedFile(socketDir));

/** @throws Error for a file that holds something else */
export const readWanted = (socketDir: string): Lodger[] =>
  wantedSchema.parse(JSON.parse(readFileSync(wantedFile(socketDir), 'utf8'))).lodgers;

export const writeWanted = (socketDir: string, lodgers: readonly Lodger[]): void =>
  replaceJson(wantedFile(socketDir), { version: 1, lodgers });

/** Of one that says nothing, nothing. */
export function readLodgerStates(socketDir: string): LodgerState[] {
  try {
    return stateSchema.parse(JSON.parse(readFileSync(stateFile(socketDir), 'utf8'))).lodgers;
  } catch {
    return [];
  }
}

export const writeLodgerStates = (socketDir: string, lodgers: readonly LodgerState[]): void =>
  replaceJson(stateFile(socketDir), { version: 1, lodgers });
