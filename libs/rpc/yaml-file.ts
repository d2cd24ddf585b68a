// Reads files in YAML by a form of zod. What is wrong is one line: file, line, field, and how to mend it.
import { type Document, isMap, isScalar, LineCounter, parseAllDocuments } from 'yaml';
import type { z } from 'zod';

const FILE_BYTES = 1 << 20;

export interface YamlForm<T> {
  readonly form: z.ZodType<T>;
  /** What a document is: `service`. */
  readonly what: string;
  /** Where an example is, and what a field looks like: `one has fields, as name: web; vkctl apply --help shows one`. */
  readonly example: string;
}

/** What each document of a text says, empty ones left out. @throws Error whose message is the line */
export function yamlIn<T>(text: string, file: string, about: YamlForm<T>): T[] {
  if (text.length > FILE_BYTES) throw new Error(`${file}: larger than 1 MiB, which no ${about.what} is`);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  const found: T[] = [];
  for (const document of documents as Document[]) {
    const [error] = document.errors;
    if (error !== undefined) {
      const isDeep = /call stack/.test(error.message);
      const what = isDeep ? 'it is nested too deeply' : `this is no YAML: ${error.message}`;
      throw new Error(`${file}:${lineAt(error.pos[0])}: ${what}`);
    }
    let value: unknown;
    try {
      // Aliases of aliases may be more than there is room for.
      value = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      throw new Error(`${file}: ${(error as Error).message}`);
    }
    if (value === null || value === undefined) continue;
    const parsed = about.form.safeParse(value);
    if (parsed.success) found.push(parsed.data);
    else {
      const { issues } = parsed.error;
      // What is missing may stand there by another name.
      const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!;
      throw new Error(`${file}:${lineOf(issue, document, lineAt)}: ${said(issue, about)}`);
    }
  }
  return found;
}

type Issue = z.core.$ZodIssue;

/** The one that says most: of the ways that a value could be read, the first. */
function innermost(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const nested = issue.errors.flat().find(({ code }) => code !== 'invalid_type');
  return nested === undefined ? issue : { ...innermost(nested), path: [...issue.path, ...nested.path] };
}

function said(outer: Issue, { form, what, example }: YamlForm<unknown>): string {
  const issue = innermost(outer);
  const field = issue.path.join('.') || `the ${what}`;
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const known = fieldsAt(form, issue.path);
    const near = known.find((each) => isNear(each, key));
    const mend = near === undefined ? `fields are ${known.join(', ')}` : `is ${near} meant?`;
    return `${[...issue.path, key].join('.')}: there is no such field; ${mend}`;
  }
  if (issue.code === 'invalid_type' && issue.input === undefined && /undefined/.test(issue.message))
    return `${field}: it is missing; write ${field}: ...`;
  if (issue.code === 'invalid_type' && issue.path.length === 0) return `this is no ${what}: ${example}`;
  return `${field}: ${issue.message}`;
}

function fieldsAt(whole: unknown, path: readonly PropertyKey[]): string[] {
  let form: unknown = unwrapped(whole);
  for (const key of path) {
    // A list is unwrapped already.
    if (typeof key !== 'number') form = unwrapped((form as z.ZodObject).shape?.[String(key)]);
  }
  return Object.keys((form as z.ZodObject).shape ?? {});
}

function unwrapped(form: unknown): unknown {
  let inner = form as { unwrap?: () => unknown } | undefined;
  while (typeof inner?.unwrap === 'function') inner = inner.unwrap() as typeof inner;
  return inner;
}

/** One letter more, less or other, or only - for _. */
function isNear(a: string, b: string): boolean {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, '');
  const [x, y] = [plain(a), plain(b)];
  if (x === y || x.startsWith(y) || y.startsWith(x)) return true;
  if (Math.abs(x.length - y.length) > 1) return false;
  let at = 0;
  while (at < x.length && x[at] === y[at]) at += 1;
  return (
    x.slice(at + 1) === y.slice(at + 1) || x.slice(at) === y.slice(at + 1) || x.slice(at + 1) === y.slice(at)
  );
}

function lineOf(outer: Issue, document: Document, lineAt: (offset: number) => number): number {
  const issue = innermost(outer);
  const path = [...issue.path];
  if (issue.code === 'unrecognized_keys') {
    const map = path.length === 0 ? document.contents : document.getIn(path, true);
    const pair = isMap(map)
      ? map.items.find(({ key }) => isScalar(key) && key.value === issue.keys[0])
      : undefined;
    const at = isScalar(pair?.key) ? pair.key.range?.[0] : undefined;
    if (at !== undefined) return lineAt(at);
  }
  for (; path.length > 0; path.pop()) {
    const node = document.getIn(path, true) as { range?: [number, number, number] } | undefined;
    if (node?.range !== undefined) return lineAt(node.range[0]);
  }
  return lineAt((document.contents as { range?: [number, number, number] } | null)?.range?.[0] ?? 0);
}
