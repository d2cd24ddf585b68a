// The pmap manager of a cluster that lodges on a machine: a thread of that machine's pmapd, which runs all that a pmapd of its
// own would, with the identity, the lines and the sockets of that cluster. Of the others it knows the pool of frames, and
// nothing else. It may end, however, and begin again: nobody of another cluster notices.
//
//   start -> starting --it has the node--> up --ends--> waiting --delay--> starting ...
//   end:  -> SIGTERM (hands over, or drains) or SIGINT (at once) -> stopped
import { Worker } from 'node:worker_threads';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Lodger, LodgerState } from '@odonata/rpc/lodging/wanted.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import type { FramePool } from '../frames/frame-pool.ts';

const AGAIN_MS = 500;
const AGAIN_MAX_MS = 15_000;
/** One that lived so long is well. */
const LIFE_MS = 30_000;

/** What a thread is told at its start. */
export interface ThreadStart {
  readonly lodger: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly framesBytes: number;
  readonly pool: SharedArrayBuffer;
  readonly slot: number;
}
/** To it, and from it. */
export type ToThread = { stop: 'SIGTERM' | 'SIGINT' } | { framesBytes: number };
export type FromThread = 'standing by' | 'up' | { readonly ends: string };

export interface LodgerThreadOptions {
  /** What a thread runs: this program once more. */
  readonly program: string;
  /** Of V8, for its objects; buffers are beside it. One that needs more ends alone. */
  readonly heapMb: number;
  readonly pool: FramePool;
  readonly slot: number;
  readonly log: Logger;
  readonly changed: () => void;
}

export class LodgerThread {
  readonly name: string;
  readonly slot: number;
  readonly #o: LodgerThreadOptions;
  #wanted: Lodger;
  #state: LodgerState['state'] = 'stopped';
  #thread: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();
  #restarts = 0;
  #failures = 0;
  #lastEnd: string | undefined;
  #again: NodeJS.Timeout | undefined;
  #stopping = false;
  readonly #heard = Promise.withResolvers<void>();

  constructor(wanted: Lodger, options: LodgerThreadOptions) {
    this.name = wanted.name;
    this.slot = options.slot;
    this.#wanted = wanted;
    this.#o = options;
  }

  get state(): LodgerState {
    const bytes = this.#o.pool.hadBy(this.slot) * 4_096;
    return {
      ...{ name: this.name, state: this.#state, restarts: this.#restarts, bytes },
      ...(this.#lastEnd === undefined ? {} : { lastEnd: this.#lastEnd }),
    };
  }

  /** Resolves when it is up, or stands by for another one, or has ended. */
  get heard(): Promise<void> {
    return this.#heard.promise;
  }

  start(): void {
    const { pool, slot, program, heapMb, log } = this.#o;
    const { name, args, logFile, framesBytes } = this.#wanted;
    const startedMs = performance.now();
    pool.clear(slot);
    const told: ThreadStart = { lodger: name, args, logFile, framesBytes, pool: pool.buffer, slot };
    const thread = new Worker(program, {
      ...{ workerData: told, name: `lodger ${name}`, env: {} },
      resourceLimits: { maxOldGenerationSizeMb: heapMb },
    });
    this.#thread = thread;
    let why: string | undefined;
    thread.on('message', (message: FromThread) => {
      if (typeof message === 'object') {
        why = message.ends;
        return;
      }
      this.#become(message);
      this.#heard.resolve();
    });
    thread.on('error', (error) => {
      why = error instanceof Error ? error.message : String(error);
    });
    this.#ended = new Promise((resolve) => {
      thread.once('exit', (code) => {
        this.#thread = undefined;
        this.#heard.resolve();
        this.#end(why ?? `exit ${code}`, performance.now() - startedMs);
        resolve();
      });
    });
    log.info({ lodger: name }, 'another cluster lodges here');
    this.#become('starting');
  }

  /** What it may have from now on. */
  want(wanted: Lodger): void {
    if (wanted.framesBytes !== this.#wanted.framesBytes) this.#tell({ framesBytes: wanted.framesBytes });
    this.#wanted = wanted;
    if (wanted.rest) void this.stop('SIGTERM');
    else if (this.#stopping && this.#thread === undefined) {
      this.#stopping = false;
      this.start();
    }
  }

  /** Resolves when it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGINT'): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#again);
    if (this.#thread === undefined) this.#become('stopped');
    this.#tell({ stop: signal });
    await this.#ended;
    if (this.#thread === undefined) this.#o.pool.clear(this.slot);
  }

  #tell(message: ToThread): void {
    this.#thread?.postMessage(message);
  }

  #end(how: string, livedMs: number): void {
    const { log } = this.#o;
    this.#lastEnd = how;
    if (this.#stopping) {
      log.info({ lodger: this.name, how }, 'a cluster that lodged here has ended');
      this.#become('stopped');
      return;
    }
    this.#failures = livedMs > LIFE_MS ? 0 : this.#failures + 1;
    const delayMs = Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** Math.min(10, this.#failures));
    log.warn({ lodger: this.name, how, delayMs }, 'a cluster that lodges here ended, and begins again');
    this.#become('waiting');
    const again = ownTurn({ timer: 'lodger' }, () => {
      this.#restarts += 1;
      this.start();
    });
    this.#again = setTimeout(again, delayMs);
  }

  #become(state: LodgerState['state']): void {
    this.#state = state;
    this.#o.changed();
  }
}
