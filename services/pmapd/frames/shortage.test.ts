// Who is refused, who ends and who waits, where a node has no frame.
import { afterEach, expect, test, vi } from 'vitest';
import { type Charge, Charges } from './charge.ts';
import { Frames } from './frames.ts';
import { Shortage } from './shortage.ts';

const TOTAL = 1_000;

function start() {
  vi.useFakeTimers({ toFake: ['setInterval', 'setImmediate', 'clearInterval', 'performance', 'hrtime'] });
  const charges = new Charges();
  const frames = new Frames(TOTAL, charges);
  const ended: { pid: bigint; reason: string }[] = [];
  const shortage = new Shortage({
    ...{ node: 'node1', frames },
    onVictim: ({ process }, reason) => ended.push({ pid: process.pid, reason }),
  });
  frames.onRoom = () => shortage.relieved();
  const ofNoBound = {
    vkernelRoom: () => Number.POSITIVE_INFINITY,
    vkernelReason: () => '',
    tell() {},
    end() {},
  };
  const process = (pid: bigint, privateFrames: number, quotaFrames = 0, more = {}): Charge =>
    charges.open({ pid, quotaFrames, privateFrames: () => privateFrames, ...ofNoBound, ...more });
  const ask = (charge: Charge, sharedOnly = false) => {
    const said: string[] = [];
    const short = { key: `${charge.number}`, charge, what: 'private memory' };
    const again = (): void =>
      shortage.ask(
        { ...short, retry: () => said.push('retry'), refuse: (why) => said.push(why) },
        sharedOnly,
      );
    again();
    return { said, again };
  };
  return { charges, frames, shortage, ended, process, ask };
}

afterEach(() => vi.useRealTimers());

test('who is over its quota is refused, however much there is', () => {
  const { process, ask, ended } = start();
  const { said } = ask(process(1n, 256, 256));
  expect(said).toEqual(['out of memory: it has all of its quota of 1 MiB (raise it with --memory)']);
  expect(ended).toEqual([]);
});

test('who is in a virtual kernel that has all of its quota is refused, and its room is what both leave', () => {
  const { process, ask, frames, ended } = start();
  const full = { vkernelRoom: () => 0, vkernelReason: () => 'all of its 1 MiB' };
  const charge = process(1n, 10, 256, full);
  expect(ask(charge).said).toEqual(['all of its 1 MiB']);
  expect(frames.roomFor(charge.number)).toBe(0);
  const small = process(2n, 10, 256, { vkernelRoom: () => 5 });
  expect([frames.roomFor(small.number), frames.spareFor(small.number)]).toEqual([5, 5]);
  expect(ended).toEqual([]);
});

test('who is over its share is refused, and nobody ends for it', () => {
  const { process, ask, ended } = start();
  process(1n, 10);
  const { said } = ask(process(2n, 900));
  expect(said).toEqual([
    expect.stringMatching(/^out of memory: node1 has no frame for private memory; it has/),
  ]);
  expect(ended).toEqual([]);
});

test('who is within its share waits for the one with the largest overdraft to end', () => {
  const { charges, process, ask, ended, frames } = start();
  process(1n, 10);
  const most = process(2n, 600);
  process(3n, 350);
  const modest = process(4n, 20);
  frames.grant(TOTAL);
  const { said } = ask(modest);
  expect(ended).toEqual([
    { pid: 2n, reason: expect.stringMatching(/of process 4; it has .* more than its share$/) },
  ]);
  expect(said).toEqual([]);
  // Another one that is short does not end one more as long as that one ends.
  ask(process(5n, 1));
  expect(ended).toHaveLength(1);
  charges.close(most);
  frames.giveBack(100);
  vi.runAllTicks();
  vi.advanceTimersByTime(1);
  expect(said).toEqual(['retry']);
});

test('where nobody is over, who asked is refused; so is who asks for what only shared pages take', () => {
  const { process, ask, ended } = start();
  const few = [process(1n, 300), process(2n, 300), process(3n, 300)];
  expect(ask(few[0]!).said).toHaveLength(1);
  const large = process(4n, 900);
  expect(ask(process(5n, 1), true).said).toHaveLength(1);
  expect(ended).toEqual([]);
  expect(large.frames).toBe(900);
});

test('shared pages leave a part for private memory, and one for those who have little', () => {
  const { charges, frames, process } = start();
  const much = process(1n, 0);
  const little = process(2n, 0);
  while (frames.room(much) > 0) frames.taken(much.number);
  expect(frames.sharedFrames).toBe(750);
  expect(frames.room(undefined)).toBe(0);
  expect(frames.room(little)).toBe(125);
  expect(frames.grant(64)).toBe(64);
  expect(much.sharedFrames).toBe(750);
  // Who ended pays no more; the pages stay until they are dropped.
  charges.close(much);
  frames.dropped(much.number, 750);
  expect(frames.sharedFrames).toBe(0);
});

test('what is asked for has its frame before it comes', () => {
  const { frames, process } = start();
  const charge = process(1n, 0);
  const before = frames.free;
  frames.reserve(charge.number);
  expect(frames.free).toBe(before - 1);
  frames.unreserve(charge.number);
  frames.taken(charge.number);
  expect([frames.free, charge.sharedFrames]).toEqual([before - 1, 1]);
});

test('a bug in trying one again ends that one, and others are tried', async () => {
  const { frames, shortage, process } = start();
  process(1n, 999);
  frames.grant(TOTAL);
  const said: string[] = [];
  for (const pid of [2n, 3n])
    shortage.ask({
      ...{
        key: `${pid}`,
        charge: process(pid, 0),
      },
      what: 'private memory',
      retry: () => (pid === 2n ? (undefined as unknown as { x(): void }).x() : said.push(`retry ${pid}`)),
      refuse: (why) => said.push(`${pid}: ${why}`),
    });
  shortage.relieved();
  vi.runAllTicks();
  vi.advanceTimersToNextTimer();
  expect(said).toEqual(['2: a bug in the server; its log says more', 'retry 3']);
});
