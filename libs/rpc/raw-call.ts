import type * as grpc from '@grpc/grpc-js';
import { type BareStream, bareOfServed, framed, type HearBytes, whole, widenServed } from './bare-stream.ts';
import { internal, metBug } from './bug.ts';
import { Code, RpcError } from './error.ts';
import type { Logger } from './log.ts';
import { Undecodable } from './undecodable.ts';

/** Messages that may wait for a peer that does not read its stream. */
export const PARKED_MAX = 10_000;

interface Events<I> {
  data(message: I): void;
  end(): void;
  cancelled(): void;
  error(error: unknown): void;
  drain(): void;
}

/** How messages of a stream become bytes and back. */
export interface StreamCodec<I, O> {
  /** @throws RpcError */
  decode(bytes: Uint8Array): I;
  encode(message: O): Buffer;
}

/**
 * The stream of a bidirectional method, for hot paths, with a guard around it: what comes in keeps its constraints;
 * a listener that throws ends this stream, and no other (see bug.ts); and what waits for a peer that does not read is
 * bounded. Its messages go by HTTP/2 itself where there is a way to that (bare-stream.ts).
 */
export class RawCall<I, O> {
  readonly #call: grpc.ServerDuplexStream<I, O>;
  readonly #log: Logger;
  readonly #path: string;
  readonly #onFailed: (error: RpcError) => grpc.ServiceError;
  readonly #onFull: (reason: string) => void;
  readonly #codec: StreamCodec<I, O> | undefined;
  #bare: BareStream | undefined;
  /** Messages that HTTP/2 has not taken yet. */
  #parked = 0;
  readonly #drained: (() => void)[] = [];
  #over = false;
  #hasWritten = false;

  /**
   * @param onFailed it ends with an error: gives that as grpc wants it
   * @param onFull it ends, since the caller does not read
   */
  constructor(
    call: grpc.ServerDuplexStream<I, O>,
    about: {
      log: Logger;
      path: string;
      onFailed: (error: RpcError) => grpc.ServiceError;
      onFull?: ((reason: string) => void) | undefined;
      codec?: StreamCodec<I, O> | undefined;
    },
  ) {
    this.#codec = about.codec;
    // By its caller, or for its deadline: grpc-js hears nothing more of it, so nor do we.
    call.once('cancelled', () => {
      this.#over = true;
    });
    this.#onFull = about.onFull ?? (() => {});
    this.#call = call;
    this.#log = about.log;
    this.#path = about.path;
    this.#onFailed = about.onFailed;
  }

  on<E extends keyof Events<I>>(event: E, listener: Events<I>[E]): this {
    const listen = listener as (value?: unknown) => void;
    if (event === 'data' && this.#goBare(listener as Events<I>['data'])) return this;
    const heard = (value?: unknown): void => {
      if (event === 'data') {
        if (this.#over) return;
        if (value instanceof Undecodable) {
          this.fail(value.error);
          return;
        }
      }
      try {
        listen(value);
      } catch (error) {
        this.#broke(error);
      }
    };
    this.#call.on(event, heard);
    if (event === 'drain') {
      this.#drained.push(heard);
      this.#bare?.on('drain', heard);
    }
    return this;
  }

  /** @returns false: wait for `drain` */
  write(message: O): boolean {
    if (this.#over) return false;
    this.#hasWritten = true;
    if (this.#call.writableLength + this.#parked >= PARKED_MAX) {
      const what = `${PARKED_MAX} messages wait already, and the caller does not read`;
      this.#onFull(`${this.#path}: ${what}; its stream ends`);
      this.fail(new RpcError(Code.ResourceExhausted, what));
      return false;
    }
    if (this.#bare === undefined) return this.#call.write(message);
    let bytes: Buffer;
    try {
      bytes = framed(this.#codec!.encode(message));
    } catch (error) {
      this.#broke(error);
      return false;
    }
    this.#parked += 1;
    return this.#bare.write([bytes], this.#unpark);
  }

  readonly #unpark = (): void => {
    this.#parked -= 1;
  };

  // From its begin, or not at all.
  #goBare(listener: Events<I>['data']): boolean {
    const codec = this.#codec;
    if (codec === undefined || this.#hasWritten || this.#bare !== undefined) return false;
    this.#bare = this.bare((first, more) => listener(codec.decode(whole(first, more))));
    for (const listener of this.#drained) this.#bare?.on('drain', listener);
    return this.#bare !== undefined;
  }

  /**
   * Messages as bytes, to and from HTTP/2 itself: instead of `on('data')` and `write`, and right at its begin.
   * @returns undefined: it goes as ever
   */
  bare(hear: HearBytes): BareStream | undefined {
    const heard: HearBytes = (first, more) => {
      if (this.#over) return;
      try {
        hear(first, more);
      } catch (error) {
        this.#broke(error);
      }
    };
    const bare = bareOfServed(this.#call, heard, (error) => this.fail(error));
    // Its end comes by grpc's stream.
    if (bare !== undefined) this.#call.on('data', () => {});
    return bare;
  }

  /**
   * The caller may have `WINDOW_BYTES` under way to here over all its connection, for whom that is made: who sends much, and is
   * answered little (see `WINDOW_BYTES`).
   */
  widen(): void {
    widenServed(this.#call);
  }

  /** It has ended, or is about to. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Nothing more is read of it until `resume`. */
  pause(): void {
    (this.#bare ?? this.#call).pause();
  }

  resume(): void {
    (this.#bare ?? this.#call).resume();
  }

  /** A good end. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.end();
  }

  /** Ends it with an error; nothing that comes after that is heard. Its `error` and `cancelled` listeners are called. */
  fail(error: RpcError): void {
    if (this.#over) return;
    this.#over = true;
    this.#call.emit('error', this.#onFailed(error));
  }

  getPeer(): string {
    return this.#call.getPeer();
  }

  #broke(error: unknown): void {
    if (error instanceof RpcError) {
      this.fail(error);
      return;
    }
    metBug(this.#log, error, { method: this.#path, peer: this.getPeer() });
    this.fail(internal(error));
  }
}
