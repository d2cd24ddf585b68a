// Connections that programs wait for: asked of the supervisor, which has the network, and comes with each as a descriptor. Every wait
// ends: with an answer, with another supervisor, or with time.
import type { ProcessConnected } from '@odonata/proto/vkernel/v1/vkernel';
import { ownTurn } from '@odonata/rpc/bug.ts';
import { close } from '@odonata/userfault/libc.ts';
import { Errno } from './wasi/errno.ts';

/** Longer than the supervisor tries. */
const WAIT_MS = 30_000;

/** A descriptor of the host, or why there is none, as WASI numbers it. */
export type Connected = { readonly fd: number } | { readonly errno: number };

/** To HOST:PORT, or to whoever listens by a name; or a line of the connections to that name. */
export type ConnectionRequest =
  | { readonly address: string }
  | { readonly name: string; readonly timeoutMs: number }
  | { readonly name: string; readonly listen: { readonly backlog: number; readonly everyone: boolean } };

export interface ConnectionsAskedOptions {
  readonly send: (event: {
    case: 'connect';
    value: { pid: bigint; number: number } & ConnectionRequest;
  }) => void;
  /** The descriptor that came before the answer; undefined: it did not. */
  readonly take: (pid: bigint, number: number) => number | undefined;
}

export class ConnectionsAsked {
  readonly #options: ConnectionsAskedOptions;
  readonly #waiting = new Map<number, { pid: bigint; done: (connected: Connected) => void }>();
  #last = 0;

  constructor(options: ConnectionsAskedOptions) {
    this.#options = options;
  }

  /** Whoever asks closes the descriptor. */
  ask(pid: bigint, request: ConnectionRequest): Promise<Connected> {
    this.#last = (this.#last + 1) % 2 ** 32;
    const number = this.#last;
    const { promise, resolve } = Promise.withResolvers<Connected>();
    const late = ownTurn({ timer: 'connect', pid }, () => done({ errno: Errno.timedout }));
    const timer = setTimeout(late, WAIT_MS);
    const done = (connected: Connected): void => {
      clearTimeout(timer);
      this.#waiting.delete(number);
      resolve(connected);
    };
    this.#waiting.set(number, { pid, done });
    this.#options.send({ case: 'connect', value: { pid, number, ...request } });
    return promise;
  }

  /** The supervisor's answer; one that comes too late is given up. */
  answered({ pid, number, errno }: ProcessConnected): void {
    const fd = errno === Errno.success ? this.#options.take(pid, number) : undefined;
    const waiting = this.#waiting.get(number);
    if (waiting?.pid !== pid) {
      if (fd !== undefined) close(fd);
      return;
    }
    // It did not come: no descriptor was left for it.
    waiting.done(fd === undefined ? { errno: errno === Errno.success ? Errno.nfile : errno } : { fd });
  }

  /** Another supervisor knows nothing of what the last one was asked. */
  onReattached(): void {
    for (const { done } of [...this.#waiting.values()]) done({ errno: Errno.connaborted });
  }
}
