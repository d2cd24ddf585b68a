// What a virtual kernel is told: in batches, on its stream; while it has none, it is kept until the virtual kernel resumes its
// session.
import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { PmapEventSchema, SessionResponseSchema } from '@odonata/proto/pmap/v1/pmap';
import type { RpcError } from '@odonata/rpc/error.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import type { DescriptorSender } from '@odonata/userfault/descriptor-line.ts';
import { DescriptorOutbox } from './descriptor-outbox.ts';
import type { SessionStream } from './session-stream.ts';

export type PmapEventInit = MessageInitShape<typeof PmapEventSchema>;

/** Events that wait for a virtual kernel without a stream: more than it can have locks and waits not answered. */
export const UNTOLD_MAX = 131_072;
/** Of one message. */
const TOLD_AT_ONCE = 16_384;

export class Teller {
  private stream: SessionStream | undefined;
  /** What it is told when there is a stream. */
  private unsent: PmapEventInit[] = [];
  private isFull = false;
  private readonly onFull: (reason: string) => void;
  /** What comes with a memory file. */
  private readonly outbox: DescriptorOutbox;
  private readonly batch: EventBatch<PmapEventInit>;

  /**
   * @param onError the session cannot go on
   * @param onFull nor where more waits for it than is kept: said once
   * @param onLimited an answer with a memory file was refused, since too many wait
   */
  constructor(
    files: ConstructorParameters<typeof DescriptorOutbox>[0],
    onError: (error: RpcError) => void,
    onFull: (reason: string) => void,
    onLimited?: (reason: string) => void,
  ) {
    this.onFull = onFull;
    this.outbox = new DescriptorOutbox(files, (events) => this.writeNow(events), onError, onLimited);
    this.batch = new EventBatch((events) => this.write(events), onError);
  }

  /** One that resumes hears what it missed. */
  attach(stream: SessionStream, welcome: PmapEventInit, descriptors?: DescriptorSender): void {
    this.stream = stream;
    this.outbox.use(descriptors);
    const events = [welcome, ...this.unsent];
    this.unsent = [];
    for (let at = 0; at < events.length; at += TOLD_AT_ONCE) this.write(events.slice(at, at + TOLD_AT_ONCE));
  }

  isAttachedTo(stream: SessionStream): boolean {
    return this.stream === stream;
  }

  get isAttached(): boolean {
    return this.stream !== undefined;
  }

  /** The virtual kernel said its last word here, and hears what is answered until now. */
  detach(): void {
    this.batch.flush();
    this.stream = undefined;
    this.keep(this.outbox.take());
    this.outbox.use(undefined);
  }

  /** Its stream ends with an error. */
  endStream(error: RpcError): void {
    const { stream } = this;
    this.stream = undefined;
    stream?.fail(error);
  }

  send(event: PmapEventInit): void {
    this.batch.push(event);
  }

  private write(events: PmapEventInit[]): void {
    if (this.stream === undefined) this.keep(events);
    else this.writeNow(this.outbox.pass(events));
  }

  private keep(events: PmapEventInit[]): void {
    if (this.isFull) return;
    if (this.unsent.length + events.length <= UNTOLD_MAX) {
      this.unsent.push(...events);
      return;
    }
    this.isFull = true;
    this.unsent = [];
    this.onFull(
      `more than ${UNTOLD_MAX} events wait for the virtual kernel, which has no stream; its session ends: start it again`,
    );
  }

  private writeNow(events: PmapEventInit[]): void {
    if (events.length > 0) this.stream?.write(create(SessionResponseSchema, { events }));
  }

  /** What the virtual kernel has to hear yet. */
  takeUnsent(): MessageShape<typeof PmapEventSchema>[] {
    this.batch.flush();
    return this.unsent.map((event) => create(PmapEventSchema, event));
  }

  close(): void {
    this.outbox.close();
  }
}
