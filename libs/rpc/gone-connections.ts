// Connections that are over, where Node does not say so.
//
// Node's TLS takes a write that failed at once, as to a peer that died, for one that goes on. Where HTTP/2 has written on by then, it
// waits for that one, does not read while it waits, and so hears of no end (nodejs/node#50884 is of that kind): all that runs on the
// connection hangs until grpc's keepalive gives it up, 40 s later; and a process that has nothing else to wait for ends.
//
// Linux tells: of a connection that is over it does not know the other end any more. Looked for here once a second.
import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { ownTurn } from './bug.ts';

const LOOK_MS = 1_000;

/** The insides of a socket. Where they changed, nothing is looked for (a test tells). */
interface Insides {
  readonly _handle?: {
    getpeername?(out: object): number;
    hasRef?(): boolean;
  } | null;
}

let watched: Set<Socket> | undefined;
/** Found to be over at the last look: what came before the end may still be read. */
let gone = new Set<Socket>();
let timer: NodeJS.Timeout | undefined;

/** Every TCP connection that this process makes or takes from now on closes soon after it is over. */
export function closeGoneConnections(): void {
  if (watched !== undefined) return;
  watched = new Set();
  subscribe('net.server.socket', (message) => watch((message as Created).socket));
  subscribe('net.client.socket', (message) => {
    const { socket } = message as Created;
    socket.once('connect', () => watch(socket));
  });
}

interface Created {
  readonly socket: Socket;
}

function watch(socket: Socket): void {
  // A unix socket has none.
  if (socket.remoteAddress === undefined) return;
  watched!.add(socket);
  socket.once('close', () => {
    watched!.delete(socket);
    rest();
  });
  timer ??= setInterval(ownTurn({ timer: 'gone connections' }, look), LOOK_MS);
  // Until it is known whether somebody waits for it.
  timer.ref();
}

function rest(): void {
  if (watched!.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}

function look(): void {
  const before = gone;
  gone = new Set();
  let isWaitedFor = false;
  for (const socket of watched!) {
    const handle = (socket as Insides)._handle;
    // One that hangs is nothing that a process would wait for, by itself.
    isWaitedFor ||= handle?.hasRef?.() !== false;
    if (!isOver(socket)) continue;
    if (before.has(socket)) socket.destroy(new Error('the connection is over'));
    else gone.add(socket);
  }
  if (isWaitedFor) timer?.ref();
  else timer?.unref();
}

const isOver = (socket: Socket): boolean =>
  !socket.destroyed && ((socket as Insides)._handle?.getpeername?.({}) ?? 0) < 0;
