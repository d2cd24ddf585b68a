// A context: a cluster elsewhere, and who one is there, kept on this machine under a name.
//
//   $ODONATA_HOME/.contexts/<name>/   context.json, and tls.crt, tls.key, ca.crt
//   $ODONATA_HOME/.contexts/current   the name of the one in use; not there: clusters of this machine
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Code } from '@odonata/rpc/error.ts';
import { z } from 'zod';
import { clientError } from '../client-error.ts';
import { stateFolder } from './state-folder.ts';

export interface KnownContext {
  readonly name: string;
  readonly cluster: string;
  /** Its routers, host:port with commas between. */
  readonly syslink: string;
  /** Who one is there. */
  readonly tlsDir: string;
}

export const CONTEXT_NAME = /^[a-z0-9][a-z0-9.-]{0,62}$/;
const saidSchema = z.object({ cluster: z.string(), syslink: z.string() });

export const contextsDir = (): string => join(dirname(stateFolder('default').stateDir), '.contexts');

/** @throws RpcError NOT_FOUND where there is none of that name that can be read */
export function knownContext(name: string): KnownContext {
  const tlsDir = join(contextsDir(), name);
  const said = CONTEXT_NAME.test(name) ? saidIn(join(tlsDir, 'context.json')) : undefined;
  if (said !== undefined) return { name, ...said, tlsDir };
  const names = contextNames().join(', ') || 'none';
  const what = `no context "${name}"; contexts: ${names}`;
  throw clientError(Code.NotFound, 'NO_CONTEXT', { context: name, contexts: names }, what);
}

function saidIn(file: string): z.infer<typeof saidSchema> | undefined {
  try {
    return saidSchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch {
    return undefined; // Written whole or not at all.
  }
}

/** Sorted. */
export function contextNames(): string[] {
  const dir = contextsDir();
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => CONTEXT_NAME.test(name) && existsSync(join(dir, name, 'context.json')))
    .sort();
}

/** The name of the one in use: what ODONATA_CONTEXT says (empty: none), else what was chosen on this machine. */
export function contextInUse(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env.ODONATA_CONTEXT !== undefined) return env.ODONATA_CONTEXT || undefined;
  try {
    return readFileSync(join(contextsDir(), 'current'), 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
