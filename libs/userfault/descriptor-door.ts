// Hands descriptors from one process to another on the same machine. Who knocks at the door shows 16 random bytes, a token,
// perhaps with a descriptor, and tells the token on another channel afterwards: so the two are known to be of one peer. The
// connection may stay, for descriptors the other way (descriptor-line.ts).
//
//   knocker    connect, send token (and descriptor) ... say the token on the other channel
//   door       accepted at once, waits for its claim ... claimed by its token, once
//
// What is not claimed is bounded a uid, which the kernel tells of each connection: one that knocks and knocks is in nobody else's
// way who has another. And a process, where that is known: to a door in another pid namespace, as between pods, all are 0, and
// those of one uid share a bound. The oldest that has shown no token goes first, then the oldest: a claim follows its knock.
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import * as libc from './libc.ts';

export const TOKEN_BYTES = 16;
/** Connections that were not claimed yet: of one process, of one uid and of all. */
const WAITING_OF_PROCESS = 8;
const WAITING_OF_UID = 128;
export const WAITING_MAX = 512;
/** Who knocks says so at once. */
const WAITING_MS = 30_000;

/** Knocks at the door at `path`. The kernel queues it; no answer comes. @returns the connection, the caller's to close */
export function knock(path: string, token: Uint8Array, fd?: number): number {
  if (token.length !== TOKEN_BYTES) throw new Error(`token must have ${TOKEN_BYTES} bytes`);
  const socket = libc.connectUnix(path);
  const errno = libc.sendDescriptor(socket, token, fd);
  if (errno === 0) return socket;
  libc.close(socket);
  throw new libc.SystemCallError(`sendmsg ${path}`, errno);
}

/** Sends `fd` under `token` to the door at `path`, and keeps no connection. */
export function handOver(path: string, token: Uint8Array, fd: number): void {
  libc.close(knock(path, token, fd));
}

/** Who knocked. The caller closes both. */
export interface Knocked {
  readonly socket: number;
  readonly fd: number | undefined;
}

/** From `first` on, so many. */
interface Guests {
  readonly first: number;
  readonly count: number;
}

interface Waiting {
  readonly socket: number;
  readonly uid: number;
  readonly pid: number;
  readonly sinceMs: number;
  /** Once it was heard. */
  token: string | undefined;
  fd: number | undefined;
}

/** The receiving side: a unix socket at which connections wait until they are claimed by their token. */
export class DescriptorDoor {
  private readonly path: string;
  private readonly guests: Guests | undefined;
  private readonly onFull: ((who: string, reason: string) => void) | undefined;
  private readonly ofProcess: number;
  private readonly ofUid: number;
  private readonly server: Server;
  /** Oldest first. */
  private readonly waiting = new Set<Waiting>();

  /**
   * @param guests uids that are let in beside ours and root's, where virtual kernels have some of their own
   * @param onFull a connection is closed, since so many of one wait
   * @param trusted whoever can get there may leave as many as there may be at all
   */
  constructor(
    path: string,
    guests?: Guests,
    onFull?: (who: string, reason: string) => void,
    trusted = false,
  ) {
    this.path = path;
    this.ofProcess = trusted ? WAITING_MAX : WAITING_OF_PROCESS;
    this.ofUid = trusted ? WAITING_MAX : WAITING_OF_UID;
    this.onFull = onFull;
    this.guests = guests;
    rmSync(path, { force: true });
    // Node only listens: whatever it would read itself, it would lose the descriptors of.
    this.server = createServer({ pauseOnConnect: true }, (socket) => this.guarded(takeOver(socket)));
    // Without a descriptor to accept by (EMFILE) it goes on: whoever waits knocks again.
    this.server.on('error', () => {});
    this.server.listen(path);
    // Whoever gets there is asked for their uid.
    chmodSync(path, guests === undefined ? 0o600 : 0o666);
  }

  /** Whoever knocked with this token, or undefined. */
  claim(token: Uint8Array): Knocked | undefined {
    this.takeIn();
    const wanted = Buffer.from(token).toString('hex');
    for (const waiting of this.waiting) {
      if (waiting.token !== wanted) continue;
      this.waiting.delete(waiting);
      return { socket: waiting.socket, fd: waiting.fd };
    }
    return undefined;
  }

  /** The descriptor that was handed over with this token, where there is nothing more to say to whoever did. */
  claimDescriptor(token: Uint8Array): number | undefined {
    const knocked = this.claim(token);
    if (knocked !== undefined) libc.close(knocked.socket);
    return knocked?.fd;
  }

  /** Those that wait. */
  get size(): number {
    return this.waiting.size;
  }

  private takeIn(): void {
    const listening = (this.server as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
    // Also those that the event loop has not come to yet.
    if (listening !== undefined && listening >= 0)
      for (let turns = 0; turns < WAITING_MAX; turns++) {
        const socket = libc.acceptUnix(listening);
        if (socket === undefined) break;
        this.guarded(socket);
      }
    const nowMs = performance.now();
    for (const waiting of [...this.waiting])
      if (nowMs - waiting.sinceMs > WAITING_MS || !hears(waiting)) this.turnAway(waiting);
  }

  /** A fault in serving one who knocks is theirs, and ends nothing else. */
  private guarded(socket: number | undefined): void {
    try {
      this.admit(socket);
    } catch {
      if (socket !== undefined && ![...this.waiting].some((each) => each.socket === socket))
        libc.close(socket);
    }
  }

  private admit(socket: number | undefined): void {
    if (socket === undefined) return;
    const { pid = 0, uid } = libc.peerOf(socket) ?? {};
    if (uid === undefined || !this.admits(uid)) {
      libc.close(socket);
      return;
    }
    this.waiting.add({ socket, uid, pid, sinceMs: performance.now(), token: undefined, fd: undefined });
    const ofUid = [...this.waiting].filter((each) => each.uid === uid);
    const ofProcess = pid === 0 ? [] : ofUid.filter((each) => each.pid === pid);
    if (ofProcess.length > this.ofProcess) this.full(ofProcess, this.ofProcess);
    else if (ofUid.length > this.ofUid) this.full(ofUid, this.ofUid);
    else if (this.waiting.size > WAITING_MAX) this.full(this.ofMost(), WAITING_MAX);
  }

  private full(waiting: readonly Waiting[], most: number): void {
    const first = firstToGo(waiting);
    this.turnAway(first);
    this.onFull?.(
      `uid:${first.uid}`,
      `${most} connections${first.pid === 0 ? '' : ` of process ${first.pid}`} wait at the door for descriptors, and nobody claims them: the oldest is closed; it should ask for what it knocked for, or knock less`,
    );
  }

  /** Of whoever has most. */
  private ofMost(): Waiting[] {
    const byUid = Map.groupBy(this.waiting, ({ uid }) => uid);
    return [...byUid.values()].reduce((most, each) => (each.length > most.length ? each : most));
  }

  private admits(uid: number): boolean {
    if (uid === process.getuid!() || uid === 0) return true;
    const { first = 0, count = 0 } = this.guests ?? {};
    return uid >= first && uid < first + count;
  }

  private turnAway(waiting: Waiting): void {
    this.waiting.delete(waiting);
    libc.close(waiting.socket);
    if (waiting.fd !== undefined) libc.close(waiting.fd);
  }

  close(): void {
    for (const waiting of [...this.waiting]) this.turnAway(waiting);
    this.server.close();
    rmSync(this.path, { force: true });
  }
}

/** The oldest that has shown no token, else the oldest. Who came last has had no time to show one. */
function firstToGo(waiting: readonly Waiting[]): Waiting {
  return waiting.slice(0, -1).find((each) => !hears(each) || each.token === undefined) ?? waiting[0]!;
}

/** The connection without Node. */
function takeOver(socket: Socket): number | undefined {
  const fd = (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd;
  try {
    return fd === undefined || fd < 0 ? undefined : libc.duplicate(fd);
  } catch {
    return undefined; // No descriptor is free: it knocks again.
  } finally {
    socket.destroy();
  }
}

/** Reads the token where it is there. False: it is none, or the other side is gone. */
function hears(waiting: Waiting): boolean {
  if (waiting.token !== undefined) return true;
  try {
    const message = libc.receiveDescriptor(waiting.socket, TOKEN_BYTES);
    if (message === undefined) return true;
    waiting.fd = message.fd;
    waiting.token = Buffer.from(message.data).toString('hex');
    return message.data.length === TOKEN_BYTES;
  } catch {
    return false;
  }
}
