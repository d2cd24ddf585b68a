// The standard streams of children on other nodes: pipes of this virtual kernel, or what a process here reads and writes itself, with
// the supervisor as the way there.
import type { ChildAsked, ChildOutput, ChildTaken } from '@odonata/proto/vkernel/v1/vkernel';
import { InputState, StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { type ChildSource, FileSource, OwnSource, PipeSource, type Taken } from './child-source.ts';
import { FileStream } from './file-streams.ts';
import type { HeldDescriptor } from './held-descriptors.ts';
import { payloadBytesMax } from './kernel-call.ts';
import type { Limits } from './limits.ts';
import { PipeOutput } from './pipe-output.ts';
import type { StandardInput } from './standard-input.ts';

const PIECE_BYTES = 65_536;
/** Of input, on their way: the supervisor keeps no more. */
const PIECES_AHEAD = 8;

type RemoteEvent =
  | { case: 'childInput'; value: { pid: bigint; number: number; data?: Uint8Array; state?: InputState } }
  | { case: 'childTaken'; value: { pid: bigint; number: number; bytes: number } }
  | { case: 'childClosed'; value: { pid: bigint; number: number; stream: StdStream } };

/** What of its own a process hands on. */
export interface OwnStreams {
  readonly input: StandardInput;
  inputTaken(bytes: number): void;
  /** False: it is over, or nobody reads it. */
  relay(stream: 1 | 2, data: Uint8Array<ArrayBuffer>, taken: () => void): boolean;
}

type Given = HeldDescriptor | undefined;
type Output = PipeOutput | FileStream | (1 | 2);

interface Streams {
  readonly pid: bigint;
  readonly number: number;
  readonly source: ChildSource | undefined;
  readonly outputs: ReadonlyMap<StdStream, Output>;
  readonly own: OwnStreams;
  /** Those that were told to be closed. */
  readonly closed: Set<StdStream>;
  /** Asks are answered one after another. */
  answered: Promise<void>;
  /** All of it goes there by itself. */
  flows: boolean;
  /** It is told when there may be something. */
  watches: boolean;
  /** Pieces of input that did not go on yet. */
  ahead: number;
  /** One went on. */
  more: () => void;
}

export class RemoteStreams {
  readonly #send: (event: RemoteEvent) => void;
  readonly #limits: Limits | undefined;
  readonly #streams = new Map<string, Streams>();
  /** What came before the answer to the spawn: no more than is under way. */
  readonly #early = new Map<string, (() => void)[]>();

  constructor(send: (event: RemoteEvent) => void, limits?: Limits) {
    this.#send = send;
    this.#limits = limits;
  }

  /** @param given what the child has as its streams; the descriptors among it are ours from now on */
  open(pid: bigint, number: number, given: readonly HeldDescriptor[], own: OwnStreams): void {
    const of = (to: number): Given => given.find((each) => each.to === to);
    const outputs = new Map<StdStream, Output>();
    const source = sourceOf(of(0), own);
    const closed = new Set<StdStream>();
    const about = { pid, number, source, outputs, own, closed };
    const streams: Streams = {
      ...{ ...about, answered: Promise.resolve() },
      ...{ flows: false, watches: false, ahead: 0, more: () => {} },
    };
    for (const [to, stream] of [
      [1, StdStream.OUT],
      [2, StdStream.ERR],
    ] as const) {
      const each = of(to);
      if (each === undefined) continue;
      if (FileStream.isOne(each))
        outputs.set(stream, new FileStream(each, this.#limits, () => this.#closed(streams, stream)));
      else if ('host' in each)
        outputs.set(stream, new PipeOutput(each.host, () => this.#closed(streams, stream)));
      else if ('stream' in each && each.stream !== 0) outputs.set(stream, each.stream);
    }
    const key = `${pid} ${number}`;
    this.#streams.set(key, streams);
    if (source === undefined) this.#send({ case: 'childInput', value: { pid, number } });
    const early = this.#early.get(key) ?? [];
    this.#early.delete(key);
    for (const each of early) each();
  }

  /** It was not started after all. */
  abandon(pid: bigint, number: number): void {
    this.#early.delete(`${pid} ${number}`);
    this.#end(`${pid} ${number}`);
  }

  /** Another supervisor took over: the ways of the last one are gone. */
  onReattached(): void {
    for (const key of [...this.#streams.keys()]) this.#end(key);
    this.#early.clear();
  }

  output(said: ChildOutput): void {
    const { pid, number, output } = said;
    const key = `${pid} ${number}`;
    const streams = this.#streams.get(key);
    if (streams === undefined) {
      this.#later(key, () => this.output(said));
      return;
    }
    if (output === undefined) {
      this.#end(key);
      return;
    }
    const bytes = output.data.length;
    const taken = () => this.#send({ case: 'childTaken', value: { pid, number, bytes } });
    const to = streams.outputs.get(output.stream);
    const data = output.data.slice() as Uint8Array<ArrayBuffer>;
    if (to instanceof PipeOutput || to instanceof FileStream) to.write(data, taken);
    else if (to === undefined) taken();
    else if (!streams.own.relay(to, data, taken)) {
      taken();
      this.#closed(streams, output.stream);
    }
  }

  inputTaken({ pid, number }: ChildTaken): void {
    const streams = this.#streams.get(`${pid} ${number}`);
    if (streams === undefined) return;
    streams.ahead -= 1;
    streams.more();
  }

  /** The child reads, or will never read what it has. */
  asked(said: ChildAsked): void {
    const { pid, number, maxBytes, unread } = said;
    const key = `${pid} ${number}`;
    const streams = this.#streams.get(key);
    if (streams === undefined) {
      if (unread.length === 0) this.#later(key, () => this.asked(said));
      return;
    }
    if (streams.source === undefined || streams.flows) return;
    if (unread.length > 0) streams.source.putBack(unread);
    else
      streams.answered = streams.answered.then(() =>
        this.#answer(streams, Math.min(maxBytes, payloadBytesMax)),
      );
  }

  async #answer(streams: Streams, maxBytes: number): Promise<void> {
    const { source } = streams;
    if (source === undefined || streams.flows || !this.#isOpen(streams)) return;
    const taken = await source.take(maxBytes);
    if (!this.#isOpen(streams)) {
      if (taken instanceof Uint8Array) source.putBack(taken);
      return;
    }
    if (taken === 'alone') {
      streams.flows = true;
      void this.#flow(streams, source as PipeSource);
      return;
    }
    this.#say(streams, taken);
    if (taken !== 'waits' || streams.watches) return;
    streams.watches = true;
    void source.ready().then(() => {
      streams.watches = false;
      if (this.#isOpen(streams)) this.#say(streams, 'ready');
    });
  }

  #say({ pid, number }: Streams, taken: Exclude<Taken, 'alone'>): void {
    const value =
      taken instanceof Uint8Array ? { data: taken } : taken === 'end' ? {} : { state: STATES[taken] };
    this.#send({ case: 'childInput', value: { pid, number, ...value } });
  }

  /** As it comes, some pieces ahead. */
  async #flow(streams: Streams, source: PipeSource): Promise<void> {
    for await (const chunk of source.flow())
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
        if (!this.#isOpen(streams)) return;
        this.#say(streams, chunk.subarray(at, at + PIECE_BYTES));
        streams.ahead += 1;
        if (streams.ahead < PIECES_AHEAD) continue;
        await new Promise<void>((resolve) => {
          streams.more = resolve;
        });
      }
    if (this.#isOpen(streams)) this.#say(streams, 'end');
  }

  #isOpen(streams: Streams): boolean {
    return this.#streams.get(`${streams.pid} ${streams.number}`) === streams;
  }

  #closed(streams: Streams, stream: StdStream): void {
    const { pid, number, closed } = streams;
    if (!this.#isOpen(streams) || closed.has(stream)) return;
    closed.add(stream);
    this.#send({ case: 'childClosed', value: { pid, number, stream } });
  }

  #later(key: string, what: () => void): void {
    const early = this.#early.get(key) ?? [];
    this.#early.set(key, early);
    early.push(what);
  }

  #end(key: string): void {
    const streams = this.#streams.get(key);
    if (streams === undefined) return;
    this.#streams.delete(key);
    streams.more();
    streams.source?.end();
    for (const to of streams.outputs.values())
      if (to instanceof FileStream || to instanceof PipeOutput) to.end();
  }
}

const STATES = {
  waits: InputState.WAITS,
  ready: InputState.READY,
  'end once': InputState.END_ONCE,
} as const;

function sourceOf(given: Given, { input, inputTaken }: OwnStreams): ChildSource | undefined {
  if (given === undefined) return undefined;
  if (FileStream.isOne(given)) return new FileSource(new FileStream(given));
  if ('host' in given) return new PipeSource(given.host);
  return 'stream' in given && given.stream === 0 ? new OwnSource(input, inputTaken) : undefined;
}
