// make site: docs/ and the READMEs as a site, in build/site. Lays the pages out, writes those that are made, and runs vitepress,
// which refuses a link to a page that is not there.
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandsPage, jsonPage } from './command-pages.ts';
import { homePage } from './home.ts';
import { Links, placeOf } from './links.ts';
import { measuredPage } from './measured-page.ts';
import { menu } from './menu.ts';
import { protoPages } from './proto-pages.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const HERE = import.meta.dirname;
const VITEPRESS = join(HERE, 'node_modules/vitepress/bin/vitepress.js');
const DESCRIPTORS = join(ROOT, 'libs/proto/gen/descriptors.binpb');

export interface Places {
  /** Where pages are laid out. */
  readonly pages: string;
  readonly out: string;
}

/** All of the repository that are pages. */
const repositoryPages = (): string[] =>
  globSync(['*.md', 'docs/**/*.md', '{k8s,proto}/README.md', '{libs,services,test}/**/*.md'], {
    cwd: ROOT,
    exclude: (path) => path.endsWith('node_modules') || path === 'docs/site',
  }).sort();

async function layOut({ pages }: Places): Promise<object[]> {
  rmSync(pages, { recursive: true, force: true });
  const write = (page: string, text: string) => {
    const file = join(pages, placeOf(page));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  const protos = protoPages(DESCRIPTORS);
  const made = new Map([
    ['reference/commands.md', await commandsPage()],
    ['reference/json.md', jsonPage()],
    ...protos.map(({ page, markdown }) => [page, markdown] as const),
  ]);
  const measured = measuredPage(join(ROOT, 'build/measured/bench.json'));
  if (measured !== undefined) made.set('reference/measured.md', measured);
  const all = repositoryPages();
  const links = new Links(ROOT, new Set([...all, ...made.keys()]));
  for (const page of all) write(page, links.rewrite(page, readFileSync(join(ROOT, page), 'utf8')));
  for (const [page, text] of made) write(page, links.rewrite(page, text));
  write('index.md', homePage());
  cpSync(join(ROOT, 'docs/pictures'), join(pages, 'docs/pictures'), { recursive: true });
  mkdirSync(join(pages, 'public'));
  cpSync(join(HERE, 'mark.svg'), join(pages, 'public/mark.svg'));
  // What the pages import is found from where they are.
  symlinkSync(join(HERE, 'node_modules'), join(pages, 'node_modules'));
  if (links.errors.length > 0) throw new Error(links.errors.join('\n'));
  return menu(protos, measured !== undefined).map(({ text, entries, collapsed }) => ({
    ...{ text, collapsed: collapsed ?? false },
    items: entries.map((entry) => ({
      text: entry.text,
      link: `/${placeOf(entry.page).replace(/(index)?\.md$/, '')}`,
    })),
  }));
}

/** Packages of the site only: they are no part of what everything else installs. */
function install(): void {
  const stamp = (file: string) => (existsSync(file) ? statSync(file).mtimeMs : 0);
  const lock = join(HERE, 'package-lock.json');
  if (stamp(join(HERE, 'node_modules/.package-lock.json')) >= stamp(lock)) return;
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const { status, stderr } = spawnSync('npm', ['ci', ...quiet], {
    cwd: HERE,
    encoding: 'utf8',
    timeout: 240_000,
  });
  if (status !== 0) throw new Error(`npm ci in docs/site failed: ${stderr}`);
}

/** What vitepress says; throws where it refuses. */
export async function buildSite(places: Places): Promise<string> {
  install();
  const sidebar = await layOut(places);
  const plan = `${places.pages}.json`;
  writeFileSync(plan, JSON.stringify({ ...places, menu: sidebar }));
  const { status, stdout, stderr } = spawnSync(process.execPath, [VITEPRESS, 'build', HERE], {
    env: { ...process.env, ODONATA_SITE_PLAN: plan, NO_COLOR: '1' },
    encoding: 'utf8',
    timeout: 240_000,
  });
  if (status !== 0) throw new Error(`vitepress build ended with ${status}:\n${stdout}${stderr}`);
  return stdout + stderr;
}

if (import.meta.main) {
  const places = { pages: join(ROOT, 'build/site-pages'), out: join(ROOT, 'build/site') };
  const began = Date.now();
  try {
    await buildSite(places);
    console.log(
      `build/site is made (${((Date.now() - began) / 1000).toFixed(1)} s). To read it: npx vite preview --outDir build/site`,
    );
  } catch (error) {
    console.error(`site: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
