// Copies bytes out of mapped memory, and into it: who waits in a fault meanwhile is this thread, and not the one with the event
// loop of the program. What comes of it goes to sockets and files; mapped memory itself would be EFAULT there.
import { parentPort } from 'node:worker_threads';

export interface CopyRequest {
  readonly id: number;
  readonly buffer: SharedArrayBuffer;
  readonly offset: number;
  readonly length: number;
  /** To write; absent: to read. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
}

export interface CopyReport {
  readonly id: number;
  /** Of a read. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
}

const port = parentPort!;
port.on('message', ({ id, buffer, offset, length, bytes }: CopyRequest) => {
  const there = new Uint8Array(buffer, offset, length);
  if (bytes !== undefined) {
    there.set(bytes);
    port.postMessage({ id } satisfies CopyReport);
    return;
  }
  const copied = new Uint8Array(length);
  copied.set(there);
  port.postMessage({ id, bytes: copied } satisfies CopyReport, [copied.buffer]);
});
