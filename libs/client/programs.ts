// Programs of the cluster: run one with its standard streams here, start one that goes on without us, and what runs.

import type { Process } from '@odonata/proto/vkernel/v1/vkernel';
import { anyOf } from './abort.ts';
import type { Connection } from './connection.ts';
import { bytesOf } from './numbers.ts';
import { overRouters } from './over-routers.ts';
import { type Place, placeProgram, type Where } from './placement.ts';
import { answeringNodeOfPid, nodeOfPid } from './process-id.ts';
import { listProcesses, listVmspaces, type ProcessList, type VmspaceList } from './process-list.ts';
import { type LogOptions, type LogPiece, processLog } from './process-log.ts';
import { type WatchOptions, watchProcesses } from './process-watch.ts';
import { Program, type ProgramIo, type Signal } from './program.ts';
import {
  type ModuleByDigest,
  ProgramRun,
  type ProgramSpec,
  type ProgramIo as RunIo,
  type TerminalSize,
} from './program-run.ts';

/** A supervisor takes a signal within this. */
const KILL_MS = 10_000;

/** A folder of the node's machine that the program may use, as far as the node allows it. */
export interface Grant {
  hostPath: string;
  guestPath: string;
  readOnly?: boolean;
  /** Of this node's machine, wherever the program runs; absent: of its own. */
  node?: string;
}

/** How a process ended. */
export interface ProcessEnd {
  /** Its exit code, or 128 and the number of the signal. */
  code: number;
  /** Empty: it ended by itself. */
  signal: string;
  /** One line; empty where there is nothing to say. */
  reason: string;
}

export interface ProgramOptions {
  /** The bytes of a WASI preview 1 module; or what `snapshots.open` has of a snapshot. */
  module: Uint8Array | ModuleByDigest;
  /** Its first argument, and what lists show. */
  name?: string;
  /** Bytes reach it as they are. */
  args?: readonly (string | Uint8Array)[];
  env?: Readonly<Record<string, string | Uint8Array>>;
  /** Standard streams that it is to take for a terminal. */
  terminalStreams?: { input?: boolean; output?: boolean; error?: boolean };
  dirs?: readonly Grant[];
  /** The node whose home it has; absent: its own. */
  homeNode?: string;
  /** Private memory and shared pages that it brings; absent: as its node says. */
  memoryBytes?: number | bigint;
  /** Absent: as the next three say; else where its virtual kernel runs; else on the node with the fewest processes a core. */
  node?: string;
  /** Where the fewest processes of its virtual kernel run. */
  spread?: boolean;
  /** A dataspace: where most of its pages are. */
  near?: string;
  /** Pids and nodes: not there. */
  apartFrom?: readonly string[];
  /** NAME or NODE/NAME; absent: the node's default one. Made where it does not run. */
  vkernel?: string;
  signal?: AbortSignal;
}

interface Patience {
  signal?: AbortSignal;
  /** A node that takes longer to answer is silent. */
  answerMs?: number;
}

export class Programs {
  readonly #to: Connection;

  constructor(to: Connection) {
    this.#to = to;
  }

  /** Where a program would run now. Asked again where a router goes away meanwhile: nothing has started yet. */
  place(where: Where & { signal?: AbortSignal } = {}): Promise<Place> {
    const signal = this.#signal(where.signal);
    return overRouters(this.#to, () => placeProgram(this.#to, where, signal), signal);
  }

  /** Runs a program whose standard streams are ours. Resolves once it runs. It ends when we do, or the signal aborts. */
  async run(options: ProgramOptions & ProgramIo): Promise<Program> {
    return await Program.start(this.#to, await this.place(options), specOf(options), options.module, options);
  }

  /**
   * The same without iterables: what it writes is handed on in its order, and signals wait for its start.
   * @param spec as on the wire; @param place of `place`
   */
  begin(
    { node, vkernel }: Place,
    spec: ProgramSpec,
    module: Uint8Array | ModuleByDigest,
    io: RunIo = {},
  ): ProgramRun {
    const signal = this.#signal(io.signal);
    return new ProgramRun(this.#to, node, { ...spec, vkernel }, module, { ...io, signal });
  }

  /** Looks at the terminal of a process, as one more. @throws RpcError FAILED_PRECONDITION: it has none */
  async attach(pid: bigint, size: TerminalSize, io: RunIo): Promise<ProgramRun> {
    const signal = this.#signal(io.signal);
    const spec = { vkernel: '' };
    return new ProgramRun(this.#to, await this.nodeOf(pid, signal), spec, new Uint8Array(), {
      ...io,
      signal,
      attach: { pid, size },
    });
  }

  /** The name of the node of a process. */
  nodeOf(pid: bigint, signal?: AbortSignal): Promise<string> {
    const either = this.#signal(signal);
    return overRouters(this.#to, () => nodeOfPid(this.#to, pid, either), either);
  }

  /** Starts a program that goes on without us, with an empty input; its output is in `logs`. Resolves once it runs. */
  async start(options: ProgramOptions): Promise<{ pid: bigint; node: string; vkernel: string }> {
    const { module, signal } = options;
    const spec = { ...specOf(options), detach: true };
    const started = await this.begin(await this.place(options), spec, module, { signal }).started();
    return { pid: started.pid, node: started.node, vkernel: started.vkernel };
  }

  /** All of all nodes, and the nodes that do not answer. */
  list({ signal, answerMs }: Patience = {}): Promise<ProcessList> {
    const either = this.#signal(signal);
    return overRouters(this.#to, () => listProcesses(this.#to, either, answerMs), either);
  }

  /** What the pmap managers know of processes: memory, and faults that wait. */
  vmspaces({ signal, answerMs }: Patience = {}): Promise<VmspaceList> {
    const either = this.#signal(signal);
    return overRouters(this.#to, () => listVmspaces(this.#to, either, answerMs), either);
  }

  /** Processes as they are, and again whenever one starts, runs or ends; with `pid` until that one has ended. */
  watch(options: WatchOptions = {}): AsyncIterable<Process> {
    const signal = this.#signal(options.signal);
    return watchProcesses(() => this.list({ signal }), { ...options, signal });
  }

  /**
   * Resolves when a process has ended, also one that has; of those that ended each node remembers the last thousand.
   * @throws RpcError NOT_FOUND: no such process; CANCELLED when the signal aborts
   */
  async wait(pid: bigint, options: { signal?: AbortSignal } = {}): Promise<ProcessEnd> {
    for await (const { exit } of this.watch({ pid, ...options })) {
      if (exit === undefined) continue;
      const { code, signal, reason } = exit;
      return { code, signal, reason };
    }
    throw new Error(`process ${pid} ended, and nobody knows how`);
  }

  /** @throws RpcError NOT_FOUND: no such process, or it has ended */
  async kill(
    pid: bigint,
    signal: Signal = 'SIGTERM',
    options: { signal?: AbortSignal; deadlineMs?: number } = {},
  ): Promise<void> {
    const either = this.#signal(options.signal);
    const node = await overRouters(this.#to, () => nodeOfPid(this.#to, pid, either), either);
    const { deadlineMs = KILL_MS } = options;
    await this.#to.vkerneld(node).kill({ pid, signal }, { deadlineMs, signal: either });
  }

  /** What a process wrote: what is kept of it, the last 1 MiB. With `follow` also what comes, until it ends. */
  async *logs(pid: bigint, options: LogOptions = {}): AsyncGenerator<LogPiece, void, undefined> {
    const signal = this.#signal(options.signal);
    const node = await overRouters(this.#to, () => answeringNodeOfPid(this.#to, pid, signal), signal);
    yield* processLog(this.#to, node, pid, { ...options, signal });
  }

  #signal(signal: AbortSignal | undefined): AbortSignal | undefined {
    return anyOf(this.#to.closed, signal);
  }
}

const isText = (words: readonly (string | Uint8Array)[]): words is string[] =>
  words.every((word) => typeof word === 'string');

function specOf(options: ProgramOptions): ProgramSpec {
  const {
    name = 'program',
    args = [],
    env = {},
    dirs = [],
    memoryBytes = 0,
    terminalStreams,
    homeNode,
  } = options;
  const variables = Object.entries(env).map(([variable, value]) =>
    typeof value === 'string' ? `${variable}=${value}` : Buffer.concat([Buffer.from(`${variable}=`), value]),
  );
  return {
    name,
    ...(isText(args) ? { args: [...args] } : { rawArgs: args.map((word) => Buffer.from(word)) }),
    ...(isText(variables) ? { env: variables } : { rawEnv: variables.map((word) => Buffer.from(word)) }),
    terminalStreams,
    dirs: dirs.map((dir) => ({ readOnly: false, ...dir })),
    ...(homeNode !== undefined && { homeNode }),
    memoryBytes: bytesOf('memoryBytes', memoryBytes),
  };
}
