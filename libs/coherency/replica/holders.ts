// Who the holders are: a node's pmap manager in one incarnation, its stream, and what it was told.
import type { HolderId } from '../page.ts';
import type { ReplicaOutbox } from './outbox.ts';
import type { DirectoryEventInit, StreamError, StreamId } from './replica-messages.ts';

export interface HolderEntry {
  readonly id: HolderId;
  readonly node: string;
  readonly incarnation: bigint;
  /** As it is noted: a holder of this node before or after has another one. */
  readonly life: bigint;
  /** That is kept: whoever leads next will ask for this holder. */
  noted: boolean;
  transferAddress: string;
  stream: StreamId | undefined;
  /** When it sent the hello of its stream, on its own clock. */
  helloMs: bigint;
  /** It has heard its number and lease; before that nothing is given to it. */
  welcomed: boolean;
  /** Dataspaces that its processes map. */
  readonly mapped: Set<bigint>;
  /** Until when its lease is held while another process takes its place, and its report is waited for. */
  heldUntilMs: number;
  /** It said goodbye: it uses nothing any more, whatever lease it has. */
  left: boolean;
  /** That its lease is held is noted. */
  heldNoted: boolean;
  /** Pages that it takes of others, as it said last. */
  roomPages: bigint;
}

export class HolderTable {
  private readonly byId = new Map<HolderId, HolderEntry>();
  private readonly byNode = new Map<string, HolderEntry>();
  /** Whose each open stream is, also that of a holder which has another one now, or is dead. */
  private readonly byStream = new Map<StreamId, HolderEntry>();
  private readonly out: ReplicaOutbox;
  private nextId = 1;

  constructor(out: ReplicaOutbox) {
    this.out = out;
  }

  get(id: HolderId): HolderEntry | undefined {
    return this.byId.get(id);
  }

  ofNode(node: string): HolderEntry | undefined {
    return this.byNode.get(node);
  }

  ofStream(stream: StreamId): HolderEntry | undefined {
    return this.byStream.get(stream);
  }

  get count(): number {
    return this.byId.size;
  }

  all(): HolderEntry[] {
    return [...this.byId.values()];
  }

  /** False for one that is dead; it may go on speaking until it hears that its stream ended. */
  has(entry: HolderEntry): boolean {
    return this.byId.get(entry.id) === entry;
  }

  add(who: Pick<HolderEntry, 'node' | 'incarnation' | 'life' | 'noted' | 'heldNoted'>): HolderEntry {
    const entry: HolderEntry = {
      ...who,
      id: this.nextId++,
      transferAddress: '',
      stream: undefined,
      helloMs: 0n,
      welcomed: false,
      mapped: new Set(),
      heldUntilMs: 0,
      left: false,
      roomPages: 0n,
    };
    this.byId.set(entry.id, entry);
    this.byNode.set(entry.node, entry);
    return entry;
  }

  attach(
    entry: HolderEntry,
    stream: StreamId,
    { transferAddress, helloMs }: Pick<HolderEntry, 'transferAddress' | 'helloMs'>,
  ): void {
    if (entry.stream !== stream) this.end(entry);
    entry.stream = stream;
    entry.transferAddress = transferAddress;
    entry.helloMs = helloMs;
    this.byStream.set(stream, entry);
  }

  /** @returns whose only stream that was */
  closed(stream: StreamId): HolderEntry | undefined {
    const entry = this.byStream.get(stream);
    this.byStream.delete(stream);
    if (entry?.stream !== stream) return undefined;
    entry.stream = undefined;
    return entry;
  }

  remove(entry: HolderEntry): void {
    this.end(entry);
    entry.stream = undefined;
    this.byId.delete(entry.id);
    if (this.byNode.get(entry.node) === entry) this.byNode.delete(entry.node);
  }

  /** Sends to a holder that is there; what cannot be sent now is asked for again by the holder when it is back. */
  send(id: HolderId, event: DirectoryEventInit['event']): void {
    const stream = this.byId.get(id)?.stream;
    if (stream !== undefined) this.out.add({ type: 'send', stream, event });
  }

  /** Ends its stream with an error. What it said on it after that is not heard: on the next one it says all of it again. */
  fail(entry: HolderEntry, code: StreamError, text: string): void {
    const { stream } = entry;
    if (stream === undefined) return;
    entry.stream = undefined;
    this.out.add({ type: 'fail', stream, code, text });
  }

  private end({ stream }: HolderEntry): void {
    if (stream !== undefined) this.out.add({ type: 'end', stream });
  }
}
