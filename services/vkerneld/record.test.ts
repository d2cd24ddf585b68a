import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '@odonata/rpc/log.ts';
import { expect, it } from 'vitest';
import { RecordFile } from './record.ts';

it('what is saved last is written, whenever that comes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'odonata-record-'));
  try {
    const file = new RecordFile(folder, silentLog());
    const empty = file.read();
    for (let turns = 0; turns < 12; turns++) {
      file.save({ ...empty, lastNumber: 2 * turns });
      for (let i = 0; i < turns; i++) await Promise.resolve();
      file.save({ ...empty, lastNumber: 2 * turns + 1 });
      await file.settled();
      expect(file.read().lastNumber).toBe(2 * turns + 1);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
