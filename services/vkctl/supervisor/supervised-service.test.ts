import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '@odonata/rpc/log.ts';
import { afterEach, expect, test, vi } from 'vitest';
import { MAX_SHORT_LIVES } from './restart-policy.ts';
import { SupervisedService } from './supervised-service.ts';

const WAIT_MS = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'odonata-supervised-'));

afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

test('who was given up starts when somebody asks for it, and has as many lives as at first', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const spec = { name: 'vkerneld', address: '', command: 'false', args: [], logFile: join(folder, 'log') };
  const around = { log: silentLog(), env: { PATH: process.env.PATH! }, wrap: [], changed: () => {} };
  const service = new SupervisedService(spec, around);
  const { record } = service;
  const becomes = async (state: typeof record.state): Promise<void> => {
    const endMs = Date.now() + WAIT_MS;
    while (record.state !== state && Date.now() < endMs) await sleep(1);
    expect(record.state).toBe(state);
  };

  for (const givenUp of [1, 2]) {
    if (givenUp === 1) service.start();
    else expect(service.revive()).toBe(true);
    for (let life = 1; life < MAX_SHORT_LIVES; life++) {
      await becomes('waiting');
      expect(service.revive()).toBe(false);
      vi.runOnlyPendingTimers();
    }
    await becomes('failed');
    expect(service.replace()).toBe(false);
  }
  expect(record).toMatchObject({ restarts: 2 * MAX_SHORT_LIVES - 1, lastEnd: 'exit 1' });
});
