// The site that build.ts lays out: which pages stand in which order, and what is loaded from where (all of it from here).
import { readFileSync } from 'node:fs';

const { pages, out, menu } = JSON.parse(readFileSync(process.env.ODONATA_SITE_PLAN, 'utf8'));

/** As GitHub makes them, so that one link is right in both places. */
const slugify = (heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
    .replaceAll(' ', '-');

export default {
  title: 'Odonata',
  description: 'A cluster that acts as one machine',
  lang: 'en',
  // Where it is served from, as /odonata/; must begin and end with a slash.
  base: process.env.ODONATA_SITE_BASE ?? '/',
  srcDir: pages,
  outDir: out,
  cacheDir: `${pages}/../site-cache`,
  metaChunk: true,
  ignoreDeadLinks: false,
  head: [
    ['link', { rel: 'icon', href: 'data:,' }],
    ['meta', { name: 'referrer', content: 'no-referrer' }],
  ],
  vite: { esbuild: { tsconfigRaw: '{}' } },
  markdown: {
    html: false,
    linkify: false,
    anchor: { slugify },
    languageAlias: { 'rust-commands': 'sh', 'go-commands': 'sh' },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Concepts', link: '/docs/concepts' },
      { text: 'Tutorials', link: '/docs/tutorials/first-cluster' },
      { text: 'Operate', link: '/docs/inspect' },
      { text: 'Reference', link: '/reference/commands' },
    ],
    sidebar: menu,
    docFooter: { prev: 'Before', next: 'Next' },
  },
};
