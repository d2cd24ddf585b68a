import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Output, RunRequest, RunResponseSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { shortenedCommand } from './command-line.ts';
import type { ExitInit, Process, ProcessTable, Watcher } from './process-table.ts';
import type { Program } from './program-spec.ts';
import { grantedDirectories, readProgram } from './program-spec.ts';
import { checkSignal } from './signals.ts';
import type { VkernelChild } from './vkernel-child.ts';
import type { Vkernels } from './vkernels.ts';
import { DEFAULT_VKERNEL } from './vkernels.ts';

type Response = MessageInitShape<typeof RunResponseSchema>;

/** Standard input that may be on its way and not read by the program. */
const INPUT_WINDOW_BYTES = 1024 * 1024;
const INPUT_BYTES = 64 * 1024;
/** Four times the credit that a program has for its output: more than that is the virtual kernel's bug. */
const OUTPUT_BYTES = 4 * 1024 * 1024;
/** A module larger than this goes to the virtual kernel in pieces of this. */
const PIECE_BYTES = 8 * 1024 * 1024;

export interface RunPlace {
  readonly node: string;
  readonly allowDirs: readonly string[];
  readonly table: ProcessTable;
  readonly vkernels: Vkernels;
}

/** The Run call: loads a program, starts it, and is its terminal until it ends or, detached, until the caller goes. */
export async function* run(
  place: RunPlace,
  requests: AsyncIterable<RunRequest>,
  ctx: CallContext,
): AsyncGenerator<Response> {
  const iterator = requests[Symbol.asyncIterator]();
  const program = await readProgram(iterator);
  let terminal: Terminal;
  try {
    const dirs = await grantedDirectories(program.spec.dirs, place.allowDirs, place.node);
    const vkernel = await place.vkernels.demand(program.spec.vkernel || DEFAULT_VKERNEL, ctx.signal);
    ctx.signal.throwIfAborted();
    terminal = start(place, program, dirs, vkernel, ctx);
  } finally {
    program.release();
  }
  terminal.readRequests(iterator);
  yield* terminal.responses();
}

function start(
  place: RunPlace,
  { spec, module }: Program,
  dirs: { hostPath: string; guestPath: string; readOnly: boolean }[],
  vkernel: VkernelChild,
  ctx: CallContext,
): Terminal {
  const process = place.table.create(vkernel.name, shortenedCommand([spec.name, ...spec.args]));
  const { pid } = process;
  const terminal = new Terminal(place, process, spec.detach, ctx);
  ctx.log.info({ pid, vkernel: vkernel.name, program: spec.name }, 'starting a process');
  try {
    const bytes = module.reduce((sum, piece) => sum + piece.length, 0);
    const whole = bytes <= PIECE_BYTES ? Buffer.concat(module) : undefined;
    if (whole === undefined) {
      for (const data of module.flatMap((piece) => cut(piece, PIECE_BYTES))) {
        vkernel.send({ case: 'modulePiece', value: { pid, data } });
      }
    }
    const { name, args, env, memoryBytes } = spec;
    const program = { name, args, env, memoryBytes, module: whole ?? new Uint8Array(), dirs };
    vkernel.send({ case: 'start', value: { pid, program, requestId: ctx.requestId } });
  } catch (error) {
    place.table.exited(pid, {
      code: 137,
      signal: 'SIGKILL',
      reason: 'its virtual kernel went away',
      stack: '',
    });
    throw error;
  }
  return terminal;
}

function cut(bytes: Uint8Array, most: number): Uint8Array[] {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += most) pieces.push(bytes.subarray(at, at + most));
  return pieces;
}

/** Between a process and the caller of its Run. */
class Terminal implements Watcher {
  readonly #place: RunPlace;
  readonly #process: Process;
  readonly #detach: boolean;
  readonly #ctx: CallContext;
  readonly #responses: BoundedQueue<Response>;
  #started = false;
  #inputCreditBytes = INPUT_WINDOW_BYTES;
  #wakeInput: (() => void) | undefined;
  #untakenBytes = 0;
  #gone = false;

  constructor(place: RunPlace, process: Process, detach: boolean, ctx: CallContext) {
    this.#place = place;
    this.#process = process;
    this.#detach = detach;
    this.#ctx = ctx;
    this.#responses = new BoundedQueue({
      name: `output of process ${process.pid}`,
      capacity: OUTPUT_BYTES,
      weigh: ({ event }) => (event?.case === 'output' ? 64 + (event.value.data?.length ?? 0) : 0),
    });
    process.watcher = this;
    ctx.signal.addEventListener('abort', () => this.#callerWentAway(), { once: true });
  }

  /** In order; ends with the exit. */
  async *responses(): AsyncGenerator<Response> {
    for await (const response of this.#responses) {
      const { event } = response;
      if (event?.case === 'output') this.#took(event.value.data?.length ?? 0);
      yield response;
    }
  }

  /** Standard input and signals, until the requests or the process end. */
  readRequests(requests: AsyncIterator<RunRequest>): void {
    this.#readRequests(requests).catch((error) => {
      // When the caller goes away the signal aborts too, and that handles it.
      if (this.#ctx.signal.aborted || this.#gone) return;
      this.#responses.close(error);
      this.#end();
    });
  }

  started(): void {
    this.#started = true;
    const { pid, vkernel } = this.#process;
    this.#offer({ event: { case: 'started', value: { pid, node: this.#place.node, vkernel } } });
  }

  output(output: Output): boolean {
    if (this.#gone) return false;
    this.#untakenBytes += output.data.length;
    this.#offer({ event: { case: 'output', value: output } });
    return true;
  }

  inputTaken(bytes: number): void {
    this.#inputCreditBytes = Math.min(INPUT_WINDOW_BYTES, this.#inputCreditBytes + bytes);
    this.#wakeInput?.();
  }

  exited(exit: ExitInit): void {
    if (!this.#started && this.#detach) {
      // Its caller waits for a start only, and would never see the exit.
      this.#responses.close(new RpcError(Code.InvalidArgument, exit.reason || 'the program did not start'));
    } else {
      this.#offer({ event: { case: 'exited', value: exit } });
      this.#responses.close();
    }
    this.#gone = true;
    this.#wakeInput?.();
  }

  async #readRequests(requests: AsyncIterator<RunRequest>): Promise<void> {
    const { pid } = this.#process;
    while (!this.#gone) {
      const result = await requests.next();
      if (this.#gone) return;
      const event: RunRequest['event'] = result.done
        ? { case: 'stdinEnd', value: {} as never }
        : result.value.event;
      switch (event.case) {
        case 'stdin': {
          const data = event.value;
          if (data.length > INPUT_BYTES) {
            throw new RpcError(
              Code.InvalidArgument,
              `${data.length} bytes of input at once; at most ${INPUT_BYTES}`,
            );
          }
          while (this.#inputCreditBytes <= 0 && !this.#gone) {
            await new Promise<void>((resolve) => {
              this.#wakeInput = resolve;
            });
          }
          if (this.#gone) return;
          this.#inputCreditBytes -= data.length;
          this.#tell({ case: 'input', value: { pid, data, end: false } });
          break;
        }
        case 'stdinEnd':
          this.#tell({ case: 'input', value: { pid, end: true } });
          break;
        case 'signal':
          this.#tell({ case: 'signal', value: { pid, signal: checkSignal(event.value) } });
          break;
        case 'moduleEnd':
          break; // after a module that came whole with the start
        case undefined:
          break; // of a later version
        default:
          throw new RpcError(Code.InvalidArgument, `${event.case} is asked of a program that runs`);
      }
      if (result.done) return;
    }
  }

  #offer(response: Response): void {
    try {
      this.#responses.offer(response);
    } catch (error) {
      this.#responses.close(error);
      this.#end();
    }
  }

  #took(bytes: number): void {
    this.#untakenBytes -= bytes;
    this.#tell({ case: 'outputTaken', value: { pid: this.#process.pid, takenBytes: BigInt(bytes) } });
  }

  #tell(order: Parameters<Vkernels['tell']>[1]): void {
    this.#place.vkernels.tell(this.#process, order);
  }

  #callerWentAway(): void {
    this.#responses.fail(this.#ctx.signal.reason);
    this.#end();
  }

  /** Nobody looks any more: a detached process goes on without input, another one ends. */
  #end(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#wakeInput?.();
    const { pid } = this.#process;
    this.#process.watcher = undefined;
    if (this.#untakenBytes > 0) this.#took(this.#untakenBytes);
    if (this.#detach) this.#tell({ case: 'input', value: { pid, end: true } });
    else this.#tell({ case: 'signal', value: { pid, signal: 'SIGHUP' } });
  }
}
