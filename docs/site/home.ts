// The first page: what a reader may want, by the theme's own layout.
const HOME = {
  layout: 'home',
  hero: {
    name: 'Odonata',
    text: 'A cluster that acts as one machine',
    tagline: 'One process table, one name space, one memory, coherent page by page.',
    image: { src: '/mark.svg', alt: 'Three nodes around one memory' },
    actions: [
      { theme: 'brand', text: 'A first cluster', link: '/docs/tutorials/first-cluster' },
      { theme: 'alt', text: 'Concepts', link: '/docs/concepts' },
      { theme: 'alt', text: 'Commands', link: '/reference/commands' },
    ],
  },
  features: [
    {
      title: 'Shared memory',
      details:
        'Programs in C, C++, Rust, Go and JavaScript map the same memory on any nodes, with atomics, locks and waits.',
      link: '/docs/tutorials/share-memory',
    },
    {
      title: 'Sandboxed programs',
      details:
        'Each is WebAssembly in a virtual kernel, an unprivileged process, and reaches nothing that was not granted.',
      link: '/docs/programs',
    },
    {
      title: 'Any service may die',
      details:
        'Directory, routers and pmap managers are replaced while programs run; what was synced outlives its node.',
      link: '/docs/upgrade',
    },
    {
      title: 'Seen from outside',
      details:
        'A console in the browser, a live view in the terminal, metrics, events, and which pages are fought over.',
      link: '/docs/console',
    },
  ],
};

/** JSON is YAML, too. */
export const homePage = (): string => `---\n${JSON.stringify(HOME)}\n---\n`;
