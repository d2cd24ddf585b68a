// The threads of one process, seen from the main thread: the one that its program begins in, and those that it starts by
// `wasi.thread-spawn`. Each is a worker, which makes an instance of the same module over the same memory.
//
// A thread that returned leaves its worker to the next one of the same process: to start a worker takes some fifty milliseconds of
// processor time. What a worker takes beside the memory of the program counts against the quota of its process.

import type { Worker } from 'node:worker_threads';
import type { Space } from '@odonata/pmap/pmap-interface.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { terminate } from './interrupts.ts';
import {
  createChannel,
  type GuestMessage,
  KernelAnswerer,
  type RunThread,
  type StartGuest,
} from './kernel-call.ts';
import type { SystemCalls } from './system-calls.ts';
import { ThreadClock } from './thread-clock.ts';
import { THREAD_HEAP_MB, type WarmThread } from './warm-workers.ts';
import { Errno } from './wasi/errno.ts';

/** Of one process, with the one that it begins in. */
export const threadsMax = 64;
/** Workers that wait for the next thread. */
const IDLE_MAX = 4;
/** Workers that are being started at one time: more would only wait for processors, and could not be ended meanwhile. */
const STARTING_MAX = 4;
/** As the proposal has it. */
const TID_MAX = 0x1fffffff;

/** One thread. */
export class GuestThread {
  readonly channel = createChannel();
  readonly answerer = new KernelAnswerer(this.channel);
  worker: Worker | undefined;
  calls: SystemCalls | undefined;
  /** Among the threads of its process. */
  readonly place: number;
  #clock: ThreadClock | undefined;
  #warm: WarmThread | undefined;
  #unlisten = (): void => {};
  /** Of workers that it had before. */
  #beforeMs = 0;
  /** Nothing that comes of its end is news. */
  retired = false;

  constructor(place = 0) {
    this.place = place;
  }

  /** Its processor time counts from now on. */
  use(warm: WarmThread): void {
    this.#warm = warm;
    this.worker = warm.worker;
    this.#clock = new ThreadClock(warm.hostThread);
  }

  cpuMs(): number {
    return this.#beforeMs + (this.#clock?.readMs() ?? 0);
  }

  /** Its worker, which runs nothing, is another's from now on. */
  release(): WarmThread | undefined {
    const warm = this.#warm;
    this.#unlisten();
    this.#unlisten = () => {};
    this.#beforeMs = this.cpuMs();
    this.#clock = undefined;
    this.#warm = undefined;
    this.worker = undefined;
    return warm;
  }

  /** For a processor. */
  waitedMs(): number {
    return this.#clock?.readWaitedMs() ?? 0;
  }

  /** Tells `heard` of what it says, and `broken` when something is wrong with it. A bug in serving one process ends that one. */
  listen(pid: bigint, heard: (message: GuestMessage) => void, broken: (error: Error) => void): void {
    const { worker } = this;
    const onMessage = (message: GuestMessage): void => ownTurn({ pid }, () => heard(message), broken)();
    const onExit = (): void => {
      if (!this.retired) broken(new Error('its thread ended'));
    };
    worker?.on('message', onMessage).on('messageerror', broken).on('error', broken).on('exit', onExit);
    this.#unlisten = () =>
      worker?.off('message', onMessage).off('messageerror', broken).off('error', broken).off('exit', onExit);
  }
}

/** Threads beyond the first of each process that a virtual kernel has room for. */
export class ThreadPlaces {
  readonly #max: number;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get taken(): number {
    return this.#taken;
  }

  /** @param others who has some of them, too */
  take(others = 0): boolean {
    if (this.#taken + others >= this.#max) return false;
    this.#taken++;
    return true;
  }

  give(): void {
    this.#taken--;
  }
}

export interface SpawnedThreadsOptions {
  readonly pid: bigint;
  readonly module: WebAssembly.Module;
  /** What an instance takes beside the memory. */
  readonly instanceBytes: number;
  /** As the first thread had it. */
  readonly start: StartGuest;
  readonly space: Space;
  readonly startWorker: () => Promise<WarmThread>;
  readonly takePlace: () => boolean;
  readonly givePlace: () => void;
  /** What it asks is answered by these. */
  readonly callsOf: (thread: GuestThread) => SystemCalls;
  readonly heard: (thread: GuestThread, message: GuestMessage) => void;
  readonly left: (thread: GuestThread) => void;
  readonly broken: (error: Error) => void;
}

export class SpawnedThreads {
  readonly #o: SpawnedThreadsOptions;
  /** All that have a worker, or get one. */
  readonly #all = new Set<GuestThread>();
  readonly #idle: GuestThread[] = [];
  readonly #starting = new Set<Promise<void>>();
  readonly #toStart: { readonly thread: GuestThread; readonly order: RunThread }[] = [];
  #lastTid = 0;
  #endedCpuMs = 0;
  #over = false;

  constructor(options: SpawnedThreadsOptions) {
    this.#o = options;
  }

  /** Those that run. */
  get count(): number {
    return this.#all.size - this.#idle.length;
  }

  workers(): (Worker | undefined)[] {
    return [...this.#all].map(({ worker }) => worker);
  }

  cpuMs(): number {
    return [...this.#all].reduce((sum, thread) => sum + thread.cpuMs(), this.#endedCpuMs);
  }

  /** For processors, whoever waited longest. */
  waitedMs(): number {
    return Math.max(0, ...[...this.#all].map((thread) => thread.waitedMs()));
  }

  /** The number of the new thread, or an errno below 0. */
  spawn(argument: number): number {
    const { module, start } = this.#o;
    if (this.#over || this.count + 1 >= threadsMax) return -Errno.again;
    const idle = this.#idle.pop();
    const thread = idle ?? this.#make();
    if (thread === undefined) return -Errno.again;
    this.#lastTid = (this.#lastTid % TID_MAX) + 1;
    const order: RunThread = {
      module,
      start: { ...start, channel: thread.channel },
      thread: this.#lastTid,
      argument,
      place: thread.place,
    };
    if (idle === undefined) this.#toStart.push({ thread, order });
    else idle.worker?.postMessage(order);
    this.#startMore();
    return this.#lastTid;
  }

  /** It returned from what it was started for. */
  returned(thread: GuestThread): void {
    if (this.#over || !this.#all.has(thread)) return;
    if (this.#idle.length < IDLE_MAX) this.#idle.push(thread);
    else void this.#retire(thread);
  }

  /** The process must end: no thread does anything more that others could see. */
  end(): void {
    this.#over = true;
    for (const { answerer, calls } of this.#all) {
      answerer.end();
      calls?.cancel();
    }
  }

  /** Resolves when none is left. */
  async terminate(): Promise<void> {
    await Promise.all(this.#starting);
    await Promise.all([...this.#all].map((thread) => this.#retire(thread)));
  }

  #make(): GuestThread | undefined {
    const { takePlace, givePlace, callsOf } = this.#o;
    // Some may be about to end.
    if (this.#all.size + 1 >= threadsMax || !takePlace()) return undefined;
    if (!this.#charge(this.#all.size + 1)) {
      givePlace();
      return undefined;
    }
    const taken = new Set([...this.#all].map(({ place }) => place));
    let place = 1;
    while (taken.has(place)) place++;
    const thread = new GuestThread(place);
    this.#all.add(thread);
    thread.calls = callsOf(thread);
    return thread;
  }

  #startMore(): void {
    while (!this.#over && this.#starting.size < STARTING_MAX) {
      const next = this.#toStart.shift();
      if (next === undefined) return;
      this.#startWorker(next.thread, next.order);
    }
  }

  #startWorker(thread: GuestThread, order: RunThread): void {
    const { pid, startWorker, heard, broken } = this.#o;
    const starting = startWorker().then(
      (started) => {
        thread.use(started);
        thread.listen(pid, (message) => heard(thread, message), broken);
        if (!this.#over) started.worker.postMessage(order);
      },
      (error: Error) => broken(error),
    );
    this.#starting.add(starting);
    void starting.finally(() => {
      this.#starting.delete(starting);
      this.#startMore();
    });
  }

  async #retire(thread: GuestThread): Promise<void> {
    thread.retired = true;
    thread.cpuMs(); // while it is there
    await terminate(thread.worker);
    if (!this.#all.delete(thread)) return;
    const idle = this.#idle.indexOf(thread);
    if (idle >= 0) this.#idle.splice(idle, 1);
    this.#endedCpuMs += thread.cpuMs();
    this.#o.left(thread);
    this.#o.givePlace();
    if (!this.#over) this.#charge(this.#all.size);
  }

  #charge(threads: number): boolean {
    return this.#o.space.keepBeside(threads * (THREAD_HEAP_MB * 2 ** 20 + this.#o.instanceBytes));
  }
}
