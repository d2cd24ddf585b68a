// What somebody with a right certificate may send that is HTTP/2 and of no use: frames by hand, over a connection of their own.
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';

const TYPE = {
  ...{ data: 0, headers: 1, priority: 2, reset: 3, settings: 4, ping: 6, windowUpdate: 8 },
  ...{ continuation: 9, unknown: 0xfa },
} as const;
const END_STREAM = 1;
const END_HEADERS = 4;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME_BYTES = 16_384;
/** A connection that takes no more bytes holds whoever fills it. */
const FLOOD_MS = 10_000;

function frame(
  type: keyof typeof TYPE,
  flags: number,
  stream: number,
  body: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = TYPE[type];
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** A number of HPACK: RFC 7541, 5.1. */
function number(value: number, bits: number, first: number): Buffer {
  const most = 2 ** bits - 1;
  if (value < most) return Buffer.of(first | value);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return Buffer.of(...bytes, rest);
}
const text = (value: string): Buffer => Buffer.concat([number(value.length, 7, 0), Buffer.from(value)]);
/** @param kept in the table of the connection, where a byte stands for it from then on */
const field = (name: string, value: string, kept = false): Buffer =>
  Buffer.concat([Buffer.of(kept ? 0x40 : 0x10), text(name), text(value)]);
/** POST, http, a path that nobody serves. */
const REQUEST: Buffer = Buffer.concat([Buffer.of(0x83, 0x87, 0x44), text('/a/b'), field('te', 'trailers')]);
const request = (turn: number, flags = END_HEADERS | END_STREAM, ...more: Buffer[]): Buffer =>
  frame('headers', flags, 2 * turn + 1, Buffer.concat([REQUEST, ...more]));
const error = (code: number): Buffer => Buffer.of(0, 0, 0, code);
const repeated = (times: number, each: Buffer): Buffer => Buffer.concat(new Array<Buffer>(times).fill(each));

/** The frames of one turn after the other, without end. */
export const FLOODS: Readonly<Record<string, (turn: number) => Buffer>> = {
  'streams that are reset as they begin': (turn) =>
    Buffer.concat([request(turn, END_HEADERS), frame('reset', 0, 2 * turn + 1, error(8))]),
  'settings without end': () => frame('settings', 0, 0, Buffer.of(0, 3, 0, 0, 0, 9)),
  'settings of an ever other table': (turn) =>
    frame('settings', 0, 0, Buffer.of(0, 1, 0, 0, turn & 63, 0, 0, 4, 0, 0, turn & 127, 0)),
  'pings without end': () => frame('ping', 0, 0, Buffer.alloc(8)),
  'headers that go on and on, of nothing': (turn) =>
    turn === 0 ? request(0, END_STREAM) : frame('continuation', 0, 1),
  'headers that go on and on': (turn) =>
    turn === 0
      ? request(0, END_STREAM)
      : frame('continuation', 0, 1, repeated(16, field(`x-${turn}`, 'v'.repeat(900)))),
  'headers of thousands of fields': (turn) =>
    request(turn, END_HEADERS | END_STREAM, repeated(2_000, field('x', 'y'))),
  'a field in the table, and a thousand bytes that mean it': (turn) =>
    turn === 0
      ? request(0, END_HEADERS | END_STREAM, field('x', 'v'.repeat(3_900), true))
      : request(turn, END_HEADERS | END_STREAM, Buffer.alloc(FRAME_BYTES - 200, 0xbe)),
  'pseudo headers without end': (turn) =>
    frame(
      'headers',
      END_HEADERS | END_STREAM,
      2 * turn + 1,
      Buffer.concat([REQUEST.subarray(0, 8), repeated(500, Buffer.concat([Buffer.of(0x44), text('/a/b')]))]),
    ),
  'one field that is huge': (turn) =>
    request(turn, END_HEADERS | END_STREAM, field('x', 'v'.repeat(15_000)), field('z', 'v'.repeat(500))),
  'more streams than there may be': (turn) => request(turn, END_HEADERS),
  'data of nothing': (turn) => (turn === 0 ? request(0, END_HEADERS) : frame('data', 0, 1)),
  'windows that grow by one': () => frame('windowUpdate', 0, 0, error(1)),
  'priorities of streams that are not': (turn) =>
    frame('priority', 0, 2 * turn + 101, Buffer.of(0, 0, 0, 0, 9)),
  'frames of no kind': () => frame('unknown', 0, 0, Buffer.alloc(64)),
  'answers that nobody reads': (turn) => request(turn),
};

export interface Flooded {
  /** By the other side, before all was sent. */
  readonly ended: boolean;
  readonly sentBytes: number;
}

/** Sends turn after turn, and reads nothing, until so many bytes are sent or the connection ended. */
export async function flood(
  port: number,
  { identity }: TlsFolder,
  turnOf: (turn: number) => Buffer,
  bytesMax: number,
): Promise<Flooded> {
  const { certificatePem: cert, keyPem: key, authorityPem: ca } = identity;
  const how = { cert, key, ca, ALPNProtocols: ['h2'], servername: 'odonata' };
  const socket: TLSSocket = connect({ host: '127.0.0.1', port, ...how });
  let over = false;
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  closed.then(() => {
    over = true;
  });
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  let sentBytes = 0;
  const endMs = performance.now() + FLOOD_MS;
  socket.write(Buffer.concat([Buffer.from(PREFACE), frame('settings', 0, 0)]));
  for (let turn = 0; !over && sentBytes < bytesMax && performance.now() < endMs; ) {
    const part: Buffer[] = [];
    for (let bytes = 0; bytes < 65_536; turn++) {
      part.push(turnOf(turn));
      bytes += part.at(-1)!.length;
    }
    const whole = Buffer.concat(part);
    sentBytes += whole.length;
    const late = new Promise((resolve) => setTimeout(resolve, 1_000).unref());
    await Promise.race([closed, late, new Promise((resolve) => socket.write(whole, resolve))]);
  }
  // What ends by what was said ends soon.
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 300))]);
  const ended = over;
  socket.destroy();
  return { ended, sentBytes };
}
