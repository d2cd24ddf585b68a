// This machine joins a cluster that began on another one: it makes its keys, shows the token to who has proved to be the cluster
// that the token is of, and keeps what it is told. Whatever goes wrong on the way, nothing is left, here and there.
import { existsSync, mkdirSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CertificateRequest, newRequest } from '@odonata/authority/certificates.ts';
import { identityDir } from '@odonata/client/local/identity-folder.ts';
import { RELEASE, WIRE } from '@odonata/rpc/wire-version.ts';
import { makeFolder } from '../cluster/folder.ts';
import { joined } from '../cluster/hosts.ts';
import { type Lock, tryLock } from '../cluster/lock.ts';
import { type ClusterPaths, clusterPaths } from '../cluster/paths.ts';
import { expectPort, listenHostFor } from '../cluster/ports.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import { clearRemains, removeFolders } from '../cluster/remains.ts';
import { startCluster } from '../cluster/start.ts';
import type { StartOptions } from '../cluster/start-options.ts';
import { parseJoinToken } from '../door/join-token.ts';
import { DoorRefusal, type JoinAnswer, type JoinRequest, joinAnswer, PATHS } from '../door/messages.ts';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { authorityAt, DoorClient, NoAnswer, ownAddressTowards } from './door-client.ts';
import { doorOf, leave, writeLists } from './link.ts';
import { type Membership, readMembership, writeMembership } from './membership.ts';
import { refusalOf } from './words.ts';

/** Whoever did not hear the answer asks the same again: it is given once. */
const TRIES = 3;
const PAUSE_MS = 500;
/** Of the disk, for keys, lists and the first logs. */
const ROOM_BYTES = 1 << 20;

export interface JoinOptions {
  /** Of the cluster on this machine. */
  readonly cluster: string;
  /** Of the machine where it began: a host. */
  readonly host: string;
  /** Of the door as this machine reaches it; else as the token says. */
  readonly doorPort?: number | undefined;
  readonly token: string;
  readonly name?: string | undefined;
  /** By which others reach this machine; else the address by which it reaches the first one. */
  readonly ownHost?: string | undefined;
  /** Of the pmap manager. */
  readonly port: number;
  readonly options: Membership['options'];
  /** The cluster of this machine that it is to lodge with. */
  readonly lodgesWith?: string | undefined;
  readonly start: Pick<StartOptions, 'timeoutMs' | 'signal' | 'onProgress' | 'onNote'>;
}

/** Resolves when its node works in the cluster. @throws Failure */
export async function joinCluster(
  o: JoinOptions,
): Promise<{ record: ClusterRecord; membership: Membership }> {
  const paths = clusterPaths(o.cluster);
  const home = dirname(paths.stateDir);
  const hadHome = existsSync(home);
  const membership = await become(o, paths);
  try {
    const record = await startCluster({ ...o.start, cluster: o.cluster, nodes: 1, port: 0, membership });
    return { record, membership };
  } catch (error) {
    await undo(paths, membership, identityDir(paths));
    if (!hadHome) removeIfEmpty(home);
    throw error;
  }
}

/** Makes this machine a member; nothing runs yet. @throws Failure */
export async function become(o: JoinOptions, paths: ClusterPaths): Promise<Membership> {
  const token = parseJoinToken(o.token);
  if (token === undefined)
    throw new Failure('--token: that is no token, or not all of one', {
      fix: 'Copy the whole line that "vkctl node token add" printed.',
      exitCode: EXIT.usage,
    });
  expectNothingThere(paths, o.cluster);
  const home = dirname(paths.stateDir);
  const hadHome = existsSync(home);
  const lock = lockOf(paths);
  try {
    expectRoom(paths.stateDir);
    const door = joined(o.host, o.doorPort ?? token.port);
    const typed = o.doorPort === undefined || o.doorPort === token.port ? undefined : token.port;
    const ca = await authorityAt(door, token.pin).catch((error) => {
      throw silent(error, typed);
    });
    const host = o.ownHost ?? (await ownAddressTowards(door));
    const listenHost = await listenHostFor(host);
    await expectPort(o.port, { host: listenHost, isFar: true });
    const keys = { pmapd: await newRequest(), vkerneld: await newRequest() };
    const request: JoinRequest = {
      ...{ version: 1, id: token.id, secret: token.secret, name: o.name, address: joined(host, o.port) },
      requests: { pmapd: keys.pmapd.requestPem, vkerneld: keys.vkerneld.requestPem },
      ...{ nowMs: Date.now(), wire: { ...WIRE }, release: RELEASE },
    };
    const answer = await ask(new DoorClient({ address: door, ca }), request, { ...o, typed });
    const { cluster, node, routers, nats, directories } = answer;
    const membership: Membership = {
      ...{ version: 1, cluster, node, door, routers, nats, directories },
      ...{ host, listenHost, port: o.port, joinedMs: Date.now(), options: o.options },
      ...(o.lodgesWith !== undefined && { lodgesWith: o.lodgesWith }),
    };
    await keep(paths, { membership, answer, keys, ca }, o.start.signal);
    return membership;
  } finally {
    lock.release();
    removeIfEmpty(paths.stateDir);
    if (!hadHome) removeIfEmpty(home);
  }
}

/** Before the token is used up for nothing. @throws Failure */
function expectRoom(folder: string): void {
  const file = join(folder, '.room');
  try {
    writeFileSync(file, Buffer.alloc(ROOM_BYTES));
  } catch (error) {
    throw new Failure(`cannot join: ${file}: ${reasonOf(error)}`, {
      fix: 'Make room there, or choose another place by ODONATA_HOME; the token still counts.',
      cause: error,
    });
  } finally {
    rmSync(file, { force: true });
  }
}

function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Something is in it.
  }
}

function lockOf(paths: ClusterPaths): Lock {
  makeFolder(paths.stateDir);
  const lock = tryLock(paths.lockFile);
  if (lock !== undefined) return lock;
  throw taken(paths.cluster, `cluster "${paths.cluster}" runs on this machine`);
}

const taken = (cluster: string, what: string): Failure =>
  new Failure(what, {
    fix: `End it with "vkctl down -c ${cluster}", or give the new one another name here: -c NAME.`,
  });

function expectNothingThere(paths: ClusterPaths, cluster: string): void {
  const there = readMembership(paths);
  const again = cluster === 'default' ? 'vkctl up' : `vkctl up -c ${cluster}`;
  if (there !== undefined && !there.removed)
    throw new Failure(`this machine is ${there.node.name} of cluster "${there.cluster}" already`, {
      fix: `Start it with "${again}"; to join another cluster beside it: -c NAME.`,
    });
  if (there !== undefined)
    throw new Failure(`this machine was ${there.node.name} of cluster "${there.cluster}", and was removed`, {
      fix: `Clear what is left with "vkctl down --purge -c ${cluster}", and join then.`,
    });
  if (existsSync(identityDir(paths))) throw taken(cluster, `cluster "${cluster}" was kept on this machine`);
}

async function ask(
  client: DoorClient,
  request: JoinRequest,
  { name, start, typed }: JoinOptions & { typed: number | undefined },
): Promise<JoinAnswer> {
  try {
    for (let tries = 1; ; tries++) {
      if (start.signal?.aborted) throw new Failure('interrupted', { exitCode: 130 });
      try {
        return await client.post(PATHS.join, request, joinAnswer);
      } catch (error) {
        const busy = error instanceof DoorRefusal && error.refusal === 'BUSY';
        if (!(busy || error instanceof NoAnswer) || tries >= TRIES) throw error;
        await sleep(PAUSE_MS * tries);
      }
    }
  } catch (error) {
    throw error instanceof DoorRefusal ? refusalOf(error, name) : silent(error, typed);
  } finally {
    client.close();
  }
}

/** @param port of the token, where another one was typed. @returns a Failure for nobody who answers; anything else as it is */
function silent(error: unknown, port?: number): unknown {
  if (!(error instanceof NoAnswer)) return error;
  if (port !== undefined)
    return new Failure(`cannot join: ${error.message}`, {
      fix: `The token says that the door is at port ${port}: leave the port out, or give the one that leads there.`,
      cause: error,
    });
  return new Failure(`cannot join: ${error.message}`, {
    fix: 'Check the address, that the cluster was started with "vkctl up --address" and runs, and firewalls between.',
    cause: error,
  });
}

interface Kept {
  readonly membership: Membership;
  readonly answer: JoinAnswer;
  readonly keys: Record<'pmapd' | 'vkerneld', CertificateRequest>;
  readonly ca: string;
}

/** Whole or not at all: made aside, and renamed. */
async function keep(
  paths: ClusterPaths,
  { membership, answer, keys, ca }: Kept,
  signal?: AbortSignal,
): Promise<void> {
  const aside = join(paths.stateDir, '.joining');
  const madeAt = { stateDir: aside };
  rmSync(aside, { recursive: true, force: true });
  const { name } = membership.node;
  try {
    for (const role of ['pmapd', 'vkerneld'] as const) {
      const dir = join(identityDir(madeAt), `${role}-${name}`);
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const write = (file: string, text: string) => writeFileSync(join(dir, file), text, { mode: 0o600 });
      write('tls.key', keys[role].keyPem);
      write('tls.crt', answer.certificates[role]);
      write('ca.crt', ca);
      if (role === 'pmapd') write('nats', `${answer.natsUser}\n${answer.natsPassword}\n`);
    }
    writeLists(madeAt, name, answer);
    writeMembership(madeAt, membership);
    if (signal?.aborted) throw new Failure('interrupted', { exitCode: 130 });
    renameSync(identityDir(madeAt), identityDir(paths));
    rmSync(aside, { recursive: true, force: true });
  } catch (error) {
    await undo(paths, membership, identityDir(madeAt));
    throw error;
  }
}

/** The cluster forgets the node, and this machine the cluster. */
async function undo(paths: ClusterPaths, membership: Membership, identities: string): Promise<void> {
  const dir = join(identities, '..');
  try {
    const client = doorOf({ stateDir: dir }, { door: membership.door, node: membership.node.name });
    await leave(client).finally(() => client.close());
  } catch {
    // It is away: there the node is free again when nobody has come by its name for a while, or by: vkctl node rm.
  }
  const lock = dir === paths.stateDir ? tryLock(paths.lockFile) : undefined;
  if (lock !== undefined) await clearRemains(paths);
  removeFolders(paths, false);
  lock?.release();
}
