// cluster.json, as far as who wants to go in needs it. A supervisor writes it, with more in it, on every change, whole.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { identitySchema } from './process-identity.ts';

export const runningSchema = z.object({
  version: z.literal(1),
  supervisor: identitySchema,
  startedMs: z.number(),
  /** Where the routers are for other machines: host:port each, with commas between. */
  syslink: z.string(),
  plan: z.object({
    cluster: z.string(),
    stateDir: z.string(),
    /** With a folder for the sockets of each node. */
    runtimeDir: z.string().optional(),
    /** Everybody may do everything. */
    insecure: z.boolean().optional(),
    /** It is a node of a cluster of another machine. */
    member: z.object({ cluster: z.string(), node: z.string(), routers: z.string() }).optional(),
  }),
  services: z.array(
    z.object({
      name: z.string(),
      /** host:port */
      address: z.string(),
      /** Where it listens besides, for this machine: `unix:/path`. */
      socket: z.string().optional(),
    }),
  ),
  /** The cluster goes down. */
  stopping: z.boolean().optional(),
});
/** Of a cluster of this machine. */
export type RunningRecord = z.infer<typeof runningSchema>;

/** `syslinkd` alone, else `syslinkd1`, ... */
export const isRouter = ({ name }: { readonly name: string }): boolean => /^syslinkd\d*$/.test(name);

/** What was read last by a schema: a command looks several times, and it has seldom changed. */
const known = new WeakMap<z.ZodType, { readonly text: string; readonly record: unknown }>();

/** The record, or undefined when there is none (or none that this version can read). It is not to be changed. */
export function readRecordAs<T>(file: string, schema: z.ZodType<T>): T | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  const last = known.get(schema);
  if (last?.text === text) return last.record as T | undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // Written whole or not at all; so: not ours.
  }
  const record = schema.safeParse(value).data;
  known.set(schema, { text, record });
  return record;
}

export const readRunning = (file: string): RunningRecord | undefined => readRecordAs(file, runningSchema);
