// A module of a bundle goes on as if it lay where its source lies: what it finds by its own URL or folder (a program to
// start, a folder beside it) it finds. The threads of a program are the exception: they are of the same bundle.
import { dirname, isAbsolute, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Plugin } from 'rolldown';
import { parseSync } from 'rolldown/utils';

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

interface Change {
  readonly node: Node;
  readonly text: string;
}

/** @param threads file of the bundle, relative, by source */
export function stayInPlace(threads: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'stay-in-place',
    transform: {
      filter: { code: /import\.meta\.|__dirname|__filename/ },
      // What rolldown adds has no file: it lies where the bundle lies, and not in the folder of whoever makes that.
      handler: (code, source) => (isAbsolute(source) ? { code: inPlace(code, source, threads) } : undefined),
    },
  };
}

export function inPlace(code: string, source: string, threads: ReadonlyMap<string, string>): string {
  const { program } = parseSync(source, code);
  const changes: Change[] = [];
  look(program as unknown as Node);
  let made = code;
  for (const { node, text } of changes.reverse())
    made = made.slice(0, node.start) + text + made.slice(node.end);
  return made;

  function look(node: Node): void {
    const text = inPlaceOf(node);
    if (text !== undefined) {
      changes.push({ node, text });
      return;
    }
    // `x.__dirname` and `{ __dirname: x }` are names of something else.
    const name = node.computed === true ? undefined : node.type === 'Property' ? node.key : node.property;
    for (const value of Object.values(node)) {
      if (value !== name) for (const child of [value].flat()) if (isNode(child)) look(child);
    }
  }

  function inPlaceOf(node: Node): string | undefined {
    const file = threadOf(node);
    if (file !== undefined) return `new URL('${file}', import.meta.url)`;
    switch (metaOf(node) ?? (node.type === 'Identifier' ? node.name : undefined)) {
      case 'url':
        return metaOf(node) && JSON.stringify(pathToFileURL(source).href);
      case 'dirname':
        return metaOf(node) && JSON.stringify(dirname(source));
      case 'filename':
        return metaOf(node) && JSON.stringify(source);
      case '__dirname':
        return JSON.stringify(dirname(source));
      case '__filename':
        return JSON.stringify(source);
      default:
        return undefined;
    }
  }

  /** Of `new URL('./thread.ts', import.meta.url)`. */
  function threadOf(node: Node): string | undefined {
    if (node.type !== 'NewExpression' || (node.callee as Node).name !== 'URL') return undefined;
    const [path, base] = node.arguments as Node[];
    if (typeof path?.value !== 'string' || base === undefined || metaOf(base) !== 'url') return undefined;
    return threads.get(resolve(dirname(source), path.value));
  }
}

/** `url` of `import.meta.url`. */
function metaOf(node: Node): string | undefined {
  if (node.type !== 'MemberExpression' || (node.object as Node).type !== 'MetaProperty') return undefined;
  return (node.property as { name?: string }).name;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
