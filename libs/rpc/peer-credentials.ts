// Whose process is at the other end of a unix socket, by the kernel: getsockopt(2) with SO_PEERCRED, unix(7).
import type { Socket } from 'node:net';
import koffi from 'koffi';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid and gid of 32 bits. */
const UCRED_BYTES = 12;

const getsockopt = koffi
  .load('libc.so.6')
  .func('int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *length)');

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Of when it connected; undefined for what is no unix socket, or was closed. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  if (fd === undefined || fd < 0) return undefined;
  const value = Buffer.alloc(UCRED_BYTES);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, value, [UCRED_BYTES]) !== 0) return undefined;
  return { pid: value.readInt32LE(0), uid: value.readUInt32LE(4), gid: value.readUInt32LE(8) };
}
