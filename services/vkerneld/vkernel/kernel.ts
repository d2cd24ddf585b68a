// The virtual kernel: its processes, as the supervisor tells it to start, feed, signal and end them.

import { closeSync } from 'node:fs';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Pmap } from '@odonata/pmap/pmap-interface.ts';
import type {
  AttachRequestSchema,
  AttachResponse,
  SignalProcess,
  StartProcess,
} from '@odonata/proto/vkernel/v1/vkernel';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { BACKLOG_MAX } from '@odonata/userfault/named-sockets.ts';
import { promisedProgram, promiseProgram } from './compiled-programs.ts';
import { ConnectionsAsked } from './connections-asked.ts';
import { quotaOf } from './default-quota.ts';
import { EndedProcesses } from './garbage.ts';
import { ThreadPlaces } from './guest-threads.ts';
import { letGo } from './held-descriptors.ts';
import { type HomeRoom, HomeSize } from './home-size.ts';
import { Limits } from './limits.ts';
import { PROCESSES_MAX, THREADS_MAX } from './most-processes.ts';
import type { MountTable } from './mounts/process-files.ts';
import type { FoldersAsked } from './mounts/remote/folders-asked.ts';
import { Seats } from './parked/seats.ts';
import { Process } from './process.ts';
import { refusedCode } from './process-end.ts';
import type { ProcessExit, ProcessSpec } from './process-spec.ts';
import { ProcessesAsked } from './processes-asked.ts';
import { terminalsOf } from './relations.ts';
import { relayedOf, relaysOf } from './relays.ts';
import { RemoteStreams } from './remote-streams.ts';
import { SnapshotDesk } from './snapshots/snapshot-desk.ts';
import { exitCodeOfSignal } from './trap.ts';
import type { WarmWorkers } from './warm-workers.ts';
import { descriptorsMax } from './wasi/descriptor-table.ts';
import { wasiSignalOf } from './wasi/signals.ts';
import type { Word } from './wasi/system.ts';

export type KernelEvent = NonNullable<MessageInitShape<typeof AttachRequestSchema>['event']>;

export interface KernelOptions {
  /** The pmap, when its manager answers; programs wait for it, and are refused with its error. */
  readonly pmap: Promise<Pmap>;
  readonly workers: WarmWorkers;
  /** Numbers that programs can ask for. */
  readonly node: number;
  readonly nodeName: string;
  readonly vkernel: number;
  readonly log: Logger;
  /** Descriptors of the directories of a process, which the supervisor sent before its start; undefined: they are not here. */
  readonly takeDirectories: (pid: bigint, count: number) => number[] | undefined;
  /** The descriptor of a connection; undefined: it is not here. */
  readonly takeConnection: (pid: bigint, number: number) => number | undefined;
  /** What a process sees beside its grants; missing: /dev alone. */
  readonly mounts?: (pid: bigint) => MountTable;
  /** Folders on other nodes; missing: there are none. */
  readonly folders?: FoldersAsked;
  /** Frames that /tmp may have: bytes, 0: as any. */
  readonly boundTmp?: (bytes: number) => void;
  /** What would be lost with it, beside its processes: how many things. */
  readonly kept?: () => number;
  /** To the supervisor. */
  readonly send: (event: KernelEvent) => void;
}

const moduleBytesMax = 256 << 20;
const usageEveryMs = 1_000;

interface Running {
  readonly process: Process;
  /** What its descriptors are open to. */
  readonly numbers: Uint8Array<SharedArrayBuffer>;
  lastUsage: string;
  /** How it ended, where its thread did not: it keeps its place until then. */
  ending: ProcessExit | undefined;
}

/** Characters of a reason, and of a stack, that are told. */
const reasonMax = 16_384;
const stackMax = 262_144;

export class Kernel {
  readonly #options: KernelOptions;
  readonly #running = new Map<bigint, Running>();
  /** Pieces of modules whose processes were not started yet. */
  readonly #pieces = new Map<bigint, { data: Uint8Array[]; bytes: number }>();
  readonly #ended = new EndedProcesses();
  readonly #places = new ThreadPlaces(THREADS_MAX);
  readonly #seats = new Seats(THREADS_MAX, () => this.#places.taken);
  readonly #connections: ConnectionsAsked;
  readonly #asked: ProcessesAsked;
  readonly #remote: RemoteStreams;
  readonly #snapshots: SnapshotDesk;
  readonly #limits = new Limits();
  readonly #home = new HomeSize(this.#limits, () => this.#reportHas());
  #lastHas = '';
  readonly #usageTimer: NodeJS.Timeout;
  #onEmpty: (() => void) | undefined;

  constructor(options: KernelOptions) {
    this.#options = options;
    const { send, takeConnection: take } = options;
    this.#connections = new ConnectionsAsked({ send, take });
    this.#asked = new ProcessesAsked(send);
    this.#snapshots = new SnapshotDesk(
      (pid) => this.#running.get(pid)?.process.snapshot ?? 'it ended',
      (pid, number, what) => send({ case: 'snapshot', value: { pid, number, what } }),
    );
    this.#remote = new RemoteStreams(send, this.#limits);
    this.#usageTimer = setInterval(() => {
      for (const running of this.#running.values())
        ownTurn({ timer: 'usage' }, () => this.#reportUsage(running))();
      ownTurn({ timer: 'usage' }, () => this.#reportHas())();
    }, usageEveryMs);
  }

  /** Processes that have not ended. */
  pids(): bigint[] {
    return [...this.#running.keys()];
  }

  /** A message of the supervisor, other than the order to shut down, which is the caller's. */
  handle(message: AttachResponse): void {
    const { event } = message;
    switch (event.case) {
      case 'start':
        this.#start(event.value);
        return;
      case 'modulePiece':
        this.#keepPiece(event.value.pid, event.value.data);
        return;
      case 'input': {
        const { pid, data, end, endOnce, flush, state } = event.value;
        const process = this.#running.get(pid)?.process;
        if (process === undefined) return; // it ended meanwhile
        if (!process.input.push(data)) void process.kill('SIGKILL', 'too much input at once');
        if (flush) process.input.flush();
        if (state !== 0) process.input.said(state);
        if (endOnce) process.input.endOnce();
        if (end) process.input.end();
        return;
      }
      case 'signal':
        this.#signal(event.value);
        return;
      case 'childOutput':
        this.#remote.output(event.value);
        return;
      case 'childTaken':
        this.#remote.inputTaken(event.value);
        return;
      case 'childAsked':
        this.#remote.asked(event.value);
        return;
      case 'outputClosed': {
        const process = this.#running.get(event.value.pid)?.process;
        if (process !== undefined) this.#closeOutput(process, event.value.stream === StdStream.ERR ? 2 : 1);
        return;
      }
      case 'snapshot':
        this.#snapshots.order(event.value);
        return;
      case 'programLook': {
        const { number, moduleSha256, memoryBytes } = event.value;
        const there = promiseProgram(moduleSha256, quotaOf(memoryBytes));
        this.#options.send({ case: 'programLooked', value: { number, there } });
        return;
      }
      case 'answered':
        this.#asked.answered(event.value);
        return;
      case 'connected':
        this.#connections.answered(event.value);
        return;
      case 'limits':
        this.#limits.descriptorsMost = event.value.descriptors;
        this.#home.bound(Number(event.value.diskBytes));
        this.#options.boundTmp?.(Number(event.value.diskBytes));
        return;
      case 'outputTaken':
        this.#running.get(event.value.pid)?.process.output.taken(Number(event.value.takenBytes));
        return;
      default:
        this.#options.log.warn({ event: event.case }, 'a message of the supervisor that is not understood');
    }
  }

  /** Another supervisor took over: what the last one had not taken is lost, and nobody will ever take it. */
  onReattached(): void {
    this.#lastHas = '';
    for (const { process, ending } of this.#running.values()) {
      process.output.forget();
      if (process.isStopped) this.#options.send({ case: 'held', value: { pid: process.pid, stopped: true } });
      if (ending !== undefined) this.#tellEnding(process.pid, ending);
    }
    this.#pieces.clear();
    this.#connections.onReattached();
    this.#remote.onReattached();
    this.#asked.onReattached();
    this.#snapshots.onReattached();
  }

  /** Undefined: the home has no bound, or nobody has it. */
  get homeRoom(): HomeRoom | undefined {
    return this.#home.room;
  }

  /** Programs on other nodes have the home by this descriptor, too. */
  countHome(descriptor: number): Limits {
    this.#home.isAt(descriptor);
    return this.#limits;
  }

  /** Ends all processes; resolves when they ended, but for threads that do not: those end with this process. */
  async shutdown(): Promise<void> {
    clearInterval(this.#usageTimer);
    this.#home.stop();
    if (this.#isEmpty()) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const { process } of this.#running.values()) {
      void process.kill('SIGTERM', 'its virtual kernel was shut down');
    }
    await empty;
  }

  #start({ pid, program, requestId, parent, number, beside, asksInput }: StartProcess): void {
    if (parent !== 0n) {
      this.#startChild(pid, parent, number, program?.memoryBytes ?? 0n);
      return;
    }
    const log = this.#options.log.child({ pid, requestId });
    const dirs = program?.dirs.filter(({ node }) => node === '') ?? [];
    const directories = this.#options.takeDirectories(pid, dirs.length + (program?.listen.length ?? 0));
    const refuse = (reason: string): void => {
      for (const fd of directories ?? []) closeSync(fd);
      this.#tellExit(pid, { code: refusedCode, signal: '', reason, stack: '' }, log);
    };
    if (this.#running.has(pid)) {
      for (const fd of directories ?? []) closeSync(fd);
      log.warn('a process is started twice');
      return;
    }
    const pieces = this.#pieces.get(pid);
    this.#pieces.delete(pid);
    const inTheWay = program === undefined ? 'no program' : this.#inTheWay();
    if (program === undefined || inTheWay !== undefined) {
      refuse(inTheWay ?? '');
      return;
    }
    if (directories === undefined) {
      refuse('its directories or listeners did not come with it, or there is no descriptor left for them');
      return;
    }
    log.debug({ program: program.name }, 'process starts');
    const quotaBytes = quotaOf(program.memoryBytes);
    const { moduleSha256 } = program;
    const isSent = moduleSha256.length === 0 || pieces !== undefined || program.module.length > 0;
    const compiled = isSent ? undefined : promisedProgram(moduleSha256, quotaBytes);
    if (!isSent && compiled === undefined) {
      refuse('its module is not there any more: start it once more');
      return;
    }
    const { input = false, output = false, error = false } = program.terminalStreams ?? {};
    const spec = {
      pid,
      name: program.name,
      module: program.module.length > 0 ? unshared(program.module) : joined(pieces?.data ?? []),
      compiled,
      args: wordsOf(program.args, program.rawArgs),
      env: [
        // The first one of a name counts.
        ...wordsOf(program.env, program.rawEnv),
        ...(this.#running.get(beside)?.process.env ?? []),
      ],
      terminals: [input, output, error],
      grants: dirs.map(({ guestPath, readOnly, hidden, counted }, i) => {
        return { descriptor: directories[i]!, guestPath, readOnly, hidden, counted };
      }),
      listeners: program.listen.map((address, i) => {
        const listen = { backlog: BACKLOG_MAX, everyone: program.forEveryone };
        const name = /^\/dev\/name\/(.*)$/.exec(address)?.[1];
        const named = name === undefined ? undefined : { name, listen };
        return { descriptor: directories[dirs.length + i]!, address, named };
      }),
      remotes: program.dirs.filter(({ node }) => node !== ''),
      quotaBytes,
      bare: program.bare,
      asksInput,
    };
    this.#run(spec, log);
  }

  /** Of one more process: why there is no room for it. */
  #inTheWay(): string | undefined {
    if (this.#seats.isCrowded) for (const { process } of this.#running.values()) process.park();
    const another = 'start it in another one, as with --vkernel second';
    if (this.#running.size >= PROCESSES_MAX)
      return `its virtual kernel has ${PROCESSES_MAX} processes, the most that one has: ${another}`;
    return this.#seats.isFull
      ? `its virtual kernel runs ${THREADS_MAX} processes and further threads of theirs, the most that one runs: ${another}`
      : undefined;
  }

  /** The supervisor made a pid for a child that a process here asked for. */
  #startChild(pid: bigint, parent: bigint, number: number, memoryBytes: bigint): void {
    const log = this.#options.log.child({ pid });
    const child = this.#asked.started(parent, number, pid);
    const from = this.#running.get(parent)?.process;
    if (child === undefined || from === undefined) {
      letGo(child?.given ?? []);
      const reason = 'its parent is over';
      this.#tellExit(pid, { code: exitCodeOfSignal('SIGKILL'), signal: 'SIGKILL', reason, stack: '' }, log);
      return;
    }
    log.debug({ program: child.name, parent: String(parent) }, 'child starts');
    const relays = relaysOf(from, child.given);
    const terminals = terminalsOf(from.terminals, child.given);
    const about = {
      pid,
      terminals,
      grants: from.grantsAgain(),
      remotes: from.remotes,
      quotaBytes: quotaOf(memoryBytes),
      bare: from.isBare,
    };
    const { input, output } = this.#run({ ...child, ...about, relays }, log);
    if (relays.input === undefined) input.end();
    for (const [relay, stream] of relayedOf(relays))
      if (relay.process.output.isClosed(relay.stream)) output.close(stream);
  }

  /** Nobody reads what it writes there, nor what its children do. */
  #closeOutput(of: Process, which: 1 | 2): void {
    of.output.close(which);
    for (const { process } of this.#running.values())
      for (const [relay, stream] of relayedOf(process.relays))
        if (relay.process === of && relay.stream === which) process.output.close(stream);
  }

  #run(spec: ProcessSpec, log: Logger): Process {
    const { pid } = spec;
    const home = spec.grants.find(({ counted }) => counted);
    if (home !== undefined) this.#home.isAt(home.descriptor, home.guestPath);
    const place = this.#limits.takePlace();
    const numbers = new SharedArrayBuffer(descriptorsMax);
    const seat = this.#seats.sit();
    const { send } = this.#options;
    const { pmap, workers, node, nodeName, vkernel, mounts, folders } = this.#options;
    const process = new Process(
      spec,
      {
        ...{ pmap, workers, node, nodeName, vkernel, places: this.#placesOfThreads(), seat },
        limits: { memory: this.#limits.memory, place, numbers },
        ...(mounts && { mounts }),
        ...(folders && { folders }),
        connect: (request) => this.#connections.ask(pid, request),
        asked: this.#asked,
        remote: this.#remote,
        sendPiece: (data) => send({ case: 'modulePiece', value: { pid, data } }),
      },
      {
        started: () => send({ case: 'started', value: { pid } }),
        output: (stream, data) => {
          const relay = stream === 1 ? process.relays.output : process.relays.error;
          if (relay?.process.relay(relay.stream, data, () => process.output.taken(data.length))) return;
          const output = { stream: stream === 1 ? StdStream.OUT : StdStream.ERR, data };
          send({ case: 'output', value: { pid, output } });
        },
        inputTaken: (bytes) =>
          send({
            case: 'stdinTaken',
            value: { pid: process.relays.input?.pid ?? pid, takenBytes: BigInt(bytes) },
          }),
        inputAsked: (maxBytes) => send({ case: 'inputAsked', value: { pid, maxBytes } }),
        stopped: (stopped, signal = '') => send({ case: 'held', value: { pid, stopped, signal } }),
        ending: (exit) => {
          log.warn('the thread of this process does not end');
          running.ending = bounded(exit);
          this.#reportUsage(running);
          this.#tellEnding(pid, running.ending);
          if (this.#isEmpty()) this.#onEmpty?.();
        },
        exited: (exit) => {
          // Before it may be parked: it may have left something.
          this.#reportHas();
          this.#reportUsage(running);
          this.#running.delete(pid);
          this.#limits.givePlace(place);
          seat.leave();
          // Children that read it have had all.
          if (process.relays.input === undefined) {
            for (const unread of process.input.leave())
              send({ case: 'inputAsked', value: { pid, maxBytes: 0, unread } });
            process.input.end();
          }
          this.#asked.ended(pid);
          this.#snapshots.ended(pid);
          this.#tellExit(pid, exit, log);
          this.#ended.ended(this.#running.size);
          if (this.#isEmpty()) this.#onEmpty?.();
        },
        troubled: (what, error) => log.error({ err: error }, what),
      },
    );
    const running: Running = { process, numbers: new Uint8Array(numbers), lastUsage: '', ending: undefined };
    this.#running.set(pid, running);
    return process;
  }

  #placesOfThreads(): { take(): boolean; give(): void } {
    return {
      take: () => this.#places.take(this.#seats.taken),
      give: () => {
        this.#places.give();
        this.#seats.changed();
      },
    };
  }

  #tellExit(pid: bigint, exit: ProcessExit, log: Logger): void {
    log.debug({ code: exit.code, signal: exit.signal, reason: exit.reason }, 'process ended');
    this.#options.send({ case: 'exited', value: { pid, exit: bounded(exit) } });
  }

  #tellEnding(pid: bigint, exit: ProcessExit): void {
    this.#options.send({ case: 'ending', value: { pid, exit } });
  }

  /** Nothing runs here. */
  #isEmpty(): boolean {
    return [...this.#running.values()].every(({ ending }) => ending !== undefined);
  }

  #signal({ pid, signal, orphaned }: SignalProcess): void {
    const running = this.#running.get(pid);
    if (running === undefined) return; // it ended meanwhile
    running.process.signal(wasiSignalOf(signal) > 0 ? signal : 'SIGKILL', orphaned);
  }

  #keepPiece(pid: bigint, data: Uint8Array): void {
    const pieces = this.#pieces.get(pid) ?? { data: [], bytes: 0 };
    this.#pieces.set(pid, pieces);
    pieces.bytes += data.length;
    // What is too long is not kept: the module is cut short, and the start says so.
    if (pieces.bytes <= moduleBytesMax && this.#pieces.size <= THREADS_MAX) pieces.data.push(data.slice());
  }

  /** What all of them have together. */
  #reportHas(): void {
    const { descriptors } = this.#limits;
    const { usedBytes } = this.#home;
    const refused = this.#limits.takeRefused();
    const kept = this.#options.kept?.() ?? 0;
    const has = `${usedBytes} ${descriptors} ${kept}`;
    if (has === this.#lastHas && refused.descriptors + refused.home === 0) return;
    this.#lastHas = has;
    this.#options.send({
      case: 'has',
      value: {
        ...{ diskBytes: BigInt(usedBytes), descriptors, kept },
        ...{ refusedDescriptors: refused.descriptors, refusedDisk: refused.home },
      },
    });
  }

  #reportUsage(running: Running): void {
    const { process } = running;
    const cpuMs = BigInt(process.cpuMs());
    const residentPages = BigInt(process.residentPages());
    const threads = process.threads();
    const descriptors = running.numbers.slice(0, running.numbers.findLastIndex((kind) => kind !== 0) + 1);
    const usage = `${residentPages} ${cpuMs} ${threads} ${descriptors}`;
    if (usage === running.lastUsage) return;
    running.lastUsage = usage;
    this.#options.send({
      case: 'usage',
      value: { pid: process.pid, residentPages, cpuMs, threads, descriptors: new Uint8Array(descriptors) },
    });
  }
}

/** A program has its say in these: the supervisor takes no more of it. */
function bounded(exit: ProcessExit): ProcessExit {
  const { reason = '', stack = '' } = exit;
  return { ...exit, reason: reason.slice(0, reasonMax), stack: stack.slice(0, stackMax) };
}

/** As text, or as bytes where these are there. */
function wordsOf(text: readonly string[], raw: readonly Uint8Array[]): readonly Word[] {
  return raw.length > 0 ? raw.map((word) => word.slice()) : text;
}

/** A received message's bytes are a view of what was received. */
function unshared(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.slice() as Uint8Array<ArrayBuffer>;
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
