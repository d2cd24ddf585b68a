// The encoding of WebAssembly's binary format: LEB128 numbers, names, vectors.

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Reads forward; throws a RangeError past the end. */
export class BinaryReader {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  at: number;

  constructor(bytes: Uint8Array<ArrayBuffer>, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  u8(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new RangeError('past the end');
    return byte;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new RangeError('a number too long');
  }

  /** Past a number of any size. */
  skipNumber(): void {
    while (this.u8() >= 0x80) {}
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    const end = this.at + length;
    if (end > this.#bytes.length) throw new RangeError('past the end');
    const part = this.#bytes.subarray(this.at, end);
    this.at = end;
    return part;
  }

  name(): string {
    return decoder.decode(this.bytes(this.u32()));
  }
}

export function unsignedLeb(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

/** Of at most 64 bits. */
export function signedLeb(value: bigint): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    if ((rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40)) return Uint8Array.from([...bytes, low]);
    bytes.push(low | 0x80);
  }
}

export function bytesOfName(name: string): Uint8Array<ArrayBuffer> {
  const bytes = encoder.encode(name);
  return concat([unsignedLeb(bytes.length), bytes]);
}

export function concat(pieces: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
