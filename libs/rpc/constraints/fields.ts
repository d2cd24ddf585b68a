// How many fields the bytes of a message have, at all depths: asked before they are decoded. Two bytes on the wire may
// become an object of some hundred, and a message of 16 MiB would hold its receiver up for seconds, and take gigabytes.
import type { DescField, DescMessage } from '@bufbuild/protobuf';

/** Of a message that comes in: as many as the arguments of a program may be. Decoding so many takes a third of a second. */
export const FIELDS_MAX = 600_000;
/** Fewer bytes cannot have so many that it matters. */
const SMALL_BYTES = 64 * 1024;

const byNumber = new WeakMap<DescMessage, Map<number, DescField>>();

/** True where a message has more fields, items of packed lists included. Of broken bytes: how many there are until then. */
export function hasMoreFields(schema: DescMessage, bytes: Uint8Array, most = FIELDS_MAX): boolean {
  if (bytes.length <= SMALL_BYTES) return false;
  return new Scan(bytes, most).count(schema, bytes.length);
}

class Scan {
  readonly #bytes: Uint8Array;
  #left: number;
  #at = 0;

  constructor(bytes: Uint8Array, most: number) {
    this.#bytes = bytes;
    this.#left = most;
  }

  /** From where it is up to an end. @returns true: there are too many */
  count(schema: DescMessage, end: number): boolean {
    const fields = fieldsOf(schema);
    while (this.#at < end) {
      if (--this.#left < 0) return true;
      const tag = this.#varint();
      const field = fields.get(Math.floor(tag / 8));
      switch (tag % 8) {
        case 0:
          this.#varint();
          break;
        case 1:
          this.#at += 8;
          break;
        case 5:
          this.#at += 4;
          break;
        case 2: {
          const length = this.#varint();
          const to = Math.min(this.#at + length, end);
          if (field?.message !== undefined) {
            if (this.count(field.message, to)) return true;
          } else if (field?.fieldKind === 'list' && isPacked(field)) this.#items(to);
          this.#at = to;
          break;
        }
        default:
          // Groups, which nothing of ours has: each begin and end of one counts.
          break;
      }
    }
    return this.#left < 0;
  }

  /** Each ends with a byte that has no bit for more. */
  #items(end: number): void {
    for (let at = this.#at; at < end; at++) if (this.#bytes[at]! < 0x80) this.#left--;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) return value;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  }
}

// Numbers and enums; texts and bytes come one by one.
const isPacked = (field: DescField & { fieldKind: 'list' }): boolean =>
  field.enum !== undefined || (field.scalar !== undefined && field.scalar !== 9 && field.scalar !== 12);

function fieldsOf(schema: DescMessage): Map<number, DescField> {
  let fields = byNumber.get(schema);
  if (fields === undefined) {
    fields = new Map(schema.fields.map((field) => [field.number, field]));
    byNumber.set(schema, fields);
  }
  return fields;
}
