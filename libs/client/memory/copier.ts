// Copies between mapped memory and memory of the program's own, in a thread of its own.
import { Worker } from 'node:worker_threads';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { CopyReport, CopyRequest } from './copy-thread.ts';

/** Copies that wait for their turn. */
const COPIES_MAX = 1_024;

interface Asked {
  resolve(report: CopyReport): void;
  reject(error: RpcError): void;
}

export class Copier {
  readonly #asked = new Map<number, Asked>();
  #worker: Worker | undefined;
  #last = 0;

  async read(buffer: SharedArrayBuffer, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.#ask({ buffer, offset, length })).bytes ?? new Uint8Array();
  }

  async write(buffer: SharedArrayBuffer, offset: number, bytes: Uint8Array): Promise<void> {
    await this.#ask({ buffer, offset, length: bytes.length, bytes: new Uint8Array(bytes) });
  }

  #ask(request: Omit<CopyRequest, 'id'>): Promise<CopyReport> {
    if (this.#asked.size >= COPIES_MAX)
      return Promise.reject(
        new RpcError(Code.ResourceExhausted, `${COPIES_MAX} copies of this program are under way`),
      );
    const id = ++this.#last;
    const worker = this.#started();
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject });
      worker.postMessage({ ...request, id });
    });
  }

  #started(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL('./copy-thread.ts', import.meta.url), { name: 'copies' });
    this.#worker = worker;
    worker.unref();
    worker.on('message', (report: CopyReport) => {
      const asked = this.#asked.get(report.id);
      this.#asked.delete(report.id);
      asked?.resolve(report);
    });
    worker.on('error', () => {}); // Its exit tells.
    worker.on('exit', () => this.#ended());
    return worker;
  }

  #ended(): void {
    this.#worker = undefined;
    for (const { reject } of this.#asked.values())
      reject(new RpcError(Code.Cancelled, 'the thread of copies ended'));
    this.#asked.clear();
  }

  /** Once nothing of what it copies is mapped any more: who waits in a fault cannot end. */
  async close(): Promise<void> {
    await this.#worker?.terminate();
  }
}
