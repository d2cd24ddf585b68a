// Listens on unix sockets for a grpc-js server: a file of mode 0600 in a folder of mode 0700, and of each connection the
// kernel's word on whose process it is (SO_PEERCRED): ours, or root's. Where virtual kernels have uids of their own, the
// sockets that are meant for them let in these, too, and nobody else (vkernel-sockets.ts).
import { chmodSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { dirname } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { ListenError, pathOf } from './address.ts';
import { Code, RpcError } from './error.ts';
import { isListening } from './listening.ts';
import type { Logger } from './log.ts';
import { peerCredentials } from './peer-credentials.ts';
import { isIn, type UidRange } from './vkernel-uids.ts';

export class UnixDoors {
  readonly #log: Logger;
  readonly #doors = new Set<Server>();
  readonly #guests: UidRange | undefined;
  readonly #connectionsMax: number;

  constructor(log: Logger, connectionsMax: number, guests?: UidRange) {
    this.#log = log;
    this.#connectionsMax = connectionsMax;
    this.#guests = guests;
    this.#connectionsMax = connectionsMax;
  }

  /** @param address `unix:/path` @throws RpcError ALREADY_EXISTS where somebody listens; ListenError */
  async open(address: string, server: grpc.Server): Promise<string> {
    const path = pathOf(address);
    await removeStaleSocket(path);
    expectPrivate(dirname(path), address, this.#guests !== undefined);
    const injector = server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
    // HTTP/2 never half-closes: an end of the other side is its end, also where that was killed and nobody writes to it.
    const door = createServer({ noDelay: true }, (socket) => {
      socket.on('error', () => {}); // The session tells who cares.
      if (this.#isOurs(socket, address)) injector.injectConnection(socket);
      else socket.destroy();
    });
    door.maxConnections = this.#connectionsMax;
    await new Promise<void>((resolve, reject) => {
      door.once('error', (error) => reject(new ListenError(address, 'listen', error)));
      door.listen(path, () => resolve());
    });
    // Whoever gets there is asked for their uid.
    chmodSync(path, this.#guests === undefined ? 0o600 : 0o666);
    this.#doors.add(door);
    return address;
  }

  /** Takes no more connections; those that are there are the server's. */
  close(): void {
    for (const door of this.#doors) door.close();
    this.#doors.clear();
  }

  #isOurs(socket: Socket, address: string): boolean {
    const { uid, pid } = peerCredentials(socket) ?? {};
    if (uid === process.getuid!() || uid === 0) return true;
    if (uid !== undefined && this.#guests !== undefined && isIn(this.#guests, uid)) return true;
    this.#log.warn({ address, uid, pid }, 'refused a connection of another user');
    return false;
  }
}

/** A socket file that a killed server left answers nobody and would refuse us. One that answers stays. */
async function removeStaleSocket(path: string): Promise<void> {
  if (await isListening(`unix:${path}`))
    throw new RpcError(Code.AlreadyExists, `somebody else listens on unix:${path}`);
  await rm(path, { force: true });
}

function expectPrivate(folder: string, address: string, hasGuests: boolean): void {
  const { mode, uid } = statSync(folder);
  const isOurs = uid === process.getuid!() || uid === 0;
  if (isOurs && (mode & 0o077) === 0) return;
  // What virtual kernels get as a mount: others may search it, and do not get past the one above.
  if (isOurs && (mode & 0o066) === 0) {
    // Or to where each has folders of their own, and nobody can take ours away: who comes is asked for their uid.
    if (!hasGuests || !isSticky(dirname(folder))) expectPrivate(dirname(folder), address, hasGuests);
    return;
  }
  const shown = (mode & 0o777).toString(8);
  throw new RpcError(
    Code.FailedPrecondition,
    `cannot listen on ${address}: its folder has mode ${shown} and is of uid ${uid}; chmod 700 ${folder}`,
  );
}

function isSticky(folder: string): boolean {
  const { mode, uid } = statSync(folder);
  return (mode & 0o1000) !== 0 && (uid === 0 || uid === process.getuid!());
}
