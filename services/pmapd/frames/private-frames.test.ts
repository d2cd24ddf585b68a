// What a virtual kernel has of private memory: as much as it was granted, or as there is, whatever it says.
import { expect, test } from 'vitest';
import { Charges } from './charge.ts';
import { Frames } from './frames.ts';
import { PrivateFrames } from './private-frames.ts';
import type { Short } from './shortage.ts';

const TOTAL = 1 << 20;

function start(total = TOTAL, quota = { frames: Number.POSITIVE_INFINITY }) {
  const frames = new Frames(total, new Charges());
  const answers: { frames: number; reason: string }[] = [];
  const shorts: Short[] = [];
  const blocks = new Map<bigint, number>();
  const vmspaces = new Map<bigint, { peekFrames(): number; charge: object }>();
  const node = { memoryDir: '/m', frames, short: (short: Short) => shorts.push(short) };
  const session = {
    ...{ holder: 2, vmspaces, frameRoom: () => Math.max(0, quota.frames - made.held) },
    frameReason: () => 'all of its quota',
    send: ({ event }: { event?: { value?: { frames?: bigint; reason?: string } } }) =>
      answers.push({ frames: Number(event?.value?.frames), reason: event?.value?.reason ?? '' }),
  };
  const made: PrivateFrames = new PrivateFrames({ node, session } as never);
  const process = (id: bigint, count: number) => {
    blocks.set(id, count);
    vmspaces.set(id, { peekFrames: () => blocks.get(id)!, charge: {} });
  };
  const ask = (about: { want?: bigint; giveBack?: bigint; vmspace?: bigint; full?: boolean }) =>
    made.account(1n, { want: 0n, giveBack: 0n, vmspace: 0n, full: false, ...about } as never);
  const look = () => {
    let told = 0;
    for (let i = 0; i < 8; i++) made.look((more) => (told = more));
    return told;
  };
  return { made, frames, answers, shorts, blocks, vmspaces, process, ask, look };
}

test('what it does not use it gets no more of, and nobody ends for that', () => {
  const { made, answers, shorts, process, ask } = start();
  process(1n, 0);
  for (let i = 0; i < 2_000; i++) ask({ want: 8_192n, vmspace: 1n });
  expect(made.held).toBeLessThanOrEqual(4 * 32_768 + 64);
  expect(answers.at(-1)).toEqual({ frames: 0, reason: expect.stringContaining('do not use') });
  expect(shorts).toEqual([]);
});

test('a virtual kernel gets what its quota leaves, and says why it gets no more; one that is larger counts at once', () => {
  const quota = { frames: 100 };
  const { answers, process, ask } = start(TOTAL, quota);
  process(1n, 0);
  ask({ want: 64n, vmspace: 1n });
  ask({ want: 64n, vmspace: 1n });
  ask({ want: 64n, vmspace: 1n });
  quota.frames = 110;
  ask({ want: 64n, vmspace: 1n });
  expect(answers.map(({ frames }) => frames)).toEqual([64, 36, 0, 10]);
  expect(answers[2]!.reason).toBe('all of its quota');
});

test('who uses what it gets, gets more', async () => {
  const { made, blocks, process, ask } = start();
  process(1n, 0);
  for (let i = 0; i < 10; i++) {
    made.held = i * 8_192;
    blocks.set(1n, made.held);
    // Files are looked at now and then.
    await new Promise((resolve) => setTimeout(resolve, 15));
    ask({ want: 8_192n, vmspace: 1n });
    expect(made.held).toBe((i + 1) * 8_192);
  }
});

test('what is there counts, and comes back when it is gone', () => {
  const { made, frames, blocks, process, ask, look } = start();
  process(1n, 0);
  ask({ want: 1_000n, vmspace: 1n });
  blocks.set(1n, 50_000);
  ask({ giveBack: (1n << 64n) - 1n });
  expect([made.held, frames.privateFrames]).toEqual([0, 0]);
  expect(look()).toBe(50_000);
  expect([made.held, frames.privateFrames]).toEqual([0, 50_000]);
  blocks.set(1n, 10);
  expect(look()).toBe(0);
  expect(frames.privateFrames).toBe(10);
  made.close();
  expect(frames.privateFrames).toBe(0);
});

test('the requests that wait are so many at most', () => {
  const { answers, shorts, process, ask, blocks, made } = start(64);
  process(1n, 64);
  ask({ want: 64n, vmspace: 1n });
  blocks.set(1n, 64);
  expect(made.held).toBe(64);
  answers.length = 0;
  for (let i = 0; i < 600; i++) ask({ want: 64n, vmspace: 1n });
  expect(shorts.length).toBe(512);
  expect(answers.length).toBe(88);
  expect(answers[0]!.reason).toContain('512 requests for frames');
  // Who is refused makes room for others.
  for (const short of shorts.splice(0)) short.refuse('no');
  ask({ want: 64n, vmspace: 1n });
  expect(shorts.length).toBe(1);
});
