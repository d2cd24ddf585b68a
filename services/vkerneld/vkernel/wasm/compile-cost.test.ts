// Programs that are small, and that V8 would take gigabytes to compile: each is refused by one line, and counts if its quota
// has room. What programs there are is let through.
import { execFileSync } from 'node:child_process';
import { concat, unsignedLeb } from '@odonata/guest/wasm/binary.ts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LONG } from '../../../../test/long.ts';
import { FREE_COMPILE_BYTES } from './compile-allowance.ts';
import { prepareModule } from './module.ts';
import {
  type Compiler,
  compiledBytes,
  hostileModule,
  INSTRUCTIONS,
  LOCAL_TYPES,
  type Shape,
} from './testdata/hostile-module.ts';
import { NESTS } from './testdata/instructions.ts';

type Bytes = Uint8Array<ArrayBuffer>;
interface Made {
  readonly parameters?: number;
  readonly results?: number;
  readonly locals?: number;
  readonly code: Bytes;
  /** Of functions after it, that are the same. */
  readonly times?: number;
}

const I32 = 0x7f;
const PAGE_OF_TYPES = 1;
const bytes = (...each: number[]): Bytes => Uint8Array.from(each);
function repeated(times: number, ...each: number[]): Bytes {
  const all = new Uint8Array(times * each.length);
  for (let at = 0; at < all.length; at++) all[at] = each[at % each.length]!;
  return all;
}
const section = (id: number, ...body: Bytes[]): Bytes => {
  const whole = concat(body);
  return concat([bytes(id), unsignedLeb(whole.length), whole]);
};

/** A type of its own, that of a function without anything, the function. */
function made({ parameters = 0, results = 0, locals = 0, code, times = 1 }: Made): Bytes {
  const type = (p: number, r: number) =>
    concat([bytes(0x60), unsignedLeb(p), repeated(p, I32), unsignedLeb(r), repeated(r, I32)]);
  const body = concat([
    locals ? concat([bytes(1), unsignedLeb(locals), bytes(I32)]) : bytes(0),
    code,
    bytes(0x0b),
  ]);
  const one = concat([unsignedLeb(body.length), body]);
  return concat([
    bytes(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0),
    section(1, bytes(2), type(0, 0), type(parameters, results)),
    section(3, unsignedLeb(times), repeated(times, PAGE_OF_TYPES)),
    section(13, bytes(1, 0, 0)),
    section(10, unsignedLeb(times), concat(new Array<Bytes>(times).fill(one))),
  ]);
}

const GET = [0x20, 0];
const branch = [0x02, 0x40, ...GET, 0x0d, 0, 0x0b];
const one = [0x41, 1];
/** By what drives the memory. The factor makes it small, to be compiled here in earnest. */
const hostile: Record<string, (factor: number) => Made> = {
  'locals and blocks': (f) => ({ locals: 50_000, code: repeated(5_000 * f, ...branch) }),
  'locals and ifs': (f) => ({ locals: 50_000, code: repeated(5_000 * f, ...GET, 0x04, 0x40, 0x0b) }),
  'locals and loops': (f) => ({
    locals: 50_000,
    code: repeated(5_000 * f, 0x03, 0x40, ...GET, 0x0d, 0, 0x0b),
  }),
  'locals and handlers': (f) => ({
    locals: 50_000,
    code: repeated(3_000 * f, 0x02, 0x40, 0x1f, 0x40, 1, 0, 0, 0, ...GET, 0x1a, 0x0b, 0x0b),
  }),
  'locals that are set in nested loops': (f) => ({
    locals: 20_000,
    code: concat([
      repeated(1_000 * f, 0x03, 0x40),
      ...Array.from({ length: 20_000 }, (_, i) => concat([bytes(...GET, 0x21), unsignedLeb(i)])),
      repeated(1_000 * f, ...GET, 0x0d, 0, 0x0b),
    ]),
  }),
  'a high stack': (f) => ({
    locals: 1,
    code: concat([repeated(50_000, ...one), repeated(5_000 * f, ...branch), repeated(50_000, 0x1a)]),
  }),
  parameters: (f) => ({ parameters: 1_000, code: repeated(200_000 * f, ...branch) }),
  'branches to many places': (f) => ({
    locals: 50_000,
    code: concat([
      repeated(3_000 * f, 0x02, 0x40),
      bytes(...GET, 0x0e),
      unsignedLeb(3_000 * f - 1),
      ...Array.from({ length: 3_000 * f }, (_, i) => unsignedLeb(i)),
      repeated(3_000 * f, 0x0b),
    ]),
  }),
  'nested blocks, and locals': (f) => ({
    locals: 1_000,
    code: concat([repeated(90_000 * f, 0x02, 0x40), repeated(90_000 * f, 0x0b)]),
  }),
  calls: (f) => ({ locals: 1, code: repeated(1_500_000 * f, 0x10, 0) }),
  'values of calls': (f) => ({ results: 1_000, code: concat([repeated(20_000 * f, 0x10, 0), bytes(0x00)]) }),
  // Of types of a thousand values: what stays of all functions' code is what counts.
  'values that many small functions move': (f) => ({
    results: 1_000,
    code: concat([repeated(20, 0x02, 1, 0x10, 0, ...one, 0x0d, 0, 0x0c, 0, 0x0b), bytes(0x00)]),
    times: 5_000 * f,
  }),
  'locals of many small functions': (f) => ({ locals: 49_000, code: repeated(1, 0x01), times: 5_000 * f }),
  'several such functions': (f) => ({
    locals: 20_000,
    code: repeated(1_000 * f, ...branch),
    times: 20,
  }),
};

const none = (): boolean => false;
const quotaBytes = 2 ** 30;
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);
const COMPILERS: readonly Compiler[] = ['baseline', 'optimising'];
/** What a function may take of which the estimate says nothing: it is small. */
const SLACK_MIB = 48;
/** Few are as likely as many. */
const upTo = (most: number) =>
  fc.double({ min: 0, max: Math.log(most + 1), noNaN: true }).map((log) => Math.floor(Math.exp(log)) - 1);
const anyShape: fc.Arbitrary<Shape> = fc.record({
  locals: fc.array(fc.tuple(upTo(20_000), fc.constantFrom(...LOCAL_TYPES)), { maxLength: 3 }),
  parameters: fc.oneof(fc.constant(0), upTo(1_000)),
  stack: fc.oneof(fc.constant(0), upTo(20_000)),
  nests: fc.array(fc.tuple(fc.constantFrom(...Object.keys(NESTS)), upTo(5_000)), { maxLength: 2 }),
  rows: fc.array(
    fc.tuple(
      fc.constantFrom(...Object.keys(INSTRUCTIONS)),
      upTo(20_000).map((times) => times + 20),
    ),
    {
      minLength: 1,
      maxLength: 3,
    },
  ),
  targets: fc.oneof(fc.constant(0), upTo(20_000)),
  copies: fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.constant(4) }),
});

/** The same in another number, so that it takes as much as can be measured here; undefined where it never does. */
function withinReach(shape: Shape): Shape | undefined {
  let fitted = shape;
  for (let turn = 0; turn < 24; turn++) {
    const { bytes, estimate } = hostileModule(fitted);
    const mib = estimate / 2 ** 20;
    const small = bytes.length < 1.5e6;
    if (small && mib >= 96 && mib <= 600) return fitted;
    if (!small && mib < 96) return undefined;
    const factor = mib < 96 && small ? 1.5 : 0.6;
    const scaled = (count: number) => Math.min(20_000, Math.floor(count * factor));
    fitted = {
      ...fitted,
      nests: fitted.nests.map(([name, depth]) => [name, scaled(depth)]),
      rows: fitted.rows.map(([name, times]) => [name, scaled(times)]),
      targets: scaled(fitted.targets),
    };
  }
  return undefined;
}

/** What V8 takes at most for a module, in a process of its own. */
const MEASURE = `
  const { readFileSync } = require('node:fs');
  const high = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;
  const before = high(), module = readFileSync(0);
  try { new WebAssembly.Module(module); } catch (error) { console.error(error); process.exit(1); }
  console.log(high() - before);`;

describe('what compiling takes', () => {
  test.each(Object.entries(hostile))('%s: refused, by one line', (_, make) => {
    expect(() => prepareModule(made(make(1)), none, quotaBytes)).toThrow(
      /^a module with functions so large that compiling them may take \d+ MiB of its quota of memory, which has 1024 MiB/,
    );
  });

  test.each([
    ['the baseline', '--no-wasm-tier-up', 'locals and ifs'],
    ['the baseline', '--no-wasm-tier-up', 'a high stack'],
    ['the baseline', '--no-wasm-tier-up', 'locals of many small functions'],
    ['the optimising compiler', '--no-liftoff', 'locals and blocks'],
    ['the optimising compiler', '--no-liftoff', 'calls'],
    ['the optimising compiler', '--no-liftoff', 'locals that are set in nested loops'],
  ] as const)('%s takes no more than that (%s, %s)', (_, flag, name) => {
    const module = made(hostile[name]!(1 / 20));
    const args = ['--no-wasm-lazy-compilation', '--no-wasm-dynamic-tiering', flag, '-e', MEASURE];
    const taken = Number(execFileSync(process.execPath, args, { input: module, timeout: 60_000 }));
    expect(taken).toBeGreaterThan(2 ** 20);
    let estimate = 0;
    try {
      // Without any quota, what there is beyond what is free is in the refusal.
      prepareModule(module, none, 0);
    } catch (error) {
      estimate = Number(/ (\d+) MiB of its quota/.exec((error as Error).message)![1]) * 2 ** 20;
    }
    expect(taken).toBeLessThan(estimate + FREE_COMPILE_BYTES);
  });

  test('no function made by chance takes more, whatever it is of', {
    timeout: LONG ? 7_200_000 : 120_000,
  }, async () => {
    console.log(`seed=${SEED}`);
    let measured = 0;
    await fc.assert(
      fc.asyncProperty(anyShape, fc.constantFrom(...COMPILERS), async (shape, compiler) => {
        const fitted = withinReach(shape);
        if (fitted === undefined) return;
        const { bytes, estimate } = hostileModule(fitted);
        const taken = await compiledBytes(bytes, compiler);
        if (taken === undefined) return;
        measured++;
        expect(taken / 2 ** 20, JSON.stringify(fitted)).toBeLessThan(estimate / 2 ** 20 + SLACK_MIB);
      }),
      { seed: SEED, numRuns: LONG ? 400 : 8, endOnFailure: true },
    );
    console.log(`${measured} measured`);
    expect(measured).toBeGreaterThan(LONG ? 60 : 1);
  });

  test('counts where the quota has room for it', () => {
    const module = made({ locals: 50_000, code: repeated(800, ...branch) });
    const { besideBytes } = prepareModule(module, none, quotaBytes);
    expect(besideBytes).toBeGreaterThan(100 * 2 ** 20);
    expect(() => prepareModule(module, none, 2 ** 20)).toThrow(/so large/);
  });

  test('each call notes all locals that are references', () => {
    const calls = (type: number) => {
      const module = made({ locals: 49_000, code: repeated(60_000, 0x10, 0) });
      // The type of its locals, behind how many there are.
      const at = Buffer.from(module).indexOf(Buffer.from([...unsignedLeb(49_000), I32]));
      module[at + 3] = type;
      return () => prepareModule(module, none, 0);
    };
    // 9.6 KB each, as measured, and what all calls take; 512 MiB of it are free.
    expect(calls(0x6f)).toThrow(/ 3\d\d MiB of its quota/);
    expect(calls(I32)).not.toThrow();
  });

  test('large functions as compilers make them are free', () => {
    // An interpreter of bytecode: 400 cases, 500 locals.
    const cases = 400;
    const body = repeated(10, ...GET, 0x20, 1, 0x6a, 0x21, 2, ...GET, 0x04, 0x40, ...GET, 0x21, 3, 0x0b);
    const code = concat([
      repeated(cases, 0x02, 0x40),
      bytes(...GET, 0x0e),
      unsignedLeb(cases - 1),
      ...Array.from({ length: cases }, (_, i) => unsignedLeb(i)),
      ...Array.from({ length: cases }, () => concat([bytes(0x0b), body])),
    ]);
    expect(prepareModule(made({ locals: 500, code }), none, quotaBytes).besideBytes).toBe(0);
  });

  test('blocks nested without end are refused', () => {
    const module = made({ code: concat([repeated(2_000_000, 0x02, 0x40), repeated(2_000_000, 0x0b)]) });
    expect(() => prepareModule(module, none)).toThrow(/of more than 100000 nested blocks/);
  });

  test('an instruction that is none is refused', () => {
    const module = made({ locals: 50_000, code: repeated(5_000, 0xfb, 0) });
    expect(() => prepareModule(module, none)).toThrow(
      /with an instruction 0xfb, which no virtual kernel has/,
    );
  });
});
