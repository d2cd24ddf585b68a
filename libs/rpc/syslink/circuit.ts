import type { Frame } from '@odonata/proto/syslink/v1/syslink';
import { Code, RpcError } from '../error.ts';
import { Interrupt } from '../interrupt.ts';
import { free, LARGE_BYTES } from '../large-bytes.ts';
import { BoundedQueue } from '../queue.ts';
import { BULK_BYTES, circuitWeight, frame, statusInit } from './frame.ts';

/**
 * An endpoint's side of a circuit: whole messages in both directions, each direction within a window.
 *
 *     open --half()--> half-closed (we send no more) --close or closed--> over
 *       `------------------close or closed-----------------------------> over
 *
 * Credit: we may send while any of the window is left (so one message may overdraw it); what our reader takes is given
 * back to the far end in steps of a quarter window. So at most a window and one message wait here.
 */
export class Circuit {
  readonly number: bigint;
  readonly #windowBytes: number;
  readonly #send: (frame: Frame, sent?: () => void) => void;
  readonly #incoming: BoundedQueue<Uint8Array>;
  #creditBytes: number;
  #takenBytes = 0;
  #wakeWriter: (() => void) | undefined;
  #halfClosed = false;
  /** Fires when it is over, whoever ended it. */
  readonly over = new Interrupt();
  /** Called once when it is over, with the far end's error or that of the line; not after our own `close`. */
  onClosed: ((error: RpcError | undefined) => void) | undefined;

  constructor(number: bigint, windowBytes: number, send: (frame: Frame, sent?: () => void) => void) {
    this.number = number;
    this.#windowBytes = windowBytes;
    this.#creditBytes = windowBytes;
    this.#send = send;
    const capacity = windowBytes + BULK_BYTES;
    this.#incoming = new BoundedQueue({ name: `circuit ${number}`, capacity, weigh: circuitWeight });
  }

  /**
   * Sends a message; the promise, where there is one, resolves when the next may be sent, or when it is over.
   * @param given nobody else uses the buffer of the message: it is freed as soon as it is sent
   */
  write(data: Uint8Array, { given = false } = {}): Promise<void> | undefined {
    if (this.over.fired || this.#halfClosed) return undefined;
    if (data.length > BULK_BYTES) {
      throw new RpcError(
        Code.ResourceExhausted,
        `a message of ${data.length} bytes; a circuit takes ${BULK_BYTES}`,
      );
    }
    this.#creditBytes -= circuitWeight(data);
    const sent = given && data.length >= LARGE_BYTES ? () => free(data) : undefined;
    this.#send(frame({ case: 'circuitData', value: { circuit: this.number, data } }), sent);
    if (this.#creditBytes > 0) return undefined;
    return new Promise((resolve) => {
      this.#wakeWriter = resolve;
    });
  }

  /** We send no more. */
  half(): void {
    if (this.over.fired || this.#halfClosed) return;
    this.#halfClosed = true;
    this.#send(frame({ case: 'circuitClose', value: { circuit: this.number, half: true } }));
  }

  /** Ends both directions. What was received and not read is dropped. Harmless when repeated. */
  close(error?: RpcError): void {
    if (this.over.fired) return;
    const status = statusInit(error);
    this.#send(frame({ case: 'circuitClose', value: { circuit: this.number, half: false, status } }));
    this.#end();
    this.#incoming.fail(error ?? new RpcError(Code.Cancelled, 'the circuit is closed'));
  }

  /** Messages from the far end; after the last its end, or the error that closed the circuit. */
  async *messages(): AsyncGenerator<Uint8Array> {
    for await (const data of this.#incoming) {
      this.#takenBytes += circuitWeight(data);
      if (this.#takenBytes * 4 >= this.#windowBytes && !this.over.fired) {
        const takenBytes = this.#takenBytes;
        this.#takenBytes = 0;
        this.#send(frame({ case: 'circuitWindow', value: { circuit: this.number, takenBytes } }));
      }
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
    this.#incoming.offer(data);
  }

  /** The far end took bytes. */
  windowed(takenBytes: number): void {
    this.#creditBytes = Math.min(this.#windowBytes, this.#creditBytes + takenBytes);
    if (this.#creditBytes <= 0) return;
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
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

  #end(): void {
    this.over.fire();
    this.#wakeWriter?.();
    this.#wakeWriter = undefined;
  }
}
