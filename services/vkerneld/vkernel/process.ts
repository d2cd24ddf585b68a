// A process: one program in a thread, or in several (guest-threads.ts), seen from the main thread.
//
//   starting --> running --> ending ---------------> ended
//       \___________\__________^  \--> overdue --------^
//
// starting   a thread is taken, which compiles the module; the memory is made
// running    the thread runs the program and asks for what it needs (see kernel-call.ts)
// ending     it exited, trapped, was killed or must die: its memory is detached first, so that a thread that waits in
//            a fault can end; then the thread is ended; then the memory goes
// overdue    its thread does not end, as V8 compiles a function of its, which nothing interrupts: the exit is told, and all that
//            it has is still its
// ended      the exit was told; nothing comes after it

import { closeSync } from 'node:fs';
import type { Pmap, Space } from '@odonata/pmap/pmap-interface.ts';
import type { LeaseCell } from '@odonata/pmap/shared-lease.ts';
import { delay } from '@odonata/rpc/backoff.ts';
import { duplicate } from '@odonata/userfault/libc.ts';
import { AskedInput } from './asked-input.ts';
import { AtomicWait } from './atomic-wait.ts';
import { type CompiledProgram, prepareProgram } from './compiled-programs.ts';
import { GuestThread, SpawnedThreads, threadsMax } from './guest-threads.ts';
import { handOver } from './held-descriptors.ts';
import { HostDescriptors } from './host-descriptors.ts';
import { interrupts, terminate } from './interrupts.ts';
import type { GivenDescriptor, GuestMessage, PreparedGuest, RunCompiled, StartGuest } from './kernel-call.ts';
import { ProcessFiles } from './mounts/process-files.ts';
import { mountsOf } from './mounts/process-mounts.ts';
import { NamedListening } from './named-listening.ts';
import { ProcessParking } from './parked/process-parking.ts';
import {
  CannotStart,
  cannot,
  exitOf,
  failed,
  inTime,
  isOutOfMemory,
  kindOf,
  outOfMemory,
  refused,
} from './process-end.ts';
import { ProcessOutput } from './process-output.ts';
import type {
  ProcessEvents,
  ProcessExit,
  ProcessSpec,
  ProcessSurroundings,
  Relays,
  RemoteGrant,
} from './process-spec.ts';
import { Relations } from './relations.ts';
import type { OwnStreams } from './remote-streams.ts';
import { createSignals, SignalState } from './signal-state.ts';
import { SnapshotCell } from './snapshots/snapshot-cell.ts';
import type { SnapshotOf } from './snapshots/snapshot-desk.ts';
import { SnapshotPoint } from './snapshots/snapshot-point.ts';
import { StandardInput } from './standard-input.ts';
import { SystemCalls } from './system-calls.ts';
import { Transfers } from './transfers.ts';
import { exitCodeOfSignal, oneLine } from './trap.ts';
import { ConnectionTable } from './wasi/connection-table.ts';
import type { DirectoryGrant, Listener } from './wasi/directory-calls.ts';
import { Errno } from './wasi/errno.ts';
import { FilePosition, holderOf } from './wasi/file-position.ts';
import { SharedDescriptors } from './wasi/shared-descriptors.ts';
import type { Word } from './wasi/system.ts';

/** Until whoever reads in the background looks whether it is the foreground by now. */
const LOOK_AGAIN_MS = 50;
export class Process {
  readonly pid: bigint;
  /** It has its grants alone, and so have its children. */
  readonly isBare: boolean;
  /** Folders on other nodes: its children's, too. */
  readonly remotes: readonly RemoteGrant[];
  /** Its own, or that of the process which it has it from. */
  readonly input: StandardInput;
  readonly relays: Relays;
  /** Which standard streams are a terminal. */
  readonly terminals: readonly boolean[];
  /** As it began with. */
  readonly env: readonly Word[];
  readonly #given: readonly GivenDescriptor[];
  readonly #around: ProcessSurroundings;
  readonly #events: ProcessEvents;
  /** The thread that its program begins in. */
  readonly #first = new GuestThread();
  /** Those that it starts; undefined: it starts none. */
  #spawned: SpawnedThreads | undefined;
  readonly #transfers = new Transfers(this.#first.answerer);
  readonly #host = new HostDescriptors();
  readonly #files: ProcessFiles;
  readonly #mounts: readonly string[];
  readonly #grants: readonly DirectoryGrant[];
  readonly #listeners: readonly Listener[];
  readonly #connections = new ConnectionTable();
  readonly #listening = new NamedListening();
  readonly output: ProcessOutput;
  readonly #signals = createSignals();
  readonly #signalState = new SignalState(this.#signals);
  /** Signals that would end it, while it is stopped. */
  readonly #held = new Set<string>();
  readonly #relations: Relations;
  /** Why there may be no snapshot of it; or what it takes for one. */
  #snapshot: SnapshotOf | string = 'it is still being loaded';
  /** Of one that may start children of its own program, or of which there may be snapshots. */
  #module: Uint8Array<ArrayBuffer> | undefined;
  #space: Space | undefined;
  #exit: ProcessExit | undefined;
  readonly #ending = Promise.withResolvers<undefined>();
  readonly #prepared = Promise.withResolvers<CompiledProgram>();
  /** Of a program that can be parked. */
  #parking: ProcessParking | undefined;
  /** Ends of threads that left, and starts of those that go on. */
  #parkingSteps = Promise.resolve();
  /** Settles when the start succeeded or failed; `ending` waits for it, so that it finds all that was made. */
  readonly #started: Promise<void>;
  #ended: Promise<void> | undefined;
  /** Its only thread is done with its memory. */
  #isQuiet = false;
  /** Its exit was told, and its thread goes on. */
  #overdue = false;

  constructor(spec: ProcessSpec, around: ProcessSurroundings, events: ProcessEvents) {
    this.pid = spec.pid;
    this.#grants = spec.grants;
    this.#listeners = spec.listeners ?? [];
    for (const { descriptor, named } of this.#listeners)
      if (named !== undefined) this.#listening.listens(descriptor, named);
    this.isBare = spec.bare === true;
    this.remotes = spec.remotes ?? [];
    this.#files = new ProcessFiles(mountsOf(spec, around));
    this.#mounts = [...(this.isBare ? [] : ['dev']), ...this.#files.names];
    this.relays = spec.relays ?? {};
    this.terminals = spec.terminals ?? [];
    this.env = spec.env;
    const own = spec.asksInput === true ? new AskedInput((most) => events.inputAsked(most)) : undefined;
    this.input = this.relays.input?.input ?? own ?? new StandardInput();
    this.#given = handOver(spec.given ?? [], this.#connections, this.#files);
    this.#around = around;
    this.#events = events;
    this.output = new ProcessOutput((stream, data) => events.output(stream, data));
    this.#relations = new Relations({
      ...{ pid: spec.pid, nodeName: around.nodeName, node: around.node, asked: around.asked },
      ...{ bare: spec.bare === true, terminals: this.terminals },
      sendPiece: (data) => around.sendPiece?.(data),
      openStreams: (number, given) => around.remote?.open(spec.pid, number, given, this.#ownStreams()),
      abandonStreams: (number) => around.remote?.abandon(spec.pid, number),
      ...{ files: this.#files, ownModule: () => this.#module },
    });
    for (const each of this.#given) if ('file' in each) this.#relations.positions.add(each.file.position);
    this.#started = this.#start(spec).catch((error: unknown) => {
      if (error instanceof CannotStart) void this.#end(refused(error.message));
      else void this.#end(this.#failed(error));
    });
  }

  residentPages(): number {
    return this.#space?.residentPages() ?? 0;
  }

  /** Processor time of its threads in milliseconds, also after its end; 0 where it is not known. */
  cpuMs(): number {
    return this.#first.cpuMs() + (this.#spawned?.cpuMs() ?? 0);
  }

  #ownStreams(): OwnStreams {
    return {
      input: this.input,
      inputTaken: (bytes) => this.#events.inputTaken(bytes),
      relay: (stream, data, taken) => {
        const up = stream === 1 ? this.relays.output : this.relays.error;
        return (up?.process ?? this).relay(up?.stream ?? stream, data, taken);
      },
    };
  }

  /** Output of a child, on its way to where this process' goes. False: this one is over, or nobody reads that. */
  relay(stream: 1 | 2, data: Uint8Array<ArrayBuffer>, taken: () => void): boolean {
    if (this.#exit !== undefined || this.output.isClosed(stream)) return false;
    this.output.relay({ stream, data, taken });
    return true;
  }

  /** Its directories, once more, for a child. */
  grantsAgain(): DirectoryGrant[] {
    return this.#grants.map((grant) => ({ ...grant, descriptor: duplicate(grant.descriptor) }));
  }

  /** Its thread ends, where the program waits and may be parked. */
  park(): void {
    this.#parking?.leaveNow();
  }

  /** How many it has; 0: it is parked. */
  threads(): number {
    return (this.#parking?.isParked ? 0 : 1) + (this.#spawned?.count ?? 0);
  }

  get isStopped(): boolean {
    return this.#signalState.isStopped;
  }

  /** Does what the signal comes to: runs its handler, stops it, ends it, or nothing. @param orphaned a terminal does not stop it */
  signal(name: string, orphaned = false): void {
    if (this.#exit !== undefined) return;
    const state = this.#signalState;
    if (name === 'SIGCONT' && state.isStopped) {
      state.go();
      this.#events.stopped(false);
      for (const held of this.#held) void this.kill(held);
      // What came meanwhile.
      if (state.isDue) this.#runHandlers();
    }
    const outcome = state.outcomeOf(name);
    if (outcome === 'end' && name !== 'SIGKILL' && state.isStopped) this.#held.add(name);
    else if (outcome === 'end') void this.kill(name);
    else if (outcome === 'stop' && !state.isStopped && !(orphaned && name !== 'SIGSTOP')) {
      state.stop();
      this.#events.stopped(true, name);
      this.#interrupt();
    } else if (outcome === 'handler') {
      state.pend(name);
      if (!state.isStopped) this.#runHandlers();
    }
  }

  #runHandlers(): void {
    this.#first.calls?.interrupt();
    this.#interrupt();
  }

  #interrupt(): void {
    const workers = [this.#first.worker, ...(this.#spawned?.workers() ?? [])];
    for (const worker of workers)
      if (worker !== undefined)
        interrupts
          .interrupt(worker)
          .catch((error: unknown) => this.#events.troubled('a thread was not interrupted', error));
  }

  /** Ends it, whatever it does. Resolves when it ended. */
  kill(signal: string, reason = `killed by ${signal}`): Promise<void> {
    return this.#end({ code: exitCodeOfSignal(signal), signal, reason, stack: '' });
  }

  /** The spec is not kept: a module and arguments may be many bytes. */
  async #start(spec: ProcessSpec): Promise<void> {
    const { pid, name, args, env, terminals = [], grants, quotaBytes } = spec;
    const pmap = await this.#pmap();
    if (pmap === undefined || this.#exit !== undefined) return;
    await this.#takeThread(quotaBytes);
    if (this.#exit !== undefined) return;
    const broken = (error: Error): void => void this.#end(this.#broken(error));
    this.#first.listen(pid, (message) => this.#onMessage(this.#first, message), broken);
    const answer = Promise.race([this.#prepared.promise, this.#ending.promise]);
    const program = await prepareProgram(this.#first, spec, answer);
    if (program === undefined || this.#exit !== undefined) return;
    const { needs } = program;
    this.#module = program.bytes;
    const { initialPages, maximumPages, besideBytes, image, parkable } = needs;
    const onFatal = (signal: string, reason: string): void => void this.kill(signal, reason);
    const onWatched = (on: boolean): void => this.#transfers.watched(on);
    const given = {
      channel: this.#first.channel,
      output: this.output.ring,
      args: [name, ...args],
      env,
      terminals,
      grants,
      listeners: this.#listeners,
      mounts: this.#mounts,
      connections: this.#connections.places.buffer,
      descriptors: needs.threads || parkable ? SharedDescriptors.memory() : undefined,
      waits: AtomicWait.lot(needs.threads ? threadsMax : 1),
      ...{ signals: this.#signals, bell: this.#signalState.bell },
      given: this.#given,
      pid,
      node: this.#around.node,
      vkernel: this.#around.vkernel,
      limits: this.#around.limits,
    };
    const isAhead = this.#isReadyAhead(given, needs);
    const onMemory = (memory: WebAssembly.Memory, lease: LeaseCell): void =>
      this.#first.worker?.postMessage({ ...given, memory, lease, image, isAhead } satisfies StartGuest);
    const space = await pmap
      .createSpace({
        pid,
        ...{ initialPages, maximumPages, quotaBytes, besideBytes, image },
        onFatal,
        onWatched,
        onMemory: isAhead ? onMemory : undefined,
      })
      .catch((error: unknown) => {
        throw cannot('make its memory', error);
      });
    this.#space = space;
    this.#transfers.use(space);
    if (this.#exit !== undefined) return;
    const point = this.#snapshotPoint(name, needs, space);
    if (parkable !== undefined) this.#parking = this.#parkingOf(program, quotaBytes, () => start);
    this.#first.calls = this.#callsOf(this.#first, space, point?.point);
    const start: StartGuest = {
      ...given,
      memory: space.memory,
      lease: space.lease,
      image: space.hasImage ? undefined : image,
      ...{ snapshot: point?.shared, parkable },
    };
    if (needs.threads !== undefined) this.#spawned = this.#spawnedOf(needs.threads, start, space);
    this.#events.started();
    if (isAhead) this.#first.answerer.memoryIsThere();
    else this.#first.worker?.postMessage(start);
  }

  /**
   * Its thread makes itself ready while the pmap manager is asked for its memory. Not where it would ask us something for that: we
   * answer what has a space; nor where it depends on that whether it writes the image, or may be a snapshot.
   */
  #isReadyAhead(
    { descriptors, given, mounts }: Pick<StartGuest, 'descriptors' | 'given' | 'mounts'>,
    { image, snapshot }: PreparedGuest,
  ): boolean {
    const asks = descriptors !== undefined || given.length > 0 || mounts.includes('');
    return !asks && image === undefined && (snapshot === undefined || 'refused' in snapshot);
  }

  /** Whether there may be a snapshot of it; else why not. */
  get snapshot(): SnapshotOf | string {
    return this.#snapshot;
  }

  #snapshotPoint(name: string, { snapshot }: PreparedGuest, space: Space) {
    const { limits } = this.#around;
    if (snapshot === undefined || 'refused' in snapshot || limits === undefined) {
      const none = 'its program exports no odonata_resume, as a clone of a snapshot does not, either';
      this.#snapshot = snapshot !== undefined && 'refused' in snapshot ? snapshot.refused : none;
      return undefined;
    }
    const { globals } = snapshot;
    const cell = new SnapshotCell(globals.length);
    const point = new SnapshotPoint({
      ...{ cell, globals, numbers: new Uint8Array(limits.numbers) },
      memoryBytes: () => space.memory.buffer.byteLength,
      mappedRanges: () => space.mappedRanges?.() ?? 0,
    });
    this.#snapshot = { name, vmspace: space.id ?? 0n, module: this.#module ?? new Uint8Array(), point };
    return { point, shared: { memory: cell.memory, globals } };
  }

  #callsOf(thread: GuestThread, space: Space, snapshot?: SnapshotPoint): SystemCalls {
    const network = {
      connect: this.#around.connect,
      connections: this.#connections,
      listening: this.#listening,
    };
    const spawn = (argument: number): number => this.#spawned?.spawn(argument) ?? -Errno.nosys;
    return new SystemCalls(
      {
        ...{ space, input: this.input, network, host: this.#host, files: this.#files },
        ...{ spawn, relations: this.#relations, mayRead: (isOver) => this.#mayRead(isOver) },
        isDue: () => thread === this.#first && this.#signalState.isDue,
        snapshot,
        parking: thread === this.#first ? this.#parking : undefined,
      },
      thread.answerer,
      this.#events,
    );
  }

  /** Of a terminal only the foreground reads: whoever else is stopped first. An errno, or 0. */
  async #mayRead(isOver: () => boolean): Promise<number> {
    while (this.terminals[0] === true && !isOver() && this.#exit === undefined) {
      if ((await this.#relations.terminalErrno()) !== Errno.again) break;
      if (this.#signalState.outcomeOf('SIGTTIN') === 'nothing') return Errno.io;
      do await delay(LOOK_AGAIN_MS);
      while (this.isStopped && this.#exit === undefined);
    }
    // What comes now is for those whose standard input this is, too.
    return this.#exit === undefined ? Errno.success : Errno.intr;
  }

  #spawnedOf(what: NonNullable<PreparedGuest['threads']>, start: StartGuest, space: Space): SpawnedThreads {
    const { workers, places } = this.#around;
    return new SpawnedThreads({
      ...{ pid: this.pid, ...what, start, space },
      startWorker: () => workers.another(),
      takePlace: () => places?.take() ?? true,
      givePlace: () => places?.give(),
      callsOf: (thread) => {
        this.#transfers.join(thread.answerer);
        return this.#callsOf(thread, space);
      },
      heard: (thread, message) => this.#onMessage(thread, message),
      left: ({ answerer }) => this.#transfers.leave(answerer),
      broken: (error) => void this.#end(this.#broken(error)),
    });
  }

  #parkingOf(program: CompiledProgram, quotaBytes: number, start: () => StartGuest): ProcessParking {
    const { seat } = this.#around;
    const step = (run: () => Promise<unknown>): void => {
      const failed = (error: unknown): void => void this.#end(this.#failed(error));
      this.#parkingSteps = this.#parkingSteps.then(run).then(() => {}, failed);
    };
    return new ProcessParking({
      isCrowded: () => seat?.isCrowded ?? false,
      leave: () => this.#first.answerer.leave(),
      parked: () => {
        const left = this.#first.release();
        step(async () => {
          if (left !== undefined) await this.#around.workers.giveBack(left);
          if (this.#parking?.isParked === true) seat?.leave();
        });
      },
      wake: (resume) => step(() => this.#goOn(program, quotaBytes, { ...start(), image: undefined, resume })),
    });
  }

  /** With another thread than before, when there is one for it. */
  async #goOn({ module }: CompiledProgram, quotaBytes: number, start: StartGuest): Promise<void> {
    await Promise.race([this.#around.seat?.back(), this.#ending.promise]);
    if (this.#exit !== undefined) return;
    await this.#takeThread(quotaBytes);
    if (this.#exit !== undefined) return;
    const broken = (error: Error): void => void this.#end(this.#broken(error));
    this.#first.listen(this.pid, (message) => this.#onMessage(this.#first, message), broken);
    this.#first.worker?.postMessage({ compiled: module } satisfies RunCompiled);
    this.#first.worker?.postMessage(start);
  }

  async #takeThread(quotaBytes: number): Promise<void> {
    const thread = await this.#around.workers.take(quotaBytes).catch((error: unknown) => {
      throw cannot('start its thread', error);
    });
    this.#first.use(thread);
  }

  /** Its manager may be away for long; undefined when the process was ended meanwhile. */
  #pmap(): Promise<Pmap | undefined> {
    return Promise.race([this.#around.pmap, this.#ending.promise]).catch((error: unknown) => {
      throw cannot('make its memory', error);
    });
  }

  #onMessage(from: GuestThread, message: GuestMessage): void {
    if (this.#overdue) return;
    switch (message.kind) {
      case 'ready':
        return;
      case 'prepared':
        this.#prepared.resolve(message);
        return;
      case 'output':
        this.output.written();
        return;
      case 'transfer':
        this.#transfers.add({ kind: message.what, name: message.name, reason: '' });
        return;
      case 'request':
        if (this.#exit === undefined) void from.calls?.serve(message.request, message.mayLeave);
        return;
      case 'resumed':
        this.#around.seat?.there();
        return;
      case 'parked':
        this.#parking?.left(message.parked);
        return;
      case 'returned':
        this.#spawned?.returned(from);
        return;
      case 'ended':
        // It waits for the end of its thread.
        this.#isQuiet = from === this.#first && this.#spawned === undefined;
        void this.#end(exitOf(message.end, (bug) => this.#failed(bug)));
        return;
    }
  }

  #end(exit: ProcessExit): Promise<void> {
    if (this.#ended === undefined) {
      this.#exit = exit;
      if (exit.signal !== '')
        this.#transfers.add({ kind: kindOf(exit), name: exit.signal, reason: oneLine(exit.reason) });
      this.#transfers.stop();
      this.#first.answerer.end();
      this.#parking?.end();
      this.#spawned?.end();
      this.#ending.resolve(undefined);
      this.#ended = this.#takeDown(exit);
    }
    return this.#ended;
  }

  async #takeDown(exit: ProcessExit): Promise<void> {
    this.#space?.detach();
    await Promise.resolve(); // `#started` is not assigned yet where the constructor's start fails at once
    await this.#started;
    await this.#parkingSteps;
    this.#space?.detach(); // made meanwhile
    this.cpuMs(); // while the threads are there
    this.#first.calls?.cancel();
    this.#spawned?.end();
    this.#first.retired = true;
    this.#signalState.end();
    const told = { ...exit, reason: oneLine(exit.reason) };
    try {
      const threads = Promise.all([terminate(this.#first.worker), this.#spawned?.terminate()]);
      const destroyed = this.#isQuiet ? this.#space?.destroy(threads) : undefined;
      destroyed?.catch(() => {}); // It is waited for below.
      const waitedMs = () => this.#first.waitedMs() + (this.#spawned?.waitedMs() ?? 0);
      if (!(await inTime(threads, { maxMs: this.#around.threadEndMs, waitedMs }))) {
        this.output.forward(true);
        this.#overdue = true;
        this.#events.ending(told);
        // A thread that still runs keeps its memory, its descriptors and its place: nothing else may take them.
        await threads;
      }
      await (destroyed ?? this.#space?.destroy());
    } catch (error) {
      this.#events.troubled(`process ${this.pid} did not end cleanly`, error);
    }
    for (const { descriptor } of [...this.#grants, ...this.#listeners]) closeSync(descriptor);
    this.#connections.closeAll(exit.signal !== '');
    await this.#files.closeAll();
    for (const cell of this.#relations.positions) new FilePosition(cell).abandon(holderOf(this.pid));
    this.#host.closeAll();
    this.#signalState.close();
    if (!this.#overdue) this.output.forward(true);
    this.#events.exited(told);
  }

  /** The thread died under the program. */
  #broken(error: Error): ProcessExit {
    return this.#exit ?? (isOutOfMemory(error) ? outOfMemory() : this.#failed(error));
  }

  #failed(bug: unknown): ProcessExit {
    this.#events.troubled(`the virtual kernel failed under process ${this.pid}`, bug);
    return failed(this.pid, this.#around.nodeName);
  }
}
