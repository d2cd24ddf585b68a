// Clusters that lodge on the machine of this node, as its supervisor shows them to people: a file in the folder of the node's
// sockets. They have virtual kernels of their own, of which nothing is known here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { replaceJson } from './replace-json.ts';

const shownSchema = z.object({
  name: z.string(),
  /** Whose it is. */
  user: z.string(),
  /** As it is called where it began, and on this machine. */
  cluster: z.string(),
  called: z.string(),
  /** The machine as a node of it. */
  node: z.string(),
  state: z.string(),
  /** Of its vkerneld; 0: that does not run. */
  hostPid: z.number(),
  /** Memory that it has. */
  bytes: z.number(),
  throttledMs: z.number(),
  quota: z.object({
    memoryBytes: z.number(),
    cpuWeight: z.number(),
    cpuMillis: z.number(),
    processes: z.number(),
  }),
});
export type ShownLodger = z.infer<typeof shownSchema>;

const fileOf = (socketDir: string): string => join(socketDir, 'lodgers-shown.json');

/** Of a machine without any, none. */
export function readShownLodgers(socketDir: string): ShownLodger[] {
  try {
    return z.array(shownSchema).parse(JSON.parse(readFileSync(fileOf(socketDir), 'utf8')));
  } catch {
    return [];
  }
}

export const writeShownLodgers = (socketDir: string, lodgers: readonly ShownLodger[]): void =>
  replaceJson(fileOf(socketDir), lodgers);
