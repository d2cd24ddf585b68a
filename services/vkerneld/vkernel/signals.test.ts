// Signals: handlers that run in the middle of what a program computes, calls that end with EINTR, a stop that stops, and goes on.
import { delay } from '@odonata/rpc/backoff.ts';
import { afterAll, expect, test, vi } from 'vitest';
import { ACTION_HANDLER, createSignals, SignalGate, SignalState } from './signal-state.ts';
import { assemble, imports, program } from './testdata/programs.ts';
import { eventually, type Running, TestMachine } from './testdata/run-process.ts';

const machine = new TestMachine();
const EINVAL = 28;
afterAll(() => machine.close());

const action = '(import "odonata" "signal_action" (func $action (param i32 i32) (result i32)))';
/** It has a handler of USR1 (10), which ends it with 40 and the number of the signal. */
const handling = (body: string): Uint8Array<ArrayBuffer> =>
  assemble(`(module ${action} ${imports}
    (func (export "odonata_signal") (param i32) (call $exit (i32.add (i32.const 40) (local.get 0))))
    (func $print (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func $main (export "_start")
      (if (call $action (i32.const 10) (i32.const 2)) (then (call $exit (i32.const 1))))
      (call $print) ${body}))`);
/** The same as a function of its table, of that number; in it is one of another kind, too. */
const tabled = (number: number, signal = ''): Uint8Array<ArrayBuffer> =>
  assemble(`(module ${action}
    (import "odonata" "signal_function" (func $handler (param i32) (result i32)))
    ${imports}
    (table 4 funcref) (elem (i32.const 1) $own $other)
    (func $own (param i32) (call $exit (i32.add (i32.const 60) (local.get 0))))
    (func $other (param i64 i32) (call $exit (i32.const 1)))
    (func $print (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
    (func (export "odonata_signal") (param i32) (call $exit (i32.const 2)))
    (func (export "_start") (local $errno i32)
      (local.set $errno (call $handler (i32.const ${number})))
      (if (local.get $errno) (then (call $exit (local.get $errno))))
      (if (call $action (i32.const 10) (i32.const 2)) (then (call $exit (i32.const 3))))
      (call $print) ${signal} (loop $again (br $again))))`);
const started = (run: Running) => eventually(() => run.stdout()).toBe('hello\n');

test('a handler runs in a loop that touches no memory and calls nothing', async () => {
  const run = machine.run(handling('(loop $again (br $again))'));
  await started(run);
  run.process.signal('SIGUSR1');
  expect(await run.exited).toMatchObject({ code: 50 });
});

test('a handler is a function of its table where the program says so, and a trap where that is another kind', async () => {
  const run = machine.run(tabled(1));
  await started(run);
  run.process.signal('SIGUSR1');
  expect(await run.exited).toMatchObject({ code: 70 });
  const other = machine.run(tabled(2));
  await started(other);
  other.process.signal('SIGUSR1');
  expect(await other.exited).toMatchObject({
    reason: expect.stringContaining('function signature mismatch'),
  });
  // Beyond its end; a place of it that is empty.
  for (const number of [4, -1, 0, 3])
    expect(await machine.run(tabled(number)).exited).toMatchObject({ code: EINVAL, reason: '' });
});

test('a sleep ends for a handler', async () => {
  // One subscription to the monotonic clock, an hour from now.
  const hour =
    '(i32.store (i32.const 80) (i32.const 1)) (i64.store (i32.const 88) (i64.const 3600000000000)) (drop (call $poll (i32.const 64) (i32.const 128) (i32.const 1) (i32.const 192)))';
  const run = machine.run(handling(`(loop $again ${hour} (br $again))`));
  await started(run);
  await delay(50);
  run.process.signal('SIGUSR1');
  expect(await run.exited).toMatchObject({ code: 50 });
});

test('a read of standard input ends for a handler', async () => {
  const read = '(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))';
  const run = machine.run(handling(`(loop $again ${read} (br $again))`));
  await started(run);
  await delay(50);
  run.process.signal('SIGUSR1');
  expect(await run.exited).toMatchObject({ code: 50 });
});

test('a handler whose signal came while its program was stopped runs when that goes on, and ends what it waits in', async () => {
  const read = '(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))';
  const run = machine.run(handling(`(loop $again ${read} (br $again))`));
  await started(run);
  await delay(50);
  run.process.signal('SIGSTOP');
  run.process.signal('SIGUSR1');
  await delay(50);
  expect(run.process.isStopped).toBe(true);
  run.process.signal('SIGCONT');
  expect(await run.exited).toMatchObject({ code: 50 });
});

test('STOP stops what computes, CONT lets it go on, and what came meanwhile takes effect then', async () => {
  const run = machine.run(program('(call $print) (loop $again (br $again))'));
  await started(run);
  run.process.signal('SIGSTOP');
  expect(run.process.isStopped).toBe(true);
  const grown = async () => {
    const before = run.process.cpuMs();
    await delay(200);
    return run.process.cpuMs() - before;
  };
  await expect.poll(grown, { timeout: 20_000, interval: 10 }).toBeLessThan(20);
  run.process.signal('SIGCONT');
  await expect.poll(grown, { timeout: 20_000, interval: 10 }).toBeGreaterThan(50);
  run.process.signal('SIGSTOP');
  run.process.signal('SIGTERM');
  await delay(100);
  expect(run.process.isStopped).toBe(true);
  run.process.signal('SIGCONT');
  expect(await run.exited).toMatchObject({ signal: 'SIGTERM', code: 143 });
}, 60_000);

test('without a handler a signal ends it, and some are nothing', async () => {
  const run = machine.run(program('(call $print) (loop $again (br $again))'));
  await started(run);
  for (const harmless of ['SIGCHLD', 'SIGCONT', 'SIGWINCH']) run.process.signal(harmless);
  await delay(50);
  run.process.signal('SIGUSR1');
  expect(await run.exited).toMatchObject({ signal: 'SIGUSR1', code: 138 });
});

test('whoever is interrupted while it is stopped waits once: two waits of one thread break the lists of V8', () => {
  const signals = createSignals();
  const state = new SignalState(signals);
  const gate = new SignalGate(signals);
  const wait = vi.spyOn(Atomics, 'wait').mockImplementationOnce(() => {
    gate.deliver(); // as an interrupt does that finds the thread here
    state.go();
    return 'ok';
  });
  state.stop();
  expect(gate.inProgram(() => 'goes on')).toBe('goes on');
  expect(wait).toHaveBeenCalledTimes(1);
  // Before it is in the program, and after.
  state.stop();
  gate.deliver();
  expect(wait).toHaveBeenCalledTimes(1);
  wait.mockRestore();
  state.close();
});

test('a handler is not interrupted by its own signal, which it hears afterwards', () => {
  const signals = createSignals();
  const state = new SignalState(signals);
  const gate = new SignalGate(signals);
  const heard: string[] = [];
  gate.setAction(10, ACTION_HANDLER);
  gate.setAction(12, ACTION_HANDLER);
  gate.handler = (signal) => {
    heard.push(`${signal} begins`);
    if (heard.length === 1) for (const name of ['SIGUSR1', 'SIGUSR2']) state.pend(name);
    gate.deliver();
    heard.push(`${signal} ends`);
  };
  gate.inProgram(() => {
    state.pend('SIGUSR1');
    gate.deliver();
  });
  expect(heard).toEqual([...['10 begins', '12 begins', '12 ends', '10 ends'], ...['10 begins', '10 ends']]);
  state.close();
});
