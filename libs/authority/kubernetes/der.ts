// What a certificate is written in: DER, X.690. Only what certificates.ts needs.

const TAGS = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** A tag, the length, the content. */
export function der(tag: keyof typeof TAGS | number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.from([typeof tag === 'number' ? tag : TAGS[tag]]), lengthOf(body), body]);
}

function lengthOf({ length }: Uint8Array): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes = length < 0x100 ? [length] : [length >> 8, length & 0xff];
  return Buffer.from([0x80 | bytes.length, ...bytes]);
}

export const sequence = (...content: readonly Uint8Array[]): Buffer => der('sequence', ...content);
export const boolean = (value: boolean): Buffer => der('boolean', Buffer.from([value ? 0xff : 0]));
export const bitString = (bytes: Uint8Array, unusedBits = 0): Buffer =>
  der('bitString', Buffer.from([unusedBits]), bytes);

/** @param bytes big-endian, positive */
export const integer = (bytes: Uint8Array): Buffer =>
  der('integer', bytes[0]! & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);

/** @param dotted `2.5.29.17` */
export function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((number) => {
    const groups = [number & 0x7f];
    for (let left = number >> 7; left > 0; left >>= 7) groups.unshift(0x80 | (left & 0x7f));
    return groups;
  });
  return der('objectIdentifier', Buffer.from(bytes));
}

/** To the second; two digits of the year before 2050, as RFC 5280 wants it. */
export function time(date: Date): Buffer {
  const text = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050
    ? der('utcTime', Buffer.from(text.slice(2)))
    : der('generalizedTime', Buffer.from(text));
}
