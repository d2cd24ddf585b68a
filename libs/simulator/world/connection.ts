// The stream between a pmap manager and a replica of the directory: two directions that break together.
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  type DirectoryEvent,
  DirectoryEventSchema,
  type HolderEvent,
  HolderEventSchema,
} from '@odonata/proto/coherency/v1/coherency';
import type { Random } from '../random.ts';
import { type Endpoint, type Network, Stream } from './network.ts';

/** A side hears of a break within this time. */
const NOTICE_MS = 20;
/** One message in so many goes through its bytes; the others as the objects that come of that. */
const BYTES_ONE_IN = 64;

export type HolderWord = MessageInitShape<typeof HolderEventSchema>['event'];
export type DirectoryWord = MessageInitShape<typeof DirectoryEventSchema>['event'];

/** The node at one end. */
export interface HoldingNode extends Endpoint {
  heard(connection: Connection, event: DirectoryEvent): void;
  broke(connection: Connection): void;
}

/** The replica at the other end. */
export interface HoldingReplica extends Endpoint {
  /** It is up, and takes holders. */
  readonly serves: boolean;
  opened(connection: Connection): void;
  received(connection: Connection, event: HolderEvent): void;
  closed(connection: Connection): void;
}

interface Around {
  readonly nowMs: number;
  readonly random: Random;
  readonly network: Network;
}

export class Connection {
  /** No other one of the world has it. */
  readonly number: number;
  readonly node: HoldingNode;
  readonly replica: HoldingReplica;
  private readonly up: Stream<HolderEvent>;
  /** Undefined: the replica ends it. */
  private readonly down: Stream<DirectoryEvent | undefined>;
  private readonly around: Around;

  constructor(around: Around, number: number, node: HoldingNode, replica: HoldingReplica) {
    this.around = around;
    this.number = number;
    this.node = node;
    this.replica = replica;
    const { network } = around;
    this.up = new Stream(network, around, node, replica, (event) => replica.received(this, event));
    this.down = new Stream(network, around, replica, node, (event) => {
      if (event === undefined) this.break();
      else node.heard(this, event);
    });
    if (replica.serves) replica.opened(this);
    else this.break();
  }

  get broken(): boolean {
    return this.up.broken;
  }

  tell({ event, epoch }: { event: HolderWord; epoch: bigint }): void {
    if (this.broken) return;
    const message = create(HolderEventSchema, { event, epoch });
    const { random } = this.around;
    this.up.send(
      random.oneIn(BYTES_ONE_IN)
        ? fromBinary(HolderEventSchema, toBinary(HolderEventSchema, message))
        : message,
    );
  }

  answer(event: DirectoryWord): void {
    if (this.broken) return;
    const message = create(DirectoryEventSchema, { event });
    const { random } = this.around;
    this.down.send(
      random.oneIn(BYTES_ONE_IN)
        ? fromBinary(DirectoryEventSchema, toBinary(DirectoryEventSchema, message))
        : message,
    );
  }

  /** The replica says nothing more: what it said before that comes first. */
  end(): void {
    this.down.send(undefined);
  }

  /** What is under way is lost. */
  break(): void {
    if (this.broken) return;
    this.up.break();
    this.down.break();
    const { random } = this.around;
    this.node.after(random.between(0, NOTICE_MS), () => this.node.broke(this));
    this.replica.after(random.between(0, NOTICE_MS), () => this.replica.closed(this));
  }
}
