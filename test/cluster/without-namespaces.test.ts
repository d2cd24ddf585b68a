// A machine without bubblewrap: no virtual kernel starts, and one line says why; where that is allowed they start behind Landlock,
// and run programs.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toolNamed } from '@odonata/userfault/sandbox/tools.ts';
import { afterAll, expect, test } from 'vitest';
import { buildGuest } from '../guests/build.ts';
import { TestPlace } from './cluster.ts';

const VKCTL = fileURLToPath(new URL('../../services/vkctl/bin/vkctl.js', import.meta.url));
const [bwrap, unshare] = [toolNamed('bwrap'), toolNamed('unshare')];
/** In a mount namespace where nobody may run it; what is started there stays there. */
const inPlaceWithout = (args: string[], env: NodeJS.ProcessEnv) => {
  const script = 'mount --bind /dev/null "$1" && shift && exec "$@"';
  const command = ['-m', 'sh', '-c', script, 'sh', bwrap!, process.execPath, VKCTL, ...args];
  return spawnSync(unshare!, command, { env, encoding: 'utf8', timeout: 100_000 });
};

const place = new TestPlace();
afterAll(() => place.clear());
const canHide =
  bwrap !== undefined &&
  unshare !== undefined &&
  spawnSync(unshare, ['-m', 'mount', '--bind', '/dev/null', bwrap]).status === 0;

test.runIf(canHide)(
  'without namespaces nothing starts, unless that is allowed: then programs run',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'odonata-landlock-'));
    mkdirSync(join(folder, 'below'));
    const up = ['up', '-n', '1', '--port', '0', '--node-memory', '128M', '--allow-dir', folder];
    const refused = inPlaceWithout(up, place.env);
    expect(refused.status).not.toBe(0);
    const [line, ...more] = refused.stderr.trim().split('\n');
    expect(more).toEqual([]);
    expect(line).toContain('namespaces: not installed: bwrap');
    expect(line!.split('cannot confine virtual kernels').length).toBe(2);
    expect(line).toMatch(/--allow-unconfined namespaces$/);
    expect(line!.length).toBeLessThan(600);

    expect(inPlaceWithout([...up, '--allow-unconfined', 'namespaces'], place.env)).toMatchObject({
      status: 0,
    });
    const hello = await buildGuest('hello');
    expect(await place.vkctl(['run', hello])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('world'),
    });
    // Also what lies below an allowed folder.
    for (const dir of [folder, join(folder, 'below')])
      expect(await place.vkctl(['run', '--dir', `${dir}:/d`, hello])).toMatchObject({ code: 0 });
    rmSync(folder, { recursive: true });
  },
);
