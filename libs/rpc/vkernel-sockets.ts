// The sockets of a node that are meant for its virtual kernels: a folder of their own, the only one of the node that a
// virtual kernel sees. What else stands in the folder of the sockets (`handover.sock`, records, locks) is not for them.
//
//   <socket-dir>/           0700: nobody else of the machine gets past it
//     vkernels/             0711: a virtual kernel, whose uid is another one, gets it as a mount of its own
//       vkerneld.sock       0666: the doors ask the kernel for the uid of each caller
//       pmapd.sock
//       userfault.sock
//       directories.sock
//
// In pods pmapd is one user, and vkerneld with its virtual kernels another. There each of the two has a folder of its own for
// them, in a folder where nobody removes what is another's (sticky), and pmapd is told whose its guests are:
//
//   /run/odonata/           1777
//     pmapd/                0700 pmapd: handover.sock, locks
//     vkernels/             0711 pmapd: pmapd.sock, userfault.sock
//     memory/               0700 pmapd
//     vkerneld/             0700 vkerneld: its record, and vkernels/ as above
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Code, RpcError } from './error.ts';

export interface VkernelSockets {
  readonly folder: string;
  /** Paths. */
  readonly control: string;
  readonly pmap: string;
  readonly userfault: string;
  /** For descriptors of directories of the host. */
  readonly directories: string;
}

export const vkernelSockets = (socketDir: string): VkernelSockets =>
  vkernelSocketsIn(join(socketDir, 'vkernels'));

/** Of a folder that is elsewhere. */
export function vkernelSocketsIn(folder: string): VkernelSockets {
  return {
    folder,
    control: join(folder, 'vkerneld.sock'),
    pmap: join(folder, 'pmapd.sock'),
    userfault: join(folder, 'userfault.sock'),
    directories: join(folder, 'directories.sock'),
  };
}

/**
 * Makes the folder; vkerneld and pmapd both do, whichever comes first.
 * @param elsewhere the folder, where it is not in that of the node
 * @throws RpcError FAILED_PRECONDITION
 */
export function makeVkernelSockets(socketDir: string, elsewhere = ''): VkernelSockets {
  const sockets = elsewhere === '' ? vkernelSockets(socketDir) : vkernelSocketsIn(elsewhere);
  mkdirSync(sockets.folder, { recursive: true, mode: 0o711 });
  const { uid } = statSync(sockets.folder);
  if (uid !== process.getuid!())
    throw new RpcError(
      Code.FailedPrecondition,
      `${sockets.folder} is of uid ${uid}, not ours: remove it, or choose another --socket-dir`,
    );
  // Whatever the umask says.
  chmodSync(sockets.folder, 0o711);
  return sockets;
}
