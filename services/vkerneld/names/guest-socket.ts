// Our end of a connection of a program: what it sends and takes, as pieces that go over a circuit. An end is said for each direction;
// all else that ends it is a reset, for the program and for whoever has the other end of the circuit.
import { once } from 'node:events';
import { Socket } from 'node:net';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { endsWell } from '@odonata/userfault/named-sockets.ts';

export type Piece =
  | { readonly case: 'data'; readonly value: Uint8Array }
  | { readonly case: 'end'; readonly value: Record<never, never> };

export class GuestSocket {
  readonly #socket: Socket;
  readonly #fd: number;
  #hasEnded = false;
  #hasTaken = false;

  /** Takes the descriptor. */
  constructor(fd: number) {
    this.#fd = fd;
    this.#socket = new Socket({ fd, allowHalfOpen: true, readable: true, writable: true });
    // What reads or writes hears of it, too.
    this.#socket.on('error', () => {});
    // At once: with both directions at an end Node closes it right after this.
    this.#socket.once('end', () => {
      this.#hasEnded = true;
      this.#endWell();
    });
  }

  /** What the program sends, and at last its end. @throws RpcError ABORTED where it is reset */
  async *sent(): AsyncGenerator<Piece> {
    try {
      for await (const value of this.#socket.iterator({ destroyOnReturn: false }))
        yield { case: 'data', value };
    } catch {
      throw gone();
    }
    if (!this.#hasEnded) throw gone();
    yield { case: 'end', value: {} };
  }

  /** For the program; resolves when it takes more. @throws RpcError ABORTED where it takes nothing any more */
  async take(piece: Piece): Promise<void> {
    if (this.#socket.destroyed || this.#hasTaken) throw gone();
    if (piece.case === 'end') {
      this.#hasTaken = true;
      this.#endWell();
      this.#socket.end();
      return;
    }
    if (this.#socket.write(piece.value)) return;
    const over = new AbortController();
    const { signal } = over;
    const closed = once(this.#socket, 'close', { signal });
    const drained = once(this.#socket, 'drain', { signal });
    closed.catch(() => {});
    drained.catch(() => {});
    try {
      await Promise.race([closed, drained]);
    } catch {
      throw gone();
    } finally {
      over.abort();
    }
    if (this.#socket.destroyed) throw gone();
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
}

const gone = (): RpcError => new RpcError(Code.Aborted, 'the program at the other end is gone');
