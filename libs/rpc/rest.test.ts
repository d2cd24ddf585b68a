import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { RestWatch } from './rest.ts';

const MIB = 2 ** 20;

/** A process whose time and memory the test sets, and what was done to it. */
function watched(ownMib: number) {
  const about = { cpuMs: 0, ownMib, heapMib: ownMib, poolMib: 0, done: [] as string[] };
  const watch = new RestWatch(
    {
      cpuMs: () => about.cpuMs,
      ownBytes: () => about.ownMib * MIB,
      heapBytes: () => about.heapMib * MIB,
      collect: () => {
        about.done.push('collect');
        about.cpuMs += 500; // its own time is no work
        about.heapMib = 50;
      },
      trim: () => {
        about.done.push('trim');
        about.ownMib = ownMib;
      },
      emptyPool: (leastBytes) => {
        if (about.poolMib * MIB >= leastBytes) about.done.push('empty');
      },
    },
    0,
  );
  let nowMs = 0;
  const look = (cpuMs: number): string[] => {
    about.cpuMs += cpuMs;
    nowMs += 2000;
    watch.look(nowMs);
    return about.done.splice(0);
  };
  return { about, look };
}

describe('RestWatch', () => {
  it('collects and then trims what a burst left, at rest', () => {
    const { about, look } = watched(300);
    expect([look(0), look(0), look(0), look(0)]).toEqual([['collect'], ['trim'], [], []]);
    about.ownMib = 555;
    expect(look(0)).toEqual([]);
    about.ownMib = 556;
    expect([look(0), look(0), look(0)]).toEqual([['collect'], ['trim'], []]);
  });

  it('keeps compiled code in a pause; after a long rest, less growth is worth it', () => {
    const { about, look } = watched(100);
    expect([look(2000), look(0), look(0), look(2000)]).toEqual([[], [], [], []]);
    for (let looks = 1; looks < 15; looks++) expect(look(0)).toEqual([]);
    expect([look(0), look(0), look(0)]).toEqual([['collect'], ['trim'], []]);
    about.ownMib = 115;
    expect([look(0), look(0)]).toEqual([[], []]);
    about.ownMib = 116;
    expect([look(0), look(0), look(0)]).toEqual([['collect'], ['trim'], []]);
  });

  it('does not take for kept what came between a collection and the trim', () => {
    const { about, look } = watched(300);
    expect(look(0)).toEqual(['collect']);
    about.heapMib = 500;
    about.ownMib = 600;
    expect([look(2000), look(0), look(0), look(0)]).toEqual([[], ['collect'], ['trim'], []]);
    // Garbage within memory that is resident all the same.
    about.heapMib = 306;
    expect([look(0), look(0), look(0)]).toEqual([['collect'], ['trim'], []]);
  });

  it('gives back the empty pages of a burst at once, fewer after a long rest, and once', () => {
    const { about, look } = watched(300);
    about.poolMib = 256;
    expect([look(0), look(0), look(0)]).toEqual([['collect'], ['trim', 'empty'], []]);
    about.poolMib = 64;
    about.ownMib = 600;
    expect([look(101), look(0), look(0)]).toEqual([[], ['collect'], ['trim']]);
    for (let looks = 3; looks < 15; looks++) expect(look(0)).toEqual([]);
    expect([look(0), look(0), look(0)]).toEqual([['empty'], [], []]);
  });

  it('leaves alone what works', () => {
    const { about, look } = watched(100);
    about.ownMib = 500;
    expect([look(2000), look(101), look(100)]).toEqual([[], [], ['collect']]);
    // The trim waits for rest, too.
    expect([look(1000), look(0)]).toEqual([[], ['trim']]);
  });
});

it('gives back the pages of a burst, though V8 would keep them', () => {
  const rest = new URL('./rest.ts', import.meta.url).href;
  const script = `
    import { giveBackAtRest } from ${JSON.stringify(rest)};
    giveBackAtRest();
    let kept = [];
    for (let i = 0; i < 300; i++) kept.push(Array.from({ length: 10_000 }, (_, j) => ({ i, j, of: [j] })));
    const mib = () => process.memoryUsage.rss() / 2 ** 20;
    const burst = mib();
    kept = [];
    const untilMs = Date.now() + 11_000;
    const look = setInterval(() => {
      if (mib() > burst - 200 && Date.now() < untilMs) return;
      clearInterval(look);
      console.log(JSON.stringify({ burst, rest: mib(), tookMs: Date.now() - untilMs + 11_000 }));
    }, 200);`;
  const flags = ['--min-semi-space-size=16', '--initial-heap-size=256', '--no-memory-reducer'];
  const ended = spawnSync(process.execPath, [...flags, '--input-type=module', '-e', script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(ended.stderr).toBe('');
  const { burst, rest: resting } = JSON.parse(ended.stdout);
  expect(burst).toBeGreaterThan(300);
  expect(resting).toBeLessThan(burst - 200);
});

it('a process without a descriptor left goes on', () => {
  const rest = new URL('./rest.ts', import.meta.url).href;
  const script = `
    import { openSync } from 'node:fs';
    import { giveBackAtRest } from ${JSON.stringify(rest)};
    giveBackAtRest();
    try { for (;;) openSync('/dev/null'); } catch (error) { if (error.code !== 'EMFILE') throw error; }
    setTimeout(() => process.exit(7), 2_500);`;
  const command = `ulimit -n 128 && exec "$0" --input-type=module -e "$1"`;
  const ended = spawnSync('sh', ['-c', command, process.execPath, script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  expect(ended).toMatchObject({ status: 7, stderr: '' });
});
