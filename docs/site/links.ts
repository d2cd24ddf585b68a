// Links of a page of the repository, as the site has them. What leads to a file that is no page becomes the file's name: the site
// has no sources. What leads nowhere is an error.
import { existsSync } from 'node:fs';
import { join, posix } from 'node:path';

const FENCE = /^(```|~~~)/;
/** Not of a picture; and not within `code`, which is looked for first. */
const CODE_OR_LINK = /`[^`\n]*`|(!?)\[((?:`[^`]*`|[^[\]])*)\]\(([^()\s]+)\)/g;
const ELSEWHERE = /^[a-z]+:/;

/** `a/README.md` is what a folder shows. */
export const placeOf = (page: string): string =>
  page === 'README.md' ? 'overview.md' : page.replace(/README\.md$/, 'index.md');

export class Links {
  readonly errors: string[] = [];
  readonly #root: string;
  readonly #pages: ReadonlySet<string>;

  constructor(root: string, pages: ReadonlySet<string>) {
    this.#root = root;
    this.#pages = pages;
  }

  /** @param page where the text is from */
  rewrite(page: string, markdown: string): string {
    let isCode = false;
    return markdown
      .split('\n')
      .map((line) => {
        if (FENCE.test(line)) isCode = !isCode;
        if (isCode) return line;
        return line.replace(CODE_OR_LINK, (whole, picture: string, text?: string, target?: string) =>
          target === undefined ? whole : this.#link(page, { whole, picture, text: text!, target }),
        );
      })
      .join('\n');
  }

  #link(page: string, link: { whole: string; picture: string; text: string; target: string }): string {
    const { whole, picture, text, target } = link;
    if (ELSEWHERE.test(target) || target.startsWith('#')) return whole;
    const [path = '', anchor] = target.split('#');
    const at = posix.normalize(posix.join(posix.dirname(page), decodeURI(path))).replace(/\/$/, '');
    const found = [at, posix.join(at, 'README.md')].find((each) => this.#pages.has(each));
    if (found !== undefined && !picture) {
      const to = posix.relative(posix.dirname(placeOf(page)), placeOf(found));
      return `[${text}](${to.startsWith('.') ? to : `./${to}`}${anchor === undefined ? '' : `#${anchor}`})`;
    }
    if (!existsSync(join(this.#root, at))) this.errors.push(`${page}: ${target} leads nowhere`);
    if (picture) return whole;
    return text.startsWith('`') || /[ ]/.test(text) ? text : `\`${text}\``;
  }
}
