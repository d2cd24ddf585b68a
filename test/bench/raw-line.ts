// The yardsticks: an echo and a stream of plain grpc-js between two fresh processes (raw-peer.ts), as raw as it gets.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { Failure } from '../../services/vkctl/failure.ts';
import type { Setting } from './part.ts';

const PEER = join(import.meta.dirname, 'raw-peer.ts');

export type Transport = 'tcp' | 'unix';

function peer(args: (string | number)[], signal: AbortSignal): ChildProcess {
  const child = spawn(process.execPath, [PEER, ...args.map(String)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    signal,
    killSignal: 'SIGKILL',
  });
  child.on('error', () => {}); // An abort; its exit is awaited.
  return child;
}

/** A raw server for as long as `use` takes. */
export async function withRawServer<T>(
  { signal, folder }: Pick<Setting, 'signal' | 'folder'>,
  transport: Transport,
  use: (server: { address: string; pid: number }) => Promise<T>,
): Promise<T> {
  const socket = join(folder, 'raw.sock');
  const address = transport === 'tcp' ? '127.0.0.1:0' : `unix:${socket}`;
  return await withListening(['serve', address], signal, use).finally(() => rm(socket, { force: true }));
}

/** Raw servers in a row: the last one answers, and each before it passes on to the next one. */
export async function withRawPipes<T>(
  setting: Pick<Setting, 'signal' | 'folder'>,
  pipes: number,
  use: (server: { address: string; pid: number }) => Promise<T>,
): Promise<T> {
  if (pipes === 0) return await withRawServer(setting, 'tcp', use);
  return await withRawPipes(setting, pipes - 1, ({ address }) =>
    withListening(['pipe', address], setting.signal, use),
  );
}

async function withListening<T>(
  args: (string | number)[],
  signal: AbortSignal,
  use: (server: { address: string; pid: number }) => Promise<T>,
): Promise<T> {
  const server = peer(args, signal);
  const serverGone = once(server, 'close');
  try {
    const [bound] = (await Promise.race([
      once(createInterface(server.stdout!), 'line', { signal }),
      serverGone.then(() => Promise.reject(new Failure('the server of the raw echo ended at once'))),
    ])) as [string];
    return await use({ address: bound, pid: server.pid! });
  } finally {
    server.stdin!.end();
    await serverGone;
  }
}

/** Runs `role` against a server of its own. @returns what it printed */
async function between(
  setting: Setting,
  transport: Transport,
  role: string,
  args: (string | number)[],
  pipes = 0,
): Promise<string> {
  const { signal } = setting;
  const run = async ({ address }: { address: string }): Promise<string> => {
    const client = peer([role, address, ...args], signal);
    const clientGone = once(client, 'close') as Promise<[code: number | null]>;
    const output = await text(client.stdout!);
    const [code] = await clientGone;
    signal.throwIfAborted();
    if (code !== 0) throw new Failure(`the client of the raw ${role} ended with exit code ${code}`);
    return output;
  };
  return await (pipes > 0 ? withRawPipes(setting, pipes, run) : withRawServer(setting, transport, run));
}

/** Round trips in ns of a small request and a reply of so many bytes, one after another. */
export async function rawEcho(
  setting: Setting,
  transport: Transport,
  count: number,
  replyBytes: number,
  pipes = 0,
): Promise<number[]> {
  return JSON.parse(await between(setting, transport, 'echo', [count, replyBytes], pipes)) as number[];
}

/** Nanoseconds that so many bytes take. */
export async function rawStream(
  setting: Setting,
  bytes: number,
  messageBytes: number,
  pipes = 0,
): Promise<number> {
  return Number(await between(setting, 'tcp', 'stream', [bytes, messageBytes], pipes));
}
