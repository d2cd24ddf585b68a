// Hands a descriptor from one process to another on the same machine: the sender names it by a token
// of 16 random bytes, and tells the receiver the token on another channel afterwards.
import { rmSync } from 'node:fs';
import * as libc from './libc.ts';

const TOKEN_BYTES = 16;
const WAITING_MAX = 256;

/** Sends `fd` under `token` to the door at `path`. The kernel queues it; no answer comes. */
export function handOver(path: string, token: Uint8Array, fd: number): void {
  if (token.length !== TOKEN_BYTES) throw new Error(`token must have ${TOKEN_BYTES} bytes`);
  const socket = libc.connectUnix(path);
  try {
    libc.sendDescriptor(socket, token, fd);
  } finally {
    libc.close(socket);
  }
}

/** The receiving side: a unix socket on which descriptors wait until they are claimed by their token. */
export class DescriptorDoor {
  private readonly path: string;
  private readonly socket: number;
  private readonly waiting = new Map<string, number>();

  constructor(path: string) {
    this.path = path;
    rmSync(path, { force: true });
    this.socket = libc.listenUnix(path);
  }

  /** The descriptor that was handed over under `token`, or undefined. The caller closes it. */
  claim(token: Uint8Array): number | undefined {
    this.takeIn();
    const key = Buffer.from(token).toString('hex');
    const fd = this.waiting.get(key);
    this.waiting.delete(key);
    return fd;
  }

  private takeIn(): void {
    for (let turns = 0; turns < WAITING_MAX; turns++) {
      const connection = libc.acceptUnix(this.socket);
      if (connection === undefined) return;
      const message = libc.receiveDescriptor(connection, TOKEN_BYTES);
      libc.close(connection);
      if (message?.fd === undefined) continue;
      this.keep(Buffer.from(message.data).toString('hex'), message.fd);
    }
  }

  private keep(key: string, fd: number): void {
    const oldest = this.waiting.keys().next().value;
    if (this.waiting.size >= WAITING_MAX && oldest !== undefined) {
      libc.close(this.waiting.get(oldest)!);
      this.waiting.delete(oldest);
    }
    this.waiting.set(key, fd);
  }

  close(): void {
    for (const fd of this.waiting.values()) libc.close(fd);
    this.waiting.clear();
    libc.close(this.socket);
    rmSync(this.path, { force: true });
  }
}
