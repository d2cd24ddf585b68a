// Pages on their way to one other node, over one stream after the other.
//
//   offered -> waits -> sent, counted -> answered: the receiver has it
//                 the window bounds what is sent and not answered; what waits is bounded, too
//
//   cut: what was sent and not answered is sent again on the next stream, from where the receiver says that it is.
//   So a stream begins with the first chunk that is not answered, alone; the answer says what is to follow.
//
// What does not fit, or could not be sent for too long, is dropped, as if it were lost with the line: the directory has it
// recalled again. So a receiver that is slow, stopped or away costs its sender bounded memory.
import { TransferWindow } from './transfer-window.ts';

/** What waits to be sent to one node. */
export const WAITING_MAX_BYTES = 16 * 1024 * 1024;
/** What a chunk costs beside its bytes. */
const CHUNK_BYTES = 256;
/** A chunk that the receiver refused so often will not do. */
const REFUSED_MAX = 3;
/** Nothing was answered for so long: whoever waits for the pages has them recalled anew. */
export const STALLED_MS = 10_000;

/** What a stream sends next. */
export interface Sent<C> {
  readonly chunk: C;
  /** 0: the receiver does not count. */
  readonly sequence: number;
  /** The first one of its stream. */
  readonly first: boolean;
  /** It was sent before. */
  readonly again: boolean;
  readonly ask: boolean;
}

interface Unanswered<C> {
  readonly chunk: C;
  readonly sequence: number;
  readonly bytes: number;
  sent: number;
  refused: number;
}

interface Asked {
  readonly sequence: number;
  readonly atMs: number;
  limited: boolean;
}

/** What became of chunks. */
export interface Done<C> {
  readonly chunk: C;
  /** It was sent on one stream only, which is over with it. */
  readonly once: boolean;
}

type Line = 'none' | 'begins' | 'asks' | 'open';

export class Outgoing<C> {
  private readonly window = new TransferWindow();
  private waiting: { chunk: C; bytes: number }[] = [];
  private unanswered: Unanswered<C>[] = [];
  private line: Line = 'none';
  /** Among the unanswered: the next one to send again. */
  private next = 0;
  private lastSequence = 0;
  private inFlight = 0;
  private waits = 0;
  /** Undefined: nobody answered yet. */
  private counts: boolean | undefined;
  private asked: Asked | undefined;
  /** When something was answered, or sent where nothing was on its way. */
  private progressMs = 0;

  /** Bytes that are sent and not answered. */
  get inFlightBytes(): number {
    return this.inFlight;
  }

  get waitingBytes(): number {
    return this.waits;
  }

  get windowBytes(): number {
    return this.window.bytes;
  }

  get isIdle(): boolean {
    return this.unanswered.length === 0 && this.waiting.length === 0;
  }

  /** @returns false: too much waits already, and this is dropped */
  offer(chunk: C, dataBytes: number): boolean {
    const bytes = dataBytes + CHUNK_BYTES;
    if (this.waits + bytes > WAITING_MAX_BYTES) return false;
    this.waiting.push({ chunk, bytes });
    this.waits += bytes;
    return true;
  }

  /** A stream is there. */
  opened(nowMs: number): void {
    this.line = 'begins';
    this.next = 0;
    this.progressMs = nowMs;
  }

  /** What to send now; undefined: nothing, or not yet. */
  take(nowMs: number): Sent<C> | undefined {
    if (this.line === 'none' || this.line === 'asks') return undefined;
    const first = this.line === 'begins';
    const old = this.unanswered[this.next];
    if (old !== undefined) {
      this.next++;
      // Where the receiver is, only it knows.
      this.line = first ? 'asks' : 'open';
      old.sent++;
      return { chunk: old.chunk, sequence: old.sequence, first, again: true, ask: false };
    }
    const head = this.waiting[0];
    if (head === undefined) return undefined;
    const { chunk, bytes } = head;
    if (this.counts !== false && this.inFlight > 0 && this.inFlight + bytes > this.window.bytes) {
      if (this.asked !== undefined) this.asked.limited = true;
      return undefined;
    }
    this.waiting.shift();
    this.waits -= bytes;
    this.line = 'open';
    if (this.counts === false) return { chunk, sequence: 0, first, again: false, ask: false };
    if (this.inFlight === 0) this.progressMs = nowMs;
    const sequence = ++this.lastSequence;
    this.unanswered.push({ chunk, sequence, bytes, sent: 1, refused: 0 });
    this.next = this.unanswered.length;
    this.inFlight += bytes;
    const ask = this.asked === undefined && this.inFlight >= this.window.bytes / 2;
    if (ask) this.asked = { sequence, atMs: nowMs, limited: false };
    return { chunk, sequence, first, again: false, ask };
  }

  /**
   * The receiver answered.
   * @param received up to which chunk it has all; undefined: it does not count
   * @throws RangeError when that cannot be
   */
  answered(received: number | undefined, nowMs: number): Done<C>[] {
    if (received === undefined) {
      // What comes after the first answer, and says nothing, says nothing.
      if (this.counts === true) return [];
      this.counts = false;
      this.line = 'open';
      return this.settle(this.lastSequence).map(({ chunk }) => ({ chunk, once: false }));
    }
    if (received > this.lastSequence) throw new RangeError(`received: ${received} of ${this.lastSequence}`);
    this.counts = true;
    if (this.asked !== undefined && received >= this.asked.sequence) {
      const { atMs, limited } = this.asked;
      this.asked = undefined;
      this.window.measured(nowMs - atMs, limited, nowMs);
    }
    const done = this.settle(received);
    if (done.length > 0) this.progressMs = nowMs;
    if (this.line === 'asks') this.line = 'open';
    return done.map(({ chunk, sent }) => ({ chunk, once: sent === 1 }));
  }

  // Chunks up to this one are done with.
  private settle(received: number): Unanswered<C>[] {
    let count = 0;
    while (count < this.unanswered.length && this.unanswered[count]!.sequence <= received) count++;
    if (count === 0) return [];
    const done = this.unanswered.splice(0, count);
    for (const { bytes } of done) this.inFlight -= bytes;
    this.next = Math.max(0, this.next - count);
    return done;
  }

  /**
   * The stream is over.
   * @param refused the receiver ended it because of the first chunk that it does not have
   * @returns chunks that will not be sent again
   */
  cut(refused: boolean): C[] {
    this.line = 'none';
    this.next = 0;
    this.asked = undefined;
    // Another one may answer there.
    this.counts = undefined;
    this.window.cut();
    const first = this.unanswered[0];
    if (!refused || first === undefined || ++first.refused < REFUSED_MAX) return [];
    return this.settle(first.sequence).map(({ chunk }) => chunk);
  }

  /** True where something was sent, and nothing answered for too long. */
  isStalled(nowMs: number): boolean {
    return this.unanswered.length > 0 && nowMs - this.progressMs > STALLED_MS;
  }

  /** Gives everything up. @returns what is lost with it */
  abandon(): C[] {
    const lost = [...this.unanswered, ...this.waiting].map(({ chunk }) => chunk);
    [this.unanswered, this.waiting] = [[], []];
    [this.inFlight, this.waits, this.next] = [0, 0, 0];
    this.line = 'none';
    return lost;
  }
}
