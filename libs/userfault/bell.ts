// A descriptor that one thread rings, and another one waits for among others: an eventfd. It stays rung until it is silenced.
import { closeSync, readSync, writeSync } from 'node:fs';
import { eventfd } from './libc.ts';

const ONE = new BigUint64Array([1n]);
const taken = new BigUint64Array(1);

export class Bell {
  readonly fd = eventfd();
  #closed = false;

  ring(): void {
    if (!this.#closed) writeSync(this.fd, ONE);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.fd);
  }
}

/** In the thread that waits: once it has seen it rung. */
export function silence(bell: number): void {
  readSync(bell, taken);
}
