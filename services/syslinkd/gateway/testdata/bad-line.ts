// A relay of TCP between two gateways: it delays, stalls as a lost packet does, and is cut.
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Each way. */
export const DELAY_MS = 50;
/** One piece of a hundred comes so much later, and what follows behind it: as TCP has it where a packet is lost. */
const LOST_MS = 200;

export class BadLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #pieces = 0;

  constructor(port: number, to: number) {
    this.#server = createServer((near) => {
      const far = connect(to, '127.0.0.1');
      this.#carry(near, far);
      this.#carry(far, near);
    }).listen(port, '127.0.0.1');
  }

  /** Nothing comes through, and nobody is told. */
  cut(): void {
    this.#isCut = true;
  }

  /** As after a long cut: what was open is reset at last. */
  heal(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.heal();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #carry(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    let readyMs = 0;
    const waiting: Buffer[] = [];
    from
      .on('error', () => {})
      .on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    from.on('data', (data) => {
      this.#pieces += 1;
      const nowMs = performance.now();
      const lost = this.#pieces % 100 === 0 ? LOST_MS : 0;
      readyMs = Math.max(readyMs, nowMs + DELAY_MS + lost);
      waiting.push(data);
      // Timers of one moment may come in any order.
      setTimeout(() => {
        const first = waiting.shift()!;
        if (!this.#isCut && !to.destroyed) to.write(first);
      }, readyMs - nowMs);
    });
  }
}
