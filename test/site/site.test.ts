// make site: it is built, each link and anchor in it leads somewhere, it has a page for each command and each .proto file, and
// a browser loads nothing from elsewhere, finds words by keys, and fits a narrow screen.
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, extname, join, posix } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildSite } from '../../docs/site/build.ts';
import { executablePath, launch } from '../../services/console/testdata/browser.ts';
import { commandsOf } from '../../services/vkctl/help/walk.ts';
import { createProgram } from '../../services/vkctl/program.ts';

const TYPES: Readonly<Record<string, string>> = {
  ...{ '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' },
};
const folder = mkdtempSync(join(tmpdir(), 'odonata-site-'));
const out = join(folder, 'site');
let pages: string[];
let server: Server;
let origin: string;

beforeAll(async () => {
  await buildSite({ pages: join(folder, 'pages'), out });
  pages = globSync('**/*.html', { cwd: out }).filter((page) => page !== '404.html');
  server = createServer(({ url }, response) => {
    const path = decodeURIComponent(new URL(url!, 'http://site').pathname).replace(/\/$/, '/index.html');
    try {
      const bytes = readFileSync(join(out, path));
      response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream').end(bytes);
    } catch {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}, 300_000);
afterAll(() => {
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const read = (page: string): string => readFileSync(join(out, page), 'utf8');
const all = (html: string, pattern: RegExp): string[] =>
  [...html.matchAll(pattern)].map(([, value]) => value!);

test('each link leads to a page, and each anchor to a place on it', () => {
  const ids = new Map(pages.map((page) => [page, new Set(all(read(page), / id="([^"]*)"/g))]));
  const broken = pages.flatMap((page) =>
    all(read(page), /<a [^>]*?href="([^"]*)"/g)
      .filter((href) => !/^[a-z]+:/.test(href))
      .filter((href) => {
        const [path = '', anchor] = href.replaceAll('&amp;', '&').split('#');
        const at = path === '' ? page : posix.join(path.startsWith('/') ? '.' : dirname(page), path);
        const target = ids.get(
          [at, join(at, 'index.html'), `${at}.html`].find((each) => ids.has(each)) ?? '',
        );
        return (
          target === undefined ||
          (anchor !== undefined && anchor !== '' && !target.has(decodeURIComponent(anchor)))
        );
      })
      .map((href) => `${page}: ${href}`),
  );
  expect(pages.length).toBeGreaterThan(60);
  expect(broken).toEqual([]);
});

test('the menu leads to each page of docs/', () => {
  const home = read('index.html') + read('docs/concepts.html');
  for (const page of globSync('*.md', { cwd: join(import.meta.dirname, '../../docs') }))
    if (page !== 'README.md') expect(home).toContain(`/docs/${page.replace(/\.md$/, '')}.html"`);
});

test('has each command, and each method of the .proto files', async () => {
  const commands = read('reference/commands.html');
  for (const { words } of commandsOf(await createProgram()))
    if (words !== '') expect(commands).toContain(`id="vkctl-${words.replaceAll(' ', '-')}"`);
  const files = globSync('proto/odonata/**/*.proto', { cwd: join(import.meta.dirname, '../..') });
  expect(files.length).toBeGreaterThan(5);
  for (const file of files) {
    const page = read(`reference/${posix.basename(file, '.proto')}.html`);
    const text = readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
    for (const name of all(text, /^ {2}rpc (\w+)/gm))
      expect(page).toContain(`id="rpc-${name.toLowerCase()}"`);
    for (const name of all(text, /^(?:message|enum) (\w+)/gm))
      expect(page).toContain(`id="${name.toLowerCase()}"`);
  }
});

test.runIf(executablePath)('in a browser', async () => {
  const browser = await launch();
  try {
    for (const colorScheme of ['light', 'dark'] as const) {
      const page = await browser.newPage({ viewport: { width: 390, height: 800 }, colorScheme });
      const wrong: string[] = [];
      page.on('request', (request) => request.url().startsWith(origin) || wrong.push(request.url()));
      page.on('response', (response) => response.status() < 400 || wrong.push(response.url()));
      page.on('pageerror', ({ message }) => wrong.push(message));
      for (const path of ['/', '/docs/concepts.html', '/reference/commands.html', '/docs/a-fault.html']) {
        await page.goto(origin + path, { waitUntil: 'load' });
        const { right, background } = await page.evaluate(() => ({
          right: document.documentElement.scrollWidth - innerWidth,
          background: getComputedStyle(document.body).backgroundColor,
        }));
        expect([path, right]).toEqual([path, 0]);
        expect(background === 'rgb(255, 255, 255)').toBe(colorScheme === 'light');
      }
      await page.keyboard.press('Control+k');
      // It has the focus when it is there.
      await page.waitForFunction(() => document.activeElement?.classList.contains('search-input'));
      await page.keyboard.type('ephemeral pmap');
      await page.locator('.result').first().waitFor();
      await page.keyboard.press('Enter');
      await page.waitForURL((url) => url.hash !== '');
      expect(wrong).toEqual([]);
      await page.close();
    }
  } finally {
    await browser.close();
  }
});
