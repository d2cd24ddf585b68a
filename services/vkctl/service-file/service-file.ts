// Reads files of services. What is wrong is one line: file, line, field, and how to mend it.
import { readFileSync } from 'node:fs';
import { type Document, isMap, isScalar, LineCounter, parseAllDocuments } from 'yaml';
import type { z } from 'zod';
import { EXIT, Failure, reasonOf } from '../failure.ts';
import { type ServiceForm, serviceForm } from './form.ts';

const FILE_BYTES = 1 << 20;

/** Each document of a file is a service. @throws Failure */
export function readServices(path: string): ServiceForm[] {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new Failure(`${path}: ${reasonOf(error as NodeJS.ErrnoException)}`, { exitCode: EXIT.usage });
  }
  return servicesIn(text, path === '-' ? 'standard input' : path);
}

export function servicesIn(text: string, file: string): ServiceForm[] {
  if (text.length > FILE_BYTES) throw wrong(`${file}: larger than 1 MiB, which no service is`);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (offset: number): number => lines.linePos(offset).line;
  const services: ServiceForm[] = [];
  for (const document of documents as Document[]) {
    const [error] = document.errors;
    if (error !== undefined) {
      const isDeep = /call stack/.test(error.message);
      const what = isDeep ? 'it is nested too deeply' : `this is no YAML: ${error.message}`;
      throw wrong(`${file}:${lineAt(error.pos[0])}: ${what}`);
    }
    let value: unknown;
    try {
      // Aliases of aliases may be more than there is room for.
      value = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      throw wrong(`${file}: ${(error as Error).message}`);
    }
    if (value === null || value === undefined) continue;
    const parsed = serviceForm.safeParse(value);
    if (parsed.success) services.push(parsed.data);
    else {
      const { issues } = parsed.error;
      // What is missing may stand there by another name.
      const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0]!;
      throw wrong(`${file}:${lineOf(issue, document, lineAt)}: ${said(issue)}`);
    }
  }
  if (services.length === 0) throw wrong(`${file}: no service is in there; vkctl apply --help shows one`);
  return services;
}

const wrong = (text: string): Failure => new Failure(text, { exitCode: EXIT.usage });

type Issue = z.core.$ZodIssue;

/** The one that says most: of the ways that a value could be read, the first. */
function innermost(issue: Issue): Issue {
  if (issue.code !== 'invalid_union') return issue;
  const nested = issue.errors.flat().find(({ code }) => code !== 'invalid_type');
  return nested === undefined ? issue : { ...innermost(nested), path: [...issue.path, ...nested.path] };
}

function said(outer: Issue): string {
  const issue = innermost(outer);
  const field = issue.path.join('.') || 'the service';
  if (issue.code === 'unrecognized_keys') {
    const [key = ''] = issue.keys;
    const known = fieldsAt(issue.path);
    const near = known.find((each) => isNear(each, key));
    const mend = near === undefined ? `fields are ${known.join(', ')}` : `is ${near} meant?`;
    return `${[...issue.path, key].join('.')}: there is no such field; ${mend}`;
  }
  if (issue.code === 'invalid_type' && issue.input === undefined && /undefined/.test(issue.message))
    return `${field}: it is missing; write ${field}: ...`;
  if (issue.code === 'invalid_type' && issue.path.length === 0)
    return 'this is no service: one has fields, as name: web; vkctl apply --help shows one';
  return `${field}: ${issue.message}`;
}

function fieldsAt(path: readonly PropertyKey[]): string[] {
  let form: unknown = serviceForm;
  for (const key of path) form = unwrapped((form as z.ZodObject).shape?.[String(key)]);
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
