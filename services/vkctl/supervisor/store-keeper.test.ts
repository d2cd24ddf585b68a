// On a real disk that is filled and freed, in a mount namespace of its own: for that one has to be root.
import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const mayMount = spawnSync('unshare', ['-m', 'true']).status === 0;
if (!mayMount) console.warn('store-keeper.test.ts is skipped: "unshare -m" needs root');

test.runIf(mayMount).each([1, 3])(
  'the disk of %i NATS servers full, and free again: syncs say so, then are stored; what was acknowledged is there',
  { timeout: 120_000 },
  async (servers) => {
    const script = join(import.meta.dirname, 'testdata/full-disk.ts');
    const args = ['-m', process.execPath, script, `${servers}`];
    const { stdout } = await promisify(execFile)('unshare', args, { timeout: 110_000 });
    const said = JSON.parse(stdout);
    expect(said).toMatchObject({ before: 20, after: 'stored', wrong: [] });
    expect(said.refused).toMatch(/^RESOURCE_EXHAUSTED: .*the disk is full \(.*; free some, and try again$/);
    // Who cannot look is told by the server, or nothing: but never that it is stored.
    for (const end of said.met) expect(end).toMatch(/^(UNAVAILABLE|RESOURCE_EXHAUSTED): the backing store /);
    // Of three, those that are left may elect others; one that is alone has nobody.
    if (servers === 1) expect(said.restarts).toBeGreaterThan(0);
  },
);
