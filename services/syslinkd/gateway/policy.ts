// What a gateway may do: the clusters that it knows by name and pinned authority, what each may use here, and what is used of each.
// A policy is read whole, with the certificates that it names, or not at all.

import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { AccessMode } from '@odonata/coherency/page.ts';
import { fileStamp } from '@odonata/rpc/file-stamp.ts';
import { yamlIn } from '@odonata/rpc/yaml-file.ts';
import { type PeerForm, policyForm } from './policy-form.ts';

const FILE_BYTES = 1 << 20;

export interface Rates {
  readonly messages: number;
  readonly bytes: number;
  /** Open at once, both ways. */
  readonly circuits: number;
  /** Not answered, each way. */
  readonly requests: number;
}

/** Another cluster. */
export interface Peer {
  readonly name: string;
  /** Where it is dialled; undefined: it is waited for. */
  readonly address: string | undefined;
  readonly authorities: readonly X509Certificate[];
  readonly authorityPem: Buffer;
  /** Names that it may use, and by which methods. */
  readonly exports: ReadonlyMap<string, readonly string[]>;
  /** Names of it, as it calls them, and who may use them: members of groups; undefined: everybody. */
  readonly imports: ReadonlyMap<string, readonly string[] | undefined>;
  /** Dataspaces that it may map, and how; and those of it that may be mapped here. */
  readonly lends: ReadonlyMap<string, AccessMode>;
  readonly borrows: ReadonlySet<string>;
  /** Whom its users are here; `*`: all others. */
  readonly users: ReadonlyMap<string, string>;
  /** SHA-256 of certificates that count no more; upper-case hex. */
  readonly denied: ReadonlySet<string>;
  readonly rates: Rates;
}

export interface Policy {
  readonly listen: string | undefined;
  /** Bytes of dataspaces that this gateway keeps at most, of those that are exported, and again of those that are imported. */
  readonly memory: number;
  readonly peers: ReadonlyMap<string, Peer>;
}

/** Files that were read, with what changes when they do, as that was before: what is written meanwhile is found by the next look. */
export type FilesRead = Map<string, string>;

/** Who somebody of that cluster is here; undefined: nobody, and they are not let in. */
export const ownUser = ({ users }: Peer, user: string): string | undefined =>
  user === '*' ? undefined : (users.get(user) ?? users.get('*'));

/**
 * @param own the name of this cluster
 * @param read is told of all files that were looked at, also where the policy is of no use
 * @throws Error whose message is a line: file, field, how to mend it
 */
export function readPolicy(file: string, own: string, read: FilesRead = new Map()): Policy {
  const example =
    'it has fields, as peers: [{name: west, authority: west-ca.crt}]; docs/gateways.md shows one';
  const text = readText(file, read);
  const [form, ...more] = yamlIn(text, file, { form: policyForm, what: 'policy', example });
  if (form === undefined) throw new Error(`${file}: no policy is in there; docs/gateways.md shows one`);
  if (more.length > 0) throw new Error(`${file}: a policy is one document; take out what follows ---`);
  const peers = new Map<string, Peer>();
  for (const [index, each] of form.peers.entries()) {
    const field = `peers.${index}`;
    if (each.name === own)
      throw new Error(
        `${file}: ${field}.name: "${own}" is this cluster itself; the other one needs another name (vkctl up --cluster)`,
      );
    if (peers.has(each.name))
      throw new Error(`${file}: ${field}.name: "${each.name}" stands there twice; write it once`);
    if (each.address === undefined && form.listen === undefined)
      throw new Error(
        `${file}: ${field}: nobody dials: write ${field}.address: host:port of the other gateway, or listen: host:port here`,
      );
    peers.set(each.name, peerOf(each, file, field, read));
  }
  return { listen: form.listen, memory: form.memory, peers };
}

/** None of these files is another one by now. */
export const isAsRead = (read: FilesRead): boolean =>
  [...read].every(([file, stamp]) => fileStamp(file) === stamp);

function peerOf(form: PeerForm, file: string, field: string, read: FilesRead): Peer {
  const path = resolve(dirname(file), form.authority);
  const authorityPem = Buffer.from(readText(path, read, `${file}: ${field}.authority: `));
  const { authorities, why } = certificatesOf(authorityPem);
  if (why !== undefined)
    throw new Error(`${file}: ${field}.authority: ${path} ${why}; take ca.crt of the other cluster`);
  for (const [what, names] of Object.entries({ exports: form.exports, imports: form.imports })) {
    const twice = names.findIndex(({ name }, at) => names.findIndex((each) => each.name === name) !== at);
    if (twice >= 0)
      throw new Error(`${file}: ${field}.${what}.${twice}: "${names[twice]!.name}" stands there twice`);
  }
  return {
    ...{ name: form.name, address: form.address, authorities, authorityPem, rates: form.rates },
    exports: new Map(form.exports.map(({ name, methods }) => [name, methods])),
    imports: new Map(form.imports.map(({ name, groups }) => [name, groups])),
    lends: new Map(form.dataspaces.exports.map(({ name, mode }) => [name, mode])),
    borrows: new Set(form.dataspaces.imports),
    users: new Map(Object.entries(form.users)),
    denied: new Set(form.denied),
  };
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesOf(pem: Buffer): { authorities: X509Certificate[]; why?: string } {
  try {
    const authorities = (pem.toString('latin1').match(PEM) ?? []).map((each) => new X509Certificate(each));
    if (authorities.length === 0) return { authorities, why: 'holds no certificate' };
    return authorities.every(({ ca }) => ca)
      ? { authorities }
      : { authorities, why: 'holds a certificate that is no authority' };
  } catch {
    return { authorities: [], why: 'holds what is no certificate' };
  }
}

function readText(file: string, read: FilesRead, before = ''): string {
  try {
    read.set(file, fileStamp(file));
    const stat = statSync(file);
    if (!stat.isFile()) throw new Error('it is no file');
    if (stat.size > FILE_BYTES) throw new Error('it is larger than 1 MiB');
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${before}${file}: ${code === 'ENOENT' ? 'there is no such file' : message}`);
  }
}
