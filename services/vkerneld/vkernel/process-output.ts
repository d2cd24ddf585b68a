// What a process writes, on the main thread's side: its own pieces, and those of children whose output leads here, as far as whoever reads
// takes them. The rest stays where it was written, and its writer waits; at the end there is no writer any more.

import { createOutputRing, OutputReader, OutputWindow } from './output-ring.ts';

interface Relayed {
  readonly stream: 1 | 2;
  readonly data: Uint8Array<ArrayBuffer>;
  readonly taken: () => void;
}

export class ProcessOutput {
  readonly ring = createOutputRing();
  readonly #reader = new OutputReader(this.ring);
  readonly #window = new OutputWindow();
  readonly #relayed: Relayed[] = [];
  readonly #send: (stream: 1 | 2, data: Uint8Array<ArrayBuffer>) => void;

  constructor(send: (stream: 1 | 2, data: Uint8Array<ArrayBuffer>) => void) {
    this.#send = send;
  }

  /** Of a child. */
  relay(piece: Relayed): void {
    this.#relayed.push(piece);
    this.forward();
  }

  /** Nobody reads it any more. */
  close(stream: 1 | 2): void {
    this.#reader.close(stream);
    this.forward();
  }

  isClosed(stream: 1 | 2): boolean {
    return this.#reader.isClosed(stream);
  }

  /** The process wrote, and may wait for room. */
  written(): void {
    this.#reader.answerRing();
    this.forward();
  }

  /** The reader took so many bytes. */
  taken(bytes: number): void {
    this.#window.taken(bytes);
    this.forward();
  }

  /** Another reader is there: what the last one had not taken is lost, and nobody will ever take it. */
  forget(): void {
    this.#window.forget();
    this.forward();
  }

  forward(all = false): void {
    while (all || this.#window.isOpen) {
      const own = this.#reader.take();
      const relayed = own === undefined ? this.#relayed.shift() : undefined;
      const piece = own ?? relayed;
      if (piece === undefined) return;
      if (!this.#reader.isClosed(piece.stream)) {
        this.#window.sent(piece.data.length);
        this.#send(piece.stream, piece.data);
      }
      relayed?.taken();
    }
  }
}
