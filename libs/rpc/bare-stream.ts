// Below a stream of grpc-js is one of HTTP/2. Each message goes through some ten layers between them, with three copies and as many
// turns of the event loop, which cost more than HTTP/2 itself. Where messages come by the thousand they are written to HTTP/2 and
// read from it here: what goes over the wire is the same, and all else (who may, names and addresses, TLS, headers, status, cancelling,
// keepalive) is still grpc-js's.
//
// grpc-js has no door to that; until it has, reach in. Where its insides changed, it is used as ever (a test tells).
import type { EventEmitter } from 'node:events';
import type { Http2Stream } from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { type BugLog, metBug } from './bug.ts';
import { MAX_MESSAGE_BYTES, WINDOW_BYTES } from './channel.ts';
import { Code, RpcError } from './error.ts';

export const PREFIX_BYTES = 5;
/** So many parts of one message are looked at: smaller ones are no use. */
const PARTS_MANY = 64;
const PART_BYTES = 4 * 1024;
const NO_MORE: readonly Buffer[] = [];

export interface BareStream {
  /**
   * A message as pieces, its five bytes in front included. They must stay as they are until `written`, which comes also where they go
   * nowhere any more.
   * @returns false: wait for `drain`
   */
  write(pieces: readonly Uint8Array[], written?: () => void): boolean;
  on(event: 'drain', listener: () => void): void;
  /** Nothing more is read of it until `resume`. */
  pause(): void;
  resume(): void;
}

/**
 * A message, in the pieces that it came in: mostly in one.
 * @throws RpcError what is wrong with it
 */
export type HearBytes = (first: Buffer, more: readonly Buffer[]) => void;

/** A message in one piece: a view of what was read at one time, and of no more. */
export const whole = (first: Buffer, more: readonly Buffer[]): Buffer =>
  more.length === 0 ? first : Buffer.concat([first, ...more]);

/**
 * A message with its five bytes in front.
 * @throws RpcError RESOURCE_EXHAUSTED where nobody would take it
 */
export function framed(message: Uint8Array): Buffer {
  if (message.length > MAX_MESSAGE_BYTES)
    throw new RpcError(
      Code.ResourceExhausted,
      `Sent message larger than max (${message.length} vs. ${MAX_MESSAGE_BYTES})`,
    );
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  writePrefix(bytes, message.length);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/** What stands before a message of so many bytes: that it is not compressed, and how long it is. */
export function writePrefix(to: Buffer, messageBytes: number): void {
  to[0] = 0;
  to.writeUInt32BE(messageBytes, 1);
}

/** What is no message ends the stream, with the reason; a bug of ours does, too. */
export function guardedBytes(
  stream: Pick<grpc.ClientDuplexStream<unknown, unknown>, 'emit' | 'cancel'>,
  log: BugLog | undefined,
  where: object,
  hear: HearBytes,
): HearBytes {
  return (first, more) => {
    try {
      hear(first, more);
    } catch (error) {
      if (RpcError.is(error)) stream.emit('error', error);
      else metBug(log, error, where);
      stream.cancel();
    }
  };
}

interface Decoder {
  readonly readState: number;
  write(data: Buffer): Buffer[];
}

interface Tracker {
  addMessageSent(): void;
  addMessageReceived(): void;
}

/** The insides of a call that a server has. */
interface ServerCall {
  readonly stream: Http2Stream;
  readonly decoder: Decoder;
  readonly callEventTracker?: Tracker;
  readonly readQueue: unknown[];
  /** Of what comes, `identity` where that is not compressed. */
  readonly incomingEncoding: string;
  sendMetadata(metadata: grpc.Metadata): void;
}

/** Those of one that a client has. */
interface ClientCall {
  readonly http2Stream: Http2Stream;
  readonly decoder: Decoder;
  readonly callEventTracker?: Tracker;
  readonly unpushedReadMessages: Buffer[];
}

/**
 * Of a stream that a server serves, before its first message.
 * @param fail ends the stream
 * @returns undefined: use it as ever
 */
export function bareOfServed(
  call: grpc.ServerDuplexStream<unknown, unknown>,
  hear: HearBytes,
  fail: (error: RpcError) => void,
): BareStream | undefined {
  const inside = (call as unknown as { call?: Partial<ServerCall> }).call;
  const { stream, decoder, readQueue, incomingEncoding } = inside ?? {};
  if (!isStream(stream) || !isAtStart(decoder) || readQueue?.length !== 0) return undefined;
  // grpc-js unpacks it.
  if (incomingEncoding !== 'identity') return undefined;
  inside!.sendMetadata!(new grpc.Metadata());
  return new Taken({ stream, decoder, tracker: inside?.callEventTracker, hear, fail });
}

/** The connection of a stream that a server serves takes as much as the stream. It stays as it is where grpc-js's insides changed. */
export function widenServed(call: grpc.ServerDuplexStream<unknown, unknown>): void {
  const { stream } = (call as unknown as { call?: Partial<ServerCall> }).call ?? {};
  const session = stream?.session;
  if (session !== undefined && !session.destroyed) session.setLocalWindowSize(WINDOW_BYTES);
}

/**
 * Of a stream that this process opened, once its server has answered: while a message or the headers of it are heard. What came after
 * that is heard at once.
 * @returns undefined: use it as ever
 */
export function bareOfOpened(
  stream: grpc.ClientDuplexStream<unknown, unknown>,
  hear: HearBytes,
  fail: (error: RpcError) => void,
): BareStream | undefined {
  if (stream.writableLength > 0) return undefined;
  const call = insideOf(stream);
  if (call === undefined) return undefined;
  const { http2Stream, decoder, callEventTracker, unpushedReadMessages } = call;
  const taken = new Taken({ stream: http2Stream, decoder, tracker: callEventTracker, hear, fail });
  for (const framed of unpushedReadMessages.splice(0)) taken.hearOne(framed);
  return taken;
}

/** The insides of a call that may be tried again. Its writes are over, to who made them, before they are sent. */
interface TriedCall {
  readonly underlyingCalls: readonly { readonly call: unknown; readonly nextMessageToSend: number }[];
  readonly writeBuffer: readonly unknown[];
  readonly writeBufferOffset: number;
}

/** Calls within calls: the last one has the stream. Undefined also where one of them still has something to send. */
function insideOf(stream: unknown): ClientCall | undefined {
  let call = stream as Partial<{ call: unknown; child: unknown } & TriedCall> | null | undefined;
  for (let depth = 0; depth < 8 && call !== undefined && call !== null; depth++) {
    const { http2Stream, decoder, unpushedReadMessages } = call as Partial<ClientCall>;
    if (isStream(http2Stream) && decoder !== undefined && Array.isArray(unpushedReadMessages))
      return call as unknown as ClientCall;
    call = (call.call ?? call.child ?? triedOnce(call)) as typeof call;
  }
  return undefined;
}

// Of a call that is tried again there are several; ours is not.
function triedOnce({ underlyingCalls, writeBuffer, writeBufferOffset }: Partial<TriedCall>): unknown {
  const [only] = underlyingCalls ?? [];
  if (only === undefined || underlyingCalls!.length > 1) return undefined;
  // Each that was sent counts when HTTP/2 has taken it.
  const isAllSent = only.nextMessageToSend === writeBufferOffset! + (writeBuffer?.length ?? Number.NaN);
  return isAllSent ? only.call : undefined;
}

const isStream = (stream: Http2Stream | undefined): stream is Http2Stream =>
  typeof stream?.write === 'function' &&
  typeof stream.cork === 'function' &&
  stream.listenerCount('data') === 1;

const isAtStart = (decoder: Decoder | undefined): decoder is Decoder => decoder?.readState === 0;

interface Parts {
  readonly stream: Http2Stream;
  /** Of grpc-js; it has what came of a message that is not whole yet. */
  readonly decoder: Decoder;
  readonly tracker: Tracker | undefined;
  readonly hear: HearBytes;
  readonly fail: (error: RpcError) => void;
}

class Taken implements BareStream {
  readonly #parts: Parts;
  readonly #whole = new WholeMessages();
  #usesDecoder: boolean;
  #isOver = false;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { stream, decoder } = parts;
    this.#usesDecoder = !isAtStart(decoder);
    stream.removeAllListeners('data');
    stream.on('data', (chunk: Buffer) => this.#received(chunk));
    stream.resume();
  }

  write(pieces: readonly Uint8Array[], written?: () => void): boolean {
    const { stream, tracker } = this.#parts;
    if (stream.destroyed || stream.closed || stream.writableEnded) {
      if (written !== undefined) queueMicrotask(written);
      return false;
    }
    tracker?.addMessageSent();
    if (pieces.length === 1) return stream.write(pieces[0], written);
    stream.cork();
    let isFree = true;
    for (let i = 0; i < pieces.length; i++)
      isFree = stream.write(pieces[i], i === pieces.length - 1 ? written : undefined);
    stream.uncork();
    return isFree;
  }

  on(event: 'drain', listener: () => void): void {
    (this.#parts.stream as EventEmitter).on(event, listener);
  }

  pause(): void {
    this.#parts.stream.pause();
  }

  resume(): void {
    this.#parts.stream.resume();
  }

  /** A message with its five bytes in front. */
  heard(framed: Buffer, more: readonly Buffer[] = NO_MORE): void {
    if (framed[0] !== 0) throw new RpcError(Code.Unimplemented, 'messages of this stream are not compressed');
    this.#parts.tracker?.addMessageReceived();
    this.#parts.hear(framed.subarray(PREFIX_BYTES), more);
  }

  /** One that came before, with its five bytes in front. */
  hearOne(framed: Buffer): void {
    this.#unlessOver(() => this.heard(framed));
  }

  #received(chunk: Buffer): void {
    this.#unlessOver(() => {
      if (!this.#usesDecoder) {
        this.#whole.add(chunk, (framed, more) => this.heard(framed, more));
        return;
      }
      const { decoder } = this.#parts;
      for (const framed of decoder.write(chunk)) this.heard(framed);
      this.#usesDecoder = !isAtStart(decoder);
    });
  }

  #unlessOver(hear: () => void): void {
    if (this.#isOver) return;
    try {
      hear();
    } catch (error) {
      this.#isOver = true;
      this.#parts.fail(error as RpcError);
    }
  }
}

/** @internal Messages with their five bytes in front, of chunks as they come, as views of these. The five bytes are never apart. */
export class WholeMessages {
  /** Of a message that is not whole yet. */
  #parts: Buffer[] = [];
  #partBytes = 0;

  add(chunk: Buffer, heard: (framed: Buffer, more: readonly Buffer[]) => void): void {
    let rest = chunk;
    if (this.#partBytes > 0) {
      this.#parts.push(chunk);
      this.#partBytes += chunk.length;
      const lacking = this.#lacking();
      if (lacking > 0) {
        this.#shorten();
        return;
      }
      const [first, ...more] = this.#parts;
      this.#parts = [];
      this.#partBytes = 0;
      rest = chunk.subarray(chunk.length + lacking);
      if (more.length === 0) heard(first!.subarray(0, first!.length + lacking), NO_MORE);
      else {
        more.push(more.pop()!.subarray(0, chunk.length + lacking));
        heard(first!, more);
      }
    }
    while (rest.length >= PREFIX_BYTES) {
      const end = endOf(rest);
      if (end > rest.length) break;
      heard(rest.subarray(0, end), NO_MORE);
      rest = rest.subarray(end);
    }
    if (rest.length === 0) return;
    this.#parts = [rest];
    this.#partBytes = rest.length;
  }

  /** Bytes; less than none: so many are of the next one. */
  #lacking(): number {
    if (this.#parts[0]!.length < PREFIX_BYTES) this.#parts = [Buffer.concat(this.#parts)];
    if (this.#partBytes < PREFIX_BYTES) return PREFIX_BYTES - this.#partBytes;
    return endOf(this.#parts[0]!) - this.#partBytes;
  }

  /** Each part is an object: of who sends a byte at a time we would keep as many. Small ones at the end become one. */
  #shorten(): void {
    const parts = this.#parts;
    if (parts.length % PARTS_MANY !== 0) return;
    const small: Buffer[] = [];
    let bytes = 0;
    // Each is copied again only into one that is twice as long.
    while (parts.length > 0 && parts.at(-1)!.length <= Math.max(PART_BYTES, bytes)) {
      const last = parts.pop()!;
      small.push(last);
      bytes += last.length;
    }
    if (small.length > 0) parts.push(Buffer.concat(small.reverse(), bytes));
  }
}

/** @throws RpcError RESOURCE_EXHAUSTED */
function endOf(framed: Buffer): number {
  const length = framed.readUInt32BE(1);
  if (length > MAX_MESSAGE_BYTES)
    throw new RpcError(
      Code.ResourceExhausted,
      `Received message larger than max (${length} vs ${MAX_MESSAGE_BYTES})`,
    );
  return PREFIX_BYTES + length;
}
