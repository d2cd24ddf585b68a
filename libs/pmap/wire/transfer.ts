// Pages to other nodes: carries out what `libs/coherency/node/transfer/outgoing.ts` decides of what is sent to each, and when.
// What is lost with a line for good is recalled again by the directory.
import type { PageRun } from '@odonata/coherency/page.ts';
import { ownTurn } from '@odonata/rpc/bug.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import { WireGate } from '@odonata/rpc/wire-gate.ts';
import type { Delivered } from './deliver-message.ts';
import type { PageBuffer, PagePool } from './page-buffer.ts';
import { type Chunk, TransferPeer } from './transfer-peer.ts';

const LOOK_MS = 1_000;

/** What is told of all lines. */
export interface TransferTally {
  /** Bytes that may be on their way, that are, and that wait to be sent. */
  windowBytes: number;
  inFlightBytes: number;
  waitingBytes: number;
}

export interface TransfersOptions {
  log: Logger;
  pool: PagePool;
  /** Pages were not sent, or not known to arrive: for a line that takes no more, or that was cut for too long. */
  onDropped(address: string, pages: number): void;
}

export class Transfers {
  private readonly o: TransfersOptions;
  private readonly peers = new Map<string, TransferPeer>();
  private readonly gate: WireGate;
  private looking: NodeJS.Timeout | undefined;
  /** Streams that went on where one before them broke. */
  resumed = 0;
  /** Messages that were sent a second time. */
  sentAgain = 0;
  droppedPages = 0;

  constructor(options: TransfersOptions) {
    this.o = options;
    this.gate = new WireGate('pmapd', options.log);
  }

  /** Sends a run of pages; `bytes` undefined: zeros. `keep`: the bytes stay as they are, somebody keeps them. */
  send(address: string, run: PageRun, about: Delivered, bytes: PageBuffer | undefined, keep: boolean): void {
    this.peer(address).send({ run, about, bytes, keep });
  }

  get tally(): TransferTally {
    const tally = { windowBytes: 0, inFlightBytes: 0, waitingBytes: 0 };
    for (const { outgoing } of this.peers.values()) {
      tally.windowBytes += outgoing.windowBytes;
      tally.inFlightBytes += outgoing.inFlightBytes;
      tally.waitingBytes += outgoing.waitingBytes;
    }
    return tally;
  }

  private peer(address: string): TransferPeer {
    const known = this.peers.get(address);
    if (known !== undefined) return known;
    const peer: TransferPeer = new TransferPeer(address, {
      ...{ log: this.o.log, gate: this.gate, pool: this.o.pool },
      onResumed: () => this.resumed++,
      onAgain: () => this.sentAgain++,
      onDropped: (chunks) => this.dropped(address, chunks),
      onGone: () => {
        if (this.peers.get(address) === peer) this.peers.delete(address);
      },
    });
    this.peers.set(address, peer);
    this.looking ??= setInterval(
      ownTurn({ timer: 'transfers' }, () => this.look()),
      LOOK_MS,
    ).unref();
    return peer;
  }

  private look(): void {
    for (const peer of [...this.peers.values()]) peer.look(monotonicMs());
    if (this.peers.size > 0) return;
    clearInterval(this.looking);
    this.looking = undefined;
  }

  private dropped(address: string, chunks: readonly Chunk[]): void {
    const pages = chunks.reduce((sum, { run }) => sum + run.pageCount, 0);
    if (pages === 0) return;
    this.droppedPages += pages;
    this.o.onDropped(address, pages);
  }

  close(): void {
    clearInterval(this.looking);
    for (const peer of this.peers.values()) peer.close();
    this.peers.clear();
  }
}
