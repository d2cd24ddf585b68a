// A guest program on a node, driven in this process: starting a command line costs nothing here.
import { StdStream } from '@odonata/proto/vkernel/v1/vkernel';
import { Failure } from '../../services/vkctl/failure.ts';
import { readProgram } from '../../services/vkctl/program-file.ts';
import { ProgramRun } from '../../services/vkctl/program-run.ts';
import { buildGuest } from '../guests/build.ts';
import type { Setting } from './part.ts';

/** Private memory that a guest may touch; the largest kernel takes half of it. */
const MEMORY_BYTES = 512n * 2n ** 20n;

export interface RunningGuest {
  /** The first line of its output. */
  firstLine: Promise<string>;
  /** Ends its standard input, and resolves with its lines when it ended. */
  end(): Promise<string[]>;
}

/** Starts a guest, by its name or the path of its module; its standard input stays open until `end`. */
export async function startGuest(
  { to, signal }: Setting,
  node: string,
  guest: string,
  args: (string | number)[],
): Promise<RunningGuest> {
  const { name, module } = readProgram(guest.endsWith('.wasm') ? guest : await buildGuest(guest));
  const input = Promise.withResolvers<void>();
  const first = Promise.withResolvers<string>();
  const text = { [StdStream.OUT]: '', [StdStream.ERR]: '' } as Record<StdStream, string>;
  async function* stdin(): AsyncGenerator<Uint8Array> {
    await input.promise;
    yield new Uint8Array();
  }
  const spec = { name, args: args.map(String), memoryBytes: MEMORY_BYTES };
  const run = new ProgramRun(to, node, spec, module, {
    signal,
    stdin: stdin(),
    onOutput: ({ stream, data }) => {
      text[stream] += Buffer.from(data).toString('utf8');
      const lineEnd = text[StdStream.OUT].indexOf('\n');
      if (lineEnd >= 0) first.resolve(text[StdStream.OUT].slice(0, lineEnd));
    },
  });
  const lines = run.exited().then(({ code, reason }) => {
    const line = `${name} ${args.join(' ')} on ${node}`;
    const why = [reason, text[StdStream.ERR].trim()].filter(Boolean).join('; ');
    if (code !== 0) throw new Failure(`${line}: exit code ${code}${why && `: ${why}`}`);
    return text[StdStream.OUT].split('\n').filter((each) => each !== '');
  });
  const noLine = new Failure(`${name} on ${node} ended without a line`);
  lines.then(() => first.reject(noLine), first.reject);
  first.promise.catch(() => {}); // Whoever ends it hears of the same.
  return {
    firstLine: first.promise,
    end() {
      input.resolve();
      return lines;
    },
  };
}

/** Runs a guest to its end. @returns its lines, which are JSON. */
export async function runGuest<T>(
  setting: Setting,
  node: string,
  guest: string,
  args: (string | number)[],
): Promise<T> {
  const running = await startGuest(setting, node, guest, args);
  const lines = await running.end();
  return JSON.parse(lines[0] ?? 'null') as T;
}
