// Routers and endpoints as processes of their own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { delay } from '@odonata/rpc/backoff.ts';
import { isListening } from '@odonata/rpc/listening.ts';
import { Failure } from '../../../services/vkctl/failure.ts';
import { freePorts } from '../../sockets/free-ports.ts';
import { cpuUsOf } from '../cpu-time.ts';
import type { Setting } from '../part.ts';

/** A gateway, too, with `--gateway`. */
export const ROUTER = join(import.meta.dirname, '../../../services/syslinkd/main.ts');
const TELL_MEMORY = join(import.meta.dirname, 'tell-memory.ts');
export const PEER = join(import.meta.dirname, 'peer.ts');
export const RAW_PEER = join(import.meta.dirname, '../raw-peer.ts');
const START_MS = 20_000;
/** What a router needs to hear of the endpoints of another one. */
const ROUTES_MS = 1_500;

export interface Memory {
  readonly rss: number;
  readonly heapUsed: number;
  readonly external: number;
}

type Needs = Pick<Setting, 'signal'>;

/** A process that says words in lines. */
export class Running {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(args: readonly (string | number)[], { signal }: Needs) {
    this.child = spawn(process.execPath, args.map(String), {
      stdio: ['pipe', 'pipe', 'inherit'],
      signal,
      killSignal: 'SIGKILL',
    });
    this.child.on('error', () => {}); // An abort; its end is awaited.
    this.child.stdin!.on('error', () => {});
    this.#lines = createInterface(this.child.stdout!)[Symbol.asyncIterator]();
  }

  /** @throws Failure where it ended */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Failure(`a process of the bench ended: ${this.child.spawnargs.slice(1).join(' ')}`);
    return value;
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.stdin!.end();
    const killing = setTimeout(() => this.child.kill('SIGKILL'), 3_000);
    await ended;
    clearTimeout(killing);
  }
}

/** One that does not end with its standard input. */
export class RunningService extends Running {
  override async end(): Promise<void> {
    this.child.kill('SIGKILL');
    await super.end();
  }
}

export class RunningRouter extends RunningService {
  readonly address: string;

  constructor(port: number, peers: string, needs: Needs) {
    const address = `127.0.0.1:${port}`;
    const settings = ['--listen', address, '--settle-ms', 0, '--drain-ms', 0, '--log-level', 'warn'];
    const options = ['--expose-gc', '--import', TELL_MEMORY];
    super(
      [...options, ROUTER, ...settings, '--name', `r${port}`, ...(peers ? ['--peers', peers] : [])],
      needs,
    );
    this.address = address;
  }

  async memory(): Promise<Memory> {
    this.child.kill('SIGUSR2');
    return JSON.parse(await this.line()) as Memory;
  }
}

/** @throws Failure where nobody does in time */
export async function untilListening(address: string, { signal }: Needs): Promise<void> {
  const endMs = performance.now() + START_MS;
  while (!(await isListening(address))) {
    signal.throwIfAborted();
    if (performance.now() > endMs) throw new Failure('a router of the bench does not start');
    await delay(20);
  }
}

/** So many routers in a row, each with a line to the one before it, while `use` runs. */
export async function withRouters<T>(
  count: number,
  needs: Needs,
  use: (routers: readonly RunningRouter[]) => Promise<T>,
): Promise<T> {
  const routers: RunningRouter[] = [];
  try {
    for (const port of await freePorts(count)) {
      const router = new RunningRouter(port, routers.at(-1)?.address ?? '', needs);
      routers.push(router);
      await untilListening(router.address, needs);
    }
    return await use(routers);
  } finally {
    await Promise.all(routers.map((router) => router.end()));
  }
}

/** A process that has said its first line, while `use` runs. */
export async function withRunning<T>(
  args: readonly (string | number)[],
  needs: Needs,
  use: (said: string, pid: number) => Promise<T>,
): Promise<T> {
  const running = new Running(args, needs);
  try {
    return await use(await running.line(), running.child.pid!);
  } finally {
    await running.end();
  }
}

/** An endpoint that answers as `echo` at the last of so many routers, and where to ask it; 0: it is asked itself. */
export async function withEcho<T>(
  routers: number,
  needs: Needs,
  use: (address: string, routers: readonly RunningRouter[]) => Promise<T>,
): Promise<T> {
  if (routers === 0) return await withRunning([PEER, 'direct'], needs, (address) => use(address, []));
  return await withRouters(routers, needs, (row) =>
    withRunning([PEER, 'serve', row.at(-1)!.address], needs, async () => {
      if (routers > 1) await delay(ROUTES_MS);
      return await use(row[0]!.address, row);
    }),
  );
}

/** What a process printed last: it ran to its end. */
export async function told<T>(args: readonly (string | number)[], needs: Needs): Promise<T> {
  return await withRunning(args, needs, async (said) => JSON.parse(said) as T);
}

/** Processor time in us of another process, while one that warms up first does its work, and the ns of that. */
export async function cpuWhile(
  pid: number,
  args: readonly (string | number)[],
  needs: Needs,
): Promise<{ cpuUs: number; ns: number }> {
  const running = new Running(args, needs);
  try {
    await running.line();
    let ns = 0;
    const cpuUs = await cpuUsOf(pid, async () => {
      running.child.stdin!.write('\n');
      ns = Number(await running.line());
    });
    return { cpuUs, ns };
  } finally {
    await running.end();
  }
}
