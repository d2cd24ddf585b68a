// Who the holders are: a node's pmap manager in one incarnation, its stream, and the time of its death.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type DirectoryEventSchema, HoldResponseSchema } from '@odonata/proto/coherency/v1/coherency';
import { EventBatch } from '@odonata/rpc/event-batch.ts';

export type DirectoryEventInit = MessageInitShape<typeof DirectoryEventSchema>;

/** The stream of a holder; what it needs of gRPC. */
export interface HolderStream {
  write(message: ReturnType<typeof create<typeof HoldResponseSchema>>): boolean;
  end(): void;
}

export interface HolderEntry {
  readonly id: number;
  readonly node: string;
  readonly incarnation: bigint;
  /** As it is noted: a holder of this node before or after has another one. */
  readonly life: bigint;
  /** Resolves when JetStream has that. */
  readonly noted: Promise<void>;
  transferAddress: string;
  stream: HolderStream | undefined;
  batch: EventBatch<DirectoryEventInit>;
  /** It has heard its number and lease; before that it is told nothing else. */
  welcomed: boolean;
  readonly mapped: Set<bigint>;
  /** Until when its lease is held while another process takes its place, and its report is waited for. */
  heldUntilMs: number;
}

export class HolderTable {
  private readonly byId = new Map<number, HolderEntry>();
  private readonly byNode = new Map<string, HolderEntry>();
  private nextId = 1;

  get(id: number): HolderEntry | undefined {
    return this.byId.get(id);
  }

  ofNode(node: string): HolderEntry | undefined {
    return this.byNode.get(node);
  }

  all(): HolderEntry[] {
    return [...this.byId.values()];
  }

  add(who: Pick<HolderEntry, 'node' | 'incarnation' | 'life' | 'noted'>): HolderEntry {
    const entry: HolderEntry = {
      ...who,
      id: this.nextId++,
      transferAddress: '',
      stream: undefined,
      batch: new EventBatch(() => {}),
      welcomed: false,
      mapped: new Set(),
      heldUntilMs: 0,
    };
    this.byId.set(entry.id, entry);
    this.byNode.set(entry.node, entry);
    return entry;
  }

  attach(entry: HolderEntry, stream: HolderStream, transferAddress: string): void {
    entry.stream?.end();
    entry.stream = stream;
    entry.transferAddress = transferAddress;
    entry.batch = new EventBatch((events) => {
      if (entry.stream === stream) stream.write(create(HoldResponseSchema, { events }));
    });
  }

  remove(entry: HolderEntry): void {
    entry.stream?.end();
    this.byId.delete(entry.id);
    if (this.byNode.get(entry.node) === entry) this.byNode.delete(entry.node);
  }

  /** Writes now what this turn has for holders. */
  flush(): void {
    for (const entry of this.byId.values()) entry.batch.flushNow();
  }

  /** Sends to a holder that is there; what cannot be sent now is asked for again by the holder when it is back. */
  send(id: number, event: DirectoryEventInit['event']): void {
    const entry = this.byId.get(id);
    if (entry?.stream === undefined) return;
    // Nobody waits for a settlement. It overtakes nothing that it must not: what it speaks of is over.
    if (event?.case === 'settled') entry.batch.pushLater({ event });
    else entry.batch.push({ event });
  }
}
