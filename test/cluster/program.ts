// A guest program that runs in a virtual kernel, seen from a test: what it writes, and how it ends.

import type { Connection } from '@odonata/client/connection.ts';
import { ProgramRun, type ProgramSpec } from '@odonata/client/program-run.ts';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';

export interface End {
  code: number;
  /** Empty when it ended by itself. */
  signal: string;
  reason: string;
  /** The stack of a trap, a line a function. */
  stack: string;
  stdout: Buffer;
  stderr: string;
}

/** Thrown where a program does not do in time what a test waits for, with all that is known of it. */
export class ProgramError extends Error {}

export class Program {
  readonly name: string;
  readonly pid: Promise<bigint>;
  /** Rejects when the line to the program breaks; how a program ends, badly or not, is a result. */
  readonly ended: Promise<End>;
  readonly #run: ProgramRun;
  readonly #stdout: Buffer[] = [];
  readonly #watchers = new Set<() => void>();
  #stderr = '';
  #end: End | undefined;
  #broken: Error | undefined;

  constructor(to: Connection, node: string, spec: ProgramSpec, module: Uint8Array, stdin?: Uint8Array) {
    this.name = `${spec.name} ${(spec.args ?? []).join(' ')} on ${node}`;
    const started = Promise.withResolvers<bigint>();
    this.pid = started.promise;
    this.#run = new ProgramRun(to, node, spec, module, {
      stdin: once(stdin),
      onStarted: ({ pid }) => started.resolve(pid),
      onOutput: ({ stream, data }) => {
        if (stream === StdStream.ERR) this.#stderr += Buffer.from(data).toString();
        else this.#stdout.push(Buffer.from(data));
        this.#look();
      },
    });
    this.ended = this.#run.exited().then(
      ({ code, signal, reason, stack }) => {
        this.#end = {
          code,
          signal,
          reason,
          stack,
          stdout: Buffer.concat(this.#stdout),
          stderr: this.#stderr,
        };
        started.reject(new ProgramError(`${this.name} did not start: ${reason}`));
        this.#look();
        return this.#end;
      },
      (error: Error) => {
        this.#broken = error;
        started.reject(error);
        this.#look();
        throw error;
      },
    );
    // A test may look at one of them only, and a later failure of the other is no failure of the test.
    this.pid.catch(() => {});
    this.ended.catch(() => {});
  }

  /** What it wrote so far. */
  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Resolves when `pattern` stands in its standard output; rejects when it ends before that. */
  wrote(pattern: RegExp, timeoutMs = 90_000): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      const look = (): void => {
        const match = pattern.exec(this.stdout);
        if (match !== null) resolve(match);
        else if (this.#end !== undefined || this.#broken !== undefined) reject(this.#without(pattern));
        else return;
        done();
      };
      const timer = setTimeout(() => {
        done();
        reject(this.#without(pattern, `within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  /** `ended`, within a time: a program that hangs is an error that says what it wrote. */
  async end(timeoutMs = 150_000): Promise<End> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const said = JSON.stringify({ stdout: this.stdout, stderr: this.#stderr });
      late.reject(new ProgramError(`${this.name} did not end within ${timeoutMs} ms: ${said}`));
    }, timeoutMs);
    return await Promise.race([this.ended, late.promise]).finally(() => clearTimeout(timer));
  }

  /** SIGINT, SIGTERM or SIGKILL. */
  async signal(name: string): Promise<void> {
    await this.#run.signal(name);
  }

  #look(): void {
    for (const look of [...this.#watchers]) look();
  }

  #without(pattern: RegExp, within = ''): ProgramError {
    const end = this.#end
      ? { ...this.#end, stdout: this.stdout }
      : { stdout: this.stdout, stderr: this.#stderr };
    const broken = this.#broken ? `; its line broke: ${this.#broken.message}` : '';
    return new ProgramError(`${this.name}: no ${pattern} ${within}${broken}: ${JSON.stringify(end)}`);
  }
}

async function* once(bytes: Uint8Array | undefined): AsyncIterable<Uint8Array> {
  if (bytes !== undefined) yield bytes;
}
