// The main thread's side of what a guest's thread asks for: standard input, dataspaces, locks, waits, connections.

import { closeSync } from 'node:fs';
import { type PendingWait, PmapError, type Space } from '@odonata/pmap/pmap-interface.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { duplicate, makeSocketPair } from '@odonata/userfault/libc.ts';
import { shutdown } from '@odonata/userfault/sockets.ts';
import type { Connected, ConnectionRequest } from './connections-asked.ts';
import type { HostDescriptors } from './host-descriptors.ts';
import type { KernelAnswerer, KernelRequest } from './kernel-call.ts';
import { packWords, payloadBytesMax } from './kernel-call.ts';
import type { ProcessFiles } from './mounts/process-files.ts';
import type { NamedListening } from './named-listening.ts';
import type { ProcessParking } from './parked/process-parking.ts';
import type { Relations } from './relations.ts';
import type { SnapshotPoint } from './snapshots/snapshot-point.ts';
import type { StandardInput } from './standard-input.ts';
import type { ConnectionTable } from './wasi/connection-table.ts';
import { Errno } from './wasi/errno.ts';

interface Listener {
  inputTaken(bytes: number): void;
  troubled(what: string, error?: unknown): void;
}

/** How a process reaches others. */
interface Network {
  readonly connect: ((request: ConnectionRequest) => Promise<Connected>) | undefined;
  readonly connections: ConnectionTable;
  readonly listening: NamedListening;
}

export interface ProcessParts {
  readonly space: Space;
  readonly input: StandardInput;
  readonly network: Network;
  /** Of a process that may have several threads. */
  readonly host: HostDescriptors;
  readonly files: ProcessFiles;
  /** The number of a new thread, or an errno below 0. */
  readonly spawn: (argument: number) => number;
  /** Children, signals, groups. */
  readonly relations: Relations;
  /** A handler of its thread waits to run. */
  readonly isDue: () => boolean;
  /** Standard input is there for it: an errno, or 0. */
  readonly mayRead: (isOver: () => boolean) => Promise<number>;
  /** Of the first thread of a program of which there may be snapshots. */
  readonly snapshot?: SnapshotPoint | undefined;
  /** Of a program that can be parked. */
  readonly parking?: ProcessParking | undefined;
}

const ONE_WAY = { write: 1 } as const;
/** The most that a timer takes; whoever asks asks again. */
const SLEEP_MAX_MS = 86_400_000;
const nothing = new Uint8Array(0);

/** A handler of a signal does not wait for these. */
const INTERRUPTIBLE: ReadonlySet<KernelRequest['call']> = new Set([
  'sleep',
  'stdin_read',
  'stdin_poll',
  'wait_sleep',
  'wait_child',
]);

export class SystemCalls {
  readonly #space: Space;
  readonly #input: StandardInput;
  readonly #network: Network;
  readonly #parts: ProcessParts;
  readonly #answerer: KernelAnswerer;
  readonly #listener: Listener;
  #wait: PendingWait | undefined;
  #cancelled = false;
  #sleeping: NodeJS.Timeout | undefined;
  /** Grows with each request, and with an interrupt: what was asked before is answered no more. */
  #turn = 0;
  #waits = false;

  constructor(parts: ProcessParts, answerer: KernelAnswerer, listener: Listener) {
    this.#space = parts.space;
    this.#input = parts.input;
    this.#network = parts.network;
    this.#parts = parts;
    this.#answerer = answerer;
    this.#listener = listener;
  }

  /** Answers a request, when it can. The answer to a thread that ended meanwhile is lost, as it should be. */
  async serve(request: KernelRequest, mayLeave = false): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    this.#waits = INTERRUPTIBLE.has(request.call);
    this.#parts.snapshot?.arrives(request);
    this.#parts.parking?.asked(request, mayLeave);
    try {
      const running = this.#run(request, () => turn !== this.#turn);
      // One came while the thread was on its way here: nobody would tell this call. What need not wait is answered first.
      if (this.#waits && this.#parts.isDue()) {
        const interrupted = (): void => void (turn === this.#turn && this.interrupt());
        setImmediate(ownTurn({ call: request.call }, interrupted));
      }
      const result = await running;
      if (turn !== this.#turn) {
        if (request.call === 'wait_child' && typeof result !== 'number') this.#parts.relations.keep(result);
        return;
      }
      this.#waits = false;
      if (typeof result === 'number') this.#answer(result);
      else this.#answer(Errno.success, result);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#waits = false;
      if (!(error instanceof PmapError)) {
        this.#listener.troubled(`${request.call} failed`, error);
        this.#answer(Errno.io);
        return;
      }
      this.#answer(error.errno);
    }
  }

  /** While it is held for a snapshot, later. */
  #answer(errno: number, payload?: Uint8Array): void {
    const { parking } = this.#parts;
    const answer = (): void => {
      const isKept = parking?.answer({ errno, payload: Uint8Array.from(payload ?? nothing) }) === true;
      if (!isKept) this.#answerer.answer(errno, payload);
    };
    const { snapshot } = this.#parts;
    if (snapshot === undefined) answer();
    else snapshot.answer(answer);
  }

  /** A handler is to run: what its thread waits for ends with EINTR. */
  interrupt(): void {
    if (!this.#waits) return;
    this.#waits = false;
    this.#turn += 1;
    this.#cancelWait();
    clearTimeout(this.#sleeping);
    this.#parts.relations.cancel();
    this.#answer(Errno.intr);
  }

  /** The process ends. */
  cancel(): void {
    this.#cancelled = true;
    clearTimeout(this.#sleeping);
    this.#cancelWait();
  }

  #cancelWait(): void {
    this.#wait?.cancel();
    this.#wait = undefined;
  }

  /** The payload of a success, or an errno. */
  async #run(request: KernelRequest, isOver: () => boolean): Promise<Uint8Array | number> {
    const space = this.#space;
    switch (request.call) {
      case 'snapshot':
        return nothing;
      case 'sleep':
        return this.#sleep(request.timeoutMs);
      case 'stdin_read':
        return this.#read(request.maxBytes, request.nonblock, isOver);
      case 'stdin_poll': {
        const input = this.#input;
        await input.request(0);
        await input.whenReadable(request.timeoutMs);
        const available = input.readable || !input.isReady ? input.availableBytes : 1;
        return packWords(BigInt(input.isReady), BigInt(available), BigInt(input.ended));
      }
      case 'ds_open': {
        const { create, exclusive, durable } = request;
        const flags = { create, exclusive, durable };
        const opened = await space.open(request.name, request.sizeBytes, flags);
        return packWords(opened.id, opened.sizeBytes);
      }
      case 'ds_map': {
        const { address, lengthBytes, dataspace, offsetBytes, writable } = request;
        await space.map(address, lengthBytes, dataspace, BigInt(offsetBytes), writable);
        return nothing;
      }
      case 'ds_unmap':
        await space.unmap(request.address, request.lengthBytes);
        return nothing;
      case 'lock': {
        const { dataspace, begin, endInclusive, mode, timeoutMs } = request;
        await space.lock(dataspace, begin, endInclusive, mode, timeoutMs);
        this.#parts.snapshot?.locked({ dataspace, begin, endInclusive });
        return nothing;
      }
      case 'unlock':
        await space.unlock(request.dataspace, request.begin, request.endInclusive);
        this.#parts.snapshot?.unlocked(request);
        return nothing;
      case 'barrier':
        await space.barrier(request.dataspace, request.meeting, request.timeoutMs);
        return nothing;
      case 'sync':
        await space.sync(request.dataspace, request.offset, request.length);
        return nothing;
      case 'name_range':
        await space.nameRange(request.dataspace, request.offset, request.length, request.name);
        return nothing;
      case 'ds_remove':
        await space.remove(request.name);
        return nothing;
      case 'ds_size':
        return packWords(space.sizeOf(request.dataspace));
      case 'thread_spawn': {
        const thread = this.#parts.spawn(request.argument);
        return thread < 0 ? -thread : packWords(BigInt(thread));
      }
      case 'host_adopt':
        return packWords(BigInt(this.#parts.host.adopt(request.host)));
      case 'host_close':
        this.#parts.host.close(request.host);
        return nothing;
      case 'host_replace':
        this.#parts.host.replace(request.as, request.host);
        return nothing;
      case 'file':
        return this.#parts.files.serve(request.request);
      case 'wait_register':
        this.#wait = await space.wait(request.address, request.timeoutMs);
        // Its end may come, or fail, before the thread asks for it.
        this.#wait.woken.catch(() => {});
        return nothing;
      case 'wait_sleep': {
        const wait = this.#wait;
        if (wait === undefined) return Errno.inval;
        const woken = await wait.woken;
        this.#wait = undefined;
        return woken ? nothing : Errno.timedout;
      }
      case 'wait_cancel':
        this.#cancelWait();
        return nothing;
      case 'connect':
        return this.#connect(request.request);
      case 'listen_again': {
        const { connect, listening } = this.#network;
        const errno =
          connect === undefined
            ? Errno.connaborted
            : await listening.again(request.host, connect, () => this.#cancelled);
        return errno === Errno.success ? nothing : errno;
      }
      case 'pipe': {
        const [read, write] = makeSocketPair();
        // One direction each: who writes to the end for reading hears EPIPE.
        shutdown(read, ONE_WAY.write);
        const { connections } = this.#network;
        connections.keep(read);
        connections.keep(write);
        return packWords(BigInt(read), BigInt(write));
      }
      case 'duplicate': {
        const again = duplicate(request.host);
        this.#network.connections.keep(again);
        return packWords(BigInt(again));
      }
      case 'spawn':
      case 'wait_child':
      case 'kill':
      case 'identify':
      case 'set_group':
      case 'terminal':
        return await this.#parts.relations.serve(request);
      case 'wake':
        return packWords(BigInt(await space.wake(request.address, request.count)));
    }
  }

  /** Cancelled, it never ends. */
  #sleep(ms: number): Promise<Uint8Array> {
    return new Promise((resolve) => {
      if (ms < 0) return;
      this.#sleeping = setTimeout(() => resolve(nothing), Math.min(ms, SLEEP_MAX_MS));
    });
  }

  /** The descriptor is in the process's table before its thread hears of it: whichever ends first closes it. */
  async #connect(request: ConnectionRequest): Promise<Uint8Array | number> {
    const { connect, connections } = this.#network;
    if (connect === undefined) return Errno.acces;
    const connected = await connect(request);
    if ('errno' in connected) return connected.errno;
    if ('listen' in request) this.#network.listening.listens(connected.fd, request);
    if (this.#cancelled) closeSync(connected.fd);
    else connections.keep(connected.fd);
    return packWords(BigInt(connected.fd));
  }

  async #read(maxBytes: number, nonblock: boolean, isOver: () => boolean): Promise<Uint8Array | number> {
    const most = Math.min(maxBytes, payloadBytesMax);
    for (;;) {
      // Looked at anew when something comes: it may have been stopped meanwhile, and another one be the foreground.
      const refused = await this.#parts.mayRead(isOver);
      if (refused !== Errno.success) return refused;
      if (isOver()) return Errno.intr;
      await this.#input.request(most);
      if (isOver()) return Errno.intr;
      // Another thread may have been first, and have left nothing: that is no end.
      if (this.#input.readable) break;
      if (nonblock) return Errno.again;
      await this.#input.whenReadable(-1);
      if (isOver()) return Errno.intr;
    }
    const bytes = this.#input.take(most);
    if (bytes.length > 0) this.#listener.inputTaken(bytes.length);
    return bytes;
  }
}
