// The seccomp profile of k8s/ is enough for a supervisor and its virtual kernels: a whole cluster under it runs programs, and tells
// how a virtual kernel ended. As in a pod there are no namespaces, so Landlock is in their place.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { TestPlace } from '../cluster/cluster.ts';
import { buildGuest } from '../guests/build.ts';

const place = new TestPlace();
afterAll(() => place.clear());

test('under the profile virtual kernels start, run programs, and tell what they wrote', async () => {
  const up = ['up', '-n', '1', '--port', '0', '--node-memory', '128M', '--allow-unconfined', 'namespaces'];
  const program = join(import.meta.dirname, 'under-profile.ts');
  const started = spawnSync(process.execPath, [program, ...up], {
    env: place.env,
    encoding: 'utf8',
    timeout: 100_000,
  });
  expect(started).toMatchObject({ status: 0, stderr: '' });
  expect(await place.vkctl(['run', await buildGuest('hello')])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('world'),
  });
});
