// A report as one file of HTML: text, tables and pictures, nothing that is loaded from elsewhere, and no script.
import type { Column } from '../../services/vkctl/table.ts';

/** HTML that was made here. */
export interface Html {
  readonly html: string;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escaped = (text: string): string => text.replace(/[&<>"']/g, (each) => ESCAPES[each]!);

type Part = Html | string | number | readonly Html[];

const shown = (part: Part): string => {
  if (Array.isArray(part)) return part.map(({ html }) => html).join('\n');
  return typeof part === 'object' ? (part as Html).html : escaped(String(part));
};

/** A template, of which what is put in is text unless it is HTML. */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Html => ({
  html: strings.map((text, i) => text + (i < parts.length ? shown(parts[i]!) : '')).join(''),
});

export function htmlTable(
  columns: readonly Column[],
  rows: readonly (readonly (string | number)[])[],
  caption = '',
): Html {
  const classOf = (at: number) => (columns[at]?.align === 'right' ? 'number' : 'text');
  return html`<div class="wide"><table>
${caption === '' ? [] : html`<caption>${caption}</caption>`}
<thead><tr>${columns.map(({ head }, at) => html`<th scope="col" class="${classOf(at)}">${head}</th>`)}</tr></thead>
<tbody>
${rows.map((row) => html`<tr>${row.map((cell, at) => html`<td class="${classOf(at)}">${cell}</td>`)}</tr>`)}
</tbody>
</table></div>`;
}

/** @param svg of a picture that was drawn here */
export const figure = (title: string, svg: string): Html =>
  html`<figure role="img" aria-label="${title}"><div class="wide">${{ html: svg }}</div><figcaption>${title}</figcaption></figure>`;

export const list = (items: readonly string[]): Html =>
  html`<ul>${items.map((item) => html`<li>${item}</li>`)}</ul>`;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid #8884; text-align: left; white-space: nowrap; }
.number { text-align: right; }
figure { margin: 1.5rem 0; } figure svg { background: #fff; border-radius: 6px; max-width: 100%; height: auto; }
figcaption, .about, li { opacity: .85; font-size: .9rem; }
`;

/** The whole file. */
export function page(title: string, about: readonly string[], body: readonly Html[]): string {
  return `<!doctype html>\n${
    html`<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>${title}</title>
<style>${{ html: STYLE }}</style>
</head>
<body>
<h1>${title}</h1>
${about.map((line) => html`<p class="about">${line}</p>`)}
${body}
</body>
</html>`.html
  }\n`;
}
