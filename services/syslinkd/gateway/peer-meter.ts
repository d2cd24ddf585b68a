// What came of a cluster, what went to it, and what is left of what it may. It outlives each line: who opens a new one begins with no
// more than was left.
import { monotonicMs } from '@odonata/rpc/monotonic.ts';
import type { Rates } from './policy.ts';
import { TokenBucket } from './token-bucket.ts';

export class PeerMeter {
  receivedMessages = 0;
  sentMessages = 0;
  receivedBytes = 0;
  sentBytes = 0;
  /** What it asked for, and may not. */
  refused = 0;
  rateLimited = 0;
  droppedHellos = 0;
  /** Replies, data and closes of what is over, or never was. */
  strays = 0;
  /** Pages that were lent to it, and that it lent. */
  lentPages = 0;
  borrowedPages = 0;
  /** That a writer here got when its lease had ended. */
  overduePages = 0;
  /** That were written on one side, and that the other one does not have: they are lost. */
  lostPages = 0;
  /** What it said of pages and cannot be: each ended a line. */
  falsePages = 0;
  readonly messagesIn: TokenBucket;
  readonly messagesOut: TokenBucket;
  readonly bytesIn: TokenBucket;
  readonly bytesOut: TokenBucket;
  readonly framesIn: TokenBucket;

  constructor(rates: Rates) {
    const nowMs = monotonicMs();
    const { messages, bytes } = rates;
    this.messagesIn = new TokenBucket(messages, nowMs);
    this.messagesOut = new TokenBucket(messages, nowMs);
    this.bytesIn = new TokenBucket(bytes, nowMs);
    this.bytesOut = new TokenBucket(bytes, nowMs);
    this.framesIn = new TokenBucket(framesOf(rates), nowMs);
  }

  /** From now on. */
  set rates(rates: Rates) {
    const { messages, bytes } = rates;
    this.messagesIn.rate = messages;
    this.messagesOut.rate = messages;
    this.bytesIn.rate = bytes;
    this.bytesOut.rate = bytes;
    this.framesIn.rate = framesOf(rates);
  }
}

/** What costs time to read, however small it is: some for each request, and some for what a circuit carries. */
const framesOf = ({ messages, bytes }: Rates): number => 4 * messages + bytes / 4_096;
