// The thread of one process: the worker's entry. It is started ahead of time and waits, with everything loaded, for
// the one program that it will run.
//
// The program leaves this thread in one of three ways: it calls proc_exit, it returns from `_start`, or it traps. Each
// is told to the main thread, which then ends the worker; nothing is unwound here, for a program may catch what is
// thrown through it. A program that does none of these is ended from outside, wherever it is.

import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { assemblyscriptImports } from './assemblyscript-calls.ts';
import { AtomicWait } from './atomic-wait.ts';
import { openGiven } from './given-files.ts';
import type { GuestData } from './guest-source.ts';
import { INTERRUPTED } from './interrupted.ts';
import {
  type GuestEnd,
  type GuestMessage,
  KernelCaller,
  type PrepareGuest,
  type RunCompiled,
  type RunThread,
  type StartGuest,
  unpackWord,
} from './kernel-call.ts';
import { Limits } from './limits.ts';
import { odonataImports } from './odonata-calls.ts';
import { OutputWriter } from './output-ring.ts';
import { type Functions, GuestParking } from './parked/guest-parking.ts';
import type { ParkedGuest } from './parked/parked-guest.ts';
import { compileProgram } from './program.ts';
import { rehearsedStart } from './rehearsal.ts';
import { SignalGate } from './signal-state.ts';
import { SnapshotCell } from './snapshots/snapshot-cell.ts';
import { bugText, oneLine, programStack, trapOf } from './trap.ts';
import { streamRights } from './wasi/abi.ts';
import { ConnectionTable } from './wasi/connection-table.ts';
import { DescriptorTable } from './wasi/descriptor-table.ts';
import { addGrant, addListener, addNowhere, preopenNames } from './wasi/directory-calls.ts';
import { Errno, WasiError } from './wasi/errno.ts';
import { holderOf } from './wasi/file-position.ts';
import { GuestMemory } from './wasi/guest-memory.ts';
import { hide } from './wasi/hidden.ts';
import { MountedFiles } from './wasi/mounts/mounted-files.ts';
import { preview1Imports } from './wasi/preview1.ts';
import { type HostFiles, SharedDescriptors } from './wasi/shared-descriptors.ts';
import { type LongWaits, type StandardStreams, type Word, wakeForSignals } from './wasi/system.ts';
import { PAGE_BYTES, type ProgramImage } from './wasm/image.ts';
import { memoryImport } from './wasm/module.ts';
import { ModuleError } from './wasm/module-error.ts';
import { functionOf, OWN_TABLE } from './wasm/table-function.ts';
import { threadEntry } from './wasm/thread-entry.ts';
import { TypesSeen } from './wasm/types-seen.ts';

if (parentPort === null) throw new Error('guest-thread runs as a worker');
const port = parentPort;

Error.stackTraceLimit = 64;

/** The thread that a program begins in; those that it starts have numbers from 1 on. */
const FIRST = 0;

/** To Linux a thread has a priority of its own. */
const THIS_THREAD = 0;
/**
 * However many guests compute without end, the services of their node get what they need: a service weighs as much as nine
 * guests. A hand-over, or the start of a service, takes longer than the short slices that faults are served in.
 */
const GUEST_NICE = 10;

/** Nobody hears of what is rehearsed. */
let rehearses = false;

function post(message: GuestMessage): void {
  if (!rehearses) port.postMessage(message);
}

const ever = new Int32Array(new SharedArrayBuffer(4));

function sleepForEver(): void {
  Atomics.wait(ever, 0, 0);
}

/** Tells how the program ended and waits for the end of this thread. */
function end(how: GuestEnd): never {
  post({ kind: 'ended', end: how });
  for (;;) sleepForEver();
}

function streamsThrough(kernel: KernelCaller, output: OutputWriter): StandardStreams {
  return {
    read: (maxBytes, nonblock) => {
      const { errno, payload } = kernel.call({ call: 'stdin_read', maxBytes, nonblock });
      if (errno !== Errno.success) throw new WasiError(errno);
      return payload;
    },
    write: (stream, bytes) => output.write(stream, bytes),
    pollInput: (timeoutMs) => {
      const { errno, payload } = kernel.call({ call: 'stdin_poll', timeoutMs });
      if (errno !== Errno.success) throw new WasiError(errno);
      const [ready, available, ended] = [0, 1, 2].map((i) => Number(unpackWord(payload, i)));
      return { ready: ready === 1, availableBytes: available!, ended: ended === 1 };
    },
  };
}

/** Those of the host, as the main thread has them for a process of several threads. */
function hostFilesOf(kernel: KernelCaller): HostFiles {
  const ask = (request: Parameters<KernelCaller['call']>[0]): Uint8Array<ArrayBuffer> => {
    const { errno, payload } = kernel.call(request);
    if (errno !== Errno.success) throw new WasiError(errno);
    return payload;
  };
  return {
    adopt: (host) => Number(unpackWord(ask({ call: 'host_adopt', host }), 0)),
    close: (host) => void ask({ call: 'host_close', host }),
    replace: (as, host) => void ask({ call: 'host_replace', as, host }),
  };
}

function descriptorsOf(start: StartGuest, kernel: KernelCaller): DescriptorTable {
  const connections = new ConnectionTable(start.connections);
  hide(start.grants.flatMap(({ hidden = [] }) => hidden));
  const names = preopenNames(start.grants, start.listeners);
  const descriptors =
    start.descriptors === undefined
      ? new DescriptorTable(connections)
      : new SharedDescriptors(
          start.descriptors,
          connections,
          hostFilesOf(kernel),
          names,
          start.given,
          start.mounts,
        );
  descriptors.mounts = new Set(start.mounts);
  descriptors.holder = holderOf(start.pid);
  return descriptors;
}

/** What the process begins with. @param begun waits until it counts as started: before that it cannot end. @returns how many of it any start of the program has, and not this one alone */
function openDescriptors(
  start: StartGuest,
  descriptors: DescriptorTable,
  { mounted, begun }: { mounted: MountedFiles; begun: () => void },
): number {
  for (const stream of [0, 1, 2] as const) {
    const isTerminal = start.terminals[stream] === true;
    descriptors.add({ kind: 'stream', stream, isTerminal, flags: 0, rights: streamRights, inheriting: 0n });
  }
  // First: programs that are handed listeners look for them from descriptor 3 on.
  for (const listener of start.listeners) addListener(descriptors, listener);
  for (const grant of start.grants) {
    try {
      addGrant(descriptors, grant);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      begun();
      end({ how: 'refused', reason: `cannot use the directory ${grant.guestPath}: ${oneLine(what)}` });
    }
  }
  addNowhere(descriptors, start.grants, mounted);
  const began = Math.max(-1, ...descriptors.numbers()) + 1;
  for (const given of start.given) openGiven(descriptors, given);
  return began;
}

/** As systemd has it: how many listeners there are, from descriptor 3 on. */
function environmentOf({ env, listeners }: StartGuest): readonly Word[] {
  const said = env.some((word) => typeof word === 'string' && word.startsWith('LISTEN_FDS='));
  return listeners.length === 0 || said ? env : [...env, `LISTEN_FDS=${listeners.length}`];
}

interface Instance {
  readonly exports: WebAssembly.Exports;
  readonly gate: SignalGate;
  /** Of a program that can be parked. */
  readonly parking: GuestParking | undefined;
}

/** An instance of the program, in this thread. */
function instantiate(
  module: WebAssembly.Module,
  start: StartGuest,
  { thread, place }: { thread: number; place: number },
): Instance {
  const kernel = new KernelCaller(start.channel, start.lease, post);
  const memory = new GuestMemory(start.memory, () => kernel.expectRunning());
  memory.transfers = kernel;
  memory.hasThreads = start.descriptors !== undefined;
  const gate = new SignalGate(start.signals);
  memory.gate = gate;
  if (thread === FIRST) wakeForSignals(gate, start.bell);
  // Who interrupts would take what comes out of a handler for its own.
  Object.assign(globalThis, { [INTERRUPTED]: () => withinProgram(thread, () => gate.deliver()) });
  const output = new OutputWriter(start.output, () => post({ kind: 'output' }));
  const abort = (reason: string): never =>
    end({ how: 'trap', signal: 'SIGABRT', reason, stack: programStack(new Error(reason)) });
  const descriptors = descriptorsOf(start, kernel);
  const mounted = new MountedFiles((request) => kernel.call({ call: 'file', request }));
  descriptors.closeMounted = (handle) => void mounted.ask({ op: 'close', handle });
  /** It was parked: what it opened is there. */
  const goesOn = start.resume !== undefined;
  const begins = thread === FIRST && !goesOn;
  const begun = (): void => {
    if (start.isAhead) kernel.waitForMemory();
  };
  const began = begins ? openDescriptors(start, descriptors, { mounted, begun }) : undefined;
  if (start.limits !== undefined) {
    const limits = new Limits(start.limits.memory, start.limits.place, start.limits.numbers);
    // What it begins with counts, and is not refused.
    if (begins) for (const fd of descriptors.numbers()) limits.opened(fd, descriptors.get(fd).kind);
    descriptors.limits = limits;
  }
  const parking =
    start.parkable === undefined
      ? undefined
      : new GuestParking(gate, { globals: start.parkable, memory: start.memory }, (why) => abort(why));
  kernel.parking = parking;
  const ours = (module: string, functions: Functions): Functions =>
    parking?.wrap(module, functions) ?? functions;
  const imports = {
    wasi_snapshot_preview1: ours(
      'wasi_snapshot_preview1',
      preview1Imports({
        memory,
        args: start.args,
        env: environmentOf(start),
        descriptors,
        mounted,
        streams: streamsThrough(kernel, output),
        listenAgain: (host) => kernel.call({ call: 'listen_again', host }).errno,
        exit: (code) => end({ how: 'exit', code: code & 0xff }),
        ...(parking && { waits: waitsBy(kernel, parking) }),
      }),
    ),
    odonata: ours('odonata', odonataImports(memory, kernel, start, descriptors, gate)),
    env: ours('env', within(gate, assemblyscriptImports(memory, output, abort))),
    wasi: { 'thread-spawn': (argument: number) => gate.within(() => spawnThread(kernel, memory, argument)) },
    [memoryImport.module]: { [memoryImport.name]: start.memory },
  };
  begun();
  if (begins && start.image !== undefined) writeImage(start.memory, start.image);
  // Its start section, if it has one, is the program.
  const { exports } = gate.inProgram(
    () => new WebAssembly.Instance(module, imports as unknown as WebAssembly.Imports),
  );
  if (thread === FIRST && start.snapshot !== undefined) {
    const { memory: shared, globals } = start.snapshot;
    const cell = new SnapshotCell(globals.length, shared);
    kernel.snapshot = { cell, note: cell.noter(exports, globals, began) };
  }
  const { odonata_signal: handler } = exports;
  if (thread === FIRST) {
    if (typeof handler === 'function') gate.handler = handler as (signal: number) => void;
    gate.functionOf = (number) => functionOf(exports[OWN_TABLE], number);
    if (start.resume?.parked.handler !== undefined) gate.handleBy(start.resume.parked.handler);
  }
  new AtomicWait(start.waits, memory, place).serve(exports);
  return { exports, gate, parking };
}

function writeImage({ buffer }: WebAssembly.Memory, { bytes, spans }: ProgramImage): void {
  const memory = new Uint8Array(buffer);
  for (const { firstPage, pageCount, imagePage } of spans)
    memory.set(
      bytes.subarray(imagePage * PAGE_BYTES, (imagePage + pageCount) * PAGE_BYTES),
      firstPage * PAGE_BYTES,
    );
}

function within(gate: SignalGate, functions: ReturnType<typeof assemblyscriptImports>): Functions {
  return Object.fromEntries(
    Object.entries(functions).map(([name, call]) => [name, (...args) => gate.within(() => call(...args))]),
  );
}

/** The number of the new thread, or an errno below 0. */
function spawnThread(kernel: KernelCaller, memory: GuestMemory, argument: number): number {
  memory.expectRunning();
  kernel.tell('SYSCALL', 'thread-spawn');
  const { errno, payload } = kernel.call({ call: 'thread_spawn', argument });
  return errno === Errno.success ? Number(unpackWord(payload, 0)) : -errno;
}

/** Tells what is to be kept of the program; this thread waits for the next one. */
function leave(parked: ParkedGuest): void {
  port.once('message', hear);
  post({ kind: 'parked', parked });
}

/** Waits of a program that can be parked: the main thread waits for it. */
function waitsBy(kernel: KernelCaller, parking: GuestParking): LongWaits {
  return {
    sleep: (ms) => {
      const { errno } = kernel.call({ call: 'sleep', timeoutMs: Number.isFinite(ms) ? ms : -1 });
      if (errno !== Errno.success) throw new WasiError(errno);
    },
    beganNs: (clock) => parking.beganNs(clock),
  };
}

function run(module: WebAssembly.Module, start: StartGuest): void {
  let left: ParkedGuest | undefined;
  withinProgram(FIRST, () => {
    const { exports, gate, parking } = instantiate(module, start, { thread: FIRST, place: 0 });
    const { _start: entry } = exports;
    // Without it the program has done its work in its start section.
    if (start.resume !== undefined) post({ kind: 'resumed' });
    if (typeof entry !== 'function') return;
    const enter = (): void => gate.inProgram(() => entry());
    if (parking === undefined) enter();
    else left = parking.run(exports, start.resume, enter);
  });
  if (left === undefined) end({ how: 'exit', code: 0 });
  leave(left);
}

/** A thread that the program started. When it returned, this worker waits for the next one. */
function runThread({ module, start, thread, argument, place }: RunThread): void {
  withinProgram(thread, () => {
    const { exports, gate } = instantiate(module, start, { thread, place });
    const entry = exports[threadEntry] as (thread: number, argument: number) => void;
    gate.inProgram(() => entry(thread, argument));
  });
  port.once('message', runThread);
  post({ kind: 'returned' });
}

/** Whatever comes out of the program but a return ends the process. */
function withinProgram(thread: number, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (error instanceof WebAssembly.LinkError) {
      end({
        how: 'refused',
        reason: `the program does not fit this virtual kernel: ${oneLine(error.message)}`,
      });
    }
    const trap = trapOf(error);
    if (trap === undefined) end({ how: 'failed', bug: bugText(error), stack: programStack(error) });
    const reason = thread === FIRST ? trap.reason : `${trap.reason} (in thread ${thread})`;
    end({ how: 'trap', ...trap, reason });
  }
}

function hostThread(): number {
  try {
    // PID/task/TID
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return 0;
  }
}

/** Services that were started with less priority than that (`nice vkctl up`) have it already: EACCES. */
function yieldToServices(): void {
  try {
    setPriority(THIS_THREAD, GUEST_NICE);
  } catch {}
}

/** Compiles the program, tells what it needs, and waits for the word to run it. */
async function prepare({ module: bytes, quotaBytes, typesSeen }: PrepareGuest): Promise<void> {
  yieldToServices();
  try {
    const { module, ...needs } = await compileProgram(bytes, quotaBytes, new TypesSeen(typesSeen));
    port.once('message', (start: StartGuest) => run(module, start));
    post({ kind: 'prepared', module, needs });
  } catch (error) {
    if (error instanceof ModuleError) end({ how: 'refused', reason: error.message });
    end({ how: 'failed', bug: bugText(error), stack: '' });
  }
}

function hear(order: PrepareGuest | RunCompiled | RunThread): void {
  clearTimeout(rehearsing);
  if ('compiled' in order) {
    yieldToServices();
    port.once('message', (start: StartGuest) => run(order.compiled, start));
    return;
  }
  if (!('argument' in order)) {
    void prepare(order);
    return;
  }
  yieldToServices();
  runThread(order);
}

/** So that what a program begins with was done once before there is one. */
function rehearse(): void {
  const { rehearsal } = workerData as GuestData;
  if (rehearsal === undefined) return;
  rehearses = true;
  try {
    const { exports, gate } = instantiate(rehearsal.module, rehearsedStart(rehearsal), {
      thread: FIRST,
      place: 0,
    });
    gate.inProgram(() => (exports._start as () => void)());
  } finally {
    rehearses = false;
  }
}

/** A program that waits for this thread has its order here by then, and comes first. */
const REHEARSE_MS = 20;
const rehearsing = setTimeout(rehearse, REHEARSE_MS);
port.once('message', hear);
post({ kind: 'ready', hostThread: hostThread() });
