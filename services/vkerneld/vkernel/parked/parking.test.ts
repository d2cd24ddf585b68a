// Programs that are parked while they wait, and go on in another thread.
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildGuest } from '../../../../test/guests/build.ts';
import type { ProcessSpec } from '../process-spec.ts';
import { assemble } from '../testdata/programs.ts';
import { eventually, type Running, TestMachine } from '../testdata/run-process.ts';
import { COMING_MAX, type Seat, Seats } from './seats.ts';

const machine = new TestMachine();
let sleeper: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  sleeper = Uint8Array.from(readFileSync(await buildGuest('sleeper')));
}, 120_000);
afterAll(() => machine.close());

/** Where many threads are, one that waits is parked soon. */
const seat: Seat = { isCrowded: true, leave: () => {}, back: () => Promise.resolve(), there: () => {} };
const run = (words: string, spec: Partial<ProcessSpec> = {}): Running =>
  machine.run(sleeper, { args: words.split(' '), seat, ...spec });
const isParked = (each: Running) => eventually(() => each.process.threads()).toBe(0);
const sumOf = (depth: number, sum: number): number =>
  depth === 0 ? sum : sum + depth + sumOf(depth - 1, sum + depth);

/** "WHAT NUMBER" of a line. */
const numberOf = (line: string | undefined, what: string): number => {
  expect(line).toMatch(new RegExp(`^${what} \\d+$`));
  return Number(line!.split(' ')[1]);
};

test('what sleeps has no thread, and goes on where it was, when it was to, with all that it had', async () => {
  const sleeps = run('count say hi sleep 900 count deep 20 sleep 800 say end');
  await isParked(sleeps);
  expect(sleeps.stdout()).toBe('count 1\nhi\n');
  expect(await sleeps.exited).toMatchObject({ code: 2, reason: '' });
  const [, , first, count, second, deep, end] = sleeps.stdout().split('\n');
  expect([count, deep, end]).toEqual(['count 2', `deep ${sumOf(20, 0)}`, 'end']);
  expect(numberOf(first, 'slept')).toBeGreaterThanOrEqual(900);
  expect(numberOf(second, 'slept')).toBeGreaterThanOrEqual(800);
  expect(sleeps.troubles).toEqual([]);
}, 60_000);

test('what waits for its input goes on when that comes, and a poll of it when its time is over', async () => {
  const reads = run('read deep 9 read poll 900 poll 60000 count');
  await isParked(reads);
  reads.process.input.push(Buffer.from('first\n'));
  await eventually(reads.stdout).toBe('read 6 first\n');
  await isParked(reads);
  reads.process.input.push(Buffer.from('second\n'));
  await eventually(reads.stdout).toContain('took');
  await isParked(reads);
  reads.process.input.end();
  expect(await reads.exited).toMatchObject({ code: 1, reason: '' });
  const lines = reads.stdout().trimEnd().split('\n');
  expect(lines.slice(1, 4)).toEqual(['read 7 second', `deep ${sumOf(9, 0)}`, 'polled 0']);
  expect(numberOf(lines[4], 'took')).toBeGreaterThanOrEqual(900);
  expect(lines[5]).toBe('polled 1');
  expect(reads.inputTaken()).toBe(13);
}, 60_000);

test('an open file stays open, at its position', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-parked-'));
  const grants = [{ descriptor: openSync(folder, 'r'), guestPath: '/kept', readOnly: false }];
  const keeps = run('file sleep 700 tell', { grants });
  await isParked(keeps);
  expect(await keeps.exited).toMatchObject({ code: 0 });
  expect(keeps.stdout()).toMatch(/^wrote 4\nslept \d+\nat 4\nfile kept\n$/);
  rmSync(folder, { recursive: true });
}, 60_000);

test('a handler runs where its program is parked, whose call ends with EINTR', async () => {
  const handles = run('handle sleep 600000 read say end');
  await isParked(handles);
  handles.process.signal('SIGUSR1');
  // What the C library makes of EINTR in a sleep is its end.
  await eventually(handles.stdout).toMatch(/^handles 0\nsignal 10\nslept \d+\n$/);
  await isParked(handles);
  handles.process.signal('SIGUSR1');
  await eventually(handles.stdout).toMatch(/signal 10\nread -1 \nend\n$/);
  expect(await handles.exited).toMatchObject({ code: 0 });
}, 60_000);

test('a handler that calls the virtual kernel while its thread leaves, or comes back, loses nothing', async () => {
  const words = `asking handle ${'sleep 60000 '.repeat(40)}say end`;
  const storms = Array.from({ length: 4 }, () => run(words));
  for (const { stdout } of storms) await eventually(stdout).toContain('handles 0');
  // Each ends a sleep; some come as its thread is told to leave, some as another one comes.
  const signals = storms.map(({ process }, i) => setInterval(() => process.signal('SIGUSR1'), 19 + i * 2));
  for (const { exited } of storms) expect(await exited).toMatchObject({ code: 0, reason: '' });
  for (const each of signals) clearInterval(each);
  for (const { stdout } of storms) expect(stdout()).toMatch(/^handles 0\n(slept \d+\n){40}end\n$/);
}, 60_000);

test('one that is stopped goes on when it may, and one that is killed ends, wherever it is', async () => {
  const stopped = run('read count');
  await isParked(stopped);
  stopped.process.signal('SIGSTOP');
  stopped.process.input.push(Buffer.from('x\n'));
  await eventually(() => stopped.process.threads()).toBe(1);
  expect(stopped.stdout()).toBe('');
  stopped.process.signal('SIGCONT');
  expect(await stopped.exited).toMatchObject({ code: 1 });

  const killed = run('sleep 600000');
  await isParked(killed);
  await killed.process.kill('SIGKILL');
  expect(await killed.exited).toMatchObject({ code: 137, signal: 'SIGKILL' });
  // While its thread leaves, while another one comes, and at any other time.
  for (let ms = 0; ms < 40; ms += 4) {
    const any = run('read read read');
    await isParked(any);
    any.process.input.push(Buffer.from('x\n'));
    await new Promise((resolve) => setTimeout(resolve, ms));
    await any.process.kill('SIGTERM');
    expect(await any.exited).toMatchObject({ code: 143 });
    expect(any.troubles).toEqual([]);
  }
  expect(machine.pmap.spaces.every(({ destroyed }) => destroyed)).toBe(true);
}, 120_000);

test('too little room for its stack is said as what it is', async () => {
  const deep = run('deep 2000 sleep 3000');
  expect(await deep.exited).toMatchObject({
    code: 134,
    reason: expect.stringMatching(
      /^what was on its stack in wasi_snapshot_preview1.poll_oneoff takes \d+ bytes more than its area has room for: give ODONATA_PARKABLE more/,
    ),
  });
}, 60_000);

const parts = (names: string, more = '') =>
  `(module ${area} (memory (export "memory") 1) (func (export "_start")) ${names} ${more})`;
const asyncify = `(func (export "asyncify_start_unwind") (param i32)) (func (export "asyncify_stop_unwind"))
  (func (export "asyncify_start_rewind") (param i32)) (func (export "asyncify_stop_rewind"))`;
const area = '(import "odonata" "park_area" (func $area (param i32 i32) (result i32)))';

test.each([
  [parts(''), 'no asyncify_start_unwind: it has yet to go through "wasm-opt --asyncify"'],
  [parts(asyncify, '(func $f) (start $f)'), 'has a start section'],
  [
    parts(asyncify, '(global i32 (i32.const 1)) (data (global.get 0) "x")'),
    'addresses that are not known beforehand',
  ],
  [parts(asyncify, '(global (mut funcref) (ref.null func))'), 'global 0, which can change, is no number'],
  [parts(asyncify, '(table 1 funcref) (func (table.set (i32.const 0) (ref.null func)))'), 'change tables'],
])('what cannot be parked is refused: %#', async (text, why) => {
  const { code, reason } = await machine.run(assemble(text)).exited;
  expect({ code, reason }).toEqual({ code: 126, reason: expect.stringContaining(why) });
  expect(reason).toContain('odonata.park_area');
});

test('a program whose list of calls to leave in is too short ends with a reason', async () => {
  // Its poll_oneoff is not among them: what it does next is seen.
  const text = `(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $next (result i32)))
    ${area}
    (memory (export "memory") 1)
    (func (export "_start")
      (drop (call $area (i32.const 256) (i32.const 1024)))
      (i64.store (i32.const 24) (i64.const 9000000000)) (i32.store (i32.const 16) (i32.const 1))
      (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))
      (drop (call $next)))
    ${asyncify})`;
  const { code, reason } = await machine.run(assemble(text)).exited;
  expect({ code, reason }).toEqual({
    code: 134,
    reason: expect.stringContaining('wasi_snapshot_preview1.sched_yield where it was to leave'),
  });
}, 30_000);

test('where there is no thread for one that goes on, it waits until there is; one that ends waits for none', async () => {
  let others = 0;
  const seats = new Seats(2, () => others);
  const [first, second, third] = [seats.sit(), seats.sit(), seats.sit()];
  third.leave();
  const came: string[] = [];
  void third.back().then(() => came.push('third'));
  const gone = seats.sit();
  gone.leave();
  void gone.back().then(() => came.push('gone'));
  gone.leave();
  await Promise.resolve();
  expect([came, seats.isFull]).toEqual([[], true]);
  others = 1;
  first.leave();
  await Promise.resolve();
  expect(came).toEqual([]);
  others = 0;
  seats.changed();
  await Promise.resolve();
  expect(came).toEqual(['third']);
  await second.back();
  expect(seats.taken).toBe(2);
});

test('they come a few at a time', async () => {
  const seats = new Seats(100, () => 0);
  const all = Array.from({ length: COMING_MAX + 2 }, () => seats.sit());
  for (const seat of all) seat.leave();
  let came = 0;
  for (const seat of all) void seat.back().then(() => came++);
  await Promise.resolve();
  expect(came).toBe(COMING_MAX);
  all[0]!.there();
  await Promise.resolve();
  expect(came).toBe(COMING_MAX + 1);
  // One that ends meanwhile is not waited for.
  all[1]!.leave();
  await Promise.resolve();
  expect(came).toBe(COMING_MAX + 2);
});
