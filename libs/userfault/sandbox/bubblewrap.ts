// The command line of bubblewrap, which makes the namespaces and the view of files. It was chosen over code of our own and over
// runtimes of containers: it is one small program of every distribution, does this and nothing else, works for a plain user and
// for root alike, and is what Flatpak confines foreign programs with.
//
//   bwrap            namespaces (user where we are not root, mount, pid, network, ipc, uts, cgroup), the view, no capability,
//                    no_new_privs, the seccomp filter of the start
//   setpriv          root only: to the uid of the virtual kernel
//   unshare --user   root only: a user namespace of its own, that maps this one uid
//   setpriv          root only: without the capabilities that come with that
//   node             pid 1 of the pid namespace: what ends it ends all that could be in there
import { dirname } from 'node:path';
import { toolNamed } from './tools.ts';

/** Programs that are called on the way; undefined: not installed. */
export interface Tools {
  readonly bwrap: string;
  readonly setpriv: string;
  readonly unshare: string;
}

export interface Confinement {
  /** Shown where they are. */
  readonly readOnly: readonly string[];
  /** Shown elsewhere: [where it is, where it is seen]. */
  readonly moved?: readonly (readonly [string, string])[];
  readonly environment: Readonly<Record<string, string>>;
  /** Where we are root: who it is to be. */
  readonly uid: number | undefined;
  /** A user namespace of its own, where we are root. */
  readonly userNamespace: boolean;
  /** Numbers of descriptors that bwrap reads or writes, and closes. */
  readonly descriptors: readonly (readonly ['--seccomp' | '--info-fd' | '--block-fd', number])[];
}

/** What setpriv takes to become somebody else, and to give it all up. */
const FOR_SETPRIV = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'];

const NO_CAPABILITY = ['--inh-caps=-all', '--ambient-caps=-all', '--bounding-set=-all', '--'];

export function findTools(): { tools: Tools } | { missing: string[] } {
  const found = { bwrap: toolNamed('bwrap'), setpriv: toolNamed('setpriv'), unshare: toolNamed('unshare') };
  const missing = Object.entries(found).flatMap(([name, path]) => (path === undefined ? [name] : []));
  return missing.length > 0 ? { missing } : { tools: found as Tools };
}

/** Programs of the view that are run before Node. */
export const toolsWithin = ({ setpriv, unshare }: Tools, uid: number | undefined): string[] =>
  uid === undefined ? [] : [setpriv, unshare];

/** @param command what runs inside */
export function bubblewrap(tools: Tools, inside: Confinement, command: readonly string[]): string[] {
  const { readOnly, moved = [], environment, uid, userNamespace, descriptors } = inside;
  return [
    tools.bwrap,
    ...['--unshare-pid', '--unshare-net', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try'],
    ...(uid === undefined ? ['--unshare-user', '--cap-drop', 'ALL'] : ['--cap-drop', 'ALL']),
    ...(uid === undefined ? [] : FOR_SETPRIV.flatMap((capability) => ['--cap-add', capability])),
    ...['--as-pid-1', '--new-session', '--hostname', 'vkernel', '--clearenv'],
    ...Object.entries(environment).flatMap(([name, value]) => ['--setenv', name, value]),
    ...foldersAbove([...readOnly, ...moved.map(([, to]) => to), '/dev/null']).flatMap((path) => [
      '--dir',
      path,
    ]),
    ...readOnly.flatMap((path) => ['--ro-bind', path, path]),
    ...moved.flatMap(([from, to]) => ['--ro-bind-try', from, to]),
    ...[
      '--proc',
      '/proc',
      '--dev-bind',
      '/dev/null',
      '/dev/null',
      '--dev-bind',
      '/dev/urandom',
      '/dev/urandom',
    ],
    ...['--remount-ro', '/', '--chdir', '/'],
    ...descriptors.flatMap(([flag, fd]) => [flag, String(fd)]),
    '--',
    ...(uid === undefined ? [] : asUid(tools, uid, userNamespace)),
    ...command,
  ];
}

/** Those that bubblewrap would make by itself are searched by root only. The upper ones come first. */
function foldersAbove(paths: readonly string[]): string[] {
  const above = (path: string): string[] => {
    const folder = dirname(path);
    return folder === '/' ? [] : [...above(folder), folder];
  };
  return [...new Set(paths.flatMap(above))];
}

function asUid({ setpriv, unshare }: Tools, uid: number, userNamespace: boolean): string[] {
  const id = String(uid);
  return [
    ...[setpriv, '--reuid', id, '--regid', id, '--clear-groups', '--no-new-privs', ...NO_CAPABILITY],
    // A new user namespace begins with all of its own; they are kept up to the next program, which gives them up.
    ...(userNamespace
      ? [unshare, '--user', '--map-current-user', '--keep-caps', '--', setpriv, ...NO_CAPABILITY]
      : []),
  ];
}
