// The streams of holders: what is said in one turn goes in one message.
import { create } from '@bufbuild/protobuf';
import type { DirectoryEventInit, StreamId } from '@odonata/coherency/replica/replica-messages.ts';
import { HoldResponseSchema } from '@odonata/proto/coherency/v1/coherency';
import type { RpcError } from '@odonata/rpc/error.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import { encoder } from '@odonata/rpc/service.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { renewedBytes } from './renewed-bytes.ts';

/** The stream of a holder; what it needs of gRPC. A message may have been encoded before. */
export interface HolderStream {
  write(message: ReturnType<typeof create<typeof HoldResponseSchema>> | Buffer): boolean;
  end(): void;
}

const encode = encoder(HoldResponseSchema);

interface Open {
  stream: HolderStream;
  batch: EventBatch<DirectoryEventInit>;
  fail: (error: RpcError) => void;
}

export class HolderStreams {
  private readonly open = new Map<StreamId, Open>();
  private last = 0;
  /** The invalidation that was said last, as it went out. */
  private told: { value: unknown; bytes: Buffer } | undefined;

  /** @param fail ends it with an error */
  add(stream: HolderStream, fail: (error: RpcError) => void): StreamId {
    const id = ++this.last;
    const batch = new EventBatch<DirectoryEventInit>((events) => {
      if (this.open.has(id)) stream.write(this.bytesOf(events) ?? create(HoldResponseSchema, { events }));
    }, fail);
    this.open.set(id, { stream, batch, fail });
    return id;
  }

  /** What an idle replica says, and what many are told: an invalidation is encoded once. Undefined: it is something else. */
  private bytesOf([first, ...more]: readonly DirectoryEventInit[]): Buffer | undefined {
    const event = first?.event;
    if (event === undefined || more.length > 0) return undefined;
    if (event.case === 'renewed')
      return event.value.heldMs === 0 ? renewedBytes(event.value.sentMs ?? 0n) : undefined;
    if (event.case !== 'invalidate') return undefined;
    const { value } = event;
    if (this.told?.value !== value) this.told = { value, bytes: encode({ events: [first] }) };
    return this.told.bytes;
  }

  /** It is gone, and nothing is written to it any more. */
  remove(id: StreamId): void {
    this.open.get(id)?.batch.clear();
    this.open.delete(id);
  }

  send(id: StreamId, event: DirectoryEventInit['event']): void {
    const batch = this.open.get(id)?.batch;
    // Nobody waits for a settlement. It overtakes nothing that it must not: what it speaks of is over.
    if (event?.case === 'settled') batch?.pushLater({ event });
    // The version is the stream's matter, not the machine's.
    else if (event?.case === 'welcome')
      batch?.push({ event: { ...event, value: { ...event.value, wire: wireSpoken() } } });
    else batch?.push({ event });
  }

  end(id: StreamId): void {
    const open = this.open.get(id);
    this.remove(id);
    open?.stream.end();
  }

  fail(id: StreamId, error: RpcError): void {
    const open = this.open.get(id);
    this.remove(id);
    open?.fail(error);
  }

  /** Writes now what this turn has for holders. */
  flush(): void {
    for (const { batch } of this.open.values()) batch.flushNow();
  }

  close(): void {
    for (const id of [...this.open.keys()]) this.end(id);
  }
}
