// Directories that are allowed and taken away while a node runs.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog } from '@odonata/rpc/log.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AllowedDirectories, closeGrants } from './allowed-directories.ts';
import { keepAllowed } from './allowed-record.ts';

const log = createLog('test', 'fatal');

describe('while the node runs', () => {
  const place = mkdtempSync(join(tmpdir(), 'odonata-allowed-record-'));
  const data = join(place, 'data');
  afterAll(() => rmSync(place, { recursive: true }));
  beforeAll(() => mkdirSync(join(data, 'in'), { recursive: true }));
  const asked = (readOnly: boolean) => [{ hostPath: join(data, 'in'), guestPath: '/in', readOnly }] as never;

  test('a directory is allowed, for reading only, and taken away; the next supervisor knows', async () => {
    const said: string[] = [];
    const first = new AllowedDirectories(said, 'node1', log);
    await keepAllowed(first, said, place, log);
    expect(() => first.open(asked(true))).toThrow(/not allowed on node1/);
    await first.allow(data, true);
    closeGrants(first.open(asked(true)));
    expect(() => first.open(asked(false))).toThrow(/for reading only on node1/);
    await expect(first.allow(join(data, 'none'), false)).rejects.toThrow(/no directory on node1/);
    await expect(first.allow('/proc', false)).rejects.toThrow(/file system of kind proc/);
    expect(said).toEqual([data]);

    const next = new AllowedDirectories([], 'node1', log);
    await keepAllowed(next, [], place, log);
    expect(next.list()).toEqual([{ path: data, readOnly: true }]);
    next.disallow(data);
    expect(() => next.open(asked(true))).toThrow(/not allowed on node1/);
    expect(() => next.disallow(data)).toThrow(/not allowed on node1/);
    for (const each of [first, next]) each.close();
  });

  test('one that it was started with stays away, once it was taken away', async () => {
    const first = new AllowedDirectories([data], 'node2', log);
    await keepAllowed(first, [data], join(data, 'in'), log);
    first.disallow(data);
    const next = new AllowedDirectories([data], 'node2', log);
    await keepAllowed(next, [data], join(data, 'in'), log);
    expect(next.list()).toEqual([]);
    for (const each of [first, next]) each.close();
  });
});
