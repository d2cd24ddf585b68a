// The circuits that run on one line to a router, by their numbers on it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AddressSchema,
  CircuitClose,
  CircuitOpen,
  CircuitOpened,
  CircuitOpenSchema,
  Frame,
} from '@odonata/proto/syslink/v1/syslink';
import { ownTurn } from '../bug.ts';
import { Code, fromServiceError, RpcError } from '../error.ts';
import { Circuit, type Way } from './circuit.ts';
import { CIRCUITS_LIMIT, errorOf, frame, HOP_LIMIT } from './frame.ts';
import type { Progress } from './kept.ts';
import type { LastingCircuits } from './lasting-served.ts';

/** Of what tells a circuit that lasts from all others. */
export const LASTING_BYTES = 16;
const START: Progress = { received: 0, takenBytes: 0 };
/** What a router says of a way that is gone, or is not there yet. */
const OF_THE_WAY: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Cancelled,
  Code.NotFound,
  Code.ResourceExhausted,
]);

export type AddressInit = MessageInitShape<typeof AddressSchema>;
export type CircuitInit = Omit<MessageInitShape<typeof CircuitOpenSchema>, 'circuit' | '$typeName'>;

/** What runs on a line under a number. */
interface Numbered {
  readonly circuit: Circuit;
  /** The other end took it, or did not take it; until then nothing else is heard of it. */
  answered?: ((answer: CircuitOpened | Refusal) => void) | undefined;
  /** It waits for that, to go on over this line. */
  asks: boolean;
  /** Whoever opened it at the other end is gone, where a router says so: then it is over. */
  readonly withCaller?: boolean;
}

/** Why a circuit does not go on over a line. */
export interface Refusal {
  readonly error: RpcError;
  /** Another way, or the same one later, may do. */
  readonly again: boolean;
}

export interface LineCircuitsOptions {
  readonly send: Way['send'];
  /** One is over. */
  readonly forgot: () => void;
}

type OfCircuit = Extract<
  Frame['frame'],
  { case: 'circuitOpened' | 'circuitData' | 'circuitWindow' | 'circuitClose' }
>;

export class LineCircuits {
  readonly #options: LineCircuitsOptions;
  readonly #circuits = new Map<bigint, Numbered>();
  #lastCircuit = -1n;
  windowBytes = 0;

  constructor(options: LineCircuitsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#circuits.size;
  }

  /** @param opened the other end took it; asked for only where it is to last */
  open(init: CircuitInit, opened?: (answer: CircuitOpened) => void): Circuit {
    const number = this.#nextCircuit();
    const circuit = this.#circuit(number, {
      lasting: opened !== undefined,
      answered: (answer) => {
        if (!('again' in answer)) opened?.(answer);
      },
    });
    this.#options.send(
      frame({ case: 'circuitOpen', value: { hopLimit: HOP_LIMIT, ...init, circuit: number } }),
    );
    return circuit;
  }

  /** A circuit whose way broke goes on over this line. @returns why not, where it does not */
  reopen(circuit: Circuit, init: CircuitInit, attempt: number, waitMs: number): Promise<Refusal | undefined> {
    const progress = circuit.begin();
    return new Promise((resolve) => {
      const number = this.#nextCircuit();
      const way = this.#way(number);
      const done = (refusal?: Refusal): void => {
        clearTimeout(timer);
        resolve(refusal);
      };
      const late = new RpcError(Code.Unavailable, `the circuit did not go on in ${waitMs} ms`);
      const timer = setTimeout(
        ownTurn({ timer: 'reopen' }, () => {
          way.leave();
          done({ error: late, again: true });
        }),
        waitMs,
      );
      const answered = (answer: CircuitOpened | Refusal): void => {
        const refusal = 'again' in answer ? answer : goOn(circuit, way, answer);
        if (refusal !== undefined) way.leave();
        done(refusal);
      };
      this.#circuits.set(number, { circuit, answered, asks: true });
      const resumed = {
        received: BigInt(progress.received),
        takenBytes: BigInt(progress.takenBytes),
        attempt,
      };
      const value = { hopLimit: HOP_LIMIT, ...init, circuit: number, resumed };
      this.#options.send(frame({ case: 'circuitOpen', value }));
    });
  }

  /** Another end opens one; undefined: it was open before, and goes on. */
  opens(open: CircuitOpen, lasting: LastingCircuits): Circuit | undefined {
    if (open.resumed !== undefined) {
      this.#resume(open, lasting);
      return undefined;
    }
    const lasts = open.lasting.length === LASTING_BYTES;
    const { withCaller } = open;
    const circuit = this.#circuit(open.circuit, { lasting: lasts, answered: undefined, withCaller });
    this.#options.send(openedFrame(open.circuit, lasts ? START : undefined));
    return circuit;
  }

  received(frame: OfCircuit): void {
    switch (frame.case) {
      case 'circuitOpened': {
        // We sent on within the window already.
        const numbered = this.#circuits.get(frame.value.circuit);
        if (numbered === undefined) return;
        const { answered } = numbered;
        numbered.answered = undefined;
        numbered.asks = false;
        answered?.(frame.value);
        return;
      }
      case 'circuitData':
        this.#heard(frame.value.circuit)?.received(frame.value.data);
        return;
      case 'circuitWindow':
        this.#heard(frame.value.circuit)?.windowed(frame.value.takenBytes + frame.value.earlierBytes);
        return;
      case 'circuitClose':
        this.#closed(frame.value);
    }
  }

  /** The router asks everybody to go elsewhere. */
  leaving(): void {
    for (const { circuit, asks } of [...this.#circuits.values()])
      if (!asks && circuit.lasts) circuit.onLeaving?.();
  }

  /** The line is over. */
  lost(error: RpcError): void {
    const circuits = [...this.#circuits.values()];
    this.#circuits.clear();
    for (const { circuit, asks, answered } of circuits) {
      if (asks) answered?.({ error, again: true });
      else if (circuit.lasts) circuit.lost(error);
      else circuit.closed(error);
    }
  }

  #nextCircuit(): bigint {
    if (this.#circuits.size >= CIRCUITS_LIMIT) {
      throw new RpcError(Code.ResourceExhausted, `${CIRCUITS_LIMIT} circuits are open already`);
    }
    this.#lastCircuit += 2n;
    return this.#lastCircuit;
  }

  #circuit(
    number: bigint,
    { lasting, ...numbered }: Pick<Numbered, 'answered' | 'withCaller'> & { lasting: boolean },
  ): Circuit {
    const circuit = new Circuit(this.#way(number), this.windowBytes, { lasting });
    this.#circuits.set(number, { ...numbered, circuit, asks: false });
    return circuit;
  }

  #way(number: bigint): Way {
    return {
      number,
      send: (frame, sent, written) => {
        this.#options.send(frame, sent, written);
        if (frame.frame.case === 'circuitClose' && !frame.frame.value.half) this.#forget(number);
      },
      leave: () => {
        if (!this.#circuits.has(number)) return;
        const status = { code: Code.Cancelled, reason: 'it goes another way' };
        const value = { circuit: number, half: false, status, otherWay: true };
        this.#options.send(frame({ case: 'circuitClose', value }));
        this.#forget(number);
      },
    };
  }

  #forget(circuit: bigint): void {
    this.#circuits.delete(circuit);
    this.#options.forgot();
  }

  /** A circuit of ours that a caller opened by another way goes on over this one. */
  #resume(open: CircuitOpen, lasting: LastingCircuits): void {
    const { circuit: number } = open;
    const way = this.#way(number);
    const circuit = lasting.find(open);
    if (circuit === undefined) {
      const status = { code: Code.Aborted, reason: 'this end does not remember the circuit' };
      way.send(frame({ case: 'circuitClose', value: { circuit: number, half: false, status } }));
      return;
    }
    const progress = circuit.begin();
    this.#circuits.set(number, { circuit, asks: false, withCaller: open.withCaller });
    this.#options.send(openedFrame(number, progress));
    const refusal = goOn(circuit, way, { progress: open.resumed });
    if (refusal === undefined) return;
    const status = { code: refusal.error.code, reason: refusal.error.details };
    way.send(frame({ case: 'circuitClose', value: { circuit: number, half: false, status } }));
    circuit.closed(refusal.error);
  }

  #closed({ circuit: number, half, status, byRouter, otherWay }: CircuitClose): void {
    const numbered = this.#circuits.get(number);
    if (numbered === undefined) return;
    const { circuit, asks, answered, withCaller } = numbered;
    const error = errorOf(status);
    if (half) {
      if (!asks) circuit.halfClosed();
      return;
    }
    this.#forget(number);
    const isCallerGone = byRouter && withCaller === true && error?.code === Code.Cancelled;
    const again =
      otherWay || (byRouter && error !== undefined && OF_THE_WAY.has(error.code) && !isCallerGone);
    const reason = error ?? new RpcError(Code.Aborted, 'it is over');
    if (asks) answered?.({ error: reason, again });
    else if (circuit.lasts && again) circuit.lost(reason);
    else circuit.closed(error);
  }

  #heard(number: bigint): Circuit | undefined {
    const numbered = this.#circuits.get(number);
    return numbered?.asks ? undefined : numbered?.circuit;
  }
}

function openedFrame(circuit: bigint, progress: Progress | undefined): Frame {
  if (progress === undefined) return frame({ case: 'circuitOpened', value: { circuit } });
  const { received, takenBytes } = progress;
  const value = { circuit, progress: { received: BigInt(received), takenBytes: BigInt(takenBytes) } };
  return frame({ case: 'circuitOpened', value });
}

/** @returns why not */
function goOn(
  circuit: Circuit,
  way: Way,
  { progress }: Pick<CircuitOpened, 'progress'>,
): Refusal | undefined {
  if (progress === undefined)
    return { error: new RpcError(Code.Aborted, 'the far end does not go on with circuits'), again: false };
  try {
    circuit.goOn(way, { received: Number(progress.received), takenBytes: Number(progress.takenBytes) });
    return undefined;
  } catch (error) {
    return { error: fromServiceError(error), again: false };
  }
}
