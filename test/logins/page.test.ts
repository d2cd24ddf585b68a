// docs/logins.md, command by command; and the pipeline of the README's tour.
import { readFileSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPrograms } from '../../services/vkctl/cluster/programs.ts';
import { TestCluster } from '../cluster/cluster.ts';
import { commandsOf, runInShell } from '../operate/page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const text = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const shown = commandsOf(text('docs/logins.md')).filter(({ line }) => !/^\.\/vkctl (up|down)/.test(line));
const tour = [...text('README.md').matchAll(/^\$ (\.\/vkctl login.*)\n((?:.+\n)*)/gm)].map(
  ([, line, output]) => ({
    line: line!,
    output: output!,
  }),
);

let cluster: TestCluster;
beforeAll(async () => {
  await buildPrograms();
  cluster = await TestCluster.up({ nodes: 3 });
}, 400_000);
afterAll(async () => {
  rmSync(join(cluster.env.ODONATA_HOME!, '.contexts'), { recursive: true, force: true });
  rmSync('/tmp/alice.context', { force: true });
  await cluster.down();
});

test('each prints what the page says', { timeout: 180_000 }, () => {
  expect(shown.length).toBeGreaterThan(20);
  expect(tour.length).toBe(1);
  const all = [...shown, ...tour];
  const printed = runInShell(
    all.map(({ line }) => line),
    { cwd: ROOT, env: { ...cluster.env, USER: userInfo().username } },
  );
  const is = all.map(({ line }, i) => ({ line, output: printed[i]!.trimEnd() }));
  expect(is).toEqual(all.map(({ line, output }) => ({ line, output: output.trimEnd() })));
});
