// A bidirectional stream that this process opened, for hot paths: grpc-js's until its server answers, and from then on HTTP/2 itself
// (bare-stream.ts), where there is a way to that.
import type { DescMethod } from '@bufbuild/protobuf';
import type * as grpc from '@grpc/grpc-js';
import { type BareStream, bareOfOpened, framed, guardedBytes, whole } from './bare-stream.ts';
import { type BugLog, hear } from './bug.ts';
import type { RpcChannel } from './channel.ts';
import { FROM_SERVICE, openStream } from './client.ts';
import { decoder, encoder, type InInit, type Out } from './service.ts';

type BidiMethod = DescMethod & { methodKind: 'bidi_streaming' };

export interface OpenedStreamOptions<M extends BidiMethod> {
  readonly log?: BugLog;
  /** For the log. */
  readonly where: object;
  /** A bug in it ends the stream. */
  readonly hear: (message: Out<M>) => void;
}

export class OpenedStream<M extends BidiMethod> {
  readonly #stream: grpc.ClientDuplexStream<InInit<M>, Out<M>>;
  readonly #options: OpenedStreamOptions<M>;
  readonly #encode: (message: unknown) => Buffer;
  readonly #decode: (bytes: Uint8Array) => Out<M>;
  #bare: BareStream | undefined;
  #isAnswered = false;

  /** @param to an address, or a channel of the caller's */
  constructor(method: M, to: string | RpcChannel, options: OpenedStreamOptions<M>) {
    const { log, where, hear: heard } = options;
    this.#options = options;
    this.#encode = encoder(method.input);
    this.#decode = decoder(method.output, FROM_SERVICE) as unknown as (bytes: Uint8Array) => Out<M>;
    this.#stream = openStream(method, to);
    // The server has answered when its headers are here, which come before all else.
    this.#stream.once('metadata', () => {
      this.#isAnswered = true;
      this.#goBare();
    });
    hear(this.#stream, log, where, (message: Out<M>) => {
      heard(message);
      this.#goBare();
    });
  }

  // Not while grpc-js still has something to send: the next message, either way, is the next try.
  #goBare(): void {
    if (this.#bare !== undefined || !this.#isAnswered) return;
    const { log, where, hear: heard } = this.#options;
    const stream = this.#stream as grpc.ClientDuplexStream<unknown, unknown>;
    const bytes = guardedBytes(stream, log, where, (first, more) => heard(this.#decode(whole(first, more))));
    this.#bare = bareOfOpened(stream, bytes, (error) => this.#fail(error));
  }

  // Its end, which cancelling brings, is no second one.
  #fail(error: Error): void {
    this.#stream.emit('error', error);
    this.#stream.cancel();
  }

  /** @returns false: it takes no more for now */
  write(message: InInit<M>): boolean {
    this.#goBare();
    if (this.#bare === undefined) return this.#stream.write(message);
    let bytes: Buffer;
    try {
      bytes = framed(this.#encode(message));
    } catch (error) {
      this.#fail(error as Error);
      return false;
    }
    return this.#bare.write([bytes]);
  }

  /** A listener of `error` is a must; it gets a ServiceError of grpc, or an RpcError, and that once. */
  on(event: 'error', listener: (error: Error) => void): this;
  on(event: 'end', listener: () => void): this;
  on(event: 'error' | 'end', listener: (error: Error) => void): this {
    if (event === 'end') this.#stream.on(event, listener);
    else {
      let isOver = false;
      this.#stream.on(event, (error) => {
        if (!isOver) listener(error);
        isOver = true;
      });
    }
    return this;
  }

  /** Nothing more is written. */
  end(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }
}
