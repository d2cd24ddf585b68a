// /dev, by a program in C: with grants and without, in a process of one thread and of several.
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { assemble, compileC, hasClang } from '../../testdata/programs.ts';
import { TestMachine } from '../../testdata/run-process.ts';

const machine = new TestMachine();
const folder = mkdtempSync(join(tmpdir(), 'odonata-devices-'));
writeFileSync(join(folder, 'four'), 'four');
const grants = () => [{ descriptor: openSync(folder, 'r'), guestPath: '/data', readOnly: true }];
afterAll(async () => {
  await machine.close();
  rmSync(folder, { recursive: true });
});

describe.skipIf(!hasClang)('/dev', () => {
  let devices: Uint8Array<ArrayBuffer>;
  beforeAll(() => {
    devices = compileC('devices');
  });

  test('devices do what those of Linux do', async () => {
    const run = machine.run(devices, { args: ['/data/four'], grants: grants(), stdin: 'input' });
    const exit = await run.exited;
    expect(run.stdout()).toBe('by /dev/stdout\n0 failures\n');
    expect(run.stderr()).toBe('by /dev/fd/2\n');
    expect(exit.code).toBe(0);
    expect(run.troubles).toEqual([]);
  });

  test('a program with a terminal has /dev/tty', async () => {
    const terminals = [false, true, false];
    const args = ['/data/four', 'terminal'];
    const run = machine.run(devices, { args, grants: grants(), stdin: 'input', terminals });
    await run.exited;
    expect(run.stdout()).toContain('0 failures');
  });
});

test('a bare program, and one whose grant is at "/", have none', async () => {
  const open = assemble(`(module
    (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "dev/null")
    (func (export "_start") (call $exit (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 8)
      (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 80)))))`);
  const codeOf = async (about: Parameters<TestMachine['run']>[1]) =>
    (await machine.run(open, about).exited).code;
  expect(await codeOf({})).toBe(0);
  expect(await codeOf({ bare: true })).toBe(8); // No descriptor 3.
  const [grant] = grants();
  expect(await codeOf({ grants: [{ ...grant!, guestPath: '/' }] })).toBe(44);
  // Nor has it any where a grant is at /dev.
  expect(await codeOf({ grants: [{ ...grants()[0]!, guestPath: '/dev' }] })).toBe(44);
});
