// The streams of holders: what is said in one turn goes in one message.
import { create } from '@bufbuild/protobuf';
import type { DirectoryEventInit, StreamId } from '@odonata/coherency/replica/replica-messages.ts';
import { HoldResponseSchema } from '@odonata/proto/coherency/v1/coherency';
import type { RpcError } from '@odonata/rpc/error.ts';
import { EventBatch } from '@odonata/rpc/event-batch.ts';
import { wireSpoken } from '@odonata/rpc/wire-version.ts';
import { renewedBytes } from './renewed-bytes.ts';

/** The stream of a holder; what it needs of gRPC. */
export interface HolderStream {
  /** A message, or its bytes. */
  write(message: ReturnType<typeof create<typeof HoldResponseSchema>> | Buffer): boolean;
  end(): void;
}

interface Open {
  stream: HolderStream;
  batch: EventBatch<DirectoryEventInit>;
  fail: (error: RpcError) => void;
}

/** Of what an idle replica says; undefined: it is a message. */
function bytesOf([first, ...more]: readonly DirectoryEventInit[]): Buffer | undefined {
  const event = first?.event;
  if (more.length > 0 || event?.case !== 'renewed' || event.value.heldMs !== 0) return undefined;
  return renewedBytes(event.value.sentMs ?? 0n);
}

export class HolderStreams {
  private readonly open = new Map<StreamId, Open>();
  private last = 0;

  /** @param fail ends it with an error */
  add(stream: HolderStream, fail: (error: RpcError) => void): StreamId {
    const id = ++this.last;
    const batch = new EventBatch<DirectoryEventInit>((events) => {
      if (this.open.has(id)) stream.write(bytesOf(events) ?? create(HoldResponseSchema, { events }));
    }, fail);
    this.open.set(id, { stream, batch, fail });
    return id;
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
