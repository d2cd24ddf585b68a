// A virtual kernel has a uid of its own where we are root, and files of a granted directory have others. What it gets is a mount
// of that directory on which ids are mapped, mount_setattr(2): what is ours on the disk is its own there, and what it makes is
// ours on the disk. All others stay who they are, and let it do what they let everybody do.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, openSync, writeFileSync } from 'node:fs';
import { cloneMount, close, MountAttribute, SystemCallError, setMountAttributes } from '../libc.ts';
import { toolNamed } from './tools.ts';

const MADE_MS = 10_000;
const IDS = 2 ** 32 - 1;

/**
 * A user namespace that says so; it lasts as long as its descriptor.
 * @param uid of the virtual kernel
 * @returns undefined where none can be made
 */
export async function makeIdMapping(uid: number): Promise<number | undefined> {
  const unshare = toolNamed('unshare');
  if (unshare === undefined) return undefined;
  // It says that it is there, and waits for the end of its input.
  const holder = spawn(unshare, ['--user', '--', '/bin/sh', '-c', 'echo; read _'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {},
    cwd: '/',
    timeout: MADE_MS,
  });
  holder.stdin.on('error', () => {});
  try {
    const [said] = (await Promise.race([once(holder.stdout, 'data'), once(holder, 'close')])) as [unknown];
    if (!(said instanceof Buffer)) return undefined;
    // Id on the disk, id that the holder sees it as, how many.
    const map = `0 ${uid} 1\n1 1 ${uid - 1}\n${uid + 1} ${uid + 1} ${IDS - uid - 1}\n`;
    for (const file of ['uid_map', 'gid_map']) writeFileSync(`/proc/${holder.pid}/${file}`, map);
    return openSync(`/proc/${holder.pid}/ns/user`, 'r');
  } catch {
    return undefined;
  } finally {
    holder.kill('SIGKILL');
  }
}

/** Tries it on a mount of a directory, which goes with it. @returns why ids cannot be mapped there; undefined where they can */
export async function whyNoIdMapping(uid: number, dir: string): Promise<string | undefined> {
  const namespace = await makeIdMapping(uid);
  if (namespace === undefined) return 'no user namespace can be made for it';
  const directory = openSync(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  let mount: number | undefined;
  try {
    mount = cloneMount(directory);
    setMountAttributes(mount, MountAttribute.IDMAP, namespace);
    return undefined;
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return `${error.message} (its file system cannot map ids, or it is no mount of ours)`;
  } finally {
    for (const fd of [mount, directory, namespace]) if (fd !== undefined) close(fd);
  }
}
