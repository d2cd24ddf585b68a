// Between a process and the caller of its Run, or the several of them where its stream breaks on the way: by a router
// that goes away, and not by the caller's will. A caller that can come back says what it has of the output, and hears
// what arrived of the input; all else is kept at both ends, so that each byte arrives once.

import type { Output, ProgramSpec, RunRequest } from '@odonata/proto/vkernel/v1/vkernel';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { CallContext } from '@odonata/rpc/service.ts';
import { OutputBacklog, type Response } from './output-backlog.ts';
import type { ExitInit, Process, Watcher } from './process-table.ts';
import { checkSignal } from './signals.ts';
import { AWAY_MS, replaced, type Terminals } from './terminals.ts';
import { nameOfKey } from './vkernel-child.ts';
import type { Vkernels } from './vkernels.ts';

/** Standard input that may be on its way and not read by the program. */
const INPUT_WINDOW_BYTES = 1024 * 1024;
const INPUT_BYTES = 64 * 1024;
/** Of a caller that hears what arrived: it sends no more than half as much ahead. */
const INPUT_AHEAD_BYTES = 512 * 1024;

/** What a caller passes on that is told to end. Where the program alone is killed, its children are init's. */
const ENDED_BY: ReadonlySet<string> = new Set(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM']);

interface TerminalPlace {
  readonly node: string;
  readonly vkernels: Vkernels;
  readonly terminals: Terminals<Terminal>;
  /** Of those that are not detached: whoever looked at the session of a process is gone. */
  readonly left?: ((process: Process) => void) | undefined;
}

/** What it looks at of a start. */
export type TerminalSpec = Pick<ProgramSpec, 'detach' | 'terminal' | 'moduleSha256'>;

export class Terminal implements Watcher {
  readonly #place: TerminalPlace;
  readonly #process: Process;
  readonly #detach: boolean;
  /** Its caller may have sent the module before it heard that nobody wants it. */
  readonly #byDigest: boolean;
  /** Empty: its caller cannot come back. */
  readonly #name: string;
  readonly #backlog: OutputBacklog;
  #caller: CallContext | undefined;
  #away: NodeJS.Timeout | undefined;
  #started = false;
  #inputCreditBytes = INPUT_WINDOW_BYTES;
  #wakeInput: (() => void) | undefined;
  /** Waits until the program takes it; undefined: its end. */
  #waitingInput: (Uint8Array | undefined)[] = [];
  #waitingInputBytes = 0;
  /** With the program, or on their way to it. */
  #inputBytes = 0n;
  #inputSaidBytes = 0n;
  #gone = false;

  /** Whose the process is. */
  get user(): string {
    return this.#process.user;
  }

  get pid(): bigint {
    return this.#process.pid;
  }

  constructor(place: TerminalPlace, process: Process, { detach, terminal, moduleSha256 }: TerminalSpec) {
    this.#place = place;
    this.#byDigest = moduleSha256.length > 0;
    this.#process = process;
    this.#detach = detach;
    this.#name = detach ? '' : terminal;
    this.#backlog = new OutputBacklog(`output of process ${process.pid}`);
    process.watcher = this;
    if (this.#resumable) place.terminals.add(this.#name, this);
  }

  get #resumable(): boolean {
    return this.#name !== '';
  }

  /** From now on this call is the caller. */
  callerIs(ctx: CallContext): void {
    clearTimeout(this.#away);
    this.#caller = ctx;
    this.#backlog.wake();
    this.#forgetWaitingInput();
    // Nobody hears what a listener of a signal throws.
    const left = ownTurn({ pid: this.#process.pid }, () => this.#callerLeft(ctx));
    if (ctx.signal.aborted) left();
    else ctx.signal.addEventListener('abort', left, { once: true });
  }

  /** What the program says, in order; ends with its exit. Standard input and signals come on the requests. */
  async *serve(
    requests: AsyncIterator<RunRequest>,
    ctx: CallContext,
    _isOwn = true,
  ): AsyncGenerator<Response> {
    this.#readRequests(requests, ctx).catch((error) => {
      // When the caller goes away the signal aborts too, and that handles it.
      if (ctx.signal.aborted || this.#caller !== ctx || this.#gone) return;
      this.#backlog.close(error);
      this.#end();
    });
    for (;;) {
      if (ctx.signal.aborted) return;
      if (this.#caller !== ctx) throw replaced();
      const response = this.#next();
      if (response !== undefined) yield response;
      else if (this.#backlog.over) return;
      else await this.#backlog.change();
    }
  }

  #next(): Response | undefined {
    if (this.#resumable && this.#started && this.#inputSaidBytes < this.#inputBytes && !this.#gone) {
      this.#inputSaidBytes = this.#inputBytes;
      return { event: { case: 'inputTaken', value: this.#inputBytes } };
    }
    const before = this.#backlog.takenBytes;
    const response = this.#backlog.shift(this.#resumable);
    this.#took(before);
    return response;
  }

  /** The caller came back, on another stream. @throws RpcError */
  async *resume(
    requests: AsyncIterator<RunRequest>,
    outputTaken: bigint,
    ctx: CallContext,
  ): AsyncGenerator<Response> {
    this.callerIs(ctx);
    const before = this.#backlog.takenBytes;
    if (!this.#backlog.rewind(outputTaken))
      throw new RpcError(Code.InvalidArgument, `${outputTaken} bytes of output are none that were sent`);
    this.#took(before);
    this.#inputSaidBytes = this.#inputBytes;
    ctx.log.info({ pid: this.#process.pid }, 'the caller of a process came back');
    const started = this.#started ? this.#start : undefined;
    yield { event: { case: 'resumed', value: { started, inputTaken: this.#inputBytes } } };
    yield* this.serve(requests, ctx);
  }

  get #start() {
    const { pid, vkernel } = this.#process;
    return { pid, node: this.#place.node, vkernel: nameOfKey(vkernel), resumable: this.#resumable };
  }

  started(): void {
    this.#started = true;
    this.#offer({ event: { case: 'started', value: this.#start } });
  }

  output(output: Output): boolean {
    if (this.#gone) return false;
    this.#offer({ event: { case: 'output', value: output } });
    return true;
  }

  inputTaken(bytes: number): void {
    this.#inputCreditBytes = Math.min(INPUT_WINDOW_BYTES, this.#inputCreditBytes + bytes);
    this.#pumpInput();
  }

  #pumpInput(): void {
    const { pid } = this.#process;
    while (!this.#gone && this.#waitingInput.length > 0 && this.#inputCreditBytes > 0) {
      const data = this.#waitingInput.shift();
      if (data === undefined) {
        this.#tell({ case: 'input', value: { pid, end: true } });
        continue;
      }
      this.#waitingInputBytes -= data.length;
      this.#inputCreditBytes -= data.length;
      this.#inputBytes += BigInt(data.length);
      this.#tell({ case: 'input', value: { pid, data, end: false } });
      this.#backlog.wake();
    }
    this.#wakeInput?.();
  }

  /** A caller that comes back sends it again. */
  #forgetWaitingInput(): void {
    this.#waitingInput = [];
    this.#waitingInputBytes = 0;
    this.#wakeInput?.();
  }

  async #input(data: Uint8Array | undefined, mine: () => boolean): Promise<void> {
    const ahead = this.#waitingInputBytes + (data?.length ?? 0);
    if (this.#resumable && ahead > INPUT_AHEAD_BYTES)
      throw new RpcError(Code.ResourceExhausted, `more than ${INPUT_AHEAD_BYTES} bytes of input ahead`);
    this.#waitingInput.push(data);
    this.#waitingInputBytes = ahead;
    this.#pumpInput();
    // Who hears what arrived sends no more than that ahead, and what it has of the output must not wait behind.
    if (this.#resumable) return;
    while (this.#waitingInput.length > 0 && !this.#gone && mine()) {
      await new Promise<void>((resolve) => {
        this.#wakeInput = resolve;
      });
    }
  }

  exited(exit: ExitInit): void {
    if (!this.#started && this.#detach) {
      // Its caller waits for a start only, and would never see the exit.
      this.#backlog.close(new RpcError(Code.InvalidArgument, exit.reason || 'the program did not start'));
    } else {
      this.#offer({ event: { case: 'exited', value: exit } });
      this.#backlog.close();
    }
    // It means all that the program started.
    if (!this.#detach && ENDED_BY.has(exit.signal ?? '')) this.#place.left?.(this.#process);
    this.#over();
  }

  async #readRequests(requests: AsyncIterator<RunRequest>, ctx: CallContext): Promise<void> {
    const mine = (): boolean => this.#caller === ctx && !ctx.signal.aborted;
    while (mine()) {
      const result = await requests.next();
      if (!mine()) return;
      const event: RunRequest['event'] = result.done
        ? { case: 'stdinEnd', value: {} as never }
        : result.value.event;
      if (event.case === 'outputTaken') {
        this.#callerHas(event.value);
        continue;
      }
      if (this.#gone) return;
      await this.#request(event, mine);
      if (result.done) return;
    }
  }

  async #request(event: RunRequest['event'], mine: () => boolean): Promise<void> {
    const { pid } = this.#process;
    switch (event.case) {
      case 'stdin': {
        const data = event.value;
        if (data.length > INPUT_BYTES) {
          throw new RpcError(
            Code.InvalidArgument,
            `${data.length} bytes of input at once; at most ${INPUT_BYTES}`,
          );
        }
        await this.#input(data, mine);
        return;
      }
      case 'stdinEnd':
        await this.#input(undefined, mine);
        return;
      case 'signal':
        this.#tell({ case: 'signal', value: { pid, signal: checkSignal(event.value) } });
        return;
      case 'moduleEnd':
        return; // after a module that came whole with the start
      case 'module':
        if (this.#byDigest) return;
        throw new RpcError(Code.InvalidArgument, 'module is asked of a program that runs');
      case undefined:
        return; // of a later version
      default:
        throw new RpcError(Code.InvalidArgument, `${event.case} is asked of a program that runs`);
    }
  }

  #callerHas(outputTaken: bigint): void {
    const before = this.#backlog.takenBytes;
    if (!this.#backlog.take(outputTaken))
      throw new RpcError(Code.InvalidArgument, `${outputTaken} bytes of output are none that were sent`);
    this.#took(before);
  }

  #offer(response: Response): void {
    try {
      this.#backlog.add(response);
    } catch (error) {
      this.#backlog.close(error);
      this.#end();
    }
  }

  /** The program may write as much anew. */
  #took(before: bigint): void {
    const takenBytes = this.#backlog.takenBytes - before;
    if (takenBytes > 0n) this.#tell({ case: 'outputTaken', value: { pid: this.#process.pid, takenBytes } });
  }

  #tell(order: Parameters<Vkernels['tell']>[1]): void {
    this.#place.vkernels.tell(this.#process, order);
  }

  #callerLeft(ctx: CallContext): void {
    if (this.#caller !== ctx) return;
    const { reason } = ctx.signal;
    const byRouter = RpcError.is(reason) && reason.code === Code.Unavailable;
    this.#caller = undefined;
    this.#backlog.wake();
    this.#forgetWaitingInput();
    if (!this.#resumable || !byRouter || this.#gone) this.#end();
    else {
      ctx.log.info(
        { pid: this.#process.pid, reason: reason.details },
        'a router went away; its caller may come back',
      );
      this.#away = setTimeout(
        ownTurn({ timer: 'away', pid: this.#process.pid }, () => this.#end()),
        AWAY_MS,
      );
    }
  }

  #over(): void {
    this.#gone = true;
    this.#wakeInput?.();
    clearTimeout(this.#away);
    if (this.#resumable) this.#place.terminals.ended(this.#name);
  }

  /** Nobody looks any more: a detached process goes on without input, another one ends. */
  #end(): void {
    if (this.#gone) return;
    this.#over();
    const { pid } = this.#process;
    this.#process.watcher = undefined;
    const before = this.#backlog.takenBytes;
    this.#backlog.forget();
    this.#took(before);
    if (this.#detach) this.#tell({ case: 'input', value: { pid, end: true } });
    else this.#place.left?.(this.#process);
  }
}
