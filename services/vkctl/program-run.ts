// One program, from the module's first byte to its exit, over the supervisor's Run stream.
//
//   us:   start, module..., module_end           then, once it started: stdin..., stdin_end
//   them:                               started, output..., exited
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  Exited,
  Output,
  ProgramSpecSchema,
  RunRequestSchema,
  RunResponse,
  Started,
} from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import type { Connection } from './connection.ts';

const MODULE_PIECE_BYTES = 2 ** 20;
const STDIN_PIECE_BYTES = 64 * 1024;

type Request = MessageInitShape<typeof RunRequestSchema>;
export type ProgramSpec = Omit<MessageInitShape<typeof ProgramSpecSchema>, 'module' | '$typeName'>;

export interface ProgramIo {
  /** Standard input; absent: empty. */
  stdin?: AsyncIterable<Uint8Array>;
  onStarted?: (started: Started) => void;
  /** Awaited before the next piece is taken: what is slow to read slows the program, not us. */
  onOutput?: (output: Output) => void | Promise<void>;
  /** Cancels the call: a program that is not detached ends. */
  signal?: AbortSignal;
}

export class ProgramRun {
  readonly #requests = new BoundedQueue<Request>({ name: 'requests to a program', capacity: 16 });
  readonly #responses: AsyncIterable<RunResponse>;
  readonly #io: ProgramIo;
  readonly #kill: (signal: string, pid: bigint) => Promise<unknown>;
  readonly #pid = Promise.withResolvers<bigint>();

  constructor(to: Connection, node: string, spec: ProgramSpec, module: Uint8Array, io: ProgramIo) {
    this.#io = io;
    this.#kill = (signal, pid) => to.vkerneld(node).kill({ pid, signal });
    const requests = this.#allRequests(spec, module);
    this.#responses = to.vkerneld(node).run(requests, { signal: io.signal });
  }

  /**
   * SIGINT, SIGTERM or SIGKILL. Before the program started it waits until then. Not on the stream: there it would
   * stand behind input that the program may never read.
   */
  async signal(name: string): Promise<void> {
    await this.#kill(name, await this.#pid.promise);
  }

  /** Takes the output until the program ends. */
  async exited(): Promise<Exited> {
    for await (const { event } of this.#responses) {
      if (event.case === 'started') this.#started(event.value);
      if (event.case === 'output') await this.#io.onOutput?.(event.value);
      if (event.case === 'exited') {
        this.#requests.close();
        return event.value;
      }
    }
    throw new RpcError(Code.Unavailable, 'the stream of the program ended without its exit');
  }

  /** For a detached program: resolves once it runs; it goes on without us. */
  async started(): Promise<Started> {
    for await (const { event } of this.#responses) {
      if (event.case !== 'started') continue;
      this.#requests.close();
      return event.value;
    }
    throw new RpcError(Code.Unavailable, 'the stream of the program ended before its start');
  }

  #started(started: Started): void {
    this.#pid.resolve(started.pid);
    this.#io.onStarted?.(started);
    this.#feedStdin().catch((error: unknown) => this.#requests.fail(error));
  }

  async *#allRequests(spec: ProgramSpec, module: Uint8Array): AsyncIterable<Request> {
    yield { event: { case: 'start', value: spec } };
    for (let at = 0; at < module.length; at += MODULE_PIECE_BYTES) {
      yield { event: { case: 'module', value: module.subarray(at, at + MODULE_PIECE_BYTES) } };
    }
    yield { event: { case: 'moduleEnd', value: {} } };
    if (spec.detach) yield { event: { case: 'stdinEnd', value: {} } };
    yield* this.#requests;
  }

  async #feedStdin(): Promise<void> {
    for await (const chunk of this.#io.stdin ?? []) {
      for (let at = 0; at < chunk.length; at += STDIN_PIECE_BYTES) {
        if (this.#requests.ended) return;
        const value = chunk.subarray(at, at + STDIN_PIECE_BYTES);
        await this.#requests.push({ event: { case: 'stdin', value } });
      }
    }
    if (!this.#requests.ended) await this.#requests.push({ event: { case: 'stdinEnd', value: {} } });
  }
}
