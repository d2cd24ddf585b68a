// The stream to the other gateway: at most so many bytes a second go out, and each frame is bytes of its own.
import { toBinary } from '@bufbuild/protobuf';
import { type Frame, FrameSchema } from '@odonata/proto/syslink/v1/syslink';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { encodeFrames } from '@odonata/rpc/syslink/frame-batch.ts';
import type { FrameStream } from '@odonata/rpc/syslink/frames/frame-stream.ts';
import type { TokenBucket } from './token-bucket.ts';

/** What a gateway needs of grpc's stream, whichever side opened it. */
export interface BytesStream {
  write(batch: { frames: Uint8Array[] }): boolean;
  on(event: 'drain', listener: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
}

export class MeteredStream implements FrameStream {
  readonly #stream: BytesStream;
  readonly #bucket: TokenBucket;
  readonly #sent: (bytes: number) => void;
  readonly #drained: (() => void)[] = [];
  #isFull = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: BytesStream, bucket: TokenBucket, sent: (bytes: number) => void) {
    this.#stream = stream;
    this.#bucket = bucket;
    this.#sent = sent;
    stream.on('drain', () => {
      this.#isFull = false;
      this.#tell();
    });
  }

  on(_event: 'drain', listener: () => void): void {
    this.#drained.push(listener);
  }

  write(batch: readonly Frame[], written?: () => void): boolean {
    const encoded = encodeFrames(batch);
    const frames = encoded === undefined ? batch.map((each) => toBinary(FrameSchema, each)) : [];
    const sent = frames.reduce((sum, { length }) => sum + length, encoded?.length ?? 0);
    this.#sent(sent);
    if (!this.#stream.write((encoded as unknown as { frames: Uint8Array[] }) ?? { frames }))
      this.#isFull = true;
    written?.();
    const waitMs = this.#bucket.take(sent, monotonicMs());
    if (waitMs > 0)
      this.#timer ??= setTimeout(
        ownTurn({ timer: 'metered stream' }, () => {
          this.#timer = undefined;
          this.#tell();
        }),
        waitMs,
      );
    return !this.#isFull && this.#timer === undefined;
  }

  /** Waits behind nothing. */
  writeNow(frame: Frame): void {
    this.#stream.write({ frames: [toBinary(FrameSchema, frame)] });
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#drained.length = 0;
  }

  #tell(): void {
    if (!this.#isFull && this.#timer === undefined) for (const listener of this.#drained) listener();
  }
}
