// The writing end of a pipe that others may have, too, for what a child on another node writes.
import { Socket } from 'node:net';

export class PipeOutput {
  readonly #socket: Socket;
  /** Of what is being written. */
  readonly #takers = new Set<() => void>();
  #ended = false;
  #gone = false;

  /** @param gone nobody reads it any more */
  constructor(host: number, gone: () => void) {
    this.#socket = new Socket({ fd: host, readable: false, writable: true, allowHalfOpen: true });
    this.#socket.on('error', () => {
      this.#gone = true;
      this.#socket.destroy();
      for (const taken of [...this.#takers]) this.#took(taken);
      gone();
    });
  }

  /** In order. What nobody will read is gone. */
  write(data: Uint8Array, taken: () => void): void {
    if (this.#gone) {
      taken();
      return;
    }
    // One of its own for each, however often the same is given.
    const taker = () => taken();
    this.#takers.add(taker);
    this.#socket.write(data, () => this.#took(taker));
  }

  /** After what is being written. It is closed, and not shut down: whoever else has it goes on writing. */
  end(): void {
    this.#ended = true;
    this.#close();
  }

  #took(taker: () => void): void {
    if (!this.#takers.delete(taker)) return;
    taker();
    this.#close();
  }

  #close(): void {
    if (this.#ended && this.#takers.size === 0) this.#socket.destroy();
  }
}
