// A child of a process on another node, whose standard streams are there: what goes to it, and what it asks for.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { SpawnRequest, SpawnResponseSchema } from '@odonata/proto/vkernel/v1/peer';
import type { InputAsked, RunRequest } from '@odonata/proto/vkernel/v1/vkernel';
import type { Response } from '../output-backlog.ts';
import type { Process } from '../process-table.ts';
import type { Vkernels } from '../vkernels.ts';

type Spawned = MessageInitShape<typeof SpawnResponseSchema>;

export class RemoteChild {
  readonly #vkernels: Vkernels;
  readonly #process: Process;
  /** One ask at a time, and what it did not read at the end. */
  #asked: Spawned[] = [];
  #wake: (() => void) | undefined;

  constructor({ vkernels, process }: { vkernels: Vkernels; process: Process }) {
    this.#vkernels = vkernels;
    this.#process = process;
  }

  asked({ maxBytes, unread }: InputAsked): void {
    const event: Spawned['event'] =
      unread.length > 0 ? { case: 'unread', value: unread.slice() } : { case: 'inputAsked', value: maxBytes };
    this.#asked.push({ event });
    this.#wake?.();
  }

  /** As its terminal hears it; all else goes to its virtual kernel. */
  async *inputOf(requests: AsyncIterator<SpawnRequest>): AsyncGenerator<RunRequest> {
    const { pid } = this.#process;
    for (let next = await requests.next(); !next.done; next = await requests.next()) {
      const { event } = next.value;
      if (event.case === 'stdin' || event.case === 'stdinEnd') yield { event } as RunRequest;
      if (event.case === 'inputState')
        this.#vkernels.tell(this.#process, { case: 'input', value: { pid, state: event.value } });
      if (event.case === 'outputClosed')
        this.#vkernels.tell(this.#process, { case: 'outputClosed', value: { pid, stream: event.value } });
    }
  }

  /** What it writes, and what it asks. */
  async *serve(responses: AsyncIterable<Response>): AsyncGenerator<Spawned> {
    const iterator = responses[Symbol.asyncIterator]();
    let next = iterator.next();
    try {
      for (;;) {
        yield* this.#asked.splice(0);
        const said = await Promise.race([next, this.#asks()]);
        if (said === 'asks') continue;
        yield* this.#asked.splice(0);
        if (said.done) return;
        next = iterator.next();
        // Somebody looks at it with the next turn, if at all.
        next.catch(() => {});
        const { event } = said.value;
        if (event?.case === 'output') yield { event };
      }
    } finally {
      void Promise.resolve(iterator.return?.(undefined)).catch(() => {});
    }
  }

  #asks(): Promise<'asks'> {
    if (this.#asked.length > 0) return Promise.resolve('asks');
    return new Promise((resolve) => {
      this.#wake = () => resolve('asks');
    });
  }
}
