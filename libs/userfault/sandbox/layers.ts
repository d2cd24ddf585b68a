// The layers between a virtual kernel and its machine, and which of them this machine has. SECURITY.md says host by host what
// that comes to.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { bubblewrap, findTools, type Tools } from './bubblewrap.ts';
import { type CgroupHome, findCgroupHome } from './cgroup.ts';
import { landlockAbi } from './landlock-abi.ts';
import type { LayerName } from './layer-names.ts';
import { ringlessFilter, seccompFilter } from './seccomp.ts';
import { toolNamed } from './tools.ts';

export interface Layer {
  readonly name: LayerName;
  readonly ok: boolean;
  /** Without it no virtual kernel starts, unless told otherwise. */
  readonly mandatory: boolean;
  /** What it is here, or why it is not. */
  readonly detail: string;
  readonly fix?: string;
}

export interface Host {
  readonly layers: readonly Layer[];
  /** Where namespaces can be made. */
  readonly tools: Tools | undefined;
  readonly userNamespace: boolean;
  readonly filters: { readonly start: Buffer; readonly run: Buffer; readonly ringless: Buffer } | undefined;
  readonly cgroupHome: CgroupHome | undefined;
}

/** As if it lacked these. Without namespaces no virtual kernel has a uid of its own. */
export function hostWithout(host: Host, names: ReadonlySet<LayerName>): Host {
  const lacks = (name: LayerName): boolean => names.has(name) || (name === 'uid' && names.has('namespaces'));
  return {
    layers: host.layers.map((layer) =>
      lacks(layer.name) ? { ...layer, ok: false, detail: 'done without, as told' } : layer,
    ),
    tools: lacks('namespaces') ? undefined : host.tools,
    userNamespace: !lacks('namespaces') && host.userNamespace,
    filters: lacks('seccomp') ? undefined : host.filters,
    cgroupHome: lacks('cgroup') ? undefined : host.cgroupHome,
  };
}

const PROBE_MS = 10_000;
/** Shown to the program that is tried, and to no virtual kernel. */
const DISTRIBUTION = ['/usr', '/lib', '/lib64', '/bin', '/sbin'];

/**
 * Finds out, by doing it.
 * @param uid of a virtual kernel, where we are root and can give it one
 */
export function lookAtHost(uid: number | undefined): Host {
  const seccomp = seccompLayer();
  const namespaces = namespacesLayer(uid);
  const abi = landlockAbi();
  const needsLandlock = !namespaces.layer.ok;
  const cgroup = findCgroupHome();
  const layers: Layer[] = [
    seccomp.layer,
    namespaces.layer,
    uidLayer(uid, namespaces.layer.ok),
    {
      ...{ name: 'landlock', mandatory: needsLandlock, ok: abi > 0 },
      ...(abi > 0
        ? {
            detail: needsLandlock
              ? `ABI ${abi}, in the place of namespaces`
              : `ABI ${abi}, not needed beside namespaces`,
          }
        : {
            detail: 'the kernel has none, or a profile refuses it',
            fix: 'Linux 5.13 or later with landlock in CONFIG_LSM or lsm=, and a seccomp profile that allows its calls',
          }),
    },
    'home' in cgroup
      ? { name: 'cgroup', mandatory: false, ok: true, detail: cgroup.home.detail }
      : { name: 'cgroup', mandatory: false, ok: false, detail: cgroup.reason, fix: cgroup.fix },
  ];
  return {
    layers,
    tools: namespaces.layer.ok ? namespaces.tools : undefined,
    userNamespace: namespaces.userNamespace,
    filters: seccomp.filters,
    cgroupHome: 'home' in cgroup ? cgroup.home : undefined,
  };
}

function uidLayer(uid: number | undefined, hasNamespaces: boolean): Layer {
  const mandatory = process.getuid!() === 0;
  const about = { name: 'uid', mandatory } as const;
  if (!hasNamespaces)
    return { ...about, ok: false, detail: 'goes with the namespaces', fix: 'see namespaces' };
  if (!mandatory) {
    const detail = "ours, in a user namespace of its own: another uid takes root's services";
    return { ...about, ok: true, detail };
  }
  if (uid !== undefined) return { ...about, ok: true, detail: 'a uid of its own for each virtual kernel' };
  const fix = 'run the services as a plain user, whose uid is none of root';
  return { ...about, ok: false, detail: 'this root has no uids to give', fix };
}

/** What goes without being asked for, where that is: without namespaces nothing has a uid of its own. */
export const goesWith = (layers: readonly Layer[], { name }: Layer): LayerName =>
  name === 'uid' && layers.some((each) => each.name === 'namespaces' && !each.ok) ? 'namespaces' : name;

function seccompLayer(): { layer: Layer; filters: Host['filters'] } {
  const about = { name: 'seccomp', mandatory: true } as const;
  try {
    const filters = {
      start: seccompFilter('start'),
      run: seccompFilter('run'),
      ringless: ringlessFilter(),
    };
    if (!existsSync('/proc/sys/kernel/seccomp')) throw new Error('the kernel has no seccomp filters');
    return { layer: { ...about, ok: true, detail: 'an allow list, by libseccomp' }, filters };
  } catch (error) {
    const detail = (error as Error).message.split('\n')[0]!;
    const fix = 'apt-get install libseccomp2, and a kernel with CONFIG_SECCOMP_FILTER';
    return { layer: { ...about, ok: false, detail, fix }, filters: undefined };
  }
}

const INSTALL = 'apt-get install bubblewrap util-linux';
const NAMESPACES_FIX =
  'as a plain user: sysctl kernel.unprivileged_userns_clone=1 (Debian), kernel.apparmor_restrict_unprivileged_userns=0 or a profile for bwrap (Ubuntu), user.max_user_namespaces above 0';

function namespacesLayer(uid: number | undefined): { layer: Layer; tools?: Tools; userNamespace: boolean } {
  const about = { name: 'namespaces', mandatory: true } as const;
  const found = findTools();
  if ('missing' in found) {
    const detail = `not installed: ${found.missing.join(', ')}`;
    return { layer: { ...about, ok: false, detail, fix: INSTALL }, userNamespace: false };
  }
  const { tools } = found;
  const shown = 'user, mount, pid, network, ipc, uts, cgroup, by bubblewrap';
  const why = tried(tools, uid, true);
  if (why === undefined) return { layer: { ...about, ok: true, detail: shown }, tools, userNamespace: true };
  // Root needs no user namespace to make the others.
  if (uid !== undefined && tried(tools, uid, false) === undefined)
    return {
      layer: { ...about, ok: true, detail: `${shown}; but not user (${why})` },
      ...{ tools, userNamespace: false },
    };
  return { layer: { ...about, ok: false, detail: why, fix: NAMESPACES_FIX }, userNamespace: false };
}

/** What went wrong; undefined: nothing. */
function tried(tools: Tools, uid: number | undefined, userNamespace: boolean): string | undefined {
  const readOnly = DISTRIBUTION.filter((path) => existsSync(path));
  const inside = { readOnly, environment: {}, uid, userNamespace, descriptors: [] };
  const [command, ...args] = bubblewrap(tools, inside, [toolNamed('true')!]);
  const { status, stderr, error } = spawnSync(command!, args, {
    timeout: PROBE_MS,
    encoding: 'utf8',
    stdio: 'pipe',
  });
  if (status === 0) return undefined;
  return stderr?.trim().split('\n')[0] || error?.message || `exit code ${status}`;
}
