// What one end of a circuit keeps, where it may go on over another way: what it sent and the other end's reader has not taken,
// which the window bounds; and how far it has come itself. Pure: it decides what is sent again.

/** What an end has of the other one's messages. */
export interface Progress {
  /** Messages that came. */
  readonly received: number;
  /** Bytes of these that its reader took. */
  readonly takenBytes: number;
}

interface Message {
  readonly data: Uint8Array;
  /** Bytes that were sent up to its end. */
  readonly endBytes: number;
}

export class Kept {
  /** Oldest first. */
  #messages: Message[] = [];
  /** Messages that are not kept any more, and the bytes up to their end. */
  #dropped = 0;
  #droppedBytes = 0;
  #sentBytes = 0;
  /** Of the other end, as it said last. */
  #theirs: Progress = { received: 0, takenBytes: 0 };
  #received = 0;
  #receivedBytes = 0;
  #takenBytes = 0;

  sent(data: Uint8Array, weight: number): void {
    this.#sentBytes += weight;
    this.#messages.push({ data, endBytes: this.#sentBytes });
  }

  /** The other end's reader took so many bytes more. */
  taken(bytes: number): void {
    const takenBytes = Math.min(this.#sentBytes, this.#theirs.takenBytes + bytes);
    this.#theirs = { ...this.#theirs, takenBytes };
    this.#drop();
  }

  received(weight: number): void {
    this.#received += 1;
    this.#receivedBytes += weight;
  }

  /** Our reader took so many bytes. */
  took(bytes: number): void {
    this.#takenBytes += bytes;
  }

  /** For the other end. */
  get progress(): Progress {
    return { received: this.#received, takenBytes: this.#takenBytes };
  }

  /** Came, and was not taken. */
  get waitingBytes(): number {
    return this.#receivedBytes - this.#takenBytes;
  }

  /** Sent, and not taken at the other end. */
  get underWayBytes(): number {
    return this.#sentBytes - this.#theirs.takenBytes;
  }

  /** It goes on. @returns what the other end has not got, in order; undefined where what it says cannot be */
  goOn(theirs: Progress): Uint8Array[] | undefined {
    const { received, takenBytes } = theirs;
    const at = received - this.#dropped;
    if (received < this.#theirs.received || at < 0 || at > this.#messages.length) return undefined;
    const receivedBytes = at === 0 ? this.#droppedBytes : this.#messages[at - 1]!.endBytes;
    if (takenBytes < this.#theirs.takenBytes || takenBytes > receivedBytes) return undefined;
    this.#theirs = theirs;
    const again = this.#messages.slice(at).map(({ data }) => data);
    this.#drop();
    return again;
  }

  #drop(): void {
    const kept = this.#messages.findIndex(({ endBytes }) => endBytes > this.#theirs.takenBytes);
    const over = kept < 0 ? this.#messages.length : kept;
    if (over === 0) return;
    this.#droppedBytes = this.#messages[over - 1]!.endBytes;
    this.#dropped += over;
    this.#messages = this.#messages.slice(over);
  }
}
