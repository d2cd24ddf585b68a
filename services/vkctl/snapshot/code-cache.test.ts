import { expect, test } from 'vitest';
import { withCodeOf } from './code-cache.ts';

const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const part = (name: string, code: string): Buffer =>
  Buffer.concat([number(name.length), Buffer.from(name), number(code.length), Buffer.from(code)]);
const names = Array.from({ length: 400 }, (_, i) => (i % 2 === 0 ? `_http_${i}` : `internal/deps/v8-${i}`));
const head = Buffer.from('a heap, with \0\0\0 in it');
const list = (of: readonly string[]): Buffer =>
  Buffer.concat([number(of.length), ...of.map((name) => part(name, `code of ${name}`))]);

test('a snapshot keeps the code of modules that are named, in its order, and all that is before it', () => {
  const snapshot = Buffer.concat([head, list(names)]);
  const kept = withCodeOf(snapshot, new Set(['internal/deps/v8-7', '_http_4', 'never heard of']));
  expect(kept).toEqual(Buffer.concat([head, list(['_http_4', 'internal/deps/v8-7'])]));
});

test('what does not read as a snapshot stays as it is', () => {
  const whole = Buffer.concat([head, list(names)]);
  for (const other of [
    Buffer.alloc(0),
    whole.subarray(0, -1),
    Buffer.concat([whole, Buffer.from('more')]),
    Buffer.concat([head, list(names.slice(0, 20))]),
  ])
    expect(withCodeOf(other, new Set(['_http_4']))).toBe(other);
});
