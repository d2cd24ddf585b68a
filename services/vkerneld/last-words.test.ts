// Of what Node and V8 write as they end, the line that says why.
import { expect, test } from 'vitest';
import { LastWords } from './last-words.ts';

function of(text: string, laterMs = 0): string {
  const words = new LastWords();
  for (const line of text.split('\n')) words.add(line, 1_000);
  return words.at(1_000 + laterMs);
}

const THROWN = `node:internal/modules/run_main:123
    triggerUncaughtException(
    ^

Error: Cannot find module 'x'
    at finalizeResolution (node:internal/modules/esm/resolve:274:11) {
  code: 'ERR_MODULE_NOT_FOUND'
}

Node.js v24.1.0`;
const HEAP = `<--- Last few GCs --->
[1:0x2ab]     123 ms: Mark-Compact 250 (260) -> 250 (260) MB
FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
----- Native stack trace -----
 1: 0xe1 node::OOMErrorHandler
10: /odonata/client.js:235:39`;

test.each([
  ['an error that nobody caught', THROWN, "Error: Cannot find module 'x'"],
  [
    'a heap that is full',
    HEAP,
    'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
  ],
  [
    'an error in its log',
    '{"level":"error","msg":"no line","err":{"message":"refused"}}',
    'no line: refused',
  ],
  ['a log that tells of no error', '{"level":"info","msg":"started"}', ''],
  ['nothing', '', ''],
  ['what a terminal heeds', '\u001b[2Jgone\u202e', '[2Jgone'],
])('%s', (_what, text, said) => {
  expect(of(text)).toBe(said);
});

test('is bounded, and what was written long before says nothing', () => {
  expect(of('x'.repeat(10_000))).toHaveLength(400);
  expect(of('Error: of a while ago', 6_000)).toBe('');
});
