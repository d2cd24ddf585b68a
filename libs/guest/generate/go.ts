// go/odonata.go: the imports, structures and constants, from the description, and what stands on top of them (go/layer.go.txt).

import type { ConstantGroup, ModuleDescription, ParameterType } from '../module/description.ts';
import { named, wrapped } from './text.ts';

const WIDTH = 118;

const opening = `// Package odonata is what a Go guest (GOOS=wasip1) asks of its virtual kernel beyond WASI preview 1. The model and the
// caller's rules stand in odonata.h, beside this folder; the names, with capitals as Go has them, and the results are the same.
//
// Go's compiler makes plain accesses of sync/atomic here: guard what is shared by Lock and Unlock.
//
// Made by \`npm run generate\` from libs/guest/module/odonata.ts: change that, not this.
package odonata

import "unsafe"`;

const TYPES: Readonly<Record<string, string>> = { i32: 'int32', u32: 'uint32', i64: 'int64', u64: 'uint64' };
const typeOf = (type: ParameterType): string => TYPES[type] ?? 'unsafe.Pointer';
const camel = (name: string): string =>
  name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const pascal = (name: string): string => camel(`_${name}`).replace(/Id$/, 'ID');
const constant = (name: string): string => pascal(name.toLowerCase());

export function go(module: ModuleDescription, layer: string): string {
  const comment = (doc: string, indent = ''): string =>
    named(doc, pascal)
      .split('\n\n')
      .map((paragraph) => wrapped(paragraph, WIDTH - 3 - indent.length))
      .flatMap((lines, i) => (i === 0 ? lines : ['', ...lines]))
      .map((line) => `${indent}// ${line}`.trimEnd())
      .join('\n');
  const constants = ({ doc, prefix, values }: Omit<ConstantGroup, 'name'>): string => {
    // Errors keep their names.
    const nameOf = (name: string) =>
      prefix === '' && /^(E|OK)/.test(name) ? name : constant(`${prefix}${name}`);
    // In columns, as gofmt has them.
    const width = Math.max(...Object.keys(values).map((name) => nameOf(name).length));
    const entries = Object.entries(values).map(
      ([name, { value }]) => `\t${nameOf(name).padEnd(width)} int32 = ${value}`,
    );
    return `${comment(doc)}\nconst (\n${entries.join('\n')}\n)`;
  };
  const functions = Object.entries(module.functions).map(([name, { doc, parameters, result }]) => {
    const list = parameters.map((about) => `${camel(about.name)} ${typeOf(about.type)}`).join(', ');
    const type = result === 'i64' ? 'int64' : 'int32';
    return `${comment(doc)}\n//\n//go:wasmimport ${module.name} ${name}\n//go:noescape\nfunc ${pascal(name)}(${list}) ${type}`;
  });
  const structures = Object.entries(module.structures).map(
    ([name, { doc, fields }]) =>
      `${comment(doc)}\ntype ${pascal(name)} struct {\n${fields
        .map((field) => `${comment(field.doc, '\t')}\n\t${pascal(field.name)} uint64`)
        .join('\n')}\n}`,
  );
  return `${[
    opening,
    `${comment(module.pageBytes.doc)}\nconst Page = ${module.pageBytes.value}`,
    constants({ ...module.errors, prefix: '' }),
    ...Object.values(module.constants).map(constants),
    ...structures,
    ...functions,
    layer.trimEnd(),
  ].join('\n\n')}\n`;
}
