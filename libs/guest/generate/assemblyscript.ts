// assembly/odonata.ts: the imports and constants, from the description, and the classes and functions on top of them
// (assembly/layer.ts), as they are.

import type { ConstantGroup, FunctionDescription, ModuleDescription } from '../module/description.ts';
import { docComment, named } from './text.ts';

const WIDTH = 118;

const opening = `/**
 * What an AssemblyScript guest asks of its virtual kernel beyond WASI preview 1. The model and the caller's rules
 * stand in odonata.h, beside this folder; the names and results are the same.
 *
 * Build with \`asc --enable threads\` so that \`atomic.*\` is there. Addresses are offsets in linear memory.
 *
 * Made by \`npm run generate\` from libs/guest/module/odonata.ts: change that, not this.
 */`;

const types: Readonly<Record<string, string>> = { i32: 'i32', u32: 'u32', i64: 'i64', u64: 'u64' };

const camel = (name: string): string =>
  name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
/** Without the first E: these stand in a name space of their own. */
const short = (name: string): string => (name.startsWith('E') ? name.slice(1) : name);

export function assemblyscript(module: ModuleDescription, layer: string): string {
  const { pageBytes, errors, constants, functions } = module;
  const names: Readonly<Record<string, string>> = {
    ds_open: '`Dataspace.open`',
    ds_map: '`Dataspace.map`',
    lock: '`Dataspace.lock`',
    sync: '`Dataspace.sync`',
  };
  const comment = (doc: string): string =>
    docComment(
      named(doc, (name) => names[name] ?? `\`${camel(name)}\``),
      WIDTH,
    );

  /** What can fail is private to the layer, under a name that the layer leaves free. */
  function declaration(name: string, { doc, parameters, result }: FunctionDescription): string {
    const external = `// @ts-ignore: decorator\n@external("${module.name}", "${name}")`;
    const list = parameters
      .map((about) => `${camel(about.name)}: ${types[about.type] ?? 'usize'}`)
      .join(', ');
    if (result !== 'errno')
      return `${comment(doc)}\n${external}\nexport declare function ${camel(name)}(${list}): ${result};`;
    const own = name.startsWith('ds_') ? name : `ds_${name}`;
    return `${external}\ndeclare function ${own}(${list}): i32;`;
  }

  function group({ doc, name, values }: ConstantGroup, nameOf = (constant: string) => constant): string {
    const lines = Object.entries(values).map(
      ([constant, { value }]) => `  export const ${nameOf(constant)}: i32 = ${value};`,
    );
    return [comment(doc), `export namespace ${name} {`, ...lines, '}'].join('\n');
  }

  const all = Object.entries(functions);
  return `${[
    opening,
    all
      .filter(([, { result }]) => result === 'errno')
      .map(([name, about]) => declaration(name, about))
      .join('\n'),
    all
      .filter(([, { result }]) => result !== 'errno')
      .map(([name, about]) => declaration(name, about))
      .join('\n'),
    `${comment(pageBytes.doc)}\nexport const PAGE: usize = ${pageBytes.value};`,
    group({ ...errors, name: 'Errno', prefix: '' }, short),
    ...Object.values(constants).map((about) => group(about)),
    layer.trimEnd(),
  ].join('\n\n')}\n`;
}
