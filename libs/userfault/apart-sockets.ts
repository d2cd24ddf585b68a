// Sockets that lead nowhere but to each other, also in the hands of a process that may connect them anew: whoever has a connected socket
// may dissolve it (connect of AF_UNSPEC), and connect it elsewhere, in the network that it was made in, whatever its own is.
//
// So they are made in a network of their own with a loopback device alone, where this process may make one (CAP_SYS_ADMIN). And each
// that is given away hears one sender alone, by a filter that cannot be taken off: without such a network a first packet may leave it,
// and no answer comes in.
import { closeSync, openSync } from 'node:fs';
import { libcFunction } from './koffi.ts';
import { addressOf, checked } from './libc.ts';

const c = {
  socket: libcFunction('int socket(int domain, int type, int protocol)'),
  setsockopt: libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
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
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_LOCK_FILTER = 44;
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

/** The socket hears a port of the loopback address, and nobody else, for good. @throws SystemCallError */
export function hearsOnly(fd: number, port: number): void {
  const [loadHalf, loadWord, isEqual, answer] = [0x28, 0x20, 0x15, 0x06];
  const networkHeader = -0x10_0000;
  const instructions: [number, number, number, number][] = [
    [loadHalf, 0, 0, 0], // the source port, of TCP's header
    [isEqual, 0, 3, port],
    [loadWord, 0, 0, networkHeader + 12], // the source address, of IP's
    [isEqual, 0, 1, 0x7f00_0001],
    [answer, 0, 0, 0x7fff_ffff],
    [answer, 0, 0, 0],
  ];
  const filter = new DataView(new ArrayBuffer(instructions.length * 8));
  for (const [i, [code, whereTrue, whereFalse, k]] of instructions.entries()) {
    filter.setUint16(i * 8, code, true);
    filter.setUint8(i * 8 + 2, whereTrue);
    filter.setUint8(i * 8 + 3, whereFalse);
    filter.setUint32(i * 8 + 4, k >>> 0, true);
  }
  const program = new BigUint64Array(new ArrayBuffer(16));
  program.set([BigInt(instructions.length), addressOf(new Uint8Array(filter.buffer))]);
  checked('setsockopt', c.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, program, 16));
  const yes = Buffer.from([1, 0, 0, 0]);
  checked('setsockopt', c.setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, yes, 4));
}
