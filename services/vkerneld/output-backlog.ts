// What a program said and its caller does not have: in order, each message once, until the caller says that it has it.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Output, RunResponseSchema } from '@odonata/proto/vkernel/v1/vkernel';
import { Code, RpcError } from '@odonata/rpc/error.ts';

export type Response = MessageInitShape<typeof RunResponseSchema>;

/** Four times the credit that a program has for its output: more than that is the virtual kernel's bug. */
const OUTPUT_BYTES = 4 * 1024 * 1024;
const MESSAGE_BYTES = 64 * 1024;
/** What a message costs beside its bytes. */
const OVERHEAD_BYTES = 64;

export class OutputBacklog {
  readonly #name: string;
  #messages: Response[] = [];
  /** Of `#messages`: what the caller of this time got. */
  #next = 0;
  #weight = 0;
  #takenBytes = 0n;
  /** No more comes. */
  #end: { error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(name: string) {
    this.#name = name;
  }

  /** Bytes of output that the caller has. */
  get takenBytes(): bigint {
    return this.#takenBytes;
  }

  /** @throws RpcError RESOURCE_EXHAUSTED */
  add(message: Response): void {
    if (this.#end !== undefined) return;
    if (!this.#merged(message)) {
      this.#messages.push(message);
      this.#weight += weightOf(message);
    }
    if (this.#weight > OUTPUT_BYTES)
      throw new RpcError(Code.ResourceExhausted, `${this.#name}: more than ${OUTPUT_BYTES} bytes wait`);
    this.wake();
  }

  // Many small writes that wait become few messages.
  #merged({ event }: Response): boolean {
    const last = this.#messages.length > this.#next ? this.#messages.at(-1)?.event : undefined;
    if (event?.case !== 'output' || last?.case !== 'output') return false;
    const [before, added] = [last.value as Output, event.value as Output];
    if (before.stream !== added.stream || before.data.length + added.data.length > MESSAGE_BYTES)
      return false;
    last.value = { stream: before.stream, data: Buffer.concat([before.data, added.data]) };
    this.#weight += added.data.length;
    return true;
  }

  /** After what is there. */
  close(error?: unknown): void {
    this.#end ??= { error };
    this.wake();
  }

  /** Whoever waits for the next message looks again. */
  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** A caller that has so many bytes gets what follows them, from now on. @returns false: that cannot be */
  rewind(takenBytes: bigint): boolean {
    const known = this.take(takenBytes);
    this.#next = 0;
    return known;
  }

  /** The caller has so many bytes, since the start. @returns false: it was not sent as many, or not as whole messages */
  take(takenBytes: bigint): boolean {
    while (this.#takenBytes < takenBytes) {
      const [first] = this.#messages;
      if (first === undefined || first.event?.case !== 'output') return false;
      this.#drop();
    }
    return this.#takenBytes === takenBytes;
  }

  /** Nobody comes for it. */
  forget(): void {
    while (this.#messages.length > 0) this.#drop();
    this.close();
  }

  #drop(index = 0): void {
    const [dropped] = this.#messages.splice(index, 1);
    this.#weight -= weightOf(dropped!);
    this.#takenBytes += BigInt(bytesOf(dropped!));
    if (this.#next > index) this.#next--;
  }

  /** The next message, `undefined` where none is there now. @param keep it until it is taken; else it is as of now */
  shift(keep: boolean): Response | undefined {
    const message = this.#messages[this.#next];
    if (message === undefined) return undefined;
    this.#next++;
    // That it started a caller who comes back hears anyway.
    if (!keep || message.event?.case === 'started') this.#drop(this.#next - 1);
    return message;
  }

  /** True after the last message. @throws what it was closed with */
  get over(): boolean {
    if (this.#end === undefined || this.#next < this.#messages.length) return false;
    if (this.#end.error !== undefined) throw this.#end.error;
    return true;
  }

  /** Until something changes. */
  change(): Promise<void> {
    return new Promise((resolve) => {
      const other = this.#wake;
      this.#wake = () => {
        other?.();
        resolve();
      };
    });
  }
}

function bytesOf({ event }: Response): number {
  return event?.case === 'output' ? (event.value.data?.length ?? 0) : 0;
}

const weightOf = (message: Response): number =>
  message.event?.case === 'output' ? OVERHEAD_BYTES + bytesOf(message) : 0;
