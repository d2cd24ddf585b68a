// Processes in real threads: how they start, write, read, trap, are killed, and leave their neighbours alone.

import { mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Pmap } from '@odonata/pmap/pmap-interface.ts';
import { nameDeadline } from '@odonata/pmap/shared-lease.ts';
import { settled } from '@odonata/rpc/testdata/settled.ts';
import { afterAll, describe, expect, test } from 'vitest';
import { untakenBytesMax } from './output-ring.ts';
import { assemble, compileAssemblyscript, imports, program } from './testdata/programs.ts';
import { eventually, TestMachine } from './testdata/run-process.ts';

const machine = new TestMachine();
afterAll(() => machine.close());

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return ''; // closed meanwhile
  }
}

/** Says that it runs, and does nothing else. */
const spin = program('(call $print) (loop $again (br $again))');

test('starts, writes, exits', async () => {
  const run = machine.run(program('(call $print) (call $exit (i32.const 7))'));
  expect(await run.exited).toEqual({ code: 7, signal: '', reason: '', stack: '' });
  expect(run.stdout()).toBe('hello\n');
  const space = machine.pmap.spaces.at(-1)!;
  expect(space).toMatchObject({ detached: true, destroyed: true });
  expect(space.options).toMatchObject({ initialPages: 1, maximumPages: 65536, quotaBytes: 1 << 28 });
});

test('a return from _start is an exit with 0; a code has eight bits', async () => {
  expect((await machine.run(program('(call $print)')).exited).code).toBe(0);
  expect((await machine.run(program('(call $exit (i32.const -1))')).exited).code).toBe(255);
});

test('proc_exit cannot be caught by the program', async () => {
  const body = '(try (do (call $exit (i32.const 3))) (catch_all (call $print)))';
  const run = machine.run(program(body));
  expect((await run.exited).code).toBe(3);
  expect(run.stdout()).toBe('');
});

test('a small program starts and ends within 50 ms', async () => {
  const module = program('(call $print)');
  const took = async (): Promise<number> => {
    const start = performance.now();
    await machine.run(module).exited;
    return performance.now() - start;
  };
  // One of them, when its thread was warm: how long it takes, not how busy this machine is.
  await expect.poll(took, { interval: 100, timeout: 30_000 }).toBeLessThan(50);
}, 60_000);

test('killed while V8 compiles, which nothing interrupts: its end is told, and all that it has is its until its thread ends', async () => {
  const large = `(func $nothing) (func $large (local${' i32'.repeat(50_000)}) ${'(call $nothing)'.repeat(150_000)})`;
  const module = program('(call $print) (call $large)', large);
  // On a busy machine V8 may be done before the kill: then once more.
  const killedInTime = async (): Promise<ReturnType<TestMachine['run']>> => {
    const run = machine.run(module, { quotaBytes: 1 << 30, threadEndMs: 50 });
    let isOver = false;
    void run.exited.then(() => {
      isOver = true;
    });
    await eventually(run.stdout, { interval: 5 }).toBe('hello\n');
    void run.process.kill('SIGKILL');
    await eventually(() => isOver || run.ending() !== undefined, { interval: 5 }).toBe(true);
    return run.ending() === undefined ? killedInTime() : run;
  };
  const run = await killedInTime();
  expect(run.ending()).toMatchObject({ signal: 'SIGKILL' });
  const space = machine.pmap.spaces.at(-1)!;
  expect(space).toMatchObject({ detached: true, destroyed: false });
  // What it costs is told of it.
  const cpuMs = run.process.cpuMs();
  await eventually(() => run.process.cpuMs(), { interval: 5 }).toBeGreaterThan(cpuMs);
  expect(await run.exited).toMatchObject({ signal: 'SIGKILL' });
  expect(space.destroyed).toBe(true);
  expect(run.troubles).toEqual([]);
}, 120_000);

describe('a fault of the virtual kernel itself', () => {
  test('has no stack for the user, and all of it for the log', async () => {
    // The host's functions do not expect this of the memory that they are given.
    const broken = machine.pmap.createSpace.bind(machine.pmap);
    machine.pmap.createSpace = ({ onMemory, ...options }) =>
      broken({ ...options, onMemory: (_, lease) => onMemory?.({ buffer: 7 } as never, lease) });
    const run = machine.run(program('(call $print)'));
    const exit = await run.exited;
    machine.pmap.createSpace = broken;
    expect(exit).toMatchObject({ code: 159, signal: 'SIGSYS', stack: '' });
    expect(exit.reason).toBe(
      "the virtual kernel failed, which is Odonata's fault and not the program's: " +
        `see process ${run.process.pid} in the log of node3/vkerneld`,
    );
    expect(run.troubles.join()).toMatch(/^the virtual kernel failed under process \d+ .*TypeError/);
  });
});

describe('ends from outside', () => {
  test.each(['SIGKILL', 'SIGTERM', 'SIGINT'])('an endless loop, by %s', async (signal) => {
    const run = machine.run(spin);
    await eventually(run.stdout).toBe('hello\n');
    const start = performance.now();
    await run.process.kill(signal);
    const exit = await run.exited;
    expect(performance.now() - start).toBeLessThan(5_000);
    expect(exit.signal).toBe(signal);
    expect(exit.code).toBe({ SIGKILL: 137, SIGTERM: 143, SIGINT: 130 }[signal]);
    expect(run.troubles).toEqual([]);
  });

  test('at once, before it is started', async () => {
    const run = machine.run(spin);
    void run.process.kill('SIGTERM');
    expect((await run.exited).signal).toBe('SIGTERM');
    expect(run.troubles).toEqual([]);
  });

  test('while it waits for its pmap', async () => {
    const waits = Promise.withResolvers<void>();
    // A promise that says when somebody begins to wait for it.
    const pmap = Object.assign(new Promise<never>(() => {}), {
      // biome-ignore lint/suspicious/noThenProperty: that is how one waits
      then: () => waits.resolve(),
    });
    const never = new TestMachine(pmap as unknown as Promise<Pmap>);
    const run = never.run(spin);
    await waits.promise;
    await run.process.kill('SIGTERM');
    expect((await run.exited).signal).toBe('SIGTERM');
    await never.close();
  });

  test('what it had open is closed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-open-'));
    const opens = `(import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))`;
    const body = `(i32.store (i32.const 64) (i32.const 97))
      (drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 1)
        (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 80)))
      (call $print) (loop $again (br $again))`;
    const bytes = assemble(`(module ${opens} ${imports}
      (func $print (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
      (func (export "_start") ${body}))`);
    const run = machine.run(bytes, {
      grants: [{ descriptor: openSync(folder, 'r'), guestPath: '/', readOnly: false }],
    });
    await eventually(run.stdout).toBe('hello\n');
    const open = () => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).startsWith(folder));
    expect(open().length).toBe(3);
    await run.process.kill('SIGKILL');
    expect(open()).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  const forever = '(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))';
  const asleep = `(i64.store (i32.const 124) (i64.const 0)) (i32.store (i32.const 116) (i32.const 1))
    (i64.store (i32.const 124) (i64.const 600000000000))
    (drop (call $poll (i32.const 100) (i32.const 200) (i32.const 1) (i32.const 300)))`;
  const waiting = '(drop (memory.atomic.wait32 (i32.const 400) (i32.const 0) (i64.const -1)))';
  test.each([
    ['waits for input', forever],
    ['sleeps', asleep],
    ['waits on an address', waiting],
  ])('while it %s', async (_, body) => {
    const run = machine.run(program(`(call $print) ${body} (call $print)`));
    await eventually(run.stdout).toBe('hello\n');
    await run.process.kill('SIGKILL');
    expect(await run.exited).toMatchObject({ code: 137, reason: 'killed by SIGKILL' });
    expect(run.stdout()).toBe('hello\n');
    expect(run.troubles).toEqual([]);
  });

  test('whose lease of shared memory is over: nobody sees what it does before there is a later one', async () => {
    const { lease } = machine.pmap;
    const nowNs = () => process.hrtime.bigint();
    const run = machine.run(program('(loop $again (call $print) (br $again))'));
    await eventually(run.stdout).toMatch(/hello/);
    nameDeadline(lease, nowNs());
    // What it had written by then comes still; nothing comes after it.
    const written = await settled(run.written);
    nameDeadline(lease, nowNs() + 60_000_000_000n);
    await eventually(run.written).toBeGreaterThan(written);
    nameDeadline(lease, nowNs());
    await run.process.kill('SIGTERM');
    expect((await run.exited).signal).toBe('SIGTERM');
    nameDeadline(lease, 0n);
  });

  test('by its pmap', async () => {
    const run = machine.run(spin);
    await eventually(run.stdout).toBe('hello\n');
    machine.pmap.spaces.at(-1)!.options.onFatal('SIGBUS', 'page 7 of dataspace words is lost');
    expect(await run.exited).toEqual({
      code: 135,
      signal: 'SIGBUS',
      reason: 'page 7 of dataspace words is lost',
      stack: '',
    });
  });

  test('after it took all the tables that it can have, beside a neighbour', async () => {
    const tables = Array.from({ length: 16 }, (_, i) => `(table $t${i} 1 externref)`).join('');
    const grow = Array.from(
      { length: 16 },
      (_, i) =>
        `(loop $grow${i} (br_if $grow${i} (i32.ge_s (table.grow $t${i} (ref.null extern) (i32.const 99999)) (i32.const 0))))`,
    ).join('');
    const neighbour = machine.run(program(forever.replace('(drop', '(call $print) (drop')));
    const run = machine.run(program(`${grow} (call $print)`, tables));
    expect((await run.exited).code).toBe(0);
    expect(run.stdout()).toBe('hello\n');
    neighbour.process.input.end();
    expect((await neighbour.exited).code).toBe(0);
  }, 60_000);
});

describe('standard streams', () => {
  const flood = program('(loop $again (call $print) (br $again))');

  test('a writer without a reader waits', async () => {
    const run = machine.run(flood, { takeOutput: false });
    let before = -1;
    await eventually(
      () => {
        const stands = run.written() > 0 && run.written() === before;
        before = run.written();
        return stands;
      },
      { interval: 200 },
    ).toBe(true);
    expect(before).toBeLessThan(untakenBytesMax + 65536);
    run.process.output.taken(before);
    await eventually(run.written).toBeGreaterThan(before);
    await run.process.kill('SIGKILL');
    expect(run.stdout().slice(0, 12)).toBe('hello\nhello\n');
  }, 30_000);

  test('all that was written comes before the exit', async () => {
    const body = `(local $i i32) (loop $again (call $print) (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 20000)))) (unreachable)`;
    const run = machine.run(program(body));
    expect((await run.exited).signal).toBe('SIGABRT');
    expect(run.stdout().length).toBe(120_000);
  });

  const cat = `(i32.store (i32.const 32) (i32.const 1024)) (i32.store (i32.const 36) (i32.const 50000))
    (loop $again
      (drop (call $read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 36)))
      (drop (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 44)))
      (br_if $again (i32.load (i32.const 36)))
    )`;
  test('input comes as it is sent, and ends', async () => {
    const body = cat.replaceAll('(loop $again', '(loop $again (i32.store (i32.const 36) (i32.const 50000))');
    const run = machine.run(program(body));
    run.process.input.push(Buffer.from('one '));
    await eventually(run.stdout).toBe('one ');
    run.process.input.push(Buffer.from('two'));
    await eventually(run.stdout).toBe('one two');
    run.process.input.push(Buffer.alloc(200_000, 'x'));
    run.process.input.end();
    expect((await run.exited).code).toBe(0);
    expect(run.stdout()).toBe(`one two${'x'.repeat(200_000)}`);
    expect(run.inputTaken()).toBe(200_007);
  });
});

describe('AssemblyScript', () => {
  test('console, time, chance, strings, growing memory', async () => {
    const run = machine.run(
      compileAssemblyscript(`
        let big = new Array<f64>();
        for (let i = 0; i < 300000; i++) big.push(i);
        console.log('sum ' + big.reduce<f64>((a, b) => a + b, 0).toString() + ' ü');
        console.error((Date.now() > 1700000000000).toString());
        trace('traced', 2, 1, 2);
        assert(Math.random() < 1);
      `),
    );
    expect(await run.exited).toMatchObject({ code: 0 });
    expect(run.stdout()).toBe('sum 44999850000.0 ü\n');
    expect(run.stderr()).toBe('true\ntrace: traced 1, 2\n');
  });

  test('abort', async () => {
    const run = machine.run(
      compileAssemblyscript(
        `function f(n: i32): void { assert(n < 3, 'too much'); f(n + 1); } f(0);`,
        '--debug',
      ),
    );
    const exit = await run.exited;
    expect(exit).toMatchObject({
      code: 134,
      signal: 'SIGABRT',
      reason: expect.stringContaining('abort: too much in '),
    });
    expect(exit.stack).toMatch(/in\/f \(function/);
    expect(run.stderr()).toContain('abort: too much');
  });
});
