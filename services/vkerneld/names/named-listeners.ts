// Programs of this node that listen by names. A name is registered with the routers as long as somebody listens by it here, and its load
// is the fewest connections that one of them has open: so a router chooses the node, and this the program.
//
// A program has one end of a line (libs/userfault/named-sockets.ts), by which it gets its connections; with each that it takes comes a
// byte back. It closes its end, or ends, and listens no more.
import { Socket } from 'node:net';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import type { SyslinkEndpoint } from '@odonata/rpc/syslink/endpoint.ts';
import type { OwnName } from '@odonata/rpc/syslink/own-names.ts';
import { scopeOf } from '@odonata/syslink/names/name-table.ts';
import { close } from '@odonata/userfault/libc.ts';
import { makeConnection, makeNamedListener, pass } from '@odonata/userfault/named-sockets.ts';
import { GuestSocket } from './guest-socket.ts';

/** Of one user and of all, on this node: an endpoint of syslink has 256 names at most. */
export const NAMES_OF_USER = 64;
export const NAMES_MAX = 256;
/** Of one program; and of all by one name. */
export const LISTENERS_OF_PROCESS = 16;
const LISTENERS_OF_NAME = 256;

export interface ListenerOptions {
  readonly name: string;
  readonly backlog: number;
  readonly everyone: boolean;
}

/** A program's end of a line; whoever has it closes it. */
export interface OpenNamed {
  readonly fd: number;
  readonly name: string;
  /** Whose it is; one that is nobody's is closed by `close`. */
  belongsTo(pid: bigint): void;
  close(): void;
}

interface Listener extends ListenerOptions {
  readonly line: Socket;
  readonly fd: number;
  readonly user: string;
  /** Its virtual kernel. */
  readonly key: string;
  pid: bigint;
  isOver: boolean;
  /** Passed on, and not taken. */
  waiting: number;
  open: number;
}

interface Registered {
  own: OwnName;
  everyone: boolean;
  /** As the routers were told. */
  load: number;
  readonly listeners: Set<Listener>;
}

export class NamedListeners {
  readonly #syslink: () => SyslinkEndpoint | undefined;
  readonly #log: Logger;
  readonly #names = new Map<string, Registered>();

  constructor(options: { syslink: () => SyslinkEndpoint | undefined; log: Logger }) {
    this.#syslink = options.syslink;
    this.#log = options.log;
  }

  get names(): number {
    return this.#names.size;
  }

  /** Resolves when the router knows. @throws RpcError RESOURCE_EXHAUSTED, UNAVAILABLE, PERMISSION_DENIED */
  async open(
    { user, key }: { user: string; key: string },
    options: ListenerOptions,
    pid = 0n,
  ): Promise<OpenNamed> {
    const syslink = this.#syslink();
    if (syslink === undefined) throw tryAgain(Code.Unavailable, 'not attached to a router yet');
    this.#expectRoom(user, options.name, pid);
    const [ours, theirs] = makeNamedListener();
    const line = new Socket({ fd: ours, readable: true, writable: true });
    const counts = { isOver: false, waiting: 0, open: 0 };
    const listener: Listener = { ...options, line, fd: ours, user, key, pid, ...counts };
    line.on('data', (bytes) => {
      listener.waiting = Math.max(0, listener.waiting - bytes.length);
    });
    line.on('error', (error) => this.#log.debug({ err: error, name: listener.name }, 'a listener is gone'));
    line.on('close', () => this.#drop(listener));
    line.on('end', () => this.#drop(listener));
    try {
      await this.#add(syslink, listener);
    } catch (error) {
      close(theirs);
      this.#drop(listener);
      throw error;
    }
    const belongsTo = (of: bigint): void => {
      listener.pid = of;
    };
    return { fd: theirs, name: options.name, belongsTo, close: () => close(theirs) };
  }

  /** A program has ended. */
  ended(pid: bigint): void {
    for (const { listeners } of [...this.#names.values()])
      for (const listener of [...listeners]) if (listener.pid === pid) this.#drop(listener);
  }

  /**
   * Passes a connection to the program that has the fewest; our end of it.
   * @param enter counts it for a virtual kernel, until what it returns is called
   * @throws RpcError ABORTED where nobody listens any more, NOT_FOUND where nobody does for that user, RESOURCE_EXHAUSTED
   */
  hand(name: string, user: string, enter: (key: string) => () => void): GuestSocket {
    const registered = this.#names.get(name);
    if (registered === undefined)
      throw new RpcError(Code.Aborted, `nobody listens by "${name}" here any more`);
    const isTheirs = scopeOf(name) === user;
    const all = [...registered.listeners].filter(({ everyone }) => isTheirs || everyone);
    if (all.length === 0) throw new RpcError(Code.NotFound, `nobody listens by "${name}" for ${user}`);
    const free = all
      .filter(({ waiting, backlog }) => waiting < backlog)
      .sort((a, b) => loadOf(a) - loadOf(b));
    for (const listener of free) {
      const leave = enter(listener.key);
      const [ours, theirs] = made(leave);
      const socket = new GuestSocket(ours);
      socket.whenClosed(leave);
      try {
        if (!pass(listener.fd, theirs)) throw new Error('its line is full');
        listener.waiting += 1;
        listener.open += 1;
        this.#tellLoad(name);
        socket.whenClosed(() => {
          listener.open -= 1;
          this.#tellLoad(name);
        });
        return socket;
      } catch (error) {
        this.#log.debug({ err: error, name, pid: listener.pid }, 'a listener takes no connection');
        socket.reset();
      } finally {
        close(theirs);
      }
    }
    throw tryAgain(Code.ResourceExhausted, `as many as may wait for "${name}" do already; try again`);
  }

  #expectRoom(user: string, name: string, pid: bigint): void {
    const all = [...this.#names.values()].flatMap(({ listeners }) => [...listeners]);
    if (pid !== 0n && all.filter((each) => each.pid === pid).length >= LISTENERS_OF_PROCESS)
      throw new RpcError(
        Code.ResourceExhausted,
        `a program listens by ${LISTENERS_OF_PROCESS} names at most`,
      );
    const registered = this.#names.get(name);
    if ((registered?.listeners.size ?? 0) >= LISTENERS_OF_NAME)
      throw new RpcError(Code.ResourceExhausted, `${LISTENERS_OF_NAME} programs listen by "${name}" here`);
    if (registered !== undefined) return;
    const theirs = new Set(all.filter((each) => each.user === user).map((each) => each.name));
    if (theirs.size >= NAMES_OF_USER || this.#names.size >= NAMES_MAX)
      throw new RpcError(
        Code.ResourceExhausted,
        `${user} has ${theirs.size} of ${this.#names.size} names here; ${NAMES_OF_USER} and ${NAMES_MAX} are the most`,
      );
  }

  async #add(syslink: SyslinkEndpoint, listener: Listener): Promise<void> {
    const { name } = listener;
    const known = this.#names.get(name);
    let refused: Error | undefined;
    const everyone = listener.everyone || (known?.everyone ?? false);
    const registered = known ?? {
      own: undefined as unknown as OwnName,
      everyone,
      load: 0,
      listeners: new Set(),
    };
    registered.listeners.add(listener);
    this.#names.set(name, registered);
    if (known === undefined || known.everyone !== everyone) {
      registered.everyone = everyone;
      const options = { everyone, refused: (error: Error) => (refused ??= error) };
      registered.own = syslink.register(name, options);
      registered.load = 0;
    }
    this.#tellLoad(name);
    // In order behind the registration: who is answered is known there, or was refused.
    await syslink.listNames(name);
    if (refused !== undefined) throw refused;
  }

  #drop(listener: Listener): void {
    if (listener.isOver) return;
    listener.isOver = true;
    listener.line.destroy();
    const registered = this.#names.get(listener.name);
    registered?.listeners.delete(listener);
    if (registered?.listeners.size === 0) {
      this.#names.delete(listener.name);
      registered.own?.withdraw();
    } else this.#tellLoad(listener.name);
  }

  #tellLoad(name: string): void {
    const registered = this.#names.get(name);
    if (registered === undefined || registered.listeners.size === 0) return;
    const load = Math.min(...[...registered.listeners].map(loadOf));
    if (load === registered.load) return;
    registered.load = load;
    registered.own.load(load);
  }
}

/** @throws SystemCallError; then it is not counted any more */
export function made(leave: () => void): [number, number] {
  try {
    return makeConnection();
  } catch (error) {
    leave();
    throw error;
  }
}

const loadOf = ({ open }: Listener): number => open;
