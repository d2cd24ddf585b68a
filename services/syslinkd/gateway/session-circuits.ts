// Circuits of one line to another cluster. Whoever opened the line numbers its circuits odd, the other side even. What the other side
// may have under way on each is counted here, and of all together there is a most: a reader of ours that stalls costs no more.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { CircuitOpen, CircuitOpenSchema, Frame } from '@odonata/proto/syslink/v1/syslink';
import { Code, type RpcError } from '@odonata/rpc/error.ts';
import { tryAgain } from '@odonata/rpc/refusal.ts';
import { Circuit, type Way } from '@odonata/rpc/syslink/circuit.ts';
import { circuitWeight, errorOf, frame, statusInit } from '@odonata/rpc/syslink/frame.ts';

/** Bytes under way on each circuit, each way; one message more may be sent. */
export const WINDOW_BYTES = 256 * 1024;
/** A message on a circuit. */
export const PIECE_BYTES = 1024 * 1024;
/** What waits of one cluster, on all of its circuits. */
export const WAITING_BYTES = 64 * 1024 * 1024;

interface Open {
  readonly circuit: Circuit;
  underWayBytes: number;
}

export class SessionCircuits {
  readonly #open = new Map<bigint, Open>();
  readonly #send: (word: Frame, sent?: () => void) => void;
  readonly #most: () => number;
  readonly #stray: () => void;
  #lastNumber: bigint;
  #underWayBytes = 0;

  constructor(options: {
    firstNumber: bigint;
    send: (word: Frame, sent?: () => void) => void;
    most: () => number;
    stray: () => void;
  }) {
    this.#lastNumber = options.firstNumber - 2n;
    this.#send = options.send;
    this.#most = options.most;
    this.#stray = options.stray;
  }

  get size(): number {
    return this.#open.size;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED */
  open(about: MessageInitShape<typeof CircuitOpenSchema>): Circuit {
    if (this.#open.size >= this.#most()) throw full(this.#most());
    this.#lastNumber += 2n;
    this.#send(frame({ case: 'circuitOpen', value: { ...about, circuit: this.#lastNumber } }));
    return this.#add(this.#lastNumber);
  }

  /** @returns undefined where it is refused; the other side has been told */
  accept({ circuit: number }: CircuitOpen): Circuit | undefined {
    if (number % 2n === (this.#lastNumber + 2n) % 2n || this.#open.has(number)) {
      this.#close(
        number,
        tryAgain(Code.ResourceExhausted, `circuit ${number} has a number that it may not have`),
      );
      return undefined;
    }
    if (this.#open.size >= this.#most()) {
      this.#close(number, full(this.#most()));
      return undefined;
    }
    this.#send(frame({ case: 'circuitOpened', value: { circuit: number } }));
    return this.#add(number);
  }

  /** @returns false: it is no word of a circuit that is open */
  receive(received: Frame['frame']): boolean {
    switch (received.case) {
      case 'circuitData':
        this.#data(received.value.circuit, received.value.data);
        return true;
      case 'circuitWindow':
        this.#of(received.value.circuit)?.circuit.windowed(received.value.takenBytes);
        return true;
      case 'circuitOpened':
        return true;
      case 'circuitClose': {
        const { circuit: number, half, status } = received.value;
        const open = this.#of(number);
        if (half) open?.circuit.halfClosed();
        else if (open !== undefined) {
          this.#forget(number);
          open.circuit.closed(errorOf(status));
        }
        return true;
      }
      default:
        return false;
    }
  }

  lost(error: RpcError): void {
    const all = [...this.#open.values()];
    this.#open.clear();
    this.#underWayBytes = 0;
    for (const { circuit } of all) circuit.closed(error);
  }

  #data(number: bigint, data: Uint8Array): void {
    const open = this.#of(number);
    if (open === undefined) return;
    const bytes = circuitWeight(data);
    const isTooMuch =
      open.underWayBytes >= WINDOW_BYTES ||
      this.#underWayBytes + bytes > WAITING_BYTES ||
      bytes > PIECE_BYTES;
    if (isTooMuch) {
      open.circuit.close(tryAgain(Code.ResourceExhausted, 'more than the window of the circuit'));
      return;
    }
    open.underWayBytes += bytes;
    this.#underWayBytes += bytes;
    // Of a whole batch: it is kept no longer than what is read of it.
    open.circuit.received(data.slice());
  }

  #of(number: bigint): Open | undefined {
    const open = this.#open.get(number);
    if (open === undefined) this.#stray();
    return open;
  }

  #add(number: bigint): Circuit {
    const way: Way = {
      number,
      send: (word, sent) => {
        const { frame: said } = word;
        if (said.case === 'circuitWindow') this.#taken(number, said.value.takenBytes);
        this.#send(word, sent);
        if (said.case === 'circuitClose' && !said.value.half) this.#forget(number);
      },
      leave: () => this.#forget(number),
    };
    const circuit = new Circuit(way, WINDOW_BYTES);
    this.#open.set(number, { circuit, underWayBytes: 0 });
    return circuit;
  }

  #taken(number: bigint, bytes: number): void {
    const open = this.#open.get(number);
    if (open === undefined) return;
    open.underWayBytes -= bytes;
    this.#underWayBytes -= bytes;
  }

  #forget(number: bigint): void {
    this.#underWayBytes -= this.#open.get(number)?.underWayBytes ?? 0;
    this.#open.delete(number);
  }

  #close(circuit: bigint, error: RpcError): void {
    this.#send(frame({ case: 'circuitClose', value: { circuit, half: false, status: statusInit(error) } }));
  }
}

const full = (most: number): RpcError =>
  tryAgain(Code.ResourceExhausted, `${most} circuits are open, the most of one cluster`);
