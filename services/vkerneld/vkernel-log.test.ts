// What a virtual kernel writes to our log: whose it is stands at each line, and it fills nothing.
import { closeSync, mkdtempSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@odonata/rpc/log.ts';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BURST_BYTES, VkernelLog } from './vkernel-log.ts';

let socketDir: string;
let written: string[];
let warned: object[];
let nowMs: number;
beforeEach(() => {
  socketDir = mkdtempSync(join(tmpdir(), 'odonata-log-'));
  [written, warned, nowMs] = [[], [], 0];
});
afterEach(() => rmSync(socketDir, { recursive: true }));

function logOf(): VkernelLog {
  const log = createLog('test', 'silent');
  vi.spyOn(log, 'warn').mockImplementation((about: unknown) => void warned.push(about as object));
  const write = (line: string) => written.push(line);
  return new VkernelLog({
    ...{ socketDir, index: 7, vkernel: 'mallory/evil', log, write },
    nowMs: () => nowMs,
  });
}

const line = (text: string) => `{"level":"info","name":"vkerneld","vkernel":"bob/default","msg":"${text}"}`;

test('each line says whose it is, and what is none is told as that', () => {
  const log = logOf();
  log.take(`${line('one')}\nFATAL ERROR: heap\n\u001b[2J`);
  log.take('more\n');
  expect(written.map((each) => JSON.parse(each).vkernel)).toEqual(['mallory/evil']);
  expect(warned).toEqual([
    { vkernel: 'mallory/evil', output: 'FATAL ERROR: heap' },
    { vkernel: 'mallory/evil', output: '\u001b[2Jmore' },
  ]);
});

test('what is too much is dropped, and one line says how much; more may be written later', () => {
  const log = logOf();
  for (let i = 0; i < 100_000; i++) log.take(`${line(`flood ${i}`)}\n`);
  const bytes = () => written.reduce((sum, each) => sum + each.length, 0);
  expect(bytes()).toBeLessThanOrEqual(BURST_BYTES);
  expect(warned.length).toBe(1);
  nowMs = 60_000;
  log.take(`${line('later')}\n`);
  expect(warned.length).toBe(2);
  expect(written.at(-1)).toContain('later');
  expect(warned[1]).toMatchObject({ vkernel: 'mallory/evil', droppedBytes: expect.any(Number) });
  const one = written.length;
  log.take('x'.repeat(1 << 20));
  expect(written.length).toBe(one);
});

test('the next supervisor goes on reading, and nobody who writes meanwhile breaks', async () => {
  const first = logOf();
  const output = first.make();
  writeSync(output, `${line('one')}\n`);
  await vi.waitFor(() => expect(written.length).toBe(1));
  first.close();
  writeSync(output, `${line('while nobody reads')}\n`);
  const next = logOf();
  next.follow();
  await vi.waitFor(() => expect(written.at(-1)).toContain('while nobody reads'));
  closeSync(output);
  next.ended();
  await vi.waitFor(() => expect(() => rmSync(join(socketDir, 'vkernel-7.output'))).toThrow(/ENOENT/));
});
