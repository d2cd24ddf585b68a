// Streams of frames: below grpc-js, where that has a way in, and else by it.
import type * as grpc from '@grpc/grpc-js';
import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { type BareStream, bareOfOpened, guardedBytes } from '../../bare-stream.ts';
import { type BugLog, hear } from '../../bug.ts';
import type { RawCall } from '../../raw-call.ts';
import { encodeFrames } from '../frame-batch.ts';
import { framesOf, passedOf } from './frame-reader.ts';
import { framesMessages } from './frame-writer.ts';
import { joined } from './passed-data.ts';

/** What an outbox writes to. */
export interface FrameStream {
  /**
   * @param written nobody reads the bytes of the frames any more
   * @returns false: wait for `drain`
   */
  write(frames: readonly Frame[], written?: () => void): boolean;
  on(event: 'drain', listener: () => void): void;
}

export type HearFrames = (frames: readonly Frame[]) => void;

/** What has frames in it, as grpc-js gives and takes them. */
export interface Batch {
  readonly frames: Frame[];
}

interface BatchStream {
  write(batch: Batch): boolean;
  on(event: 'drain', listener: () => void): unknown;
}

export interface FrameStreamOptions {
  /** What circuits carry stays in the pieces that it comes in (passed-data.ts). */
  readonly passes?: boolean;
}

/** Of a stream that this process serves: frames that come are heard from now on. */
export function servedFrames(
  call: RawCall<Batch, Batch>,
  hearFrames: HearFrames,
  options: FrameStreamOptions = {},
): FrameStream {
  const bare = call.bare((first, more) => hearFrames(read(first, more, options)));
  if (bare !== undefined) return new BareFrames(bare, () => call.isOver);
  call.on('data', ({ frames }) => hearFrames(frames));
  return new BatchFrames(call);
}

function read(first: Buffer, more: readonly Buffer[], { passes }: FrameStreamOptions): Frame[] {
  if (more.length === 0) return framesOf(first);
  const bytes = more.reduce((sum, { length }) => sum + length, first.length);
  const passed = passes ? passedOf(first, more, bytes) : undefined;
  return passed === undefined ? framesOf(Buffer.concat([first, ...more], bytes)) : [passed];
}

/** Of a stream that this process opened. It is as grpc-js has it until the first frames come. */
export function openedFrames(
  stream: grpc.ClientDuplexStream<never, Batch>,
  log: BugLog,
  where: object,
  hearFrames: HearFrames,
  options: FrameStreamOptions = {},
): FrameStream {
  const batches = stream as unknown as grpc.ClientDuplexStream<Batch, Batch>;
  return new OpenedFrames(batches, log, where, hearFrames, options);
}

class OpenedFrames implements FrameStream {
  #now: FrameStream;
  readonly #drained: (() => void)[] = [];

  constructor(
    stream: grpc.ClientDuplexStream<Batch, Batch>,
    log: BugLog,
    where: object,
    hearFrames: HearFrames,
    options: FrameStreamOptions,
  ) {
    this.#now = new BatchFrames(stream);
    let isBare = false;
    hear(stream, log, where, ({ frames }: Batch) => {
      hearFrames(frames);
      if (isBare) return;
      const bare = bareOfOpened(
        stream as grpc.ClientDuplexStream<unknown, unknown>,
        guardedBytes(stream, log, where, (first, more) => hearFrames(read(first, more, options))),
        () => stream.cancel(),
      );
      if (bare === undefined) return;
      isBare = true;
      this.#now = new BareFrames(bare, () => stream.destroyed || stream.writableEnded);
      for (const listener of this.#drained) this.#now.on('drain', listener);
    });
  }

  write(frames: readonly Frame[], written?: () => void): boolean {
    return this.#now.write(frames, written);
  }

  on(event: 'drain', listener: () => void): void {
    this.#drained.push(listener);
    this.#now.on(event, listener);
  }
}

class BareFrames implements FrameStream {
  readonly #bare: BareStream;
  readonly #isOver: () => boolean;

  constructor(bare: BareStream, isOver: () => boolean) {
    this.#bare = bare;
    this.#isOver = isOver;
  }

  write(frames: readonly Frame[], written?: () => void): boolean {
    return !this.#isOver() && this.#bare.write(framesMessages(frames), written);
  }

  on(event: 'drain', listener: () => void): void {
    this.#bare.on(event, listener);
  }
}

class BatchFrames implements FrameStream {
  readonly #stream: BatchStream;

  constructor(stream: BatchStream) {
    this.#stream = stream;
  }

  write(frames: readonly Frame[], written?: () => void): boolean {
    // Bytes, where a stream's messages are encoded by `encoder`, go as they are.
    const whole = frames.map(joined);
    const encoded = encodeFrames(whole) as unknown as Batch | undefined;
    const free = this.#stream.write(encoded ?? { frames: whole });
    written?.();
    return free;
  }

  on(event: 'drain', listener: () => void): void {
    this.#stream.on(event, listener);
  }
}
