// Filters on what a socket hears, for good: whoever it is given to cannot take them off. A connected socket can be dissolved (connect of
// AF_UNSPEC, or shutdown of one that listens) and connected elsewhere, in the network that it was made in, whatever its holder's is. With
// such a filter a first packet may go out; no answer comes in, so nothing is ever connected.
import { libcFunction } from './koffi.ts';
import { addressOf, checked } from './libc.ts';

const c = {
  setsockopt: libcFunction('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  getpeername: libcFunction('int getpeername(int fd, void *address, _Inout_ uint32_t *length)'),
};

const AF_INET = 2;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_LOCK_FILTER = 44;
const ADDRESS_BYTES = 28;
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

/** Code, where to where it holds, where to where it does not, a constant: BPF's, see linux/filter.h. */
type Instruction = readonly [code: number, whereTrue: number, whereFalse: number, k: number];
const [loadHalf, loadByte, loadWord, and, isEqual, answer] = [0x28, 0x30, 0x20, 0x54, 0x15, 0x06];
/** Offsets from here are of IP's header, others of TCP's. */
const IP = -0x10_0000;
const SOURCE_PORT = 0;
const FLAGS = 13;
const SYN_AND_ACK = 0x12;
const hears: Instruction = [answer, 0, 0, 0x7fff_ffff];
const drops: Instruction = [answer, 0, 0, 0];

/** The socket hears a port of an address, and nobody else. @throws SystemCallError */
export function hearsOnly(fd: number, port: number, host: Uint8Array = Uint8Array.of(127, 0, 0, 1)): void {
  const isV4 = host.length === 4;
  const words = new DataView(host.buffer, host.byteOffset, host.length);
  const wanted: [load: Instruction, value: number][] = [
    [[loadHalf, 0, 0, SOURCE_PORT], port],
    [[loadWord, 0, 0, IP + (isV4 ? 12 : 8)], words.getUint32(0)],
    ...(isV4 ? [] : [4, 8, 12]).map((at): [Instruction, number] => [
      [loadWord, 0, 0, IP + 8 + at],
      words.getUint32(at),
    ]),
  ];
  const tests: Instruction[] = [
    [loadByte, 0, 0, IP],
    [and, 0, 0, 0xf0],
    [isEqual, 0, wanted.length * 2 + 1, isV4 ? 0x40 : 0x60],
    ...wanted.flatMap(([load, value], i): Instruction[] => [
      load,
      [isEqual, 0, (wanted.length - 1 - i) * 2 + 1, value],
    ]),
  ];
  lock(fd, [...tests, hears, drops]);
}

/** A connected socket hears who it is connected to, and nobody else. @throws SystemCallError ENOTCONN… */
export function hearsItsPeerOnly(fd: number): void {
  const peer = Buffer.alloc(ADDRESS_BYTES);
  checked('getpeername', c.getpeername(fd, peer, [ADDRESS_BYTES]));
  const port = peer.readUInt16BE(2);
  if (peer.readUInt16LE(0) === AF_INET) hearsOnly(fd, port, peer.subarray(4, 8));
  else if (peer.subarray(8, 20).equals(MAPPED)) hearsOnly(fd, port, peer.subarray(20, 24));
  else hearsOnly(fd, port, peer.subarray(8, 24));
}

/**
 * The socket, and all connections that it accepts, hear no answer to a connect of theirs: one that listens never makes any. Said before
 * it listens. @throws SystemCallError
 */
export function hearsNoAnswer(fd: number): void {
  lock(fd, [[loadByte, 0, 0, FLAGS], [and, 0, 0, SYN_AND_ACK], [isEqual, 1, 0, SYN_AND_ACK], hears, drops]);
}

function lock(fd: number, instructions: readonly Instruction[]): void {
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
