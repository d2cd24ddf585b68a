// One program, from the module's first byte to its exit, over the supervisor's Run stream.
//
//   us:   start, module..., module_end           then, once it started: stdin..., stdin_end, output_taken...
//   them:                               started, output..., input_taken..., exited
//
// A large module is named by its digest: it comes where the answer is module_wanted, and where that is started, it was there.
//
// Where the stream breaks since a router goes away, the program does not end, and neither do we: through another router,
// or the next life of that one,
//
//   us:   resume, stdin..., ...                   from where the input arrived, and saying what we have of the output
//   them: resumed, output..., ...                 from there
import { createHash, randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  Exited,
  Output,
  ProgramSpecSchema,
  Resumed,
  RunRequestSchema,
  RunResponse,
  Started,
} from '@odonata/proto/vkernel/v1/vkernel';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { clientError } from './client-error.ts';
import type { Connection } from './connection.ts';
import { AWAY_MS } from './over-routers.ts';
import { ProgramInput } from './program-input.ts';

const MODULE_PIECE_BYTES = 2 ** 20;
/** We say what we have of the output in steps of this. */
const TAKEN_BYTES = 64n * 1024n;
/** Or at the latest after so long. */
const TAKEN_MS = 5;
/** A module of at least this is named by its digest first: where its virtual kernel has it, none of it is sent. */
const BY_DIGEST_BYTES = 2 ** 20;
/** A supervisor of an older release waits for the module without a word. */
const UNASKED_MS = 5_000;
const hasCode = (error: unknown, ...codes: Code[]): error is RpcError =>
  RpcError.is(error) && codes.includes(error.code);

/** The circuit looked for the supervisor that it was opened to, and found its next life: to us it went away. */
const supervisorGone = (error: unknown): unknown =>
  hasCode(error, Code.Aborted)
    ? new RpcError(Code.Unavailable, `the supervisor of the program went away: ${error.details}`, {
        cause: error,
      })
    : error;

async function* nothing(): AsyncIterable<Uint8Array> {}

type Request = MessageInitShape<typeof RunRequestSchema>;
export type ProgramSpec = Omit<
  MessageInitShape<typeof ProgramSpecSchema>,
  'module' | 'terminal' | '$typeName'
>;

/** A module that is fetched where its virtual kernel does not have it. */
export interface ModuleByDigest {
  readonly sha256: Uint8Array;
  readonly bytes: () => Promise<Uint8Array>;
}

export interface TerminalSize {
  rows: number;
  columns: number;
}

export interface ProgramIo {
  /** Standard input; absent: empty. */
  stdin?: AsyncIterable<Uint8Array>;
  onStarted?: (started: Started) => void;
  /** Awaited before the next piece is taken: what is slow to read slows the program, not us. */
  onOutput?: (output: Output) => void | Promise<void>;
  /** Of a terminal: it looks at one that is there, in the place of a start. */
  attach?: { pid: bigint; size: TerminalSize };
  /** Cancels the call: a program that is not detached ends. */
  signal?: AbortSignal;
}

export class ProgramRun {
  readonly #to: Connection;
  readonly #node: string;
  readonly #io: ProgramIo;
  readonly #terminal: string;
  /** Begins a run anew: where the module had not arrived, or its supervisor does not know of it. */
  readonly #startRequests: () => AsyncIterable<Request>;
  readonly #input = new ProgramInput();
  #responses: AsyncIterable<RunResponse>;
  readonly #pid = Promise.withResolvers<bigint>();
  #started = false;
  #loaded = false;
  #resumable = false;
  #over = false;
  /** To be said. */
  #size: TerminalSize | undefined;
  #detaching = false;
  /** Whether the module is wanted: the requests wait for that. */
  #heard: ((isWanted: boolean) => void) | undefined;
  /** Until the supervisor says what it has of the input: what was sent and not confirmed may have arrived. */
  #resuming = false;
  #outputTaken = 0n;
  #outputSaid = 0n;
  #outputDue = false;
  #sayOutput: NodeJS.Timeout | undefined;
  /** Of the stream of this time; the requests of an earlier one end. */
  #stream = 0;

  constructor(
    to: Connection,
    node: string,
    spec: ProgramSpec,
    given: Uint8Array | ModuleByDigest,
    io: ProgramIo,
  ) {
    this.#to = to;
    this.#node = node;
    this.#io = io;
    // One with a terminal of its own goes on there: see `attach`.
    const isOwnTerminal = spec.terminalSize !== undefined || io.attach !== undefined;
    this.#terminal = spec.detach || isOwnTerminal ? '' : randomUUID();
    const module = given instanceof Uint8Array ? namedByDigest(given) : given;
    this.#startRequests = () =>
      io.attach ? this.#attachRequests(io.attach) : this.#requestsOf(spec, module);
    this.#responses = this.#call(this.#startRequests());
  }

  /**
   * SIGINT, SIGTERM or SIGKILL. Before the program started it waits until then. Not on the stream: there it would
   * stand behind input that the program may never read.
   */
  async signal(name: string): Promise<void> {
    const pid = await this.#pid.promise;
    const backoff = new Backoff({ firstMs: 50, maxMs: 500 });
    const endMs = performance.now() + AWAY_MS;
    for (;;) {
      try {
        await this.#to.vkerneld(this.#node).kill({ pid, signal: name });
        return;
      } catch (error) {
        const away = hasCode(error, Code.Unavailable, Code.NotFound) && this.#resumable && !this.#over;
        if (!away || this.#io.signal?.aborted || performance.now() > endMs) throw error;
        await delay(backoff.nextDelayMs(), this.#io.signal);
      }
    }
  }

  /** The terminal here has another size. */
  resize(size: TerminalSize): void {
    this.#size = size;
    this.#input.wake();
  }

  /** Leaves the terminal; the program goes on. */
  detach(): void {
    this.#detaching = true;
    this.#input.wake();
  }

  /** Takes the output until the program ends. */
  async exited(): Promise<Exited> {
    try {
      for (;;) {
        try {
          return await this.#untilExit();
        } catch (error) {
          await this.#resume(error);
        }
      }
    } finally {
      this.#over = true;
      this.#heard?.(false);
      clearTimeout(this.#sayOutput);
      this.#input.close();
    }
  }

  async #untilExit(): Promise<Exited> {
    for await (const { event } of this.#responses) {
      switch (event.case) {
        case 'started':
          this.#starts(event.value);
          break;
        case 'resumed':
          this.#resumed(event.value);
          break;
        case 'moduleWanted':
          this.#wants();
          break;
        case 'inputTaken':
          this.#input.taken(event.value);
          break;
        case 'output':
          await this.#io.onOutput?.(event.value);
          this.#tookOutput(event.value.data.length);
          break;
        case 'exited':
          return event.value;
        default:
      }
    }
    throw new RpcError(Code.Unavailable, 'the stream of the program ended without its exit');
  }

  /** For a detached program: resolves once it runs; it goes on without us. */
  async started(): Promise<Started> {
    for (;;) {
      try {
        return await this.#untilStarted();
      } catch (error) {
        if (this.#loaded && hasCode(error, Code.Unavailable, Code.DeadlineExceeded))
          throw clientError(
            error.code,
            'START_UNKNOWN',
            { said: error.details },
            `${error.details}; whether it started, the list of programs says`,
            { cause: error },
          );
        await this.#resume(error);
      }
    }
  }

  async #untilStarted(): Promise<Started> {
    for await (const { event } of this.#responses) {
      if (event.case === 'moduleWanted') this.#wants();
      if (event.case !== 'started') continue;
      this.#heard?.(false);
      this.#input.close();
      return event.value;
    }
    throw new RpcError(Code.Unavailable, 'the stream of the program ended before its start');
  }

  /** It does not have the module: nothing starts before that has come. */
  #wants(): void {
    this.#loaded = false;
    this.#heard?.(true);
  }

  #starts(started: Started): void {
    this.#heard?.(false);
    if (this.#started) return;
    this.#started = true;
    this.#resumable = started.resumable;
    this.#input.acknowledged = started.resumable;
    this.#pid.resolve(started.pid);
    this.#io.onStarted?.(started);
    this.#input.feed(this.#io.stdin ?? nothing()).catch(() => this.#input.close());
  }

  #resumed({ started, inputTaken }: Resumed): void {
    this.#resuming = false;
    this.#input.taken(inputTaken);
    if (started !== undefined) this.#starts(started);
  }

  #tookOutput(bytes: number): void {
    this.#outputTaken += BigInt(bytes);
    if (this.#outputTaken - this.#outputSaid >= TAKEN_BYTES) this.#input.wake();
    else
      this.#sayOutput ??= setTimeout(() => {
        this.#sayOutput = undefined;
        this.#outputDue = true;
        this.#input.wake();
      }, TAKEN_MS);
  }

  /** A program waits when much of its output, or many small pieces of it, are not known to be taken. */
  get #mustSayOutput(): boolean {
    const unsaid = this.#outputTaken - this.#outputSaid;
    return this.#resumable && unsaid > 0n && (this.#outputDue || unsaid >= TAKEN_BYTES);
  }

  /** Comes back through whichever router answers. @throws what broke the stream, where that is no router's end */
  async #resume(error: unknown): Promise<void> {
    const broke = supervisorGone(error);
    // As long as the supervisor does not have the whole module it starts nothing.
    const mayGoOn = this.#started ? this.#resumable : !this.#loaded || this.#terminal !== '';
    if (!mayGoOn || !hasCode(broke, Code.Unavailable) || this.#io.signal?.aborted) throw broke;
    const endMs = performance.now() + AWAY_MS;
    const backoff = new Backoff({ firstMs: 50, maxMs: 1_000 });
    for (;;) {
      try {
        await this.#to.ready(Math.max(1, endMs - performance.now()), this.#io.signal);
        // The supervisor may attach to the router later than we do.
        if ((await this.#to.node(this.#node, this.#io.signal)).vkerneld === undefined) throw broke;
        this.#input.rewind();
        this.#resuming = this.#loaded;
        this.#responses = this.#call(this.#loaded ? this.#resumeRequests() : this.#startRequests());
        return;
      } catch (error) {
        if (performance.now() > endMs || this.#io.signal?.aborted) throw broke;
        // A router that has just started may not know the node yet.
        if (error !== broke && !hasCode(error, Code.Unavailable, Code.NotFound)) throw broke;
        await delay(backoff.nextDelayMs(), this.#io.signal);
      }
    }
  }

  #call(requests: AsyncIterable<Request>): AsyncIterable<RunResponse> {
    return this.#to.vkerneld(this.#node).run(requests, { signal: this.#io.signal, lasting: 'with-caller' });
  }

  async *#requestsOf(spec: ProgramSpec, module: Uint8Array | ModuleByDigest): AsyncIterable<Request> {
    const stream = ++this.#stream;
    const byDigest = !(module instanceof Uint8Array);
    const moduleSha256 = byDigest ? module.sha256 : undefined;
    const isWanted = byDigest ? this.#whetherWanted() : true;
    // It may start without a further word of ours.
    this.#loaded = byDigest;
    yield { event: { case: 'start', value: { ...spec, moduleSha256, terminal: this.#terminal } } };
    if (await isWanted) {
      const bytes = byDigest ? await module.bytes() : module;
      for (let at = 0; at < bytes.length; at += MODULE_PIECE_BYTES)
        yield { event: { case: 'module', value: bytes.subarray(at, at + MODULE_PIECE_BYTES) } };
      this.#loaded = true;
      yield { event: { case: 'moduleEnd', value: {} } };
    }
    if (spec.detach) {
      yield { event: { case: 'stdinEnd', value: {} } };
      return;
    }
    yield* this.#terminalRequests(stream);
  }

  #whetherWanted(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#heard?.(true), UNASKED_MS);
      this.#heard = (isWanted) => {
        clearTimeout(timer);
        this.#heard = undefined;
        resolve(isWanted);
      };
    });
  }

  async *#attachRequests(value: { pid: bigint; size: TerminalSize }): AsyncIterable<Request> {
    const stream = ++this.#stream;
    this.#loaded = true;
    yield { event: { case: 'attach', value } };
    yield* this.#terminalRequests(stream);
  }

  async *#resumeRequests(): AsyncIterable<Request> {
    const stream = ++this.#stream;
    this.#input.wake();
    this.#outputSaid = this.#outputTaken;
    const value = { terminal: this.#terminal, outputTaken: this.#outputTaken };
    yield { event: { case: 'resume', value } };
    yield* this.#terminalRequests(stream);
  }

  /** Of the input what is not there yet, and how much of the output is here. */
  async *#terminalRequests(stream: number): AsyncIterable<Request> {
    let inputEnded = false;
    while (!this.#over && this.#stream === stream) {
      const { change } = this.#input;
      if (this.#detaching) {
        yield { event: { case: 'detach', value: {} } };
        return;
      }
      if (this.#size !== undefined && this.#started) {
        const value = this.#size;
        this.#size = undefined;
        yield { event: { case: 'resize', value } };
        continue;
      }
      if (this.#mustSayOutput) {
        this.#outputDue = false;
        this.#outputSaid = this.#outputTaken;
        yield { event: { case: 'outputTaken', value: this.#outputTaken } };
        continue;
      }
      const piece = inputEnded || !this.#started || this.#resuming ? undefined : this.#input.shift();
      if (piece === 'end') {
        inputEnded = true;
        if (!this.#over) yield { event: { case: 'stdinEnd', value: {} } };
      } else if (piece !== undefined) yield { event: { case: 'stdin', value: piece } };
      else await change;
    }
  }
}

/** A small one is sent as it is. */
function namedByDigest(module: Uint8Array): Uint8Array | ModuleByDigest {
  if (module.length < BY_DIGEST_BYTES) return module;
  const sha256 = createHash('sha256').update(module).digest();
  return { sha256, bytes: async () => module };
}
