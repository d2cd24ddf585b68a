import { Code, RpcError } from './error.ts';

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A queue between a producer and one consumer, bounded in weight (items, or bytes when `weigh` says so). An item is
 * taken in while the weight is below the capacity, so one item may be heavier than the whole. `push` waits for room,
 * `offer` answers RESOURCE_EXHAUSTED. After `close` the items that are in it still come out, then its error, if any;
 * `fail` drops them.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #name: string;
  readonly #capacity: number;
  readonly #weigh: (item: T) => number;
  #items: T[] = [];
  #head = 0;
  #weight = 0;
  #ended: { error: unknown } | undefined;
  #reader: ((result: IteratorResult<T>) => void) | undefined;
  #readerFailed: ((error: unknown) => void) | undefined;
  #writers: Waiting[] = [];

  constructor(options: { name: string; capacity: number; weigh?: (item: T) => number }) {
    this.#name = options.name;
    this.#capacity = options.capacity;
    this.#weigh = options.weigh ?? (() => 1);
  }

  /** Items that wait. */
  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Their weight. */
  get weight(): number {
    return this.#weight;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Takes the item in; RESOURCE_EXHAUSTED when it is full, the error of `fail` (or CANCELLED) after the end. */
  offer(item: T): void {
    if (this.#ended !== undefined) throw this.#endedError();
    if (this.#weight >= this.#capacity) {
      throw new RpcError(Code.ResourceExhausted, `${this.#name} is full (${this.#capacity})`);
    }
    this.#add(item);
  }

  /** Takes the item in when there is room. */
  async push(item: T): Promise<void> {
    while (this.#ended === undefined && this.#weight >= this.#capacity) {
      await new Promise<void>((resolve, reject) => this.#writers.push({ resolve, reject }));
    }
    if (this.#ended !== undefined) throw this.#endedError();
    this.#add(item);
  }

  /** No more items; the reader gets those that are in it, then the error or the end. Harmless when repeated. */
  close(error?: unknown): void {
    if (this.#ended !== undefined) return;
    this.#ended = { error };
    if (error !== undefined) this.#readerFailed?.(error);
    else this.#reader?.({ done: true, value: undefined });
    this.#reader = undefined;
    this.#readerFailed = undefined;
    for (const writer of this.#writers.splice(0)) writer.reject(this.#endedError());
  }

  /** Ends it for both sides with an error; what it held is dropped, also after a `close`. */
  fail(error: unknown): void {
    this.#items = [];
    this.#head = 0;
    this.#weight = 0;
    this.close(error);
  }

  /** The next item; `done` after the last. For one consumer: a second call before the first resolved is a bug. */
  next(): Promise<IteratorResult<T>> {
    if (this.#head < this.#items.length) return Promise.resolve({ done: false, value: this.#take() });
    if (this.#ended !== undefined) {
      const { error } = this.#ended;
      return error !== undefined ? Promise.reject(error) : Promise.resolve({ done: true, value: undefined });
    }
    if (this.#reader !== undefined) throw new Error(`bug: two readers of ${this.#name}`);
    return new Promise((resolve, reject) => {
      this.#reader = resolve;
      this.#readerFailed = reject;
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<T> {
    return {
      next: () => this.next(),
      return: async () => {
        // The consumer went away: writers must not wait for it.
        this.fail(new RpcError(Code.Cancelled, `the reader of ${this.#name} went away`));
        return { done: true, value: undefined };
      },
    };
  }

  #add(item: T): void {
    if (this.#reader !== undefined) {
      const resolve = this.#reader;
      this.#reader = undefined;
      this.#readerFailed = undefined;
      resolve({ done: false, value: item });
      return;
    }
    this.#items.push(item);
    this.#weight += this.#weigh(item);
  }

  #take(): T {
    const item = this.#items[this.#head]!;
    this.#items[this.#head] = undefined as T;
    this.#head += 1;
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    this.#weight -= this.#weigh(item);
    if (this.#weight < this.#capacity && this.#writers.length > 0) this.#writers.shift()!.resolve();
    return item;
  }

  #endedError(): unknown {
    return this.#ended?.error ?? new RpcError(Code.Cancelled, `${this.#name} is closed`);
  }
}
