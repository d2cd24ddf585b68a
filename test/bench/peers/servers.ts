// Servers of peers, and their clients: each is a process that ends with the bench, on a free port of 127.0.0.1.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { pickPorts } from '../../../services/vkctl/cluster/ports.ts';
import { Failure } from '../../../services/vkctl/failure.ts';
import type { Setting } from '../part.ts';

const CLIENT = join(import.meta.dirname, 'client.ts');
const READY_MS = 20_000;

export type Kind = 'redis' | 'nats';

export interface Server {
  readonly kind: Kind;
  readonly port: number;
  readonly version: string;
}

/** What a command says of its version; undefined where there is no such command. */
export function versionOf(command: string, flag = '--version'): string | undefined {
  const { status, stdout } = spawnSync(command, [flag], { encoding: 'utf8', timeout: READY_MS });
  return status === 0 ? stdout.trim().split('\n')[0] : undefined;
}

const COMMANDS: Record<Kind, (port: number, folder: string) => [command: string, args: string[]]> = {
  redis: (port, folder) => [
    'redis-server',
    [
      ...['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, '--save', '', '--appendonly', 'no'],
      ...['--daemonize', 'no'],
    ],
  ],
  nats: (port, folder) => ['nats-server', ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder]],
};

/** @returns undefined: it is not on this machine */
export async function withServer<T>(
  { signal, folder }: Setting,
  kind: Kind,
  use: (server: Server) => Promise<T>,
): Promise<T | undefined> {
  const version = versionOf(`${kind}-server`);
  if (version === undefined) return undefined;
  const [port = 0] = await pickPorts(1);
  const own = join(folder, kind);
  await mkdir(own, { recursive: true });
  const [command, args] = COMMANDS[kind](port, own);
  // Should this process be killed, its children get the end of their standard input, or the signal.
  const child = spawn(
    'sh',
    ['-c', '"$@" <&- & pid=$!; cat >/dev/null; kill -9 $pid; wait $pid', 'sh', command, ...args],
    {
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  );
  const gone = once(child, 'close');
  try {
    await untilListening(port, signal);
    return await use({ kind, port, version });
  } finally {
    child.stdin.end();
    await gone;
  }
}

async function untilListening(port: number, signal: AbortSignal): Promise<void> {
  for (const endMs = performance.now() + READY_MS; ; ) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect', { signal });
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (performance.now() > endMs) throw new Failure(`nothing listens on port ${port}`, { cause: error });
      await sleep(50, undefined, { signal });
    } finally {
      socket.destroy();
    }
  }
}

export interface Done {
  count: number;
  ns: number;
}

/** A client that is connected, and waits for `go`. */
export class PeerClient {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #complaint: Promise<string>;
  readonly #gone: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#gone = once(child, 'close');
    this.#lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
    this.#complaint = text(child.stderr!);
  }

  static async start(
    { signal }: Setting,
    server: Server,
    args: readonly (string | number)[],
  ): Promise<PeerClient> {
    const all = [CLIENT, server.kind, `127.0.0.1:${server.port}`, ...args.map(String)];
    const child = spawn(process.execPath, all, { stdio: 'pipe', signal, killSignal: 'SIGKILL' });
    child.on('error', () => {}); // An abort; its exit is awaited.
    const client = new PeerClient(child);
    await client.#line();
    return client;
  }

  async #line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Failure(`a client of a peer ended: ${(await this.#complaint).trim()}`);
    return value;
  }

  async done(): Promise<Done> {
    const done = JSON.parse(await this.#line()) as Done;
    await this.#gone;
    return done;
  }

  /** It ends now, if it has not. */
  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#gone;
  }

  go(): void {
    this.#child.stdin!.write('\n');
  }
}

/** Clients that begin together. @returns what each of them did, in order */
export async function together(
  setting: Setting,
  server: Server,
  clients: readonly (readonly (string | number)[])[],
): Promise<Done[]> {
  const started: PeerClient[] = [];
  try {
    for (const args of clients) started.push(await PeerClient.start(setting, server, args));
    for (const client of started) client.go();
    return await Promise.all(started.map((client) => client.done()));
  } finally {
    for (const client of started) await client.end();
  }
}

export const perSecond = ({ count, ns }: Done): number => count / (ns / 1e9);
