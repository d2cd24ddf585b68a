// A context: a cluster elsewhere, and who one is there. `vkctl user add` writes one into a file for somebody; `vkctl context
// add` keeps it:
//
//   $ODONATA_HOME/.contexts/<name>/   context.json, and tls.crt, tls.key, ca.crt
//   $ODONATA_HOME/.contexts/current   the name of the one that commands mean; not there: clusters of this machine
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CONTEXT_NAME,
  contextInUse,
  contextNames,
  contextsDir,
  knownContext,
} from '@odonata/client/local/contexts.ts';
import { isAddress } from '@odonata/rpc/address.ts';
import { formatIdentity } from '@odonata/rpc/identity/identity.ts';
import { TlsFolder, whyNoIdentity } from '@odonata/rpc/identity/tls-folder.ts';
import { routerAddresses } from '@odonata/rpc/syslink/routers.ts';
import { z } from 'zod';
import { EXIT, Failure, reasonOf } from '../failure.ts';

const pem = z
  .string()
  .max(64 * 1024)
  .includes('-----BEGIN ');
const contextSchema = z.object({
  version: z.literal(1),
  /** Of the cluster. */
  cluster: z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/),
  /** Its routers, host:port with commas between. */
  syslink: z
    .string()
    .max(4_096)
    .refine((list) => routerAddresses(list).length > 0 && routerAddresses(list).every(isAddress)),
  certificate: pem,
  key: pem,
  authority: pem,
});
export type ContextFile = z.infer<typeof contextSchema>;

export interface Context {
  readonly name: string;
  readonly cluster: string;
  readonly syslink: string;
  readonly folder: TlsFolder;
}

/** For `use`: no context, but clusters of this machine. */
export const HERE = 'here';
/** The other one is the file that says which is in use. */
const RESERVED: ReadonlySet<string> = new Set([HERE, 'current']);

const currentFile = (): string => join(contextsDir(), 'current');

/** @throws Failure: what is wrong with it */
export function parseContext(text: string, from: string): ContextFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw noContext(from, 'it is no JSON');
  }
  const parsed = contextSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw noContext(from, `${issue!.path.join('.') || 'it'}: ${issue!.message}`);
}

const noContext = (from: string, why: string): Failure =>
  new Failure(`${from} is no context of a cluster: ${why}`, {
    fix: 'Ask an admin of the cluster for one: vkctl user add NAME',
    exitCode: EXIT.usage,
  });

/** Keeps a context under a name. @throws Failure where there is one of that name, and it is not to be replaced */
export function keepContext(
  name: string,
  { certificate, key, authority, cluster, syslink }: ContextFile,
  replace: boolean,
): Context {
  expectName(name);
  const folder = join(contextsDir(), name);
  if (!replace && existsSync(folder))
    throw new Failure(`there is a context ${name} already (${whoIn(name)})`, {
      fix: 'Give --replace for the new one in its place, or --name for another name.',
    });
  changing(() =>
    aside((made) => {
      const [fresh, before] = [join(made, 'after'), join(made, 'before')];
      mkdirSync(fresh, { mode: 0o700 });
      const write = (file: string, text: string) => writeFileSync(join(fresh, file), text, { mode: 0o600 });
      write('tls.crt', certificate);
      write('tls.key', key);
      write('ca.crt', authority);
      write('context.json', `${JSON.stringify({ version: 1, cluster, syslink }, undefined, 2)}\n`);
      const why = whyNoIdentity(fresh);
      if (why !== undefined) throw noContext('that', why);
      try {
        if (existsSync(folder)) renameSync(folder, before);
        renameSync(fresh, folder);
      } catch (error) {
        if (existsSync(before)) renameSync(before, folder);
        throw error;
      }
    }),
  );
  return contextOf(name);
}

/** @throws RpcError NOT_FOUND where there is none of that name */
export function contextOf(name: string): Context {
  const { cluster, syslink, tlsDir } = knownContext(name);
  return { name, cluster, syslink, folder: new TlsFolder(tlsDir) };
}

/** By name. */
export const listContexts = (): Context[] => contextNames().map(contextOf);

export function removeContext(name: string): void {
  contextOf(name);
  if (contextInUse() === name) setContextInUse(undefined);
  changing(() => rmSync(join(contextsDir(), name), { recursive: true, force: true }));
}

/** @param name undefined: clusters of this machine */
export function setContextInUse(name: string | undefined): void {
  if (name === undefined) {
    changing(() => rmSync(currentFile(), { force: true }));
    return;
  }
  contextOf(name);
  changing(() =>
    aside((made) => {
      writeFileSync(join(made, 'current'), `${name}\n`, { mode: 0o600 });
      renameSync(join(made, 'current'), currentFile());
    }),
  );
}

/** No context has such a name: what another vkctl writes at the same time, or one that was killed left, is not in the way. */
function aside(use: (folder: string) => void): void {
  mkdirSync(contextsDir(), { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(contextsDir(), '.new-'));
  try {
    use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @throws Failure where the folder of contexts cannot be written */
function changing(change: () => void): void {
  try {
    change();
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(`contexts cannot be kept in ${contextsDir()}: ${reasonOf(error)}`, {
      fix: 'Set ODONATA_HOME to a folder that can be written.',
      cause: error,
    });
  }
}

/** Who one is there: `odonata://prod/user/alice`. */
export const identityIn = ({ folder }: Context): string => formatIdentity(folder.identity.caller);

/** For people, also of one whose files cannot be read any more. */
function whoIn(name: string): string {
  try {
    return identityIn(contextOf(name));
  } catch {
    return 'which cannot be read';
  }
}

function expectName(name: string): void {
  if (RESERVED.has(name))
    throw new Failure(`no context is named ${name}: commands mean something else by it`, {
      fix: 'Give another one with --name.',
      exitCode: EXIT.usage,
    });
  if (CONTEXT_NAME.test(name)) return;
  throw new Failure(`"${name}" is no name of a context`, {
    fix: 'Use 1 to 63 of a-z, 0-9, . and -, not starting with . or -.',
    exitCode: EXIT.usage,
  });
}
