// Descriptors that one process sends another one over a unix socket, each with a label that says what it is. What belongs
// to a descriptor is told on another channel after it was sent: when that is heard, the descriptor is there, and nobody
// waits for it.
import * as libc from './libc.ts';

const LABEL_BYTES = 16;
/** Of the kernel's: some 80 descriptors may be on their way on one line. More wait for the other side. */
const SEND_BUFFER_BYTES = 32 * 1024;
/** Descriptors that were received and that nobody has taken. */
const RECEIVED_MAX = 1_024;

/** What a descriptor is: two numbers that both sides know. */
export interface DescriptorLabel {
  readonly kind: bigint;
  readonly id: bigint;
}

export class DescriptorSender {
  private socket: number | undefined;

  /** Takes the socket. */
  constructor(socket: number) {
    this.socket = socket;
    libc.setSendBuffer(socket, SEND_BUFFER_BYTES);
  }

  /**
   * Sends a copy of a descriptor, and never waits.
   * @returns false: too many are on their way; try again later
   * @throws SystemCallError where the line is broken
   */
  send({ kind, id }: DescriptorLabel, fd: number): boolean {
    const { socket } = this;
    if (socket === undefined) throw new libc.SystemCallError('sendmsg', libc.Errno.EBADF);
    const errno = libc.sendDescriptor(socket, new Uint8Array(new BigUint64Array([kind, id]).buffer), fd);
    if (errno === 0) return true;
    if (errno === libc.Errno.EAGAIN || errno === libc.Errno.ETOOMANYREFS) return false;
    throw new libc.SystemCallError('sendmsg', errno);
  }

  close(): void {
    if (this.socket !== undefined) libc.close(this.socket);
    this.socket = undefined;
  }
}

export class DescriptorReceiver {
  private socket: number | undefined;
  /** In the order in which they came. */
  private readonly received: { kind: bigint; id: bigint; fd: number | undefined }[] = [];

  /** Takes the socket. */
  constructor(socket: number) {
    this.socket = socket;
  }

  /**
   * The descriptor that came first under a label. The caller closes it. Undefined: none did, or this process had no room
   * for it.
   */
  take({ kind, id }: DescriptorLabel): number | undefined {
    this.takeIn();
    const at = this.received.findIndex((each) => each.kind === kind && each.id === id);
    return at < 0 ? undefined : this.received.splice(at, 1)[0]!.fd;
  }

  private takeIn(): void {
    while (this.socket !== undefined) {
      const message = libc.receiveDescriptor(this.socket, LABEL_BYTES);
      if (message === undefined) return;
      const { data, fd } = message;
      if (data.length < LABEL_BYTES || this.received.length >= RECEIVED_MAX) {
        // The other side is gone, or is not what it should be.
        if (fd !== undefined) libc.close(fd);
        this.closeSocket();
        return;
      }
      const [kind, id] = new BigUint64Array(data.slice().buffer);
      this.received.push({ kind: kind!, id: id!, fd });
    }
  }

  private closeSocket(): void {
    if (this.socket !== undefined) libc.close(this.socket);
    this.socket = undefined;
  }

  close(): void {
    this.closeSocket();
    for (const { fd } of this.received.splice(0)) if (fd !== undefined) libc.close(fd);
  }
}
