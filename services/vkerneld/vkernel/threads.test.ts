// Processes of several threads: what they share, how they end, and what they may have. Modules made by hand: what a compiler makes of
// pthreads is in test/threads.

import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { threadsMax } from './guest-threads.ts';
import { assemble } from './testdata/programs.ts';
import { eventually, TestMachine } from './testdata/run-process.ts';

const machine = new TestMachine();
afterAll(() => machine.close());

const wasi = (name: string, type: string): string =>
  `(import "wasi_snapshot_preview1" "${name}" (func $${name} ${type}))`;

/**
 * Words: 0 and 4 a slice of "x\n" at 16, 8 its result, 64 what threads count, 68 what they wait for. `$join` waits until so many have
 * counted; `$count` counts.
 */
function threaded(main: string, thread: string, more = ''): Uint8Array<ArrayBuffer> {
  return assemble(`(module
    ${wasi('fd_write', '(param i32 i32 i32 i32) (result i32)')}
    ${wasi('fd_read', '(param i32 i32 i32 i32) (result i32)')}
    ${wasi('fd_close', '(param i32) (result i32)')}
    ${wasi('fd_renumber', '(param i32 i32) (result i32)')}
    ${wasi('fd_readdir', '(param i32 i32 i32 i64 i32) (result i32)')}
    ${wasi('proc_exit', '(param i32)')}
    ${wasi('path_open', '(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)')}
    (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
    (import "odonata" "ds_open" (func $ds_open (param i32 i32 i64 i32 i32) (result i32)))
    (import "odonata" "ds_stat" (func $ds_stat (param i64 i32) (result i32)))
    (import "env" "memory" (memory 1 64 shared))
    (data $text "\\10\\00\\00\\00\\02\\00\\00\\00")
    (data $line "x\\n")
    (func $count
      (drop (i32.atomic.rmw.add (i32.const 64) (i32.const 1)))
      (drop (memory.atomic.notify (i32.const 64) (i32.const -1))))
    (func $join (param $all i32) (local $seen i32)
      (loop $again
        (local.set $seen (i32.atomic.load (i32.const 64)))
        (if (i32.lt_u (local.get $seen) (local.get $all)) (then
          (drop (memory.atomic.wait32 (i32.const 64) (local.get $seen) (i64.const -1)))
          (br $again)))))
    (func $rest (drop (memory.atomic.wait32 (i32.const 68) (i32.const 0) (i64.const -1))))
    (func $print
      (memory.init $text (i32.const 0) (i32.const 0) (i32.const 8))
      (memory.init $line (i32.const 16) (i32.const 0) (i32.const 2))
      (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    ${more}
    (func (export "wasi_thread_start") (param $thread i32) (param $argument i32) ${thread})
    (func $main (export "_start") ${main}))`);
}

const spawn = '(drop (call $spawn (i32.const 0)))';

test('threads count in one memory, and wake who waits for them', async () => {
  const run = machine.run(
    threaded(
      `(local $left i32) (local.set $left (i32.const 8))
       (loop $next
         (if (i32.le_s (call $spawn (local.get $left)) (i32.const 0)) (then (unreachable)))
         (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
       (call $join (i32.const 8))
       (call $proc_exit (i32.load (i32.const 72)))`,
      '(drop (i32.atomic.rmw.add (i32.const 72) (local.get $argument))) (call $count)',
    ),
    { quotaBytes: 2 ** 30 },
  );
  expect(await run.exited).toEqual({ code: 36, signal: '', reason: '', stack: '' });
  expect(run.troubles).toEqual([]);
});

test('a thread that returned leaves its worker to the next: hundreds, one after another', async () => {
  const run = machine.run(
    threaded(
      `(local $done i32)
       (loop $next
         (if (i32.gt_s (call $spawn (local.get $done)) (i32.const 0)) (then
           (call $join (local.tee $done (i32.add (local.get $done) (i32.const 1))))))
         (br_if $next (i32.lt_u (local.get $done) (i32.const 300))))
       (call $print)`,
      '(if (i32.ge_u (local.get $argument) (i32.const 1000)) (then (unreachable))) (call $count)',
    ),
  );
  expect(await run.exited).toMatchObject({ code: 0, signal: '' });
  expect(run.stdout()).toBe('x\n');
  expect(run.process.threads()).toBe(1);
}, 60_000);

describe('the end of one thread that is no return is the end of all', () => {
  test('exit', async () => {
    const run = machine.run(threaded(`${spawn} ${spawn} (call $rest)`, '(call $proc_exit (i32.const 5))'));
    expect(await run.exited).toEqual({ code: 5, signal: '', reason: '', stack: '' });
  });

  test('a trap, while others compute', async () => {
    const run = machine.run(
      threaded(
        '(drop (call $spawn (i32.const 1))) (drop (call $spawn (i32.const 2))) (loop $on (br $on))',
        '(if (i32.eq (local.get $argument) (i32.const 1)) (then (loop $on (br $on)))) (call $bad)',
        '(func $bad (unreachable))',
      ),
    );
    const exit = await run.exited;
    expect(exit).toMatchObject({ code: 134, signal: 'SIGABRT', reason: 'trap: unreachable (in thread 2)' });
    expect(exit.stack).toMatch(/^bad \(function/);
  });

  test('a return of the first, while others wait', async () => {
    const run = machine.run(
      threaded(`${spawn} ${spawn} (call $join (i32.const 2))`, '(call $count) (call $rest)'),
    );
    expect(await run.exited).toMatchObject({ code: 0, signal: '' });
  });

  test('a signal, while all wait', async () => {
    const run = machine.run(
      threaded(
        `${spawn} ${spawn} ${spawn} (call $join (i32.const 3)) (call $print) (call $rest)`,
        '(call $count) (call $rest)',
      ),
    );
    await eventually(run.stdout, { interval: 5 }).toBe('x\n');
    expect(run.process.threads()).toBe(4);
    await run.process.kill('SIGTERM');
    expect(await run.exited).toMatchObject({ code: 143, signal: 'SIGTERM' });
    expect(run.troubles).toEqual([]);
  });
});

/** Starts threads until it gets none, prints a line for each, and exits with what it got instead. */
const bomb = threaded(
  `(local $got i32)
   (loop $next
     (local.set $got (call $spawn (i32.const 0)))
     (if (i32.gt_s (local.get $got) (i32.const 0)) (then (call $print) (br $next))))
   (call $proc_exit (i32.sub (i32.const 0) (local.get $got)))`,
  '(call $rest)',
);
const EAGAIN = 6;

test('a process has so many threads, and hears EAGAIN then', async () => {
  const run = machine.run(bomb, { quotaBytes: 2 ** 32 });
  expect(await run.exited).toMatchObject({ code: EAGAIN });
  expect(run.stdout().length / 2).toBe(threadsMax - 1);
}, 60_000);

test('threads count against the quota', async () => {
  const run = machine.run(bomb, { quotaBytes: 200 * 2 ** 20 });
  expect(await run.exited).toMatchObject({ code: EAGAIN });
  expect(run.stdout().length / 2).toBe(6);
});

test('a memory that one thread grew is as large for all, and for system calls', async () => {
  const run = machine.run(
    threaded(
      `${spawn} (call $join (i32.const 1))
       (if (i32.ne (memory.size) (i32.const 3)) (then (unreachable)))
       (i32.store (i32.const 0) (i32.const 131072)) (i32.store (i32.const 4) (i32.const 2))
       (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))`,
      `(if (i32.ne (memory.grow (i32.const 2)) (i32.const 1)) (then (unreachable)))
       (memory.init $line (i32.const 131072) (i32.const 0) (i32.const 2)) (call $count)`,
    ),
  );
  expect(await run.exited).toMatchObject({ code: 0 });
  expect(run.stdout()).toBe('x\n');
});

describe('descriptors', () => {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-threads-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const grantOf = (): { descriptor: number; guestPath: string; readOnly: boolean } => ({
    descriptor: openSync(folder, 'r'),
    guestPath: '/data',
    readOnly: false,
  });
  const openFiles = (): number => readdirSync('/proc/self/fd').length;
  const write =
    '(if (call $fd_write (i32.load (i32.const 80)) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))';
  /** Makes the file `x`; its descriptor is at 80. */
  const open = `
    (memory.init $text (i32.const 0) (i32.const 0) (i32.const 8))
    (memory.init $line (i32.const 16) (i32.const 0) (i32.const 2))
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 9) (i64.const 0x40) (i64.const 0)
      (i32.const 0) (i32.const 80)) (then (unreachable)))`;

  test('what one thread opened all write to, each at the place where the last one ended, also after its end', async () => {
    const before = openFiles();
    const run = machine.run(
      threaded(
        `(drop (call $spawn (i32.const 1))) (call $join (i32.const 1))
         (drop (call $spawn (i32.const 0))) (drop (call $spawn (i32.const 0))) (call $many) (call $join (i32.const 3))
         (if (call $fd_close (i32.load (i32.const 80))) (then (unreachable)))
         (if (i32.ne (call $fd_close (i32.load (i32.const 80))) (i32.const 8)) (then (unreachable)))`,
        `(if (local.get $argument) (then ${open}) (else (call $many))) (call $count)`,
        `(func $many (local $left i32) (local.set $left (i32.const 100))
           (loop $next ${write} (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))`,
      ),
      { grants: [grantOf()] },
    );
    expect(await run.exited).toMatchObject({ code: 0, signal: '' });
    expect(readFileSync(join(folder, 'x'), 'latin1')).toBe('x\n'.repeat(300));
    await eventually(openFiles).toBeLessThanOrEqual(before);
    expect(run.troubles).toEqual([]);
  });

  test('what is open at the end is closed once, whichever thread opened it', async () => {
    const before = openFiles();
    const run = machine.run(
      threaded(
        `${open} ${open} ${spawn} (call $join (i32.const 1)) (call $print) (call $rest)`,
        `${open} (call $count)`,
      ),
      { grants: [grantOf()] },
    );
    await eventually(run.stdout, { interval: 5 }).toBe('x\n');
    const others = [1, 2, 3].map(() => openSync(join(folder, 'x'), 'r'));
    await run.process.kill('SIGKILL');
    // Nobody's numbers but its own.
    for (const fd of others) closeSync(fd);
    await eventually(openFiles).toBeLessThanOrEqual(before);
  });

  test('threads that close what others work on: no descriptor of the host is lost, none is closed twice', async () => {
    const before = openFiles();
    const run = machine.run(
      threaded(
        `(call $text) (drop (call $spawn (i32.const 1))) (drop (call $spawn (i32.const 2))) (drop (call $spawn (i32.const 3)))
         (call $churn (i32.const 0)) (call $join (i32.const 3))`,
        '(call $churn (local.get $argument)) (call $count)',
        `(func $text
           (memory.init $text (i32.const 0) (i32.const 0) (i32.const 8))
           (memory.init $line (i32.const 16) (i32.const 0) (i32.const 2)))
         (func $churn (param $me i32) (local $left i32) (local $at i32) (local $other i32)
           (local.set $left (i32.const 100))
           (local.set $at (i32.add (i32.const 512) (i32.mul (local.get $me) (i32.const 16))))
           (loop $next
             (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 9) (i64.const 0x40)
               (i64.const 0) (i32.const 0) (local.get $at)) (then (unreachable)))
             (local.set $other (i32.atomic.rmw.xchg (i32.const 80) (i32.load (local.get $at))))
             (drop (call $fd_write (i32.atomic.load (i32.const 80)) (i32.const 0) (i32.const 1) (i32.add (local.get $at) (i32.const 8))))
             (if (i32.gt_u (local.get $other) (i32.const 3)) (then
               (drop (call $fd_renumber (i32.load (local.get $at)) (local.get $other)))
               (drop (call $fd_close (local.get $other)))))
             (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))`,
      ),
      { grants: [grantOf()] },
    );
    expect(await run.exited).toMatchObject({ code: 0, signal: '' });
    await eventually(openFiles).toBeLessThanOrEqual(before);
    expect(run.troubles).toEqual([]);
  }, 60_000);

  test('what is above the grants leads to them, from each thread', async () => {
    // Descriptor 3 is the grant, 4 is `/`.
    const open = (fd: string, path: number, length: number, at: number): string =>
      `(if (call $path_open ${fd} (i32.const 0) (i32.const ${path}) (i32.const ${length}) (i32.const 2) (i64.const 0x4000) (i64.const 0)
        (i32.const 0) (i32.const ${at})) (then (unreachable)))`;
    const list = (fd: string, length: number): string =>
      `(if (call $fd_readdir ${fd} (i32.const 4096) (i32.const 1024) (i64.const 0) (i32.const 104)) (then (unreachable)))
       (if (i32.ne (i32.load (i32.const 104)) (i32.const ${length})) (then (unreachable)))`;
    const dots = 24 * 2 + 3;
    const dev = 24 + 3;
    const run = machine.run(
      threaded(
        `(memory.init $path (i32.const 128) (i32.const 0) (i32.const 16))
         ${list('(i32.const 4)', dots + 24 + 3 + dev)} ${open('(i32.const 4)', 128, 7, 80)}
         ${spawn} (call $join (i32.const 1))
         (if (i32.ne (call $fd_close (i32.load (i32.const 84))) (i32.const 0)) (then (unreachable)))`,
        `${list('(i32.load (i32.const 80))', dots + 24 + 1)} ${open('(i32.load (i32.const 80))', 136, 1, 84)}
         ${open('(i32.load (i32.const 80))', 138, 5, 88)} ${list('(i32.load (i32.const 88))', dots + 24 + 3 + dev)}
         (call $count)`,
        '(data $path "usr/lib\\00x\\00../..\\00")',
      ),
      { grants: [{ ...grantOf(), guestPath: '/usr/lib/x' }] },
    );
    expect(await run.exited).toMatchObject({ code: 0, signal: '', reason: '' });
    expect(run.troubles).toEqual([]);
  });

  test('standard input goes to whichever thread reads it, and its end to all', async () => {
    const run = machine.run(
      threaded(
        `(drop (call $spawn (i32.const 1))) (drop (call $spawn (i32.const 2))) (call $join (i32.const 2))
         (call $proc_exit (i32.load (i32.const 96)))`,
        `(local $at i32) (local.set $at (i32.add (i32.const 256) (i32.mul (local.get $argument) (i32.const 64))))
         (i32.store (local.get $at) (i32.add (local.get $at) (i32.const 16))) (i32.store offset=4 (local.get $at) (i32.const 1))
         (loop $next
           (if (call $fd_read (i32.const 0) (local.get $at) (i32.const 1) (i32.add (local.get $at) (i32.const 8))) (then (unreachable)))
           (if (i32.load offset=8 (local.get $at)) (then
             (drop (i32.atomic.rmw.add (i32.const 96) (i32.load8_u offset=16 (local.get $at)))) (br $next))))
         (call $count)`,
      ),
      { stdin: '\u0001'.repeat(40) },
    );
    expect(await run.exited).toMatchObject({ code: 40 });
  });
});

test('a dataspace that one thread opened is open for all', async () => {
  const run = machine.run(
    threaded(
      `${spawn} (call $join (i32.const 1))
       (if (call $ds_stat (i64.load (i32.const 128)) (i32.const 160)) (then (unreachable)))
       (if (i32.ne (call $ds_stat (i64.const 999) (i32.const 160)) (i32.const 8)) (then (unreachable)))
       (call $proc_exit (i32.wrap_i64 (i64.shr_u (i64.load (i32.const 160)) (i64.const 12))))`,
      `(i32.store8 (i32.const 120) (i32.const 100))
       (if (call $ds_open (i32.const 120) (i32.const 1) (i64.const 12288) (i32.const 1) (i32.const 128)) (then (unreachable)))
       (call $count)`,
    ),
  );
  expect(await run.exited).toMatchObject({ code: 3, signal: '' });
});

describe('modules that are not as the proposal has it', () => {
  const module = (memory: string, rest: string): Uint8Array<ArrayBuffer> =>
    assemble(
      `(module (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32))) ${memory} ${rest})`,
    );
  const shared = '(import "env" "memory" (memory 1 2 shared))';
  const start = '(func (export "_start") (drop (call $spawn (i32.const -1))))';
  test.each([
    ['no entry', module(shared, start), /exports no function wasi_thread_start .*--export=wasi_thread_start/],
    [
      'an entry of another kind',
      module(shared, `${start} (global (export "wasi_thread_start") i32 (i32.const 1))`),
      /exports no function wasi_thread_start/,
    ],
    [
      'an entry of another type',
      module(shared, `${start} (func (export "wasi_thread_start") (param i32))`),
      /exports wasi_thread_start as \(i32\) -> \(\); threads begin in \(i32, i32\) -> \(\)/,
    ],
    [
      'unshared memory',
      module(
        '(import "env" "memory" (memory 1 2))',
        `${start} (func (export "wasi_thread_start") (param i32 i32))`,
      ),
      /its memory is not shared: build it with -pthread/,
    ],
    [
      'no memory',
      module('', `${start} (func (export "wasi_thread_start") (param i32 i32))`),
      /its memory is not shared/,
    ],
    [
      'another type of the call',
      assemble('(module (import "wasi" "thread-spawn" (func (param i64))) (func (export "_start")))'),
      /imports wasi.thread-spawn as \(i64\) -> \(\); a virtual kernel has it as \(i32\) -> i32/,
    ],
  ])('%s', async (_, bytes, reason) => {
    const exit = await machine.run(bytes).exited;
    expect(exit.code).toBe(126);
    expect(exit.reason).toMatch(reason);
    expect(exit.reason).not.toContain('\n');
  });

  test('an argument below 0 comes as it is', async () => {
    const run = machine.run(
      threaded(
        '(drop (call $spawn (i32.const -7))) (call $rest)',
        '(call $proc_exit (i32.sub (i32.const 0) (local.get $argument)))',
      ),
    );
    expect(await run.exited).toMatchObject({ code: 7 });
  });

  test('what starts a thread at the start of each thread meets the bound', async () => {
    const bytes = assemble(`(module
      (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      ${shared}
      (func $begin (if (i32.lt_s (call $spawn (i32.const 0)) (i32.const 0)) (then (call $exit (i32.const 9)))))
      (func (export "wasi_thread_start") (param i32 i32) (loop $on (br $on)))
      (func (export "_start") (loop $on (br $on)))
      (start $begin))`);
    const run = machine.run(bytes, { quotaBytes: 200 * 2 ** 20 });
    expect(await run.exited).toMatchObject({ code: 9 });
  }, 60_000);

  test('instructions that trap in a thread: the neighbours go on', async () => {
    const neighbour = machine.run(
      threaded(
        `${spawn} (call $join (i32.const 1)) (call $print) (call $rest)`,
        '(call $count) (call $rest)',
      ),
    );
    await eventually(neighbour.stdout, { interval: 5 }).toBe('x\n');
    const run = machine.run(threaded(`${spawn} (call $rest)`, '(drop (i32.load (i32.const -4)))'));
    expect(await run.exited).toMatchObject({
      signal: 'SIGSEGV',
      reason: 'trap: memory access out of bounds (in thread 1)',
    });
    expect(neighbour.process.threads()).toBe(2);
    await neighbour.process.kill('SIGKILL');
  });
});
