// Where the standard input of a child on another node comes from: a pipe or connection, a file, or what its parent reads itself. Nothing
// is taken that the child did not ask for; but of a pipe that is its alone, which nobody can miss it in.
import { fstatSync, readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { delay } from '@odonata/rpc/backoff.ts';
import { close } from '@odonata/userfault/libc.ts';
import { PollEvent, poll, receive } from '@odonata/userfault/sockets.ts';
import type { FileStream } from './file-streams.ts';
import type { StandardInput } from './standard-input.ts';

/** Until a pipe that has nothing is looked at again: first, and at most. */
const LOOK_FIRST_MS = 1;
const LOOK_MAX_MS = 10;
/** Who else has a pipe is looked for at each of the first asks, and then so often. */
const COUNTED_ASKS = 8;
const COUNT_MS = 100;

/** Bytes; or that nothing is there now, that a read gets nothing once, that nothing will come; or that all of it is the child's. */
export type Taken = Uint8Array | 'waits' | 'ready' | 'end once' | 'end' | 'alone';

export interface ChildSource {
  /** @param maxBytes 0: whether there is something */
  take(maxBytes: number): Promise<Taken>;
  /** When there may be something. */
  ready(): Promise<void>;
  /** It has these, and will not read them. */
  putBack(data: Uint8Array): void;
  end(): void;
}

/** What its parent reads itself. */
export class OwnSource implements ChildSource {
  readonly #input: StandardInput;
  readonly #taken: (bytes: number) => void;

  constructor(input: StandardInput, taken: (bytes: number) => void) {
    this.#input = input;
    this.#taken = taken;
  }

  async take(maxBytes: number): Promise<Taken> {
    const input = this.#input;
    await input.request(maxBytes);
    if (maxBytes === 0) return input.isReady ? 'ready' : 'waits';
    if (!input.readable) return 'waits';
    const data = input.take(maxBytes);
    if (data.length === 0) return input.ended ? 'end' : 'end once';
    this.#taken(data.length);
    return data;
  }

  ready(): Promise<void> {
    return this.#input.whenReadable(-1);
  }

  putBack(data: Uint8Array): void {
    this.#input.putBack(data);
  }

  end(): void {}
}

export class FileSource implements ChildSource {
  readonly #file: FileStream;

  constructor(file: FileStream) {
    this.#file = file;
  }

  async take(maxBytes: number): Promise<Taken> {
    if (maxBytes === 0) return 'ready';
    try {
      const data = await this.#file.read(maxBytes);
      return data.length === 0 ? 'end once' : data;
    } catch {
      return 'end';
    }
  }

  async ready(): Promise<void> {}

  putBack(data: Uint8Array): void {
    this.#file.putBack(data.length);
  }

  end(): void {
    this.#file.end();
  }
}

export class PipeSource implements ChildSource {
  readonly #host: number;
  /** The pipe, once it is the child's alone. */
  #flow: Socket | undefined;
  #isOver = false;
  #asks = 0;
  #countedMs = 0;

  constructor(host: number) {
    this.#host = host;
  }

  async take(maxBytes: number): Promise<Taken> {
    if (this.#isAlone()) return 'alone';
    if (maxBytes === 0) return this.#hasBytes() ? 'ready' : 'waits';
    const bytes = new Uint8Array(maxBytes);
    try {
      const length = receive(this.#host, bytes);
      if (length === undefined) return 'waits';
      return length === 0 ? 'end' : bytes.subarray(0, length);
    } catch {
      return 'end';
    }
  }

  async ready(): Promise<void> {
    for (let ms = LOOK_FIRST_MS; !this.#isOver; ms = Math.min(ms * 2, LOOK_MAX_MS)) {
      if (this.#flow !== undefined || this.#hasBytes()) return;
      await delay(ms);
    }
  }

  /** What comes, from now on, as it comes: after `alone`. */
  async *flow(): AsyncGenerator<Uint8Array> {
    if (this.#isOver) return;
    const socket = new Socket({ fd: this.#host, readable: true, writable: false });
    socket.on('error', () => socket.destroy());
    this.#flow = socket;
    try {
      for await (const chunk of socket) yield chunk as Uint8Array;
    } catch {
      // As its end.
    }
  }

  /** A pipe takes nothing back. */
  putBack(): void {}

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#flow === undefined) close(this.#host);
    else this.#flow.destroy();
  }

  #hasBytes(): boolean {
    return poll([{ fd: this.#host, events: PollEvent.in }], 0)[0] !== 0;
  }

  /** All who have it are threads of this process: no other descriptor is open to it. */
  #isAlone(): boolean {
    this.#asks += 1;
    const nowMs = performance.now();
    if (this.#asks > COUNTED_ASKS && nowMs - this.#countedMs < COUNT_MS) return false;
    this.#countedMs = nowMs;
    const { dev, ino } = fstatSync(this.#host, { bigint: true });
    return readdirSync('/proc/self/fd').every((name) => {
      if (Number(name) === this.#host) return true;
      try {
        const other = fstatSync(Number(name), { bigint: true });
        return other.ino !== ino || other.dev !== dev;
      } catch {
        return true; // of the listing itself
      }
    });
  }
}
