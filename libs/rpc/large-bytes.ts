// Messages with many bytes. What protobuf-es writes grows by doubling, is zeroed, and is copied once more at the end: for a
// field of a megabyte that is three megabytes of garbage, and garbage outside of V8's heap is collected by whole collections of
// it. Here such a field goes behind the rest of its message, into a buffer that is just as large as the whole.
import { type DescField, type DescMessage, ScalarType, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

/** Below that the usual way is as fast. */
export const LARGE_BYTES = 16 * 1024;
const EMPTY = new Uint8Array(0);

/** Frees the memory of bytes now, and not at the next collection. They must have a buffer of their own, and no other user. */
export function free({ buffer, byteOffset, byteLength }: Uint8Array): void {
  if (byteOffset === 0 && buffer.byteLength === byteLength && buffer instanceof ArrayBuffer)
    buffer.transfer(0);
}

type Fields = Record<string, unknown>;

interface Found {
  field: DescField;
  bytes: Uint8Array;
}

/** The tag and length that stand before so many bytes. */
export function prefixOf(fieldNumber: number, length: number): Uint8Array {
  return new BinaryWriter().tag(fieldNumber, WireType.LengthDelimited).uint32(length).finish();
}

/** Encodes messages of a kind. @returns undefined where no bytes of a message itself are many */
export function largeEncoder(schema: DescMessage): (message: object) => Buffer | undefined {
  const fields = schema.fields.filter(
    (field) => field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES,
  );
  if (fields.length === 0) return () => undefined;
  return (message) => {
    const found = largeOf(fields, message as Fields);
    return found && encode(schema, message as Fields, found);
  };
}

function largeOf(fields: readonly DescField[], message: Fields): Found | undefined {
  for (const field of fields) {
    const bytes = bytesIn(field, message);
    if (bytes instanceof Uint8Array && bytes.length >= LARGE_BYTES) return { field, bytes };
  }
  return undefined;
}

function bytesIn({ oneof, localName }: DescField, message: Fields): unknown {
  if (oneof === undefined) return message[localName];
  const chosen = message[oneof.localName] as { case?: string; value?: unknown };
  return chosen.case === localName ? chosen.value : undefined;
}

function encode(schema: DescMessage, message: Fields, { field, bytes }: Found): Buffer {
  const { oneof, localName, number } = field;
  // Whoever reads the field twice takes the last one.
  const emptied = oneof === undefined ? EMPTY : { case: localName, value: EMPTY };
  const head = toBinary(schema, { ...message, [oneof?.localName ?? localName]: emptied } as never);
  const prefix = prefixOf(number, bytes.length);
  const whole = Buffer.allocUnsafeSlow(head.length + prefix.length + bytes.length);
  whole.set(head, 0);
  whole.set(prefix, head.length);
  whole.set(bytes, head.length + prefix.length);
  return whole;
}
