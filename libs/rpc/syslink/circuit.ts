import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '../error.ts';
import { Interrupt } from '../interrupt.ts';
import { free, LARGE_BYTES } from '../large-bytes.ts';
import { BoundedQueue } from '../queue.ts';
import { BULK_BYTES, circuitWeight, dataFrame, frame, statusInit } from './frame.ts';
import { Kept, type Progress } from './kept.ts';

/** How the frames of a circuit go: as a number on a line. */
export interface Way {
  readonly number: bigint;
  /** @param written nobody reads its bytes any more */
  send(frame: Frame, sent?: () => void, written?: () => void): void;
  /** Nothing of it is heard any more, and whoever is at its other end is told. */
  leave(): void;
}

/**
 * An endpoint's side of a circuit: whole messages in both directions, each direction within a window.
 *
 *     open --half()--> half-closed (we send no more) --close or closed--> over
 *       `------------------close or closed-----------------------------> over
 *
 * Credit: we may send while any of the window is left (so one message may overdraw it); what our reader takes is given
 * back to the far end in steps of a quarter window. So at most a window and one message wait here.
 *
 * One that lasts keeps what the other end's reader has not taken. Where its way breaks it is `lost`: what is written is kept,
 * within the window, until it goes on over another way (`begin`, `goOn`) or whoever looks after it gives it up (`closed`).
 */
export class Circuit {
  readonly #windowBytes: number;
  /** Undefined while it is lost. */
  #way: Way | undefined;
  #kept: Kept | undefined;
  readonly #incoming: BoundedQueue<Uint8Array>;
  #creditBytes: number;
  /** Taken, and not told. */
  #untoldBytes = 0;
  /** Of what came by an earlier way, and is not told as taken. */
  #earlierBytes = 0;
  #wakeWriter: (() => void) | undefined;
  #halfClosed = false;
  /** Our own end of it. */
  #closedWith: { readonly error: RpcError | undefined } | undefined;
  /** Fires when it is over, whoever ended it. */
  readonly over = new Interrupt();
  /** Called once when it is over, with the far end's error or that of the line; not after our own `close`. */
  onClosed: ((error: RpcError | undefined) => void) | undefined;
  /** Of one that lasts: its way broke. */
  onLost: ((error: RpcError) => void) | undefined;
  /** Of one that lasts, at the end that opened it: the router of its way asks everybody to go elsewhere. */
  onLeaving: (() => void) | undefined;

  constructor(way: Way, windowBytes: number, { lasting = false } = {}) {
    this.#way = way;
    this.#windowBytes = windowBytes;
    this.#creditBytes = windowBytes;
    if (lasting) this.#kept = new Kept();
    const capacity = windowBytes + BULK_BYTES;
    this.#incoming = new BoundedQueue<Uint8Array>({
      name: `circuit ${way.number}`,
      capacity,
      weigh: circuitWeight,
    });
  }

  /** It was made to last. */
  get keeps(): boolean {
    return this.#kept !== undefined;
  }

  /** Where its way breaks, it may go on over another one. */
  get lasts(): boolean {
    return this.#kept !== undefined && this.onLost !== undefined;
  }

  /** The other end does not know of that. */
  doesNotLast(): void {
    this.#kept = undefined;
    this.onLost = undefined;
    this.onLeaving = undefined;
  }

  /**
   * Sends a message; the promise, where there is one, resolves when the next may be sent, or when it is over.
   * @param given nobody else uses the buffer of the message: it is freed as soon as it is written
   */
  write(data: Uint8Array, { given = false } = {}): Promise<void> | undefined {
    if (this.over.fired || this.#halfClosed) return undefined;
    if (data.length > BULK_BYTES) {
      throw new RpcError(
        Code.ResourceExhausted,
        `a message of ${data.length} bytes; a circuit takes ${BULK_BYTES}`,
      );
    }
    const weight = circuitWeight(data);
    this.#creditBytes -= weight;
    this.#kept?.sent(data, weight);
    const mayFree = given && this.#kept === undefined && data.length >= LARGE_BYTES;
    this.#sendData(data, mayFree ? () => free(data) : undefined);
    if (this.#creditBytes > 0) return undefined;
    return new Promise((resolve) => {
      this.#wakeWriter = resolve;
    });
  }

  /** We send no more. */
  half(): void {
    if (this.over.fired || this.#halfClosed) return;
    this.#halfClosed = true;
    this.#sendHalf();
  }

  /** Ends both directions. What was received and not read is dropped. Harmless when repeated. */
  close(error?: RpcError): void {
    if (this.over.fired) return;
    this.#closedWith = { error };
    this.#sendClose();
    this.#end();
    this.#incoming.fail(error ?? new RpcError(Code.Cancelled, 'the circuit is closed'));
  }

  /** Messages from the far end; after the last its end, or the error that closed the circuit. */
  async *messages(): AsyncGenerator<Uint8Array> {
    for await (const data of this.#incoming) {
      const weight = circuitWeight(data);
      this.#kept?.took(weight);
      this.#untoldBytes += weight;
      if (!this.over.fired) this.#tellTaken();
      yield data;
    }
  }

  /** A message came. */
  received(data: Uint8Array): void {
    if (this.over.fired || this.#incoming.ended) return;
    if (this.#incoming.weight >= this.#windowBytes + BULK_BYTES) {
      const error = new RpcError(Code.ResourceExhausted, 'the far end sent more than its window');
      this.close(error);
      this.onClosed?.(error);
      return;
    }
    this.#kept?.received(circuitWeight(data));
    this.#incoming.offer(data);
  }

  /** The far end took bytes. */
  windowed(takenBytes: number): void {
    this.#kept?.taken(takenBytes);
    this.#credit(this.#creditBytes + takenBytes);
  }

  /** The far end sends no more. */
  halfClosed(): void {
    this.#incoming.close();
  }

  /** The far end, the router or the line ended it. What was received can still be read. */
  closed(error: RpcError | undefined): void {
    if (this.over.fired) return;
    this.#end();
    this.#incoming.close(error);
    this.onClosed?.(error);
  }

  /** Of one that lasts: nothing goes by its way any more. */
  lost(error: RpcError): void {
    if (this.#way === undefined) return;
    this.#way = undefined;
    this.onLost?.(error);
  }

  /** It is about to go on over another way. @returns how far it has come, for the other end */
  begin(): Progress {
    const kept = this.#keptHere();
    this.#way?.leave();
    this.#way = undefined;
    this.#earlierBytes = kept.waitingBytes;
    this.#untoldBytes = 0;
    return kept.progress;
  }

  /**
   * Goes on, after `begin`: sends what the other end has not got, and how it ends where it does.
   * @throws RpcError DATA_LOSS where what it says of itself cannot be
   */
  goOn(way: Way, theirs: Progress): void {
    const kept = this.#keptHere();
    const again = kept.goOn(theirs);
    if (again === undefined) throw new RpcError(Code.DataLoss, 'the far end has lost count of the circuit');
    this.#way = way;
    for (const data of again) this.#sendData(data);
    if (this.#halfClosed) this.#sendHalf();
    if (this.#closedWith !== undefined) this.#sendClose();
    this.#credit(this.#windowBytes - kept.underWayBytes);
    this.#tellTaken();
  }

  /** It ended here. */
  get isClosedByUs(): boolean {
    return this.#closedWith !== undefined;
  }

  /** Bytes that it keeps. */
  get keptBytes(): number {
    return this.#kept?.underWayBytes ?? 0;
  }

  #keptHere(): Kept {
    if (this.#kept === undefined) throw new Error('a circuit that does not last has lost its way');
    return this.#kept;
  }

  #sendData(data: Uint8Array, written?: () => void): void {
    const way = this.#way;
    way?.send(dataFrame(way.number, data), undefined, written);
  }

  #sendHalf(): void {
    const way = this.#way;
    way?.send(frame({ case: 'circuitClose', value: { circuit: way.number, half: true } }));
  }

  #sendClose(): void {
    const way = this.#way;
    const status = statusInit(this.#closedWith?.error);
    way?.send(frame({ case: 'circuitClose', value: { circuit: way.number, half: false, status } }));
  }

  #tellTaken(): void {
    const way = this.#way;
    if (way === undefined || this.#untoldBytes * 4 < this.#windowBytes) return;
    const earlierBytes = Math.min(this.#earlierBytes, this.#untoldBytes);
    const takenBytes = this.#untoldBytes - earlierBytes;
    this.#earlierBytes -= earlierBytes;
    this.#untoldBytes = 0;
    way.send(frame({ case: 'circuitWindow', value: { circuit: way.number, takenBytes, earlierBytes } }));
  }

  #credit(bytes: number): void {
    this.#creditBytes = Math.min(this.#windowBytes, bytes);
    if (this.#creditBytes <= 0) return;
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }

  #end(): void {
    this.over.fire();
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }
}
