// A program that runs, and whose standard streams are ours.
import { type Exited, StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { anyOf, cancelled } from './abort.ts';
import type { Connection } from './connection.ts';
import { OutputStream } from './output-stream.ts';
import type { Place } from './placement.ts';
import { type ModuleByDigest, ProgramRun, type ProgramSpec } from './program-run.ts';

/** What a virtual process understands. */
export type Signal =
  | 'SIGTERM'
  | 'SIGINT'
  | 'SIGKILL'
  | 'SIGHUP'
  | 'SIGQUIT'
  | 'SIGUSR1'
  | 'SIGUSR2'
  | 'SIGSTOP'
  | 'SIGTSTP'
  | 'SIGCONT'
  | 'SIGCHLD'
  | 'SIGWINCH';

export interface Exit {
  /** 128 + n when signal n ended it. */
  code: number;
  /** Empty: it ended by itself. */
  signal: string;
  /** Why, where it did not end well. */
  reason: string;
  /** Of a trap, a line a function. */
  stack: string;
}

export interface Collected extends Exit {
  stdout: Uint8Array;
  stderr: Uint8Array;
}

export type Input = Uint8Array | string | AsyncIterable<Uint8Array>;

export interface ProgramIo {
  /** Absent: empty. */
  stdin?: Input;
  /** The program ends, and `exit` rejects with CANCELLED. */
  signal?: AbortSignal;
}

/** What `collect` keeps of both streams together. */
const COLLECTED_BYTES = 64 * 2 ** 20;
/** A program that is told to end has ended within this. */
const END_MS = 5_000;

/**
 * Its output waits for who reads it, 256 KiB a stream: read both, or `collect`, or the program waits, too. Where a router
 * goes away, it goes on through another one.
 */
export class Program implements AsyncDisposable {
  readonly pid: bigint;
  readonly node: string;
  readonly vkernel: string;
  readonly stdout: AsyncIterable<Uint8Array>;
  readonly stderr: AsyncIterable<Uint8Array>;
  /** How it ended, badly or not. @throws RpcError where the line to it broke for good, or was closed */
  readonly exit: Promise<Exit>;
  readonly #run: ProgramRun;
  readonly #cancel: () => void;

  private constructor(
    started: { pid: bigint; node: string; vkernel: string },
    io: { run: ProgramRun; stdout: OutputStream; stderr: OutputStream; exit: Promise<Exit>; cancel(): void },
  ) {
    this.pid = started.pid;
    this.node = started.node;
    this.vkernel = started.vkernel;
    this.stdout = io.stdout;
    this.stderr = io.stderr;
    this.exit = io.exit;
    this.#run = io.run;
    this.#cancel = io.cancel;
  }

  /** Resolves once it runs. */
  static async start(
    to: Connection,
    { node, vkernel }: Place,
    spec: ProgramSpec,
    module: Uint8Array | ModuleByDigest,
    { stdin, signal }: ProgramIo,
  ): Promise<Program> {
    const stdout = new OutputStream();
    const stderr = new OutputStream();
    const ending = new AbortController();
    const input = stdin === undefined ? undefined : new EndableInput(stdin);
    const cancel = anyOf(ending.signal, to.closed, signal)!;
    // Who writes to a stream that nobody reads must hear of it, too.
    const cancelStreams = () => {
      stdout.end(cancelled());
      stderr.end(cancelled());
    };
    cancel.addEventListener('abort', cancelStreams, { once: true });
    const started = Promise.withResolvers<{ pid: bigint; node: string; vkernel: string }>();
    const run = new ProgramRun(to, node, { ...spec, vkernel }, module, {
      stdin: input,
      signal: cancel,
      onStarted: started.resolve,
      onOutput: ({ stream, data }) => (stream === StdStream.ERR ? stderr : stdout).push(data),
    });
    const exit = run.exited().then(exitOf);
    const over = (failure?: unknown) => {
      cancel.removeEventListener('abort', cancelStreams);
      stdout.end(failure);
      stderr.end(failure);
      input?.end();
    };
    exit.then(
      ({ code, reason }) => {
        over();
        // 126, as of a shell: it is no module, or not one for us.
        const whose = code === 126 ? Code.InvalidArgument : Code.FailedPrecondition;
        started.reject(new RpcError(whose, `${spec.name} did not start: ${reason}`));
      },
      (error) => {
        over(error);
        started.reject(error);
      },
    );
    return new Program(await started.promise, { run, stdout, stderr, exit, cancel: () => ending.abort() });
  }

  /** Overtakes what is on its way to its standard input. */
  async kill(signal: Signal = 'SIGTERM'): Promise<void> {
    await this.#run.signal(signal);
  }

  /** All that it writes, and how it ended. @throws RpcError RESOURCE_EXHAUSTED past `maxBytes`; the program ends then */
  async collect({ maxBytes = COLLECTED_BYTES }: { maxBytes?: number } = {}): Promise<Collected> {
    let bytes = 0;
    let tooMuch: RpcError | undefined;
    const read = async (stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
      const pieces: Uint8Array[] = [];
      for await (const piece of stream) {
        bytes += piece.length;
        if (bytes > maxBytes) {
          const what = `process ${this.pid} wrote more than the ${maxBytes} bytes that are collected`;
          tooMuch ??= new RpcError(Code.ResourceExhausted, what);
          this.#cancel();
        }
        pieces.push(piece);
      }
      return Buffer.concat(pieces);
    };
    try {
      const [stdout, stderr] = await Promise.all([read(this.stdout), read(this.stderr)]);
      return { ...(await this.exit), stdout, stderr };
    } catch (error) {
      throw tooMuch ?? error;
    }
  }

  /** Ends it, where it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancel();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, END_MS);
    await Promise.race([this.exit.catch(() => {}), late.promise]);
    clearTimeout(timer);
  }
}

const exitOf = ({ code, signal, reason, stack }: Exited): Exit => ({ code, signal, reason, stack });

/** Standard input that the end of the program ends, too: a stream that nobody reads to its end would keep us alive. */
class EndableInput implements AsyncIterable<Uint8Array> {
  readonly #input: Input;
  readonly #iterator: AsyncIterator<Uint8Array>;

  constructor(input: Input) {
    this.#input = input;
    this.#iterator = (typeof input === 'string' || input instanceof Uint8Array ? once(input) : input)[
      Symbol.asyncIterator
    ]();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#iterator;
  }

  /** A stream of Node is destroyed, as by a loop over it that is left. */
  end(): void {
    this.#iterator.return?.()?.catch(() => {});
    const { destroy } = this.#input as { destroy?: unknown };
    if (typeof destroy === 'function') destroy.call(this.#input);
  }
}

async function* once(bytes: Uint8Array | string): AsyncGenerator<Uint8Array, void, undefined> {
  yield typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
}
