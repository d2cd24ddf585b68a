import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lodger, readLodgerStates, writeWanted } from '@odonata/rpc/lodging/wanted.ts';
import { silentLog } from '@odonata/rpc/log.ts';
import { afterAll, expect, it, vi } from 'vitest';
import { FramePool } from '../frames/frame-pool.ts';
import { Lodgers } from './lodgers.ts';

const socketDir = mkdtempSync(join(tmpdir(), 'odonata-lodgers-'));
const program = fileURLToPath(new URL('./testdata/dies.ts', import.meta.url));
const pool = FramePool.of(1_000);
const lodgers = new Lodgers({ socketDir, program, log: silentLog(), heapMb: 16 });
afterAll(async () => {
  await lodgers.stop({ atOnce: true });
  rmSync(socketDir, { recursive: true });
});

const wanted = (name: string, how: string, rest = false): Lodger => ({
  ...{ name, args: [how], logFile: '/dev/null', framesBytes: 0, rest },
});
const states = () => Object.fromEntries(readLodgerStates(socketDir).map((each) => [each.name, each]));
const WAIT = { timeout: 20_000, interval: 50 };

it('one that dies begins again, by whatever it died, and its neighbour and the process live on', async () => {
  writeWanted(socketDir, [wanted('well', 'lives'), wanted('throws', 'throws'), wanted('grows', 'grows')]);
  lodgers.start(pool);
  await vi.waitFor(() => {
    const { well, throws, grows } = states();
    expect(throws).toMatchObject({ lastEnd: 'a bug of theirs' });
    expect(grows?.lastEnd).toMatch(/memory/i);
    expect(throws?.restarts).toBeGreaterThan(0);
    expect(well).toMatchObject({ state: 'up', restarts: 0 });
  }, WAIT);
  // What it had counts as long as it is to come back, and no longer.
  new FramePool(pool.buffer, 2).add(5);
  writeWanted(socketDir, [wanted('well', 'lives'), wanted('throws', 'throws', true)]);
  await vi.waitFor(() => {
    const { well, throws, grows } = states();
    expect([well?.state, throws?.state, grows]).toEqual(['up', 'stopped', undefined]);
  }, WAIT);
  expect(pool.left).toBe(1_000);
  // It works again; and what is no list of lodgers changes nothing.
  writeWanted(socketDir, [wanted('well', 'lives'), wanted('throws', 'lives')]);
  await vi.waitFor(() => expect(states().throws?.state).toBe('up'), WAIT);
  writeWanted(socketDir, [{ ...wanted('well', 'lives'), name: '../x' }]);
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(Object.keys(states())).toEqual(['well', 'throws']);
});
