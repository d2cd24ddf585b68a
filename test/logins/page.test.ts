// docs/logins.md and docs/administer.md, command by command; and the pipeline of the README's tour.
import { readFileSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildPrograms } from '../../services/vkctl/cluster/programs.ts';
import { TestCluster } from '../cluster/cluster.ts';
import { commandsOf, type PageCommand, runInShell } from '../operate/page-commands.ts';

const ROOT = join(import.meta.dirname, '../..');
const text = (name: string) => readFileSync(join(ROOT, name), 'utf8');
const shownOn = (page: string) =>
  commandsOf(text(page)).filter(({ line }) => !/^\.\/vkctl (up|down)/.test(line));
const shown = shownOn('docs/logins.md');
const ofAdmins = shownOn('docs/administer.md');
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
  for (const name of ['alice.context', 'admin-carol.context', 'admin-vera.context', 'admin-text'])
    rmSync(join('/tmp', name), { recursive: true, force: true });
  await cluster.down();
});

/** What each prints has to be what the page says. */
function runAll(all: PageCommand[]): void {
  const printed = runInShell(
    all.map(({ line }) => line),
    { cwd: ROOT, env: { ...cluster.env, USER: userInfo().username } },
  );
  const is = all.map(({ line }, i) => ({ line, output: printed[i]!.trimEnd() }));
  expect(is).toEqual(all.map(({ line, output }) => ({ line, output: output.trimEnd() })));
}

test('each prints what the page says', { timeout: 180_000 }, () => {
  expect(shown.length).toBeGreaterThan(20);
  expect(tour.length).toBe(1);
  runAll([...shown, ...tour]);
});

test('so does each of the page for administrators', { timeout: 180_000 }, () => {
  expect(ofAdmins.length).toBeGreaterThan(20);
  runAll(ofAdmins);
});
