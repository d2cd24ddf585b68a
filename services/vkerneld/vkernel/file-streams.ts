// A file as a standard stream of a child on another node: its bytes go over the circuit, from and to its position here.

import { read, write } from 'node:fs';
import { promisify } from 'node:util';
import { close } from '@odonata/userfault/libc.ts';
import type { HeldDescriptor } from './held-descriptors.ts';
import { returned } from './mounts/process-files.ts';
import { Fdflags } from './wasi/abi.ts';
import { FilePosition } from './wasi/file-position.ts';
import { readDevice } from './wasi/mounts/devices.ts';

const PIECE_BYTES = 65_536;
const readAt = promisify(read);
const writeAt = promisify(write);
/** The child of another node moves the position in its parent's name. */
type Source = Extract<HeldDescriptor, { file: unknown } | { device: unknown }>;

export class FileStream {
  readonly #of: Source;
  #writes: Promise<void> = Promise.resolve();

  constructor(of: Source) {
    this.#of = of;
  }

  /** What it can be: not a pipe or device of the host, whose ends nobody here waits for. */
  static isOne(held: HeldDescriptor): held is Source {
    return 'device' in held || ('file' in held && held.file.seekable);
  }

  /** The next bytes; empty at the end. */
  async read(): Promise<Uint8Array> {
    const of = this.#of;
    if ('device' in of) {
      const bytes = new Uint8Array(PIECE_BYTES);
      return bytes.subarray(0, readDevice(of.device, bytes));
    }
    const position = new FilePosition(of.file.position);
    const at = Number(position.bytes);
    let bytes: Uint8Array;
    if ('lent' in of) bytes = await of.lent.file.read(at, PIECE_BYTES);
    else {
      const buffer = new Uint8Array(PIECE_BYTES);
      const { bytesRead } = await readAt(of.host, buffer, 0, buffer.length, at);
      bytes = buffer.subarray(0, bytesRead);
    }
    position.bytes = BigInt(at + bytes.length);
    return bytes;
  }

  /** In order. What there is no room for is gone. */
  write(bytes: Uint8Array, taken: () => void): void {
    this.#writes = this.#writes
      .then(() => this.#write(bytes))
      .catch(() => {})
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
    const position = new FilePosition(of.file.position);
    const appends = (of.file.flags & Fdflags.append) !== 0;
    for (let done = 0; done < bytes.length; ) {
      const rest = bytes.subarray(done);
      const at = Number(position.bytes);
      if ('lent' in of) {
        const { written, endBytes } = await of.lent.file.write(appends ? undefined : at, rest);
        position.bytes = BigInt(endBytes);
        done += written;
      } else {
        const { bytesWritten } = await writeAt(of.host, rest, 0, rest.length, at);
        position.bytes = BigInt(at + bytesWritten);
        done += bytesWritten;
      }
    }
  }
}
