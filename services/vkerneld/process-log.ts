import type { StdStream } from '@odonata/proto/vkernel/v1/vkernel';

/** What one process may keep. */
export const LOG_BYTES = 1024 * 1024;
/** What a chunk costs beside its bytes, so that many small writes are bounded too. */
const CHUNK_BYTES = 64;

export interface LogChunk {
  readonly stream: StdStream;
  readonly data: Uint8Array;
}

/**
 * The last megabyte that a process wrote. Chunks are numbered from 0; the oldest go first. A reader keeps its own
 * place, and learns how many bytes it missed.
 */
export class ProcessLog {
  readonly #limitBytes: number;
  #chunks: LogChunk[] = [];
  /** Number of the first chunk that is kept. */
  #first = 0;
  #keptBytes = 0;
  /** Bytes of all chunks before the first that is kept. */
  #droppedBytes = 0n;
  #ended = false;
  #waiting = new Set<() => void>();

  constructor(limitBytes: number = LOG_BYTES) {
    this.#limitBytes = limitBytes;
  }

  /** With what the chunks cost beside their bytes. */
  get keptBytes(): number {
    return this.#keptBytes;
  }

  append(stream: StdStream, data: Uint8Array): void {
    if (data.length === 0) return;
    // A copy: the bytes are a view of a received message, which may hold more than them.
    this.#chunks.push({ stream, data: data.slice() });
    this.#keptBytes += data.length + CHUNK_BYTES;
    while (this.#keptBytes > this.#limitBytes && this.#chunks.length > 1) this.#dropFirst();
    this.#wake();
  }

  /** Nothing more comes. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Forgets all that it keeps. */
  clear(): void {
    while (this.#chunks.length > 0) this.#dropFirst();
  }

  /**
   * What is kept, then, with `follow`, what comes until the process ends. `droppedBytes` were lost before the chunk;
   * when nothing follows them they come without one.
   */
  async *read(
    follow: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<{ chunk: LogChunk | undefined; droppedBytes: bigint }> {
    let next = 0;
    let seenBytes = 0n;
    while (!signal.aborted) {
      let droppedBytes = 0n;
      if (next < this.#first) {
        droppedBytes = this.#droppedBytes - seenBytes;
        seenBytes = this.#droppedBytes;
        next = this.#first;
      }
      const chunk = this.#chunks[next - this.#first];
      if (chunk !== undefined) {
        next += 1;
        seenBytes += BigInt(chunk.data.length);
        yield { chunk, droppedBytes };
        continue;
      }
      if (droppedBytes > 0n) yield { chunk: undefined, droppedBytes };
      if (this.#ended || !follow) return;
      await this.#change(signal);
    }
  }

  #dropFirst(): void {
    const [chunk] = this.#chunks.splice(0, 1);
    this.#first += 1;
    this.#keptBytes -= chunk!.data.length + CHUNK_BYTES;
    this.#droppedBytes += BigInt(chunk!.data.length);
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #wake(): void {
    for (const waiting of [...this.#waiting]) waiting();
  }
}
