// The sockets of a node that are meant for its virtual kernels: a folder of their own, the only one of the node that a
// virtual kernel sees. What else stands in the folder of the sockets (`handover.sock`, records, locks) is not for them.
//
//   <socket-dir>/           0700: nobody else of the machine gets past it
//     vkernels/             0711: a virtual kernel, whose uid is another one, gets it as a mount of its own
//       vkerneld.sock       0666: the doors ask the kernel for the uid of each caller
//       pmapd.sock
//       userfault.sock
//       directories.sock
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

export function vkernelSockets(socketDir: string): VkernelSockets {
  const folder = join(socketDir, 'vkernels');
  return {
    folder,
    control: join(folder, 'vkerneld.sock'),
    pmap: join(folder, 'pmapd.sock'),
    userfault: join(folder, 'userfault.sock'),
    directories: join(folder, 'directories.sock'),
  };
}

/** Makes the folder; vkerneld and pmapd both do, whichever comes first. @throws RpcError FAILED_PRECONDITION */
export function makeVkernelSockets(socketDir: string): VkernelSockets {
  const sockets = vkernelSockets(socketDir);
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
