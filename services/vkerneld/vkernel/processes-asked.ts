// What programs ask of processes: the supervisor is asked, which is their home. An ask that a new supervisor has no answer to is asked
// again where that changes nothing (a wait), and fails where it might.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ProcessAnswered, ProcessAsks, ProcessAsksSchema } from '@odonata/proto/vkernel/v1/vkernel';
import type { HeldDescriptor } from './held-descriptors.ts';
import { Errno } from './wasi/errno.ts';
import type { Word } from './wasi/system.ts';

export type Ask = NonNullable<MessageInitShape<typeof ProcessAsksSchema>['what']>;
export type Answer = Pick<ProcessAnswered, 'errno' | 'process' | 'exit' | 'relatives'> &
  Partial<Pick<ProcessAnswered, 'change' | 'terminal'>>;

/** A child that is to be started here, once the supervisor says so. */
export interface ChildSpec {
  readonly name: string;
  readonly module: Uint8Array<ArrayBuffer>;
  readonly args: readonly Word[];
  readonly env: readonly Word[];
  /** Its own from now on. */
  readonly given: readonly HeldDescriptor[];
}

type Send = (event: { case: 'ask'; value: MessageInitShape<typeof ProcessAsksSchema> }) => void;

interface Waiting {
  readonly pid: bigint;
  readonly ask: Ask;
  readonly child: ChildSpec | undefined;
  readonly done: (answer: Answer) => void;
}

const failed = (errno: number): Answer => ({ errno, process: 0n, exit: undefined, relatives: undefined });

/** These change nothing when they are asked again. */
const AGAIN: ReadonlySet<ProcessAsks['what']['case']> = new Set(['wait', 'identify', 'group']);

export class ProcessesAsked {
  readonly #send: Send;
  /** By number: the lowest first. */
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  /** @param child what the answer starts, where it is to run here */
  ask(pid: bigint, ask: Ask, child?: ChildSpec): { number: number; answer: Promise<Answer> } {
    this.#last += 1;
    const number = this.#last;
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.set(number, { pid, ask, child, done: resolve });
    this.#tell(number);
    return { number, answer: promise };
  }

  /** Whoever asked wants no answer any more: a signal came. */
  cancel(number: number): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#send({
      case: 'ask',
      value: { pid: waiting.pid, number: 0, what: { case: 'cancel', value: { wait: number } } },
    });
  }

  answered({ pid, number, ...answer }: ProcessAnswered): void {
    const waiting = this.#waiting.get(number);
    if (waiting?.pid !== pid) return;
    this.#waiting.delete(number);
    waiting.done(answer);
  }

  /** The supervisor starts the child that was asked for. Undefined: nobody asks for it any more. */
  started(parent: bigint, number: number, pid: bigint): ChildSpec | undefined {
    const waiting = this.#waiting.get(number);
    if (waiting?.pid !== parent || waiting.child === undefined) return undefined;
    this.#waiting.delete(number);
    waiting.done({ ...failed(Errno.success), process: pid });
    return waiting.child;
  }

  /** A process is over: nothing that it asked starts anything any more. */
  ended(pid: bigint): void {
    for (const [number, waiting] of this.#waiting) {
      if (waiting.pid !== pid) continue;
      this.#waiting.delete(number);
      waiting.done(failed(Errno.canceled));
    }
  }

  onReattached(): void {
    for (const [number, { ask, done }] of [...this.#waiting]) {
      if (AGAIN.has(ask.case)) {
        this.#tell(number);
        continue;
      }
      this.#waiting.delete(number);
      done(failed(Errno.io));
    }
  }

  #tell(number: number): void {
    const { pid, ask: what } = this.#waiting.get(number)!;
    let settled = number;
    for (const [other, waiting] of this.#waiting)
      if (waiting.pid === pid) {
        settled = Math.min(settled, other);
        break;
      }
    this.#send({ case: 'ask', value: { pid, number, settled, what } });
  }
}
