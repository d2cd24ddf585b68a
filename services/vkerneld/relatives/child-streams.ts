// The standard streams of children on other nodes, between the circuit to there and the virtual kernel of the parent, which has the
// pipes. Each direction is bounded: input goes as it is asked for, or some pieces ahead, output as far as it is taken.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Message } from '@odonata/processes/message.ts';
import type { SpawnRequestSchema, SpawnResponse } from '@odonata/proto/vkernel/v1/peer';
import { type ChildInput, InputState } from '@odonata/proto/vkernel/v1/vkernel';
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
const PIECE_BYTES = 65_536;
/** Output that was passed on and not taken. */
const WINDOW_BYTES = 256 * 1024;
/** Who writes a few bytes at a time is slowed before it is many messages: then more of it goes at once. */
const WINDOW_PIECES = 32;

/** Children whose streams broke: the last of them. An end is told until it was taken. */
const BROKEN_MAX = 16_384;

const keyOf = (pid: bigint, number: number): string => `${pid} ${number}`;

export class ChildStreams {
  readonly #vkernels: Vkernels;
  readonly #lines = new Map<string, ChildLine>();
  readonly #byToken = new Map<bigint, Promise<void>>();
  /** Tokens. */
  readonly #broken = new Set<bigint>();

  constructor(vkernels: Vkernels) {
    this.#vkernels = vkernels;
    vkernels.onChildInput = ({ pid }, input) => this.#lines.get(keyOf(pid, input.number))?.push(input);
    vkernels.onChildClosed = ({ pid }, { number, stream }) =>
      this.#lines.get(keyOf(pid, number))?.send({ case: 'outputClosed', value: stream });
    vkernels.onChildTaken = ({ pid }, number, bytes) => this.#lines.get(keyOf(pid, number))?.taken(bytes);
  }

  /** When all that a child wrote is on its way to its parent: who waits for the child looks for that then. */
  async settled(tokens: readonly bigint[]): Promise<void> {
    const open = tokens.flatMap((token) => this.#byToken.get(token) ?? []);
    if (open.length > 0) await Promise.race([Promise.all(open), delay(SETTLED_MS)]);
  }

  /** An end, as the parent hears it: not as a success where some of what went to the child, or came of it, may be lost. */
  heard(message: Message): Message {
    if (message.kind !== 'exited' || !this.#broken.has(message.token)) return message;
    const { code, signal } = message.status;
    if (code !== 0 || signal !== '') return message;
    const reason = 'the way to its standard streams broke, and some of them may be lost';
    return { ...message, status: { code: 141, signal: 'SIGPIPE', reason } };
  }

  open(parent: Process, number: number, token: bigint, streams: boolean): ChildLine {
    const key = keyOf(parent.pid, number);
    const line = new ChildLine(this.#vkernels, parent, number, (isBroken) => {
      this.#lines.delete(key);
      this.#byToken.delete(token);
      if (!isBroken || !streams) return;
      const [oldest] = this.#broken;
      if (this.#broken.size >= BROKEN_MAX && oldest !== undefined) this.#broken.delete(oldest);
      this.#broken.add(token);
    });
    if (streams) {
      this.#lines.set(key, line);
      this.#byToken.set(token, line.over);
    } else line.send(END);
    return line;
  }

  /** A virtual kernel is over, and its processes with it. */
  lost(vkernel: string): void {
    for (const line of [...this.#lines.values()])
      if (line.parent.vkernel === vkernel) line.close(false, true);
  }
}

type Request = NonNullable<MessageInitShape<typeof SpawnRequestSchema>['event']>;
const END: Request = { case: 'stdinEnd', value: {} };

class ChildLine {
  readonly parent: Process;
  readonly #vkernels: Vkernels;
  readonly #number: number;
  readonly #closed: (isBroken: boolean) => void;
  readonly #requests: Request[] = [];
  /** One of an older release has its input sent; undefined: it is not known yet. */
  #asks: boolean | undefined;
  readonly #waiting: (() => void)[] = [];
  #over = false;
  #isSettled = false;
  readonly #ended = Promise.withResolvers<void>();
  readonly #leaving = new AbortController();
  #untaken = 0;
  #untakenPieces = 0;

  constructor(vkernels: Vkernels, parent: Process, number: number, closed: (isBroken: boolean) => void) {
    this.#vkernels = vkernels;
    this.parent = parent;
    this.#number = number;
    this.#closed = closed;
  }

  /** Resolves when nothing comes any more. */
  get over(): Promise<void> {
    return this.#ended.promise;
  }

  /** Of the call: whoever has the child hears at once that nobody is at its streams. */
  get signal(): AbortSignal {
    return this.#leaving.signal;
  }

  /** Of its input. */
  push({ data, state }: ChildInput): void {
    if (this.#asks === false) {
      // It does not know of states: what it may have it is sent.
      if (state === InputState.READY) this.#ask(PIECE_BYTES);
      if (state === InputState.READY || state === InputState.WAITS) return;
      this.send(data.length === 0 ? END : { case: 'stdin', value: data.slice() });
    } else if (state !== InputState.UNSPECIFIED) this.send({ case: 'inputState', value: state });
    else this.send(data.length === 0 ? END : { case: 'stdin', value: data.slice() });
  }

  send(request: Request): void {
    if (this.#requests.length < PIECES_MAX) this.#requests.push(request);
    else this.close(true);
    this.#wake();
  }

  /** Its child asks, or has bytes that it will not read. */
  #ask(maxBytes: number, unread = new Uint8Array()): void {
    const { pid } = this.parent;
    const number = this.#number;
    this.#vkernels.tell(this.parent, { case: 'childAsked', value: { pid, number, maxBytes, unread } });
  }

  taken(bytes: number): void {
    this.#untaken -= bytes;
    this.#untakenPieces -= 1;
    this.#wake();
    if (this.#over && this.#untaken <= 0) this.#settle(false);
  }

  /** What it wrote is in its place before who waits for it looks there. @param isBroken before its child ended; @param isTaken nobody is there to take it */
  close(isBroken = false, isTaken = false): void {
    if (this.#over) return;
    this.#over = true;
    this.#wake();
    this.#leaving.abort();
    if (isBroken || isTaken || this.#untaken <= 0) this.#settle(isBroken);
    else {
      const late = ownTurn({ timer: 'child output', pid: this.parent.pid }, () => this.#settle(false));
      setTimeout(late, SETTLED_MS).unref();
    }
  }

  #settle(isBroken: boolean): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#closed(isBroken);
    this.#ended.resolve();
  }

  /** What goes to the other node, until the child is over. */
  async *requests(): AsyncGenerator<Request> {
    while (!this.#over) {
      const request = this.#requests.shift();
      if (request === undefined) {
        await this.#change();
        continue;
      }
      yield request;
      if (request.case !== 'stdin') continue;
      const { pid } = this.parent;
      this.#vkernels.tell(this.parent, { case: 'childTaken', value: { pid, number: this.#number } });
      if (this.#asks === false) this.#ask(PIECE_BYTES);
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
      this.#asks = first.value.asksInput;
      if (!this.#asks) this.#ask(PIECE_BYTES);
      void this.#output(iterator);
      return first.value.event.value;
    } finally {
      clearTimeout(timer);
    }
  }

  async #output(responses: AsyncIterator<SpawnResponse>): Promise<void> {
    const { pid } = this.parent;
    const number = this.#number;
    let isBroken = false;
    try {
      for (let next = await responses.next(); !next.done && !this.#over; next = await responses.next()) {
        const { event } = next.value;
        if (event.case === 'inputAsked') this.#ask(event.value);
        if (event.case === 'unread') this.#ask(0, event.value.slice());
        if (event.case !== 'output') continue;
        const { stream, data } = event.value;
        this.#untaken += data.length;
        this.#untakenPieces += 1;
        this.#vkernels.tell(this.parent, {
          case: 'childOutput',
          value: { pid, number, output: { stream, data } },
        });
        while (this.#isFull && !this.#over) await this.#change();
      }
    } catch {
      // The other node, or the way there, is gone: whoever reads has the end.
      isBroken = true;
    }
    this.#vkernels.tell(this.parent, { case: 'childOutput', value: { pid, number } });
    this.close(isBroken);
  }

  get #isFull(): boolean {
    return this.#untaken > WINDOW_BYTES || this.#untakenPieces > WINDOW_PIECES;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Both directions may wait: each looks for itself. */
  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
