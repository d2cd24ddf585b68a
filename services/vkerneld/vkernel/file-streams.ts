// A file as a standard stream of a child on another node: its bytes go over the circuit, from and to its position here.

import { fstat, read, write } from 'node:fs';
import { promisify } from 'node:util';
import { delay } from '@odonata/rpc/backoff.ts';
import { close } from '@odonata/userfault/libc.ts';
import type { HeldDescriptor } from './held-descriptors.ts';
import { writeCounted } from './home-growth.ts';
import type { Limits } from './limits.ts';
import { returned } from './mounts/process-files.ts';
import { Fdflags } from './wasi/abi.ts';
import { FilePosition } from './wasi/file-position.ts';
import { readDevice } from './wasi/mounts/devices.ts';

const readAt = promisify(read);
const writeAt = promisify(write);
const about = promisify(fstat);
/** The child of another node moves the position in its parent's name. */
type Source = Extract<HeldDescriptor, { file: unknown } | { device: unknown }>;

/** Until it is looked whether a position is free. */
const LOOK_AGAIN_MS = 1;
/** As holders of positions: numbers that no process has. */
let lastHolder = 0;

export class FileStream {
  readonly #of: Source;
  readonly #limits: Limits | undefined;
  readonly #lost: () => void;
  readonly #holder = --lastHolder;
  /** Where the last read ended. */
  #readTo = -1n;
  #writes: Promise<void> = Promise.resolve();

  /** @param limits of the home, where it may be a file of that; @param lost what was written found no place */
  constructor(of: Source, limits?: Limits, lost: () => void = () => {}) {
    this.#of = of;
    this.#limits = limits;
    this.#lost = lost;
  }

  /** What it can be: not a pipe or device of the host, whose ends nobody here waits for. */
  static isOne(held: HeldDescriptor): held is Source {
    return 'device' in held || ('file' in held && held.file.seekable);
  }

  /** The next bytes; empty at the end. */
  async read(maxBytes: number): Promise<Uint8Array> {
    const of = this.#of;
    if ('device' in of) {
      const bytes = new Uint8Array(maxBytes);
      return bytes.subarray(0, readDevice(of.device, bytes));
    }
    return await this.#inOrder(of, async (position) => {
      const at = Number(position.bytes);
      let bytes: Uint8Array;
      if ('lent' in of) bytes = await of.lent.file.read(at, maxBytes);
      else {
        const buffer = new Uint8Array(maxBytes);
        const { bytesRead } = await readAt(of.host, buffer, 0, buffer.length, at);
        bytes = buffer.subarray(0, bytesRead);
      }
      this.#readTo = BigInt(at + bytes.length);
      position.bytes = this.#readTo;
      return bytes;
    });
  }

  /** So many of them were not read after all: whoever has the file has them, where it did not go on meanwhile. */
  putBack(bytes: number): void {
    const of = this.#of;
    if ('device' in of) return;
    void this.#inOrder(of, async (position) => {
      if (position.bytes === this.#readTo) position.bytes -= BigInt(bytes);
    });
  }

  /** A transfer and its step of the position are one, as those of whoever else has the file are. */
  async #inOrder<T>(
    of: Exclude<Source, { device: unknown }>,
    run: (position: FilePosition) => Promise<T>,
  ): Promise<T> {
    const position = new FilePosition(of.file.position);
    let letGo = position.tryHold(this.#holder);
    for (; letGo === undefined; letGo = position.tryHold(this.#holder)) await delay(LOOK_AGAIN_MS);
    try {
      return await run(position);
    } finally {
      letGo();
    }
  }

  /** In order. What there is no room for is gone, and whoever writes is told that nobody takes more. */
  write(bytes: Uint8Array, taken: () => void): void {
    this.#writes = this.#writes
      .then(() => this.#write(bytes))
      .catch(() => this.#lost())
      .then(taken);
  }

  /** After what is being written. */
  end(): void {
    const of = this.#of;
    void this.#writes.then(() => {
      if ('lent' in of) return returned(of.lent);
      if ('host' in of) close(of.host);
      return undefined;
    });
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const of = this.#of;
    if ('device' in of) return;
    const appends = (of.file.flags & Fdflags.append) !== 0;
    await this.#inOrder(of, async (position) => {
      for (let done = 0; done < bytes.length; ) {
        const rest = bytes.subarray(done);
        const at = Number(position.bytes);
        if ('lent' in of) {
          const { written, endBytes } = await of.lent.file.write(appends ? undefined : at, rest);
          position.bytes = BigInt(endBytes);
          done += written;
        } else {
          const limits = of.file.counted ? this.#limits : undefined;
          const where = appends ? undefined : BigInt(at);
          const bytesWritten = await writeCounted(limits, of.host, where, rest, async (fit) => {
            return (await writeAt(of.host, fit, 0, fit.length, at)).bytesWritten;
          });
          position.bytes = appends ? BigInt((await about(of.host)).size) : BigInt(at + bytesWritten);
          done += bytesWritten;
        }
      }
    });
  }
}
