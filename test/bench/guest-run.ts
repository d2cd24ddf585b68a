// A guest program on a node, driven in this process: starting a command line costs nothing here.

import { ProgramRun, type ProgramSpec } from '@odonata/client/program-run.ts';
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { BoundedQueue } from '@odonata/rpc/queue.ts';
import { Failure } from '../../services/vkctl/failure.ts';
import { type ProgramFile, readProgram } from '../../services/vkctl/program-file.ts';
import { buildGuest } from '../guests/build.ts';
import type { Setting } from './part.ts';

/** Private memory that a guest may touch; the largest kernel takes half of it. */
const MEMORY_BYTES = 512n * 2n ** 20n;
/** A guest prints some lines, not many. */
const LINES_MAX = 1000;

export type GuestArgs = readonly (string | number)[];

/** More of it than its virtual kernel's name. */
export type GuestPlace = Pick<ProgramSpec, 'vkernel' | 'dirs'>;

/** A guest that runs, and whose standard input is open. */
export class RunningGuest {
  readonly #input = new BoundedQueue<Uint8Array>({ name: 'input of a guest', capacity: 16 });
  readonly #lines = new BoundedQueue<string>({ name: 'lines of a guest', capacity: LINES_MAX });
  readonly #command: string;
  readonly #ended: Promise<void>;
  readonly #run: ProgramRun;
  #partial = '';
  #complaint = '';

  constructor(
    { to, signal }: Setting,
    node: string,
    { name, module }: ProgramFile,
    args: GuestArgs,
    where: string | GuestPlace = {},
  ) {
    this.#command = `${name} ${args.join(' ')} on ${node}`;
    const place = typeof where === 'string' ? { vkernel: where } : where;
    const spec = { name, args: args.map(String), memoryBytes: MEMORY_BYTES, ...place };
    const run = new ProgramRun(to, node, spec, module, {
      signal,
      stdin: this.#input,
      onOutput: ({ stream, data }) => this.#take(stream, Buffer.from(data).toString('utf8')),
    });
    this.#run = run;
    this.#ended = run.exited().then(({ code, reason }) => {
      const why = [reason, this.#complaint.trim()].filter(Boolean).join('; ');
      if (code !== 0) throw new Failure(`${this.#command}: exit code ${code}${why && `: ${why}`}`);
      this.#lines.close();
    });
    this.#ended.catch((error) => this.#lines.fail(error)); // Whoever reads or ends it hears of it.
  }

  #take(stream: StdStream, text: string): void {
    if (stream === StdStream.ERR) {
      this.#complaint += text;
      return;
    }
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop()!;
    for (const line of lines) this.#lines.offer(line);
  }

  /** The next line of its output, which is JSON. @throws Failure when it ended without one */
  async line<T>(): Promise<T> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Failure(`${this.#command}: it ended without the line that was expected`);
    return JSON.parse(value) as T;
  }

  /** A line for its standard input: what it waits for. */
  go(): Promise<void> {
    return this.#input.push(Buffer.from('\n'));
  }

  /** Ends it where it is. */
  async kill(): Promise<void> {
    await this.#run.signal('SIGKILL');
    await this.end().catch(() => {});
  }

  /** Ends its standard input and waits for its exit. */
  end(): Promise<void> {
    this.#input.close();
    return this.#ended;
  }
}

/** Starts a guest, by its name or by the path of its module. */
export async function startGuest(
  setting: Setting,
  node: string,
  guest: string,
  args: GuestArgs,
  where?: string | GuestPlace,
): Promise<RunningGuest> {
  const path = guest.endsWith('.wasm') ? guest : await buildGuest(guest);
  return new RunningGuest(setting, node, readProgram(path), args, where);
}

/** Runs a guest to its end. @returns its first line */
export async function runGuest<T>(
  setting: Setting,
  node: string,
  guest: string,
  args: GuestArgs,
  where?: string | GuestPlace,
): Promise<T> {
  const running = await startGuest(setting, node, guest, args, where);
  await running.end();
  return running.line<T>();
}
