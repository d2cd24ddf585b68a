// What a cluster may have of the machine on which it lodges, for its vkerneld there: a file in the folder of that node's sockets,
// written by the machine's supervisor, and read when it counts. So it may change while programs run.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { replaceJson } from './replace-json.ts';

const boundsSchema = z.object({
  /** Programs of all of its virtual kernels at one time; 0: each has its own bound. */
  processes: z.number().int().min(0),
});
export type LodgerBounds = z.infer<typeof boundsSchema>;

const fileOf = (socketDir: string): string => join(socketDir, 'lodging.json');

/** @throws Error where there are none that can be read */
export const readLodgerBounds = (socketDir: string): LodgerBounds =>
  boundsSchema.parse(JSON.parse(readFileSync(fileOf(socketDir), 'utf8')));

export const writeLodgerBounds = (socketDir: string, bounds: LodgerBounds): void =>
  replaceJson(fileOf(socketDir), { processes: bounds.processes });
