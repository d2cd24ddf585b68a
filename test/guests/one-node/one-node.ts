/**
 * One machine without coherency: guests run in threads of this process, and a dataspace is a memory file that is laid
 * over each guest's linear memory, so that the hardware keeps it coherent. It has the whole `odonata` import module.
 *
 * For two things: to test guests by themselves, before and without a cluster, and to see what they print on hardware.
 */
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type RangeLock, RangeLocks } from './range-locks.ts';

export type Request =
  | { call: 'open'; name: string; sizeBytes: bigint; flags: number }
  | {
      call: 'lock';
      dataspace: bigint;
      begin: bigint;
      endInclusive: bigint;
      shared: boolean;
      timeoutMs: bigint;
    }
  | { call: 'unlock'; dataspace: bigint; begin: bigint; endInclusive: bigint }
  | { call: 'wait'; dataspace: bigint; offset: bigint; expected: number; timeoutNs: bigint }
  | { call: 'wake'; dataspace: bigint; offset: bigint; count: number }
  | {
      call: 'barrier';
      dataspace: bigint;
      name: bigint;
      count: number;
      generation: bigint;
      timeoutMs: bigint;
    }
  | { call: 'exit'; code: number }
  | { call: 'trap'; message: string };

export interface Answer {
  readonly errno: number;
  readonly words: readonly [bigint, bigint, bigint];
}

export interface GuestSetup {
  readonly wasmPath: string;
  readonly args: readonly string[];
  readonly pid: number;
  /** [0] answered, [1] errno as 32-bit words; [1] to [3] results as 64-bit words. */
  readonly answer: SharedArrayBuffer;
  readonly stdinFd: number;
  readonly stdoutFd: number;
  readonly stderrFd: number;
}

export interface GuestEnd {
  /** Exit code; undefined for a trap or a kill. */
  readonly code?: number;
  readonly trap?: string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningGuest {
  readonly ended: Promise<GuestEnd>;
  /** What it has written so far. */
  stdout(): string;
  kill(): Promise<void>;
}

interface Dataspace {
  readonly id: bigint;
  readonly fd: number;
  readonly sizeBytes: number;
}

interface Sleeper {
  readonly pid: number;
  readonly dataspace: bigint;
  readonly offset: bigint;
  readonly end: (errno: number) => void;
}

const Errno = { success: 0, again: 6, exist: 20, inval: 28, noent: 44, perm: 63, timedout: 73 } as const;

export class OneNode {
  private readonly folder = mkdtempSync(join(tmpdir(), 'odonata-guests-'));
  private readonly dataspaces = new Map<string, Dataspace>();
  private readonly locks = new RangeLocks();
  private sleepers: Sleeper[] = [];
  /** Who waits at which generation of which barrier. */
  private readonly meetings = new Map<string, Reply[]>();
  private readonly guests = new Set<Worker>();
  private lastPid = 0;

  /** Makes a dataspace with these bytes. */
  load(name: string, bytes: Uint8Array): void {
    const { fd } = this.create(name, bytes.length);
    writeSync(fd, bytes, 0, bytes.length, 0);
  }

  /** What is in a dataspace now. */
  save(name: string): Buffer {
    const { fd, sizeBytes } = this.dataspaces.get(name)!;
    const bytes = Buffer.alloc(sizeBytes);
    readSync(fd, bytes, 0, sizeBytes, 0);
    return bytes;
  }

  start(wasmPath: string, args: readonly string[], stdin = ''): RunningGuest {
    this.lastPid += 1;
    const pid = this.lastPid;
    const path = (stream: string) => join(this.folder, `${pid}.${stream}`);
    const stdinFd = openSync(path('stdin'), 'w+');
    writeSync(stdinFd, stdin, 0);
    const stdoutFd = openSync(path('stdout'), 'w');
    const stderrFd = openSync(path('stderr'), 'w');
    const answer = new SharedArrayBuffer(32);
    const name = basename(wasmPath, '.wasm');
    const setup: GuestSetup = { wasmPath, args: [name, ...args], pid, answer, stdinFd, stdoutFd, stderrFd };
    const worker = new Worker(new URL('./guest-worker.ts', import.meta.url), { workerData: setup });
    this.guests.add(worker);
    let end: Pick<GuestEnd, 'code' | 'trap'> = { trap: 'killed' };
    worker.on('message', (request: Request) => {
      if (request.call === 'exit') end = { code: request.code };
      else if (request.call === 'trap') end = { trap: request.message };
      else this.serve(pid, request, replyTo(answer));
    });
    worker.once('error', (error: Error) => {
      end = { trap: error.message };
    });
    const ended = new Promise<GuestEnd>((resolve) => {
      worker.once('exit', () => {
        this.guests.delete(worker);
        this.forget(pid);
        for (const fd of [stdinFd, stdoutFd, stderrFd]) closeSync(fd);
        const [stdout, stderr] = [readFileSync(path('stdout'), 'utf8'), readFileSync(path('stderr'), 'utf8')];
        resolve({ ...end, stdout, stderr });
      });
    });
    return {
      ended,
      stdout: () => readFileSync(path('stdout'), 'utf8'),
      kill: async () => {
        await worker.terminate();
      },
    };
  }

  run(wasmPath: string, args: readonly string[], stdin?: string): Promise<GuestEnd> {
    return this.start(wasmPath, args, stdin).ended;
  }

  async close(): Promise<void> {
    await Promise.all([...this.guests].map((worker) => worker.terminate()));
    for (const { fd } of this.dataspaces.values()) closeSync(fd);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private create(name: string, sizeBytes: number): Dataspace {
    const path = join('/dev/shm', `odonata-guests-${process.pid}-${Math.random().toString(36).slice(2)}`);
    const fd = openSync(path, 'wx+', 0o600);
    rmSync(path); // Lives on as an open file, and goes with this process.
    ftruncateSync(fd, Math.ceil(sizeBytes / 4096) * 4096);
    const dataspace = { id: BigInt(this.dataspaces.size + 1), fd, sizeBytes };
    this.dataspaces.set(name, dataspace);
    return dataspace;
  }

  private serve(pid: number, request: Request, reply: Reply): void {
    switch (request.call) {
      case 'open':
        this.open(request.name, Number(request.sizeBytes), request.flags, reply);
        break;
      case 'lock': {
        const { dataspace, begin, endInclusive, shared } = request;
        this.lock({ owner: pid, dataspace, begin, endInclusive, shared }, request.timeoutMs, reply);
        break;
      }
      case 'unlock': {
        const held = this.locks.release(pid, request.dataspace, request.begin, request.endInclusive);
        reply(held ? Errno.success : Errno.perm);
        break;
      }
      case 'wait':
        this.wait(pid, request, reply);
        break;
      case 'wake': {
        const { dataspace, offset } = request;
        const here = this.sleepers.filter((s) => s.dataspace === dataspace && s.offset === offset);
        const woken = here.slice(0, request.count);
        for (const sleeper of woken) sleeper.end(Errno.success);
        reply(Errno.success, BigInt(woken.length));
        break;
      }
      case 'barrier': {
        const { dataspace, name, count, generation } = request;
        const key = `${dataspace} ${name} ${generation}`;
        const here = [...(this.meetings.get(key) ?? []), reply];
        this.meetings.set(key, here);
        if (here.length < count) break;
        this.meetings.delete(key);
        for (const each of here) each(Errno.success);
        break;
      }
      case 'exit':
      case 'trap':
        break;
    }
  }

  private open(name: string, sizeBytes: number, flags: number, reply: Reply): void {
    const [create, exclusive] = [(flags & 1) !== 0, (flags & 2) !== 0];
    const found = this.dataspaces.get(name);
    if (found === undefined && !create) reply(Errno.noent);
    else if (found === undefined && sizeBytes === 0) reply(Errno.inval);
    else if (found !== undefined && exclusive) reply(Errno.exist);
    else if (found !== undefined && sizeBytes !== 0 && found.sizeBytes !== sizeBytes) reply(Errno.inval);
    else {
      const { id, fd, sizeBytes: size } = found ?? this.create(name, sizeBytes);
      reply(Errno.success, id, BigInt(size), BigInt(fd));
    }
  }

  private lock(lock: RangeLock, timeoutMs: bigint, reply: Reply): void {
    let timer: NodeJS.Timeout | undefined;
    const giveUp = this.locks.acquire(lock, () => {
      clearTimeout(timer);
      reply(Errno.success);
    });
    if (timeoutMs < 0n) return;
    const expire = () => {
      if (giveUp()) reply(Errno.timedout);
    };
    if (timeoutMs === 0n) expire();
    else timer = setTimeout(expire, Number(timeoutMs));
  }

  /** How many processes sleep on a word. */
  get sleeping(): number {
    return this.sleepers.length;
  }

  private wait(pid: number, request: Extract<Request, { call: 'wait' }>, reply: Reply): void {
    const { dataspace, offset, expected, timeoutNs } = request;
    const word = Buffer.alloc(4);
    const { fd } = [...this.dataspaces.values()].find(({ id }) => id === dataspace)!;
    readSync(fd, word, 0, 4, Number(offset));
    if (word.readUInt32LE() !== expected) {
      reply(Errno.again);
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    const sleeper: Sleeper = {
      pid,
      dataspace,
      offset,
      end: (errno) => {
        clearTimeout(timer);
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        reply(errno);
      },
    };
    this.sleepers.push(sleeper);
    if (timeoutNs >= 0n)
      timer = setTimeout(() => sleeper.end(Errno.timedout), Number(timeoutNs / 1_000_000n));
  }

  private forget(pid: number): void {
    for (const sleeper of this.sleepers.filter((other) => other.pid === pid)) sleeper.end(Errno.timedout);
    this.locks.releaseAll(pid);
  }
}

type Reply = (errno: number, ...words: bigint[]) => void;

function replyTo(answer: SharedArrayBuffer): Reply {
  const flags = new Int32Array(answer);
  const results = new BigUint64Array(answer);
  return (errno, ...words) => {
    words.forEach((word, index) => {
      results[index + 1] = word;
    });
    flags[1] = errno;
    Atomics.store(flags, 0, 1);
    Atomics.notify(flags, 0);
  };
}
