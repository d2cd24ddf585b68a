// Sockets that lead nowhere but to each other, also in the hands of a process that may connect them anew: whoever has a connected socket
// may dissolve it (connect of AF_UNSPEC), and connect it elsewhere, in the network that it was made in, whatever its own is.
//
// So they are made in a network of their own with a loopback device alone, where this process may make one (CAP_SYS_ADMIN). And each
// that is given away hears one sender alone, by a filter that cannot be taken off (locked-filter.ts).
import { closeSync, openSync } from 'node:fs';
import { libcFunction } from './koffi.ts';
import { checked } from './libc.ts';

const c = {
  socket: libcFunction('int socket(int domain, int type, int protocol)'),
  unshare: libcFunction('int unshare(int flags)'),
  setns: libcFunction('int setns(int fd, int kind)'),
  ioctl: libcFunction('int ioctl(int fd, unsigned long request, void *argument)'),
  close: libcFunction('int close(int fd)'),
};

const AF_INET = 2;
const STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const CLONE_NEWNET = 0x4000_0000;
const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;
const IFREQ_BYTES = 40;
const OWN_NETWORK = '/proc/thread-self/ns/net';

/** Both as descriptors. */
interface Networks {
  readonly own: number;
  readonly apart: number;
}

let networks: Networks | undefined | 'none';

/** Undefined where this process may not make one. */
function networksOf(): Networks | undefined {
  networks ??= madeNetworks() ?? 'none';
  return networks === 'none' ? undefined : networks;
}

function madeNetworks(): Networks | undefined {
  const own = openSync(OWN_NETWORK, 'r');
  if (c.unshare(CLONE_NEWNET) === 0) {
    try {
      const device = checked('socket', c.socket(AF_INET, STREAM_NONBLOCK_CLOEXEC, 0));
      const request = Buffer.alloc(IFREQ_BYTES);
      request.write('lo');
      request.writeUInt16LE(IFF_UP, 16);
      const isUp = c.ioctl(device, SIOCSIFFLAGS, request) === 0;
      c.close(device);
      if (isUp) return { own, apart: openSync(OWN_NETWORK, 'r') };
    } finally {
      checked('setns', c.setns(own, CLONE_NEWNET));
    }
  }
  closeSync(own);
  return undefined;
}

/** TCP, in a network of its own where that can be. @throws SystemCallError */
export function apartSocket(): number {
  const both = networksOf();
  if (both === undefined) return checked('socket', c.socket(AF_INET, STREAM_NONBLOCK_CLOEXEC, 0));
  checked('setns', c.setns(both.apart, CLONE_NEWNET));
  try {
    return checked('socket', c.socket(AF_INET, STREAM_NONBLOCK_CLOEXEC, 0));
  } finally {
    checked('setns', c.setns(both.own, CLONE_NEWNET));
  }
}
