// Keeps a line open to each router that was named: as soon as one breaks it is opened again, with longer and longer waits.

import { Role } from '@odonata/proto/auth/v1/access';
import { type Frame, RouterService } from '@odonata/proto/syslink/v1/syslink';
import { Backoff, delay } from '@odonata/rpc/backoff.ts';
import { openChannel, openStream } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { type FrameStream, openedFrames } from '@odonata/rpc/syslink/frames/frame-stream.ts';
import { resolveRouters } from '@odonata/rpc/syslink/routers.ts';
import type { PeerLine } from './peer-line.ts';

const LOOK_MS = 5_000;
const AGAIN_MAX_MS = 5_000;

export interface DiallerOptions {
  /** host:port each, with commas between; a name stands for all of its addresses. */
  readonly peers: string;
  readonly folder: TlsFolder | undefined;
  readonly log: Logger;
  readonly line: (stream: FrameStream, fail: () => void, address: string) => PeerLine;
}

export class Dialler {
  readonly #options: DiallerOptions;
  readonly #stop = new AbortController();
  /** By address. */
  readonly #kept = new Map<string, AbortController>();
  readonly #running: Promise<void>;

  constructor(options: DiallerOptions) {
    this.#options = options;
    this.#running = this.#look();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const kept of this.#kept.values()) kept.abort();
    await this.#running;
  }

  async #look(): Promise<void> {
    const { peers, log } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const addresses = new Set(await resolveRouters(peers));
        for (const address of addresses) {
          if (this.#kept.has(address) || signal.aborted) continue;
          const abort = new AbortController();
          this.#kept.set(address, abort);
          void this.#keep(address, abort.signal);
        }
        for (const [address, abort] of this.#kept) {
          if (addresses.has(address)) continue;
          this.#kept.delete(address);
          abort.abort();
        }
      } catch (error) {
        log.warn(
          { peers, err: (error as Error).message },
          'the names of the other routers stand for nothing',
        );
      }
      await delay(LOOK_MS, signal);
    }
  }

  async #keep(address: string, signal: AbortSignal): Promise<void> {
    const backoff = new Backoff({ firstMs: 100, maxMs: AGAIN_MAX_MS });
    while (!signal.aborted) {
      const line = this.#dial(address);
      const leave = () => line.end(new RpcError(Code.Unavailable, 'this router stops'));
      signal.addEventListener('abort', leave, { once: true });
      await line.ended;
      signal.removeEventListener('abort', leave);
      if (line.wasUp) backoff.reset();
      await delay(backoff.nextDelayMs(), signal);
    }
  }

  #dial(address: string): PeerLine {
    const { folder, log } = this.#options;
    const channel = openChannel(address, { folder, server: Role.SYSLINKD });
    const stream = openStream(RouterService.method.peer, channel);
    const hear = (frames: readonly Frame[]): void => line.receive(frames);
    const frames = openedFrames(stream, log, { router: address }, hear, { passes: true });
    const line: PeerLine = this.#options.line(frames, () => stream.cancel(), address);
    let failure: unknown;
    stream.on('error', (error) => {
      failure ??= error;
    });
    stream.once('status', () => {
      channel.close();
      line.lost(failure ?? new RpcError(Code.Unavailable, 'the other router ended it'));
    });
    return line;
  }
}
