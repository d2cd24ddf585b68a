// rust/src/lib.rs: the imports, structures and constants, from the description, and what stands on top of them (rust/layer.rs).

import type { ConstantGroup, ModuleDescription, ParameterType } from '../module/description.ts';
import { named, wrapped } from './text.ts';

const WIDTH = 118;

const opening = `//! What a Rust guest asks of its virtual kernel beyond WASI preview 1. The model and the caller's rules stand in odonata.h,
//! beside this folder; the names and results are the same.
//!
//! Build with \`-C target-feature=+atomics\`, so that atomics are atomic.
//!
//! Made by \`npm run generate\` from libs/guest/module/odonata.ts: change that, not this.
#![no_std]`;

const TYPES: Readonly<Record<string, string>> = {
  i32: 'i32',
  u32: 'u32',
  i64: 'i64',
  u64: 'u64',
  address: '*mut u8',
  bytes: '*const u8',
  word: '*const u32',
  'out u32': '*mut u32',
};

const pascal = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
const typeOf = (type: ParameterType): string => TYPES[type] ?? `*mut ${pascal(type.replace('out ', ''))}`;

export function rust(module: ModuleDescription, layer: string): string {
  const comment = (doc: string, indent = ''): string =>
    named(doc, (name) => `\`${name}\``)
      .split('\n\n')
      .map((paragraph) => wrapped(paragraph, WIDTH - 4 - indent.length))
      .flatMap((lines, i) => (i === 0 ? lines : ['', ...lines]))
      .map((line) => `${indent}/// ${line}`.trimEnd())
      .join('\n');
  const constants = ({ doc, prefix, values }: Omit<ConstantGroup, 'name'>): string =>
    [
      `// ${doc}`,
      ...Object.entries(values).map(([name, { value }]) => `pub const ${prefix}${name}: i32 = ${value};`),
    ]
      .join('\n')
      .replace(/\{(\w+)\}/g, '`$1`');
  const functions = Object.entries(module.functions).map(([name, { doc, parameters, result }]) => {
    const list = parameters.map((about) => `${about.name}: ${typeOf(about.type)}`).join(', ');
    return `${comment(doc, '    ')}\n    pub fn ${name}(${list}) -> ${result === 'errno' ? 'i32' : result};`;
  });
  const structures = Object.entries(module.structures).map(([name, { doc, fields }]) =>
    [
      comment(doc),
      '#[repr(C)]',
      '#[derive(Clone, Copy, Debug, Default)]',
      `pub struct ${pascal(name)} {`,
      ...fields.map((field) => `${comment(field.doc, '    ')}\n    pub ${field.name}: ${field.type},`),
      '}',
    ].join('\n'),
  );
  return `${[
    opening,
    `${comment(module.pageBytes.doc)}\npub const PAGE: usize = ${module.pageBytes.value};`,
    constants({ ...module.errors, prefix: '' }),
    ...Object.values(module.constants).map(constants),
    ...structures,
    `#[link(wasm_import_module = "${module.name}")]\nextern "C" {\n${functions.join('\n\n')}\n}`,
    layer.trimEnd(),
  ].join('\n\n')}\n`;
}
