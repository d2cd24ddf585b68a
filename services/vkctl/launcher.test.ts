import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const launcher = fileURLToPath(new URL('bin/vkctl.js', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));

test('the launcher runs under the pinned Node, and the script at the root finds it', () => {
  const fromNode = execFileSync(process.execPath, [launcher, '--version'], { encoding: 'utf8' });
  expect(fromNode).toMatch(/^\d+\.\d+\.\d+ \((commit [0-9a-f]{12}, )?wire \d+\)\n$/);
  expect(execFileSync(`${root}/vkctl`, ['--version'], { encoding: 'utf8', cwd: '/' })).toBe(fromNode);
});

test('usage errors exit with 2, failures with 1 and one line', () => {
  const env = { ...process.env, ODONATA_CLUSTER: 'never-up', NO_COLOR: '1' };
  const vkctl = (...args: string[]) =>
    spawnSync(process.execPath, [launcher, ...args], { encoding: 'utf8', env });
  expect(vkctl('sttus')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('Did you mean status?'),
  });
  expect(vkctl('up', '--nodes', '0')).toMatchObject({ status: 2 });
  for (const words of [
    ['rotate', '--help'],
    ['ds', 'rotate', '-h'],
    ['help', 'rotate'],
  ])
    expect(vkctl(...words)).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/^vkctl: unknown command 'rotate'\n\(see "vkctl.* --help"\)\n$/),
    });
  expect(vkctl('kill', '-9', 'x')).toMatchObject({ status: 2 });
  expect(vkctl('run', 'missing.wasm')).toMatchObject({ status: 127 });
  const status = vkctl('status');
  expect(status.status).toBe(1);
  expect(status.stderr).toBe(
    'vkctl: cluster "never-up" is not up. Start it with: vkctl up --cluster never-up\n',
  );
});
