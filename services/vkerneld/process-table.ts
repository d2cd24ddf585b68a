import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Exited, ExitedSchema, Output, ProcessUsage } from '@odonata/proto/vkernel/v1/vkernel';
import { ProcessState } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { ownerOnly } from '@odonata/rpc/identity/access.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { PIDS_PER_NODE, PROGRAM_PIDS } from '@odonata/rpc/pid.ts';
import { notFound } from '@odonata/rpc/refusal.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { ProcessLog } from './process-log.ts';
import { DEFAULT_QUOTA_BYTES } from './vkernel/default-quota.ts';

const ENDED_LIMIT = 1_000;
/** All logs of processes that ended; those that ended first lose theirs first. */
const ENDED_LOG_BYTES = 64 * 1024 * 1024;
/** Pids of this node for processes of virtual kernels. */
const NUMBERS = PIDS_PER_NODE - 1 - PROGRAM_PIDS;

export type ExitInit = MessageInitShape<typeof ExitedSchema>;

/** Who sees what a process does, while it is attached: the caller of Run. */
export interface Watcher {
  started(): void;
  /** True: the watcher says itself when the bytes were taken. */
  output(output: Output): boolean;
  inputTaken(bytes: number): void;
  exited(exit: ExitInit): void;
}

/** A directory that a program was granted, on the node that has it. */
export interface Dir {
  /** Missing: this one. */
  readonly node?: string | undefined;
  /** True: its person's home there, in the place of a path. */
  readonly home?: boolean | undefined;
  readonly hostPath: string;
  readonly guestPath: string;
  readonly readOnly: boolean;
}

export interface Process {
  readonly pid: bigint;
  /** Its virtual kernel: `USER/NAME`. */
  readonly vkernel: string;
  /** Whose it is. */
  readonly user: string;
  readonly command: readonly string[];
  readonly startedAtMs: number;
  /** Memory that it may touch. */
  readonly quotaBytes: number;
  /** Where it may connect to. */
  readonly connect: readonly string[];
  /** Directories of this machine that it was granted: a child gets no others. */
  readonly dirs: readonly Dir[];
  /** Who it was to others, once it is over. */
  relatives: { readonly parent: bigint; readonly group: bigint; readonly session: bigint } | undefined;
  state: ProcessState;
  exit: ExitInit | undefined;
  residentPages: bigint;
  cpuMs: bigint;
  /** When it was last seen to compute, by this process' clock. */
  busyAtMs: number;
  threads: number;
  /** It waits, and has no thread meanwhile. */
  isParked: boolean;
  /** What each is open to, by number. */
  descriptors: Uint8Array;
  readonly log: ProcessLog;
  watcher: Watcher | undefined;
}

/** Of processor time, from one report to the next: it computes. */
const BUSY_MS = 20n;
const SLEEPS_MS = 2_000;

/** It waits: it used next to no processor time for a while. */
export const sleeps = ({ state, busyAtMs }: Pick<Process, 'state' | 'busyAtMs'>): boolean =>
  state === ProcessState.RUNNING && monotonicMs() - busyAtMs > SLEEPS_MS;

/** What a process was, kept over a new start of the supervisor. */
export interface ProcessRecord {
  readonly pid: string;
  readonly vkernel: string;
  readonly user: string;
  readonly command: readonly string[];
  readonly startedAtMs: number;
  readonly quotaBytes?: number | undefined;
  readonly connect?: readonly string[] | undefined;
  readonly dirs?: readonly Dir[] | undefined;
}

const NO_DESCRIPTORS = new Uint8Array(0);
const noProcess = (pid: bigint, node: string): RpcError =>
  notFound({ type: 'process', name: pid }, `no process ${pid} on ${node}`);

/** The processes of this node: those that run, and the last thousand that ended. */
export class ProcessTable {
  /** What a process had of this service goes. */
  onEnded: ((pid: bigint) => void) | undefined;
  /** It is over for all who watch it or wait for it. */
  onOver: ((process: Process) => void) | undefined;
  /** A virtual kernel told of one that nobody knew. */
  onAdopted: ((process: Process) => void) | undefined;
  /** A signal stopped it, or (empty) it goes on. */
  onHeld: ((process: Process, signal: string) => void) | undefined;
  readonly #firstPid: bigint;
  readonly #processes = new Map<bigint, Process>();
  readonly #ended: Process[] = [];
  /** Those that are being loaded, and begin with a stop: by which signal. */
  readonly #stoppedEarly = new Map<bigint, string>();
  #endedLogBytes = 0;
  #lastNumber: number;
  /** After each change of who runs. */
  onChange: () => void = () => {};

  constructor(options: { nodeIndex: number; lastNumber?: number }) {
    this.#firstPid = BigInt(options.nodeIndex) * BigInt(PIDS_PER_NODE);
    this.#lastNumber = options.lastNumber ?? 0;
  }

  get lastNumber(): number {
    return this.#lastNumber;
  }

  /** A new process, being loaded. */
  create(
    { key: vkernel, user }: { key: string; user: string },
    command: readonly string[],
    {
      quotaBytes = DEFAULT_QUOTA_BYTES,
      connect = [],
      dirs = [],
    }: Pick<ProcessRecord, 'quotaBytes' | 'connect' | 'dirs'> = {},
  ): Process {
    const pid = this.#nextPid();
    const process = this.#add({
      ...{ pid: pid.toString(), vkernel, user, command, quotaBytes, connect, dirs, startedAtMs: Date.now() },
    });
    this.onChange();
    return process;
  }

  /** One that ran under the last supervisor. */
  adopt(record: ProcessRecord): Process {
    const process = this.#add(record);
    process.state = ProcessState.RUNNING;
    this.onAdopted?.(process);
    return process;
  }

  find(pid: bigint): Process | undefined {
    return this.#processes.get(pid);
  }

  /** NOT_FOUND where there is none. */
  get(pid: bigint, node: string): Process {
    const process = this.#processes.get(pid);
    if (process === undefined) throw noProcess(pid, node);
    return process;
  }

  /** One of the caller's. NOT_FOUND, also where it is another's: nobody hears whose pids there are. */
  ofTheirs(pid: bigint, node: string, ctx: CallContext): Process {
    const process = this.get(pid, node);
    ownerOnly(ctx, process.user, `process ${pid} on ${node}`, noProcess(pid, node));
    return process;
  }

  /** The same of one that did not end. FAILED_PRECONDITION */
  runningOfTheirs(pid: bigint, node: string, ctx: CallContext): Process {
    const process = this.ofTheirs(pid, node, ctx);
    if (process.state !== ProcessState.EXITED) return process;
    throw new RpcError(Code.FailedPrecondition, `process ${pid} on ${node} ended already`);
  }

  /** By pid. */
  list(): Process[] {
    return [...this.#processes.values()].sort((a, b) => Number(a.pid - b.pid));
  }

  /** Those that did not end, of one vkernel or of all: with those whose thread does not. */
  running(vkernel?: string): Process[] {
    return [...this.#processes.values()].filter(
      (p) => p.state !== ProcessState.EXITED && (vkernel === undefined || p.vkernel === vkernel),
    );
  }

  started(pid: bigint): void {
    const process = this.#processes.get(pid);
    if (process?.state !== ProcessState.STARTING) return;
    process.state = ProcessState.RUNNING;
    process.watcher?.started();
    const signal = this.#stoppedEarly.get(pid);
    this.#stoppedEarly.delete(pid);
    if (signal !== undefined) this.held(pid, true, signal);
  }

  /** What it has used until now, as it says each second where that changed. */
  used(
    process: Process,
    usage: Pick<ProcessUsage, 'residentPages' | 'cpuMs' | 'threads' | 'descriptors'>,
  ): void {
    if (usage.cpuMs - process.cpuMs >= BUSY_MS) process.busyAtMs = monotonicMs();
    process.residentPages = usage.residentPages;
    process.cpuMs = usage.cpuMs;
    process.threads = usage.threads;
    process.isParked = usage.threads === 0;
    process.descriptors = usage.descriptors.slice();
  }

  /** A signal stopped it, or it goes on. */
  held(pid: bigint, stopped: boolean, signal = 'SIGSTOP'): void {
    const process = this.#processes.get(pid);
    const [from, to] = stopped
      ? [ProcessState.RUNNING, ProcessState.STOPPED]
      : [ProcessState.STOPPED, ProcessState.RUNNING];
    if (process?.state === ProcessState.STARTING) {
      if (stopped) this.#stoppedEarly.set(pid, signal);
      else this.#stoppedEarly.delete(pid);
    }
    if (process?.state !== from) return;
    process.state = to;
    this.onHeld?.(process, stopped ? signal || 'SIGSTOP' : '');
  }

  /** Keeps the output; true when a watcher will say that it was taken. */
  output(pid: bigint, output: Output): boolean {
    const process = this.#processes.get(pid);
    if (process === undefined || process.exit !== undefined) return false;
    process.log.append(output.stream, output.data);
    return process.watcher?.output(output) ?? false;
  }

  /** It is over for all who watch it, and its thread is not: what it may take counts until `exited`. */
  ending(pid: bigint, exit: Exited | ExitInit): void {
    const process = this.#processes.get(pid);
    if (process === undefined || process.exit !== undefined) return;
    process.state = ProcessState.ENDING;
    this.#over(process, exit);
  }

  exited(pid: bigint, exit: Exited | ExitInit): void {
    const process = this.#processes.get(pid);
    if (process === undefined || process.state === ProcessState.EXITED) return;
    process.state = ProcessState.EXITED;
    process.residentPages = 0n;
    this.#over(process, exit);
    this.onEnded?.(pid);
    this.#ended.push(process);
    this.#endedLogBytes += process.log.keptBytes;
    this.#forget();
    this.onChange();
  }

  /** Tells how it ended, once. */
  #over(process: Process, exit: Exited | ExitInit): void {
    if (process.exit !== undefined) return;
    process.exit = exit;
    process.threads = 0;
    process.isParked = false;
    process.descriptors = NO_DESCRIPTORS;
    process.log.end();
    process.watcher?.exited(exit);
    process.watcher = undefined;
    this.onOver?.(process);
  }

  #add({
    pid,
    vkernel,
    user,
    command,
    startedAtMs,
    quotaBytes,
    connect = [],
    dirs = [],
  }: ProcessRecord): Process {
    const process: Process = {
      ...{ pid: BigInt(pid), vkernel, user, command, startedAtMs, state: ProcessState.STARTING },
      quotaBytes: quotaBytes ?? DEFAULT_QUOTA_BYTES,
      connect,
      dirs,
      relatives: undefined,
      ...{
        exit: undefined,
        residentPages: 0n,
        cpuMs: 0n,
        busyAtMs: monotonicMs(),
        threads: 0,
        isParked: false,
        descriptors: NO_DESCRIPTORS,
        log: new ProcessLog(),
        watcher: undefined,
      },
    };
    this.#processes.set(process.pid, process);
    return process;
  }

  #nextPid(): bigint {
    for (let tries = 0; tries < NUMBERS; tries++) {
      this.#lastNumber = (this.#lastNumber % NUMBERS) + 1;
      const pid = this.#firstPid + BigInt(this.#lastNumber);
      if (!this.#processes.has(pid)) return pid;
    }
    throw new RpcError(Code.ResourceExhausted, 'no pid is free on this node');
  }

  #forget(): void {
    while (this.#ended.length > ENDED_LIMIT) {
      const oldest = this.#ended.shift()!;
      this.#endedLogBytes -= oldest.log.keptBytes;
      this.#processes.delete(oldest.pid);
    }
    for (const process of this.#ended) {
      if (this.#endedLogBytes <= ENDED_LOG_BYTES) break;
      this.#endedLogBytes -= process.log.keptBytes;
      process.log.clear();
    }
  }
}
