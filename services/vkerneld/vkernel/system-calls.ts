// The main thread's side of what a guest's thread asks for: standard input, dataspaces, locks, waits.

import type { KernelAnswerer, KernelRequest } from './kernel-call.ts';
import { packWords, payloadBytesMax } from './kernel-call.ts';
import { type PendingWait, PmapError, type Space } from './pmap-interface.ts';
import type { StandardInput } from './standard-input.ts';
import { Errno } from './wasi/errno.ts';

interface Listener {
  inputTaken(bytes: number): void;
  troubled(what: string, error?: unknown): void;
}

const nothing = new Uint8Array(0);

export class SystemCalls {
  readonly #space: Space;
  readonly #input: StandardInput;
  readonly #answerer: KernelAnswerer;
  readonly #listener: Listener;
  #wait: PendingWait | undefined;

  constructor(space: Space, input: StandardInput, answerer: KernelAnswerer, listener: Listener) {
    this.#space = space;
    this.#input = input;
    this.#answerer = answerer;
    this.#listener = listener;
  }

  /** Answers a request, when it can. The answer to a thread that ended meanwhile is lost, as it should be. */
  async serve(request: KernelRequest): Promise<void> {
    try {
      const result = await this.#run(request);
      if (typeof result === 'number') this.#answerer.answer(result);
      else this.#answerer.answer(Errno.success, result);
    } catch (error) {
      if (!(error instanceof PmapError)) {
        this.#listener.troubled(`${request.call} failed`, error);
        this.#answerer.answer(Errno.io);
        return;
      }
      this.#answerer.answer(error.errno);
    }
  }

  /** The process ends. */
  cancel(): void {
    this.#wait?.cancel();
    this.#wait = undefined;
  }

  /** The payload of a success, or an errno. */
  async #run(request: KernelRequest): Promise<Uint8Array | number> {
    const space = this.#space;
    switch (request.call) {
      case 'stdin_read':
        return this.#read(request.maxBytes, request.nonblock);
      case 'stdin_poll': {
        const input = this.#input;
        await input.whenReadable(request.timeoutMs);
        return packWords(BigInt(input.readable), BigInt(input.availableBytes), BigInt(input.ended));
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
        return nothing;
      }
      case 'unlock':
        await space.unlock(request.dataspace, request.begin, request.endInclusive);
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
        this.cancel();
        return nothing;
      case 'wake':
        return packWords(BigInt(await space.wake(request.address, request.count)));
    }
  }

  async #read(maxBytes: number, nonblock: boolean): Promise<Uint8Array | number> {
    if (!this.#input.readable && nonblock) return Errno.again;
    await this.#input.whenReadable(-1);
    const bytes = this.#input.take(Math.min(maxBytes, payloadBytesMax));
    if (bytes.length > 0) this.#listener.inputTaken(bytes.length);
    return bytes;
  }
}
