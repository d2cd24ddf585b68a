// The standard streams of children on other nodes: pipes of this virtual kernel, or what a process here reads and writes itself, with
// the supervisor as the way there.
import { Socket } from 'node:net';
import type { ChildOutput, ChildTaken } from '@odonata/proto/vkernel/v1/vkernel';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { FileStream } from './file-streams.ts';
import type { HeldDescriptor } from './held-descriptors.ts';
import type { StandardInput } from './standard-input.ts';

const PIECE_BYTES = 65_536;
/** Of input, on their way: the supervisor keeps no more. */
const PIECES_AHEAD = 8;

type RemoteEvent =
  | { case: 'childInput'; value: { pid: bigint; number: number; data: Uint8Array } }
  | { case: 'childTaken'; value: { pid: bigint; number: number; bytes: number } };

/** What of its own a process hands on. */
export interface OwnStreams {
  readonly input: StandardInput;
  inputTaken(bytes: number): void;
  /** False: it is over. */
  relay(stream: 1 | 2, data: Uint8Array<ArrayBuffer>, taken: () => void): boolean;
}

type Given = HeldDescriptor | undefined;

interface Streams {
  readonly input: Socket | FileStream | undefined;
  readonly outputs: ReadonlyMap<StdStream, Socket | FileStream | (1 | 2)>;
  readonly own: OwnStreams;
  /** Pieces of input that did not go on yet. */
  ahead: number;
  /** One went on. */
  more: () => void;
}

export class RemoteStreams {
  readonly #send: (event: RemoteEvent) => void;
  readonly #streams = new Map<string, Streams>();
  /** What came before the answer to the spawn: no more than is under way. */
  readonly #early = new Map<string, ChildOutput[]>();

  constructor(send: (event: RemoteEvent) => void) {
    this.#send = send;
  }

  /** @param given what the child has as its streams; the descriptors among it are ours from now on */
  open(pid: bigint, number: number, given: readonly HeldDescriptor[], own: OwnStreams): void {
    const of = (to: number): Given => given.find((each) => each.to === to);
    const outputs = new Map<StdStream, Socket | FileStream | (1 | 2)>();
    for (const [to, stream] of [
      [1, StdStream.OUT],
      [2, StdStream.ERR],
    ] as const) {
      const each = of(to);
      if (each === undefined) continue;
      if (FileStream.isOne(each)) outputs.set(stream, new FileStream(each));
      else if ('host' in each) outputs.set(stream, socketOf(each.host));
      else if ('stream' in each && each.stream !== 0) outputs.set(stream, each.stream);
    }
    const first = of(0);
    const input = first && inputOf(first);
    const streams: Streams = { input, outputs, own, ahead: 0, more: () => {} };
    const key = `${pid} ${number}`;
    this.#streams.set(key, streams);
    const early = this.#early.get(key) ?? [];
    this.#early.delete(key);
    const send = (data: Uint8Array): Promise<void> => {
      this.#send({ case: 'childInput', value: { pid, number, data } });
      streams.ahead += 1;
      if (streams.ahead < PIECES_AHEAD) return Promise.resolve();
      return new Promise((resolve) => {
        streams.more = resolve;
      });
    };
    if (input instanceof FileStream) void readFile(input, send, () => this.#streams.has(key));
    else if (input !== undefined) void readSocket(input, send);
    else if (first !== undefined && 'stream' in first && first.stream === 0)
      void readOwn(own, send, () => this.#streams.has(key));
    else void send(new Uint8Array());
    for (const output of early) this.output(output);
  }

  /** It was not started after all. */
  abandon(pid: bigint, number: number): void {
    this.#early.delete(`${pid} ${number}`);
    this.#end(`${pid} ${number}`);
  }

  output(said: ChildOutput): void {
    const { pid, number, output } = said;
    const key = `${pid} ${number}`;
    const streams = this.#streams.get(key);
    if (streams === undefined) {
      const early = this.#early.get(key) ?? [];
      this.#early.set(key, early);
      early.push(said);
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
    if (to instanceof Socket || to instanceof FileStream) to.write(data, taken);
    else if (to === undefined || !streams.own.relay(to, data, taken)) taken();
  }

  inputTaken({ pid, number }: ChildTaken): void {
    const streams = this.#streams.get(`${pid} ${number}`);
    if (streams === undefined) return;
    streams.ahead -= 1;
    streams.more();
  }

  #end(key: string): void {
    const streams = this.#streams.get(key);
    if (streams === undefined) return;
    this.#streams.delete(key);
    if (streams.input instanceof FileStream) streams.input.end();
    else streams.input?.destroy();
    for (const to of streams.outputs.values()) {
      if (to instanceof FileStream) to.end();
      if (to instanceof Socket) to.end(() => to.destroy());
    }
  }
}

function socketOf(host: number): Socket {
  const socket = new Socket({ fd: host, readable: true, writable: true, allowHalfOpen: true });
  // Nobody reads any more: what is written then is gone.
  socket.on('error', () => socket.destroy());
  return socket;
}

function inputOf(given: HeldDescriptor): Socket | FileStream | undefined {
  if (FileStream.isOne(given)) return new FileStream(given);
  return 'host' in given ? socketOf(given.host) : undefined;
}

/** Until its end, or the child's. */
async function readFile(
  file: FileStream,
  send: (data: Uint8Array) => Promise<void>,
  isOpen: () => boolean,
): Promise<void> {
  try {
    while (isOpen()) {
      const data = await file.read();
      if (data.length === 0) break;
      await send(data);
    }
  } catch {
    // As its end.
  }
  await send(new Uint8Array());
}

async function readSocket(socket: Socket, send: (data: Uint8Array) => Promise<void>): Promise<void> {
  try {
    for await (const chunk of socket)
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) await send(chunk.subarray(at, at + PIECE_BYTES));
  } catch {
    // As its end.
  }
  await send(new Uint8Array());
}

async function readOwn(
  { input, inputTaken }: OwnStreams,
  send: (data: Uint8Array) => Promise<void>,
  isOpen: () => boolean,
): Promise<void> {
  for (;;) {
    await input.whenReadable(-1);
    // What is typed after the end of the child is its parent's.
    if (!isOpen()) return;
    const data = input.take(PIECE_BYTES);
    if (data.length > 0) inputTaken(data.length);
    await send(data);
    if (data.length === 0) return;
  }
}
