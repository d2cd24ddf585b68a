import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Code, fromServiceError, RpcError } from './error.ts';
import { createLog } from './log.ts';
import { WireGate } from './wire-gate.ts';
import { agreeOnWire, commonWire, isWireRefusal, RELEASE, WIRE, wireSpoken } from './wire-version.ts';

const refusal = (...args: Parameters<typeof agreeOnWire>): RpcError => {
  try {
    agreeOnWire(...args);
  } catch (error) {
    return fromServiceError(error);
  }
  throw new Error('they agreed');
};

test('a pair speaks the newest version that both can', () => {
  expect(commonWire({ oldest: 2, newest: 3 }, { oldest: 1, newest: 2 })).toBe(2);
  expect(commonWire({ oldest: 2, newest: 3 }, { oldest: 2, newest: 5 })).toBe(3);
  expect(commonWire({ oldest: 3, newest: 4 }, { oldest: 1, newest: 2 })).toBeUndefined();
  expect(agreeOnWire('node1/pmapd', wireSpoken(), 'cohd')).toBe(WIRE.newest);
});

test('who has none in common is refused with one line that says which side is older', () => {
  const two = { oldest: 2, newest: 2 };
  expect(refusal('node1/pmapd', undefined, 'cohd', two).details).toBe(
    'node1/pmapd speaks wire version 1, this cohd 2: pmapd is older; upgrade it (docs/upgrade.md)',
  );
  expect(refusal('node1/pmapd', { oldest: 3, newest: 4 }, 'cohd', two).details).toBe(
    'node1/pmapd speaks wire version 3 to 4, this cohd 2: this cohd is older; upgrade it (docs/upgrade.md)',
  );
  // Of two of one kind the name tells which.
  expect(refusal('node2/pmapd', undefined, 'pmapd', two).details).toContain(': node2/pmapd is older;');
  expect(refusal('node2/pmapd', undefined, 'pmapd', two)).toMatchObject({ code: Code.FailedPrecondition });
  expect(isWireRefusal(refusal('node2/pmapd', undefined, 'pmapd', two))).toBe(true);
  expect(isWireRefusal(new RpcError(Code.FailedPrecondition, 'of another kind'))).toBe(false);
});

test('numbers that make no range count as none', () => {
  for (const wire of [{ oldest: 0, newest: 2 }, { oldest: 5, newest: 2 }, {}])
    expect(refusal('x', wire, 'cohd', { oldest: 2, newest: 2 }).details).toContain(
      'x speaks wire version 1,',
    );
});

test('a gate logs each refused peer once in a while', () => {
  let nowMs = 0;
  const lines: string[] = [];
  const log = Object.assign(Object.create(createLog('test', 'silent')), {
    warn: (_: object, line: string) => lines.push(line),
  });
  const gate = new WireGate('cohd', log, () => nowMs);
  const come = () => expect(() => gate.agree('node1/pmapd', undefined)).toThrow('pmapd is older');
  for (nowMs = 0; nowMs < 59_000; nowMs += 1_000) come();
  expect(lines).toHaveLength(1);
  nowMs = 60_000;
  come();
  expect(lines).toHaveLength(2);
  expect(gate.refused('node1/pmapd', new Error('of another kind'))).toBeUndefined();
});

test('the release is that of the packages', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(RELEASE).toBe(version);
});
