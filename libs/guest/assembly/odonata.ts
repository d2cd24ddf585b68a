/**
 * What an AssemblyScript guest asks of its virtual kernel beyond WASI preview 1. The model and the caller's rules
 * stand in odonata.h, beside this folder; the names and results are the same.
 *
 * Build with `asc --enable threads` so that `atomic.*` is there. Addresses are offsets in linear memory.
 *
 * Made by `npm run generate` from libs/guest/module/odonata.ts: change that, not this.
 */

// @ts-ignore: decorator
@external("odonata", "ds_open")
declare function ds_open(name: usize, nameLen: u32, size: u64, flags: i32, out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "ds_map")
declare function ds_map(id: u64, addr: usize, len: u32, offset: u64, prot: i32): i32;
// @ts-ignore: decorator
@external("odonata", "ds_unmap")
declare function ds_unmap(addr: usize, len: u32): i32;
// @ts-ignore: decorator
@external("odonata", "ds_stat")
declare function ds_stat(id: u64, out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "lock")
declare function ds_lock(id: u64, begin: i64, endInclusive: i64, mode: i32, timeoutMs: i64): i32;
// @ts-ignore: decorator
@external("odonata", "unlock")
declare function ds_unlock(id: u64, begin: i64, endInclusive: i64): i32;
// @ts-ignore: decorator
@external("odonata", "barrier")
declare function ds_barrier(id: u64, name: i64, count: u32, generation: u64, timeoutMs: i64): i32;
// @ts-ignore: decorator
@external("odonata", "sync")
declare function ds_sync(id: u64, offset: u64, len: u64): i32;
// @ts-ignore: decorator
@external("odonata", "ds_remove")
declare function ds_remove(name: usize, nameLen: u32): i32;
// @ts-ignore: decorator
@external("odonata", "connect")
declare function ds_connect(address: usize, addressLen: u32, fd: usize): i32;
// @ts-ignore: decorator
@external("odonata", "listen")
declare function ds_listen(name: usize, nameLen: u32, backlog: u32, flags: i32, fd: usize): i32;
// @ts-ignore: decorator
@external("odonata", "connect_name")
declare function ds_connect_name(name: usize, nameLen: u32, timeoutMs: u32, fd: usize): i32;
// @ts-ignore: decorator
@external("odonata", "name_range")
declare function ds_name_range(id: u64, offset: u64, len: u64, name: usize, nameLen: u32): i32;
// @ts-ignore: decorator
@external("odonata", "wait32")
declare function ds_wait32(addr: usize, expected: u32, timeoutNs: i64): i32;
// @ts-ignore: decorator
@external("odonata", "wake")
declare function ds_wake(addr: usize, count: u32, woken: usize): i32;
// @ts-ignore: decorator
@external("odonata", "spawn")
declare function ds_spawn(fd: u32, args: usize, argsLen: u32, env: usize, envLen: u32, fds: usize, fdsLen: u32, node: usize, nodeLen: u32, flags: i32, group: u64, out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "wait")
declare function ds_wait(pid: i64, flags: i32, out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "kill")
declare function ds_kill(pid: i64, signal: i32): i32;
// @ts-ignore: decorator
@external("odonata", "identify")
declare function ds_identify(pid: u64, out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "set_group")
declare function ds_set_group(pid: u64, group: u64): i32;
// @ts-ignore: decorator
@external("odonata", "terminal_get")
declare function ds_terminal_get(fd: u32, out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "terminal_set")
declare function ds_terminal_set(fd: u32, flags: i32, input: u32, output: u32, local: u32, characters: usize, charactersLen: u32): i32;
// @ts-ignore: decorator
@external("odonata", "terminal_resize")
declare function ds_terminal_resize(fd: u32, rows: u32, columns: u32): i32;
// @ts-ignore: decorator
@external("odonata", "terminal_foreground")
declare function ds_terminal_foreground(fd: u32, group: u64): i32;
// @ts-ignore: decorator
@external("odonata", "pipe")
declare function ds_pipe(out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "dup")
declare function ds_dup(fd: u32, to: u32, out: usize): i32;
// @ts-ignore: decorator
@external("odonata", "signal_action")
declare function ds_signal_action(signal: i32, action: i32): i32;
// @ts-ignore: decorator
@external("odonata", "signal_function")
declare function ds_signal_function(index: u32): i32;
// @ts-ignore: decorator
@external("odonata", "park_area")
declare function ds_park_area(addr: usize, len: u32): i32;
// @ts-ignore: decorator
@external("odonata", "set_session")
declare function ds_set_session(): i32;

/**
 * Here a snapshot of this program may be taken, by `vkctl snapshot`: returns 0 at once where nobody asked for one, 1
 * where one was taken.  A program of which there can be one exports `odonata_resume`, a function of nothing: what is
 * started from the snapshot begins there, with the memory and the globals as they are here, and ends where it
 * returns.
 */
// @ts-ignore: decorator
@external("odonata", "snapshot")
export declare function snapshot(): i32;
/** The node that this process runs on. */
// @ts-ignore: decorator
@external("odonata", "node_id")
export declare function nodeId(): i32;
/** The virtual kernel, numbered within its node. */
// @ts-ignore: decorator
@external("odonata", "vkernel_id")
export declare function vkernelId(): i32;
/** This process's cluster-wide pid. */
// @ts-ignore: decorator
@external("odonata", "process_id")
export declare function processId(): i64;

/** Bytes in a page: the unit of mapping, of coherency and of transfer. */
export const PAGE: usize = 4096;

/** Results that a program is likely to tell apart; any other WASI errno may come too. */
export namespace Errno {
  export const OK: i32 = 0;
  export const ACCES: i32 = 2;
  export const AGAIN: i32 = 6;
  export const CONNREFUSED: i32 = 14;
  export const CONNABORTED: i32 = 13;
  export const CONNRESET: i32 = 15;
  export const BADF: i32 = 8;
  export const CHILD: i32 = 12;
  export const DEADLK: i32 = 16;
  export const DQUOT: i32 = 19;
  export const EXIST: i32 = 20;
  export const INTR: i32 = 27;
  export const FAULT: i32 = 21;
  export const INVAL: i32 = 28;
  export const NOENT: i32 = 44;
  export const NOMEM: i32 = 48;
  export const OWNERDEAD: i32 = 62;
  export const PERM: i32 = 63;
  export const SRCH: i32 = 71;
  export const NOSYS: i32 = 52;
  export const NOSPC: i32 = 51;
  export const TIMEDOUT: i32 = 73;
}

/** Flags of `Dataspace.open`. */
export namespace Open {
  export const CREATE: i32 = 1;
  export const EXCLUSIVE: i32 = 2;
  export const DURABLE: i32 = 4;
}

/** Protections of `Dataspace.map`. */
export namespace Protection {
  export const READ: i32 = 1;
  export const READ_WRITE: i32 = 3;
}

/** Flags of `spawn`. */
export namespace Spawn {
  export const NEW_GROUP: i32 = 1;
  export const SPREAD: i32 = 2;
  export const SELF: i32 = 4;
  export const NEAR: i32 = 8;
  export const APART: i32 = 16;
}

/** Actions of `signalAction`. */
export namespace SignalAction {
  export const DEFAULT: i32 = 0;
  export const IGNORE: i32 = 1;
  export const HANDLER: i32 = 2;
}

/** Flags of `wait`. */
export namespace Wait {
  export const NO_HANG: i32 = 1;
  export const STOPPED: i32 = 2;
  export const CONTINUED: i32 = 8;
}

/** Flags of `terminalSet`. */
export namespace TerminalChange {
  export const FLUSH: i32 = 1;
}

/** Codes of a child that did not end: see `wait`. */
export namespace ChildCode {
  export const STOPPED: i32 = 65536;
  export const CONTINUED: i32 = 131072;
}

/** Flags of `listen`. */
export namespace Listen {
  export const EVERYONE: i32 = 1;
}

/** Modes of `Dataspace.lock`. */
export namespace LockMode {
  export const SHARED: i32 = 1;
  export const EXCLUSIVE: i32 = 2;
  export const MODIFYING: i32 = 3;
}

/** Two 64-bit results of the kernel; static, since a guest calls from one thread only. */
const out = memory.data(16, 8);

/** Bytes in a page of linear memory: the unit in which it grows, and how many there can be. */
const LINEAR_PAGE: u64 = 65536;
const LINEAR_PAGES_MAX: u64 = 65536;

/** `bytes` rounded up to whole pages. */
export function roundUp(bytes: u64): u64 {
  return (bytes + PAGE - 1) / PAGE * PAGE;
}

/**
 * Grows linear memory by at least `bytes` and gives the new, page-aligned and never touched range; 0 when memory
 * cannot grow so far. The collector copes with it: it takes whatever lies beyond for itself.
 */
export function reserve(bytes: u64): usize {
  const pages = (bytes + LINEAR_PAGE - 1) / LINEAR_PAGE;
  if (pages == 0 || pages >= LINEAR_PAGES_MAX) return 0;
  const before = memory.grow(<i32>pages);
  return before < 0 ? 0 : <usize>before * <usize>LINEAR_PAGE;
}

/** A named memory object of the cluster. `errno` keeps the result of the last call that gave no errno itself. */
export class Dataspace {
  private constructor(readonly id: i64, readonly sizeBytes: u64, readonly errno: i32) {}

  /**
   * Opens or creates the dataspace `name`; size 0 takes one that exists as it is. Never throws: look at `errno`.
   */
  static open(name: string, sizeBytes: u64, flags: i32): Dataspace {
    const utf8 = String.UTF8.encode(name);
    const errno = ds_open(changetype<usize>(utf8), utf8.byteLength, sizeBytes, flags, out);
    return errno == 0 ? new Dataspace(load<i64>(out), load<u64>(out, 8), 0) : new Dataspace(0, 0, errno);
  }

  /** Removes the dataspace `name`, unless somebody has it mapped (EBUSY). */
  static remove(name: string): i32 {
    const utf8 = String.UTF8.encode(name);
    return ds_remove(changetype<usize>(utf8), utf8.byteLength);
  }

  /** Maps [offset, offset + length) over [address, address + length); all multiples of PAGE. */
  map(address: usize, length: u32, offset: u64, protection: i32): i32 {
    return ds_map(this.id, address, length, offset, protection);
  }

  /** Reserves memory for the whole dataspace and maps it there; 0 where that fails. */
  mapWhole(protection: i32): usize {
    const length = roundUp(this.sizeBytes);
    const address = reserve(length);
    if (address == 0) return 0;
    return this.map(address, <u32>length, 0, protection) == 0 ? address : 0;
  }

  /** Size as the kernel knows it now; 0 when the call fails. */
  stat(): u64 {
    return ds_stat(this.id, out) == 0 ? load<u64>(out) : 0;
  }

  /** Locks the bytes [begin, endInclusive], whatever was held of them; timeoutMs below 0 waits for ever, 0 only tries. */
  lock(begin: i64, endInclusive: i64, mode: i32, timeoutMs: i64 = -1): i32 {
    return ds_lock(this.id, begin, endInclusive, mode, timeoutMs);
  }

  /** Waits until `count` processes have come to this generation; timeoutMs below 0 waits for ever. */
  barrier(name: i64, count: u32, generation: u64, timeoutMs: i64 = -1): i32 {
    return ds_barrier(this.id, name, count, generation, timeoutMs);
  }

  /** Names the bytes [offset, offset + length) for people, as `vkctl ds hot` shows them; an empty name takes the name away. */
  nameRange(offset: u64, length: u64, name: string): i32 {
    const utf8 = String.UTF8.encode(name);
    return ds_name_range(this.id, offset, length, changetype<usize>(utf8), utf8.byteLength);
  }

  /** Stores the bytes of a durable dataspace; a length of 0 means all from the offset on. */
  sync(offset: u64 = 0, length: u64 = 0): i32 {
    return ds_sync(this.id, offset, length);
  }

  /** Releases whatever this process holds of the bytes [begin, endInclusive]. */
  unlock(begin: i64, endInclusive: i64): i32 {
    return ds_unlock(this.id, begin, endInclusive);
  }
}

/** Ends mappings in [address, address + length); the range becomes fresh private zero memory. */
export function unmap(address: usize, length: u32): i32 {
  return ds_unmap(address, length);
}

/** Sleeps until `wake` on the same word, if it still holds `expected` (else Errno.AGAIN); timeoutNs below 0: for ever. */
export function wait32(address: usize, expected: u32, timeoutNs: i64 = -1): i32 {
  return ds_wait32(address, expected, timeoutNs);
}

/** Wakes at most `count` sleepers; how many were woken, or the negated errno. */
export function wake(address: usize, count: u32): i32 {
  const errno = ds_wake(address, count, out);
  return errno == 0 ? load<i32>(out) : -errno;
}

/** Connects to HOST:PORT; a descriptor, or an errno below 0. */
export function connectTo(address: string): i32 {
  const utf8 = String.UTF8.encode(address);
  const errno = ds_connect(changetype<usize>(utf8), utf8.byteLength, out);
  return errno == 0 ? load<i32>(out) : -errno;
}

/** A listener by a name, of `Listen`; or an errno below 0. connection.ts has what is done with it. */
export function listenOn(name: string, backlog: u32 = 128, flags: i32 = 0): i32 {
  const utf8 = String.UTF8.encode(name);
  const errno = ds_listen(changetype<usize>(utf8), utf8.byteLength, backlog, flags, out);
  return errno == 0 ? load<i32>(out) : -errno;
}

/** A connection to whoever listens by a name; or an errno below 0. It waits so long at most; 0: ten seconds. */
export function connectToName(name: string, timeoutMs: u32 = 0): i32 {
  const utf8 = String.UTF8.encode(name);
  const errno = ds_connect_name(changetype<usize>(utf8), utf8.byteLength, timeoutMs, out);
  return errno == 0 ? load<i32>(out) : -errno;
}

/** A child: its pid, how it ended, and by which signal (0: none). */
export class Child {
  constructor(
    public pid: u64,
    public code: i32,
    public signal: i32,
  ) {}
}

/** Who a process is to others. */
export class Relatives {
  constructor(
    public pid: u64,
    public parent: u64,
    public group: u64,
    public session: u64,
  ) {}
}

const structure = memory.data(80, 8);

/** How the terminal of the session is: flags and control characters as Linux has them. */
export class Terminal {
  constructor(
    public input: u32,
    public output: u32,
    public local: u32,
    /** 24 of them. */
    public characters: Uint8Array,
    public rows: u32,
    public columns: u32,
    public foreground: u64,
    public session: u64,
  ) {}
}

/** Null where the standard stream is no terminal. */
export function terminal(fd: u32): Terminal | null {
  if (ds_terminal_get(fd, structure) != 0) return null;
  const characters = new Uint8Array(24);
  memory.copy(characters.dataStart, structure + 24, 24);
  return new Terminal(
    load<u32>(structure),
    load<u32>(structure, 8),
    load<u32>(structure, 16),
    characters,
    load<u32>(structure, 48),
    load<u32>(structure, 56),
    load<u64>(structure, 64),
    load<u64>(structure, 72),
  );
}

/** Flags and control characters of `to`, from now on; 0 or an errno. */
export function setTerminal(fd: u32, to: Terminal, flags: i32 = 0): i32 {
  return ds_terminal_set(fd, flags, to.input, to.output, to.local, to.characters.dataStart, to.characters.length);
}

export function resizeTerminal(fd: u32, rows: u32, columns: u32): i32 {
  return ds_terminal_resize(fd, rows, columns);
}

/** The group that keys reach, and that alone may read. */
export function setForeground(fd: u32, group: u64): i32 {
  return ds_terminal_foreground(fd, group);
}

/** The words one after the other, each with a NUL. */
function joined(words: string[]): ArrayBuffer {
  return String.UTF8.encode(words.length == 0 ? '' : words.join('\0') + '\0');
}

/** Starts a child of the program that is open as `fd` (Spawn.SELF: of this one); its pid, or an errno below 0. */
export function spawn(
  fd: u32,
  args: string[],
  env: string[] = [],
  node: string = '',
  flags: i32 = 0,
  group: u64 = 0,
): i64 {
  const words = joined(args);
  const variables = joined(env);
  const where = String.UTF8.encode(node);
  const errno = ds_spawn(
    fd,
    changetype<usize>(words),
    words.byteLength,
    changetype<usize>(variables),
    variables.byteLength,
    0,
    0,
    changetype<usize>(where),
    where.byteLength,
    flags,
    group,
    structure,
  );
  return errno == 0 ? load<i64>(structure) : -(<i64>errno);
}

/** Waits for a child; null where there is none (or, with Wait.NO_HANG, none that ended). */
export function waitChild(pid: i64 = -1, flags: i32 = 0): Child | null {
  if (ds_wait(pid, flags, structure) != 0 || load<u64>(structure) == 0) return null;
  return new Child(load<u64>(structure), load<i32>(structure, 8), load<i32>(structure, 16));
}

/** Sends a signal, as WASI numbers it. */
export function kill(pid: i64, signal: i32): i32 {
  return ds_kill(pid, signal);
}

/** Of a process (0: this one); null where there is none. */
export function identify(pid: u64 = 0): Relatives | null {
  if (ds_identify(pid, structure) != 0) return null;
  return new Relatives(
    load<u64>(structure),
    load<u64>(structure, 8),
    load<u64>(structure, 16),
    load<u64>(structure, 24),
  );
}

export function setGroup(pid: u64 = 0, group: u64 = 0): i32 {
  return ds_set_group(pid, group);
}

export function setSession(): i32 {
  return ds_set_session();
}

/** What a signal comes to; with SignalAction.HANDLER the module exports a function odonata_signal(i32). */
export function signalAction(signal: i32, action: i32): i32 {
  return ds_signal_action(signal, action);
}

/** Which function of the table `HANDLER` calls instead of what is exported: the `index` of a function. */
export function signalFunction(index: u32): i32 {
  return ds_signal_function(index);
}

/** Where this program leaves its stack while it is parked; once, before it waits. */
export function parkArea(addr: usize, len: u32): i32 {
  return ds_park_area(addr, len);
}

/** A pipe: the descriptor to read from, and the one to write to. */
export class Pipe {
  constructor(
    public read: i32,
    public write: i32,
  ) {}
}

/** Null where the process has as many descriptors as it may. */
export function pipe(): Pipe | null {
  return ds_pipe(structure) == 0 ? new Pipe(load<i32>(structure), load<i32>(structure, 8)) : null;
}

/** A descriptor once more, as `to` or as the lowest that is free; or an errno below 0. */
export function dup(fd: u32, to: u32 = u32.MAX_VALUE): i32 {
  const errno = ds_dup(fd, to, structure);
  return errno == 0 ? load<i32>(structure) : -errno;
}
