// Keys that leave a terminal: whatever is typed in whatever pieces, nothing is lost but them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DETACH_KEYS, DetachKeys, keysOf } from './own-terminal.ts';

const bytes = fc.array(fc.constantFrom(16, 17, 97), { maxLength: 12 });

test('keys that leave are found in whatever pieces they come, and all before them goes on', () => {
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 5 }), (pieces) => {
      const keys = new DetachKeys(keysOf(DETACH_KEYS));
      const all = Buffer.from(pieces.flat());
      const at = all.indexOf(Buffer.of(16, 17));
      const passed: number[] = [];
      let left = false;
      for (const piece of pieces) {
        if (left) break;
        const { data, detach } = keys.typed(Uint8Array.from(piece));
        passed.push(...data);
        left = detach;
      }
      expect(left).toBe(at >= 0);
      const whole = at >= 0 ? all.subarray(0, at) : all.at(-1) === 16 ? all.subarray(0, -1) : all;
      expect(Buffer.from(passed)).toEqual(whole);
    }),
  );
});

test('what is no key is said', () => {
  expect([...keysOf('ctrl-a,d')]).toEqual([1, 100]);
  expect([...keysOf('')]).toEqual([]);
  expect(() => keysOf('ctrl-ab')).toThrow('--detach-keys: "ctrl-ab" are no keys');
});
