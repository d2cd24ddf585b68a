// What the families of system calls share: the process that calls.

import type { DescriptorTable } from './descriptor-table.ts';
import { Errno, errnoOf, WasiError } from './errno.ts';
import type { GuestMemory } from './guest-memory.ts';
import type { MountedFiles } from './mounts/mounted-files.ts';

/** The standard streams of a process. All of it may block the guest's thread. */
export interface StandardStreams {
  /** At most maxBytes; empty at the end. EAGAIN when nonblock is set and nothing is there. */
  read(maxBytes: number, nonblock: boolean): Uint8Array;
  /** Writes all. */
  write(stream: 1 | 2, bytes: Uint8Array): void;
  /** Waits until standard input has bytes or ended. timeoutMs < 0 waits for ever. */
  pollInput(timeoutMs: number): { ready: boolean; availableBytes: number; ended: boolean };
}

/** An argument or variable: text, or bytes as somebody gave them. */
export type Word = string | Uint8Array;

/** Waits during which the thread of the program may end. */
export interface LongWaits {
  /** Infinity: for ever. @throws WasiError EINTR */
  sleep(ms: number): void;
  /** When the call began that it is in, as a clock showed; it may have been parked since. */
  beganNs(clock: number): bigint;
}

export interface System {
  readonly memory: GuestMemory;
  readonly args: readonly Word[];
  /** NAME=VALUE. */
  readonly env: readonly Word[];
  readonly descriptors: DescriptorTable;
  readonly streams: StandardStreams;
  /** Files in mounts of the virtual kernel; missing: there are none. */
  readonly mounted?: MountedFiles;
  /** Missing: its threads do not end while they wait. */
  readonly waits?: LongWaits;
  /** Another line for a listener by name, whose own is at its end; an errno. Missing: there is none. */
  readonly listenAgain?: (host: number) => number;
  /** Ends the process; does not return. */
  readonly exit: (code: number) => never;
}

/** @throws WasiError ENOENT */
export function mountedOf({ mounted }: System): MountedFiles {
  if (mounted === undefined) throw new WasiError(Errno.noent);
  return mounted;
}

/** Returns nothing on success, or an errno; may throw WasiError and what node:fs throws. */
export type Call = (...args: never[]) => void;
export type Calls = Readonly<Record<string, Call>>;

/** An import of a guest: an errno. */
export type GuestFunction = (...args: (number | bigint)[]) => number;

/** Of a call; those that it has not are undefined. */
const ARGUMENTS_MAX = 12;

/** Numbers of 32 bits are unsigned here. */
const un = (argument: number | bigint | undefined): number | bigint | undefined =>
  typeof argument === 'number' ? argument >>> 0 : argument;

/**
 * Makes the imports of a guest from calls: 32-bit arguments become unsigned, errors become an errno; `after` each of them is called. What is neither
 * an errno nor an error of the host is a bug here, and passes through: the process ends with it as its reason.
 */
export function asImports(
  memory: GuestMemory,
  calls: Calls,
  after: () => void = () => {},
): Record<string, GuestFunction> {
  const imports: Record<string, GuestFunction> = {};
  for (const [name, call] of Object.entries(calls)) {
    const run = call as unknown as (...args: (number | bigint | undefined)[]) => number | undefined;
    if (run.length > ARGUMENTS_MAX) throw new Error(`${name} takes more than ${ARGUMENTS_MAX} arguments`);
    imports[name] = (a?, b?, c?, d?, e?, f?, g?, h?, i?, j?, k?, l?) => {
      // No closure is made here, nor a list: a clock is asked millions of times a second.
      const { gate } = memory;
      gate?.hold();
      let result: number;
      try {
        memory.expectRunning();
        memory.transfers?.tell('SYSCALL', name);
        try {
          result =
            run(un(a), un(b), un(c), un(d), un(e), un(f), un(g), un(h), un(i), un(j), un(k), un(l)) ?? 0;
        } catch (error) {
          const errno = errnoOf(error);
          if (errno === undefined) throw error;
          if (errno === Errno.timedout) memory.transfers?.tell('TIMEOUT', name);
          result = errno;
        } finally {
          after();
        }
      } finally {
        gate?.release();
      }
      gate?.deliver();
      return result;
    };
  }
  return imports;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** Of this thread: where a handler of a signal may have to run meanwhile. */
export interface Sleeper {
  sleep(ms: number): void;
  readonly isDue: boolean;
}
let signals: Sleeper | undefined;
let bell: number | undefined;

/** @param rings a descriptor that can be read when there is something to look at; undefined: it looks by itself */
export function wakeForSignals(gate: Sleeper, rings?: number): void {
  signals = gate;
  bell = rings;
}

/** Of this thread, as `wakeForSignals` has it. */
export const bellOfThread = (): number | undefined => bell;

/** Blocks this thread; ends early when the thread is terminated. Fractions of a millisecond count. @throws WasiError EINTR */
export function sleep(ms: number): void {
  if (signals === undefined) Atomics.wait(sleeper, 0, 0, ms);
  else signals.sleep(ms);
  if (signals?.isDue) throw new WasiError(Errno.intr);
}
