// Protobuf, written from its end to its beginning: the length of what stands inside is known when it is to be written. Few bytes
// go into one buffer; many are no part of it, and go as they are, between its pieces.
import { LARGE_BYTES } from '../../large-bytes.ts';

const FIRST_BYTES = 4 * 1024;
/** A buffer that grew beyond that is not kept. */
const KEPT_BYTES = 256 * 1024;
const both = new BigUint64Array(1);
const halves = new Uint32Array(both.buffer);

export class BackWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Where the last byte that was written stands. */
  #at = FIRST_BYTES;
  /** Where the piece that is being written ends. */
  #end = FIRST_BYTES;
  /** The last one first. */
  #pieces: Uint8Array[] = [];
  /** Of all pieces. */
  #pieceBytes = 0;

  /** Bytes that were written. */
  get length(): number {
    return this.#pieceBytes + this.#end - this.#at;
  }

  /** All that was written, in its order; the writer begins anew. */
  take(): Uint8Array[] {
    this.#cut();
    const pieces = this.#pieces.reverse();
    this.#pieces = [];
    this.#pieceBytes = 0;
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.#at = this.#buffer.length;
    this.#end = this.#at;
    return pieces;
  }

  byte(value: number): void {
    this.#room(1);
    this.#at -= 1;
    this.#buffer[this.#at] = value;
  }

  /** 32 bits, the highest first. */
  bigEndian(value: number): void {
    this.#room(4);
    this.#at -= 4;
    this.#buffer.writeUInt32BE(value, this.#at);
  }

  /** Up to 32 bits. */
  varint(value: number): void {
    if (value < 0x80) {
      this.byte(value);
      return;
    }
    let length = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) length += 1;
    this.#room(length);
    this.#at -= length;
    let rest = value;
    for (let at = this.#at; ; at++) {
      if (rest < 0x80) {
        this.#buffer[at] = rest;
        return;
      }
      this.#buffer[at] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
  }

  varint64(value: bigint): void {
    both[0] = value;
    let low = halves[0]!;
    let high = halves[1]!;
    if (high === 0) {
      this.varint(low);
      return;
    }
    this.#room(10);
    let length = 0;
    const at = this.#at - 10;
    while (high > 0 || low >= 0x80) {
      this.#buffer[at + length] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
      length += 1;
    }
    this.#buffer[at + length] = low;
    length += 1;
    this.#buffer.copyWithin(this.#at - length, at, at + length);
    this.#at -= length;
  }

  bytes(data: Uint8Array): void {
    if (data.length >= LARGE_BYTES) {
      this.piece(data);
      return;
    }
    this.#room(data.length);
    this.#at -= data.length;
    this.#buffer.set(data, this.#at);
  }

  /** Bytes that go as they are. */
  piece(data: Uint8Array): void {
    if (data.length === 0) return;
    this.#cut();
    this.#pieces.push(data);
    this.#pieceBytes += data.length;
  }

  /** @returns how many bytes */
  text(text: string): number {
    const { length } = text;
    this.#room(length);
    const at = this.#at - length;
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit >= 0x80) {
        const bytes = Buffer.from(text);
        this.bytes(bytes);
        return bytes.length;
      }
      this.#buffer[at + i] = unit;
    }
    this.#at = at;
    return length;
  }

  /** What was written by now is a piece. */
  #cut(): void {
    if (this.#at === this.#end) return;
    const piece = Buffer.allocUnsafe(this.#end - this.#at);
    this.#buffer.copy(piece, 0, this.#at, this.#end);
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
    this.#end = this.#at;
  }

  #room(bytes: number): void {
    if (this.#at >= bytes) return;
    const written = this.#end - this.#at;
    const larger = Buffer.allocUnsafeSlow(2 * (written + bytes) + FIRST_BYTES);
    this.#buffer.copy(larger, larger.length - written, this.#at, this.#end);
    this.#buffer = larger;
    this.#end = larger.length;
    this.#at = larger.length - written;
  }
}
