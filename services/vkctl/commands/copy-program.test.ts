// What ships is what its source says.
import { readFileSync } from 'node:fs';
import binaryen from 'binaryen';
import { expect, test } from 'vitest';
import { COPY_PROGRAM } from './copy-program.ts';

test('the program of cp is made of copy-program.wat', () => {
  const module = binaryen.parseText(readFileSync(new URL('copy-program.wat', import.meta.url), 'utf8'));
  module.setFeatures(binaryen.Features.All);
  expect(COPY_PROGRAM.toString('base64')).toBe(Buffer.from(module.emitBinary()).toString('base64'));
});
