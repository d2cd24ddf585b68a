// The standard streams of children on other nodes, between the circuit to there and the virtual kernel of the parent, which has the
// pipes. Each direction is bounded: input goes some pieces ahead, output as far as it is taken.
import type { SpawnResponse } from '@odonata/proto/vkernel/v1/peer';
import { delay } from '@odonata/rpc/backoff.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Process } from '../process-table.ts';
import type { Vkernels } from '../vkernels.ts';

const STARTED_MS = 30_000;
/** The end of a child waits no longer for what it wrote. */
const SETTLED_MS = 2_000;
/** Of input: a virtual kernel sends half as many ahead. */
const PIECES_MAX = 16;
/** Output that was passed on and not taken. */
const WINDOW_BYTES = 256 * 1024;

const keyOf = (pid: bigint, number: number): string => `${pid} ${number}`;

export class ChildStreams {
  readonly #vkernels: Vkernels;
  readonly #lines = new Map<string, ChildLine>();
  readonly #byToken = new Map<bigint, Promise<void>>();

  constructor(vkernels: Vkernels) {
    this.#vkernels = vkernels;
    vkernels.onChildInput = ({ pid }, number, data) => this.#lines.get(keyOf(pid, number))?.push(data);
    vkernels.onChildTaken = ({ pid }, number, bytes) => this.#lines.get(keyOf(pid, number))?.taken(bytes);
  }

  /** When all that a child wrote is on its way to its parent: who waits for the child looks for that then. */
  async settled(tokens: readonly bigint[]): Promise<void> {
    const open = tokens.flatMap((token) => this.#byToken.get(token) ?? []);
    if (open.length > 0) await Promise.race([Promise.all(open), delay(SETTLED_MS)]);
  }

  open(parent: Process, number: number, token: bigint, streams: boolean): ChildLine {
    const key = keyOf(parent.pid, number);
    const line = new ChildLine(this.#vkernels, parent, number, () => {
      this.#lines.delete(key);
      this.#byToken.delete(token);
    });
    if (streams) {
      this.#lines.set(key, line);
      this.#byToken.set(token, line.over);
    } else line.push(new Uint8Array());
    return line;
  }
}

class ChildLine {
  readonly #vkernels: Vkernels;
  readonly #parent: Process;
  readonly #number: number;
  readonly #closed: () => void;
  readonly #pieces: Uint8Array[] = [];
  #wake: (() => void) | undefined;
  #over = false;
  readonly #ended = Promise.withResolvers<void>();
  #untaken = 0;

  constructor(vkernels: Vkernels, parent: Process, number: number, closed: () => void) {
    this.#vkernels = vkernels;
    this.#parent = parent;
    this.#number = number;
    this.#closed = closed;
  }

  /** Resolves when nothing comes any more. */
  get over(): Promise<void> {
    return this.#ended.promise;
  }

  /** Of its input; empty: the end. */
  push(data: Uint8Array): void {
    if (this.#pieces.length < PIECES_MAX) this.#pieces.push(data.slice());
    else this.close();
    this.#wake?.();
  }

  taken(bytes: number): void {
    this.#untaken -= bytes;
    this.#wake?.();
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#closed();
    this.#ended.resolve();
    this.#wake?.();
  }

  async *input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece?.length === 0 || this.#over) return;
      if (piece === undefined) {
        await this.#change();
        continue;
      }
      yield piece;
      const { pid } = this.#parent;
      this.#vkernels.tell(this.#parent, { case: 'childTaken', value: { pid, number: this.#number } });
    }
  }

  /** The pid; what it writes goes on by itself. @throws RpcError */
  async started(responses: AsyncIterable<SpawnResponse>): Promise<bigint> {
    const iterator = responses[Symbol.asyncIterator]();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        ownTurn({ timer: 'spawn' }, () =>
          reject(new RpcError(Code.DeadlineExceeded, 'the other node did not answer')),
        ),
        STARTED_MS,
      );
    });
    try {
      const first = await Promise.race([iterator.next(), late]);
      if (first.done || first.value.event.case !== 'pid')
        throw new RpcError(Code.Internal, 'the other node did not say what it started');
      void this.#output(iterator);
      return first.value.event.value;
    } finally {
      clearTimeout(timer);
    }
  }

  async #output(responses: AsyncIterator<SpawnResponse>): Promise<void> {
    const { pid } = this.#parent;
    const number = this.#number;
    try {
      for (let next = await responses.next(); !next.done && !this.#over; next = await responses.next()) {
        const { event } = next.value;
        if (event.case !== 'output') continue;
        const { stream, data } = event.value;
        this.#untaken += data.length;
        this.#vkernels.tell(this.#parent, {
          case: 'childOutput',
          value: { pid, number, output: { stream, data } },
        });
        while (this.#untaken > WINDOW_BYTES && !this.#over) await this.#change();
      }
    } catch {
      // The other node, or the way there, is gone: whoever reads has the end.
    }
    this.#vkernels.tell(this.#parent, { case: 'childOutput', value: { pid, number } });
    this.close();
  }

  async #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#wake;
    this.#wake = () => {
      before?.();
      resolve();
    };
    await promise;
    this.#wake = undefined;
  }
}
