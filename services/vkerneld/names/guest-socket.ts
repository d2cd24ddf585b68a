// Our end of a connection of a program: what it sends and takes, as pieces that go over a circuit. An end is said for each direction;
// all else that ends it is a reset, for the program and for whoever has the other end of the circuit.
//
// Each direction has a window of its own, much smaller than that of a circuit: of what a program does not read no more waits here, and
// nothing that comes has to wait for it.
import { Socket } from 'node:net';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { endsWell } from '@odonata/userfault/named-sockets.ts';

/** Bytes under way in one direction, until the kernel has them for the program; one piece more may be sent. */
export const WINDOW_BYTES = 256 * 1024;
/** What one read may bring. */
const PIECE_BYTES = 256 * 1024;

export type Piece =
  | { readonly case: 'data'; readonly value: Uint8Array }
  | { readonly case: 'taken'; readonly value: number }
  | { readonly case: 'end'; readonly value: Record<never, never> };

export class GuestSocket {
  readonly #socket: Socket;
  readonly #fd: number;
  /** Sent, and not taken at the other end. */
  #underWayBytes = 0;
  /** Came, and not taken by the kernel; and taken, and not told. */
  #waitingBytes = 0;
  #untoldBytes = 0;
  #hasEnded = false;
  #hasTaken = false;
  #wake: (() => void) | undefined;

  /** Takes the descriptor. */
  constructor(fd: number) {
    this.#fd = fd;
    this.#socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
    const news = (): void => this.#news();
    // At once: with both directions at an end Node closes it right after this.
    this.#socket.once('end', () => {
      this.#hasEnded = true;
      this.#endWell();
      news();
    });
    this.#socket.on('readable', news).on('error', news).once('close', news);
  }

  /** What the program sends, and what it took of the other direction, until both have ended. @throws RpcError ABORTED: it is reset */
  async *sent(): AsyncGenerator<Piece> {
    let saidEnd = false;
    for (;;) {
      if (saidEnd && this.#hasTaken) return;
      const piece = this.#next(saidEnd);
      if (piece === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else yield piece;
      saidEnd ||= piece?.case === 'end';
    }
  }

  #next(saidEnd: boolean): Piece | undefined {
    if (this.#untoldBytes >= WINDOW_BYTES / 4) {
      const value = this.#untoldBytes;
      this.#untoldBytes = 0;
      return { case: 'taken', value };
    }
    if (this.#socket.destroyed && !this.isDone) throw gone();
    if (saidEnd) return undefined;
    const data: Buffer | null = this.#underWayBytes < WINDOW_BYTES ? this.#socket.read() : null;
    if (data !== null) {
      this.#underWayBytes += data.length;
      return { case: 'data', value: data };
    }
    return this.#hasEnded ? { case: 'end', value: {} } : undefined;
  }

  /** From the other end. @throws RpcError ABORTED where it is reset, or that sends more than it may */
  take(piece: Piece): void {
    if (this.isDone) return;
    if (this.#socket.destroyed) throw gone();
    if (piece.case === 'taken') {
      this.#underWayBytes = Math.max(0, this.#underWayBytes - piece.value);
      this.#news();
      return;
    }
    if (this.#hasTaken) throw gone();
    if (piece.case === 'end') {
      this.#hasTaken = true;
      this.#endWell();
      this.#socket.end();
      this.#news();
      return;
    }
    const { length } = piece.value;
    this.#waitingBytes += length;
    if (this.#waitingBytes + this.#untoldBytes > WINDOW_BYTES + PIECE_BYTES) throw gone();
    this.#socket.write(piece.value, () => {
      this.#waitingBytes -= length;
      this.#untoldBytes += length;
      this.#news();
    });
  }

  /** Called once, when nothing of it is left here: also of what a program has not read that ended both directions. */
  whenClosed(done: () => void): void {
    if (this.#socket.closed) done();
    else this.#socket.once('close', done);
  }

  /** Both directions have ended. */
  get isDone(): boolean {
    return this.#hasEnded && this.#hasTaken;
  }

  /** The program's next read or write is ECONNRESET, unless both directions have ended. */
  reset(): void {
    if (!this.isDone) this.#socket.destroy();
  }

  #endWell(): void {
    if (this.isDone && !this.#socket.destroyed) endsWell(this.#fd);
  }

  #news(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

const gone = (): RpcError => new RpcError(Code.Aborted, 'the program at the other end is gone');
