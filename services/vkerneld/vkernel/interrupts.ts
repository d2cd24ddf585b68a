// Reaches a thread in the middle of what it computes: V8 runs what an inspector asks of a thread where that looks whether to go on,
// which WebAssembly does in each loop and at each call of a function. So a program is stopped, and a handler runs, wherever it is.
import type { Session } from 'node:inspector';
import type { Worker } from 'node:worker_threads';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { INTERRUPTED } from './interrupted.ts';

/** A thread that computes has heard by then; one in a call of ours looks by itself at the end of that. */
const HEARD_MS = 500;

interface Attached {
  readonly sessionId: string;
  /** As `[worker 2] guest`, with the number that the thread has in Node. */
  readonly workerInfo: { readonly title: string };
}

export class Interrupts {
  #session: Session | undefined;
  #opened: Promise<void> | undefined;
  readonly #threads = new Map<string, string>();
  #last = 0;
  #ends: NodeJS.Timeout | undefined;

  /** Has the thread look at its signals. */
  async interrupt(worker: Worker): Promise<void> {
    const thread = String(worker.threadId);
    await this.#open();
    clearTimeout(this.#ends);
    this.#ends = setTimeout(
      ownTurn({ timer: 'interrupt' }, () => this.#close()),
      HEARD_MS,
    ).unref();
    const sessionId = this.#threads.get(thread);
    if (sessionId === undefined) return;
    this.#last += 1;
    const params = { expression: `globalThis.${INTERRUPTED}?.()` };
    const message = JSON.stringify({ id: this.#last, method: 'Runtime.evaluate', params });
    this.#session?.post('NodeWorker.sendMessageToWorker', { sessionId, message }, () => {});
  }

  /** All threads are attached to, for as long as somebody is to be reached. */
  #open(): Promise<void> {
    this.#opened ??= this.#attach();
    return this.#opened;
  }

  async #attach(): Promise<void> {
    const { Session } = await import('node:inspector');
    const session = new Session();
    this.#session = session;
    session.connect();
    session.on('NodeWorker.attachedToWorker', ({ params }: { params: Attached }) => {
      const thread = /^\[worker (\d+)\]/.exec(params.workerInfo.title)?.[1];
      if (thread !== undefined) this.#threads.set(thread, params.sessionId);
    });
    await new Promise<void>((resolve) => {
      session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }, () => resolve());
    });
  }

  #close(): void {
    this.#session?.post('NodeWorker.disable', () => {});
    this.#session?.disconnect();
    this.#session = undefined;
    this.#opened = undefined;
    this.#threads.clear();
  }
}

export const interrupts = new Interrupts();

const AGAIN_MS = 50;
/** One that V8 compiles for heeds nothing, and needs to be told no more often. */
const TIMES_MAX = 40;

/**
 * Ends a thread. One that was stopped is in what the inspector evaluates, which swallows the order to end: it is given until it is
 * heeded.
 */
export function terminate(worker: Worker | undefined): Promise<unknown> {
  if (worker === undefined) return Promise.resolve();
  worker.setMaxListeners(0);
  const done = worker.terminate();
  let times = 0;
  const again = setInterval(
    ownTurn({ timer: 'terminate' }, () => {
      if (++times > TIMES_MAX) clearInterval(again);
      else void worker.terminate();
    }),
    AGAIN_MS,
  );
  return done.finally(() => clearInterval(again));
}
