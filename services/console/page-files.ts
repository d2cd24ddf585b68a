// The files of the page, made by rolldown at the start of the service and kept in memory: nothing else is served.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PageFile {
  readonly type: string;
  readonly body: Buffer;
}

const PAGE = fileURLToPath(new URL('page', import.meta.url));

/** By path. */
export async function makePage(): Promise<ReadonlyMap<string, PageFile>> {
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({ input: join(PAGE, 'main.ts'), platform: 'browser', tsconfig: false });
  let code: string;
  try {
    const { output } = await bundle.generate({ format: 'esm', minify: true });
    code = output[0].code;
  } finally {
    await bundle.close();
  }
  const uplot = dirname(fileURLToPath(import.meta.resolve('uplot')));
  const css = [join(uplot, 'uPlot.min.css'), join(PAGE, 'page.css')].map((path) =>
    readFileSync(path, 'utf8'),
  );
  const file = (type: string, text: string | Buffer): PageFile => ({ type, body: Buffer.from(text) });
  return new Map([
    ['/', file('text/html; charset=utf-8', readFileSync(join(PAGE, 'index.html')))],
    ['/page.js', file('text/javascript; charset=utf-8', code)],
    ['/page.css', file('text/css; charset=utf-8', css.join('\n'))],
    ['/icon.svg', file('image/svg+xml', readFileSync(join(PAGE, 'icon.svg')))],
  ]);
}
