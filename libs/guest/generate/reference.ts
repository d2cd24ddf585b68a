// docs/guest-api.md: every function with its parameters, errors and types, for whoever writes a guest or a binding.

import {
  type FunctionDescription,
  type ModuleDescription,
  type Parameter,
  wasmTypeOf,
} from '../module/description.ts';
import { named, wrapped } from './text.ts';

const letters: Readonly<Record<string, string>> = { i: 'i32', I: 'i64' };

function wasmSignature(about: FunctionDescription): string {
  const [parameters, result] = wasmTypeOf(about)
    .split(':')
    .map((part) => [...part].map((letter) => letters[letter]));
  return `(${parameters!.join(', ')}) -> ${result![0]}`;
}

const lines = (text: string): string => wrapped(text, 120).join('\n');

/** As prettier would lay it out: columns padded. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

export function reference(module: ModuleDescription): string {
  const { name, pageBytes, model, rules, errors, constants, structures, functions } = module;
  const text = (given: string): string =>
    named(given, (about) => {
      if (about === 'PAGE') return `${pageBytes.value}`;
      return about in functions ? `[\`${about}\`](#${about})` : `\`odonata_${about}\``;
    })
      .replaceAll('  ', ' ')
      .replaceAll(/\*(\w+)\*/g, '_$1_')
      .replaceAll('<errno.h>', '`<errno.h>`');

  function section(call: string, about: FunctionDescription): string {
    const { doc, parameters, errors: failures } = about;
    const list = parameters.map((parameter: Parameter) => parameter.name).join(', ');
    const parts = [
      `### ${call}`,
      `\`${call}(${list})\`, in WebAssembly \`${wasmSignature(about)}\``,
      ...text(doc).split('\n\n').map(lines),
    ];
    if (parameters.length > 0)
      parts.push(
        table(
          ['parameter', 'type', 'what'],
          parameters.map((parameter) => [`\`${parameter.name}\``, parameter.type, text(parameter.doc)]),
        ),
      );
    if (failures !== undefined)
      parts.push(
        table(
          ['error', 'when'],
          Object.entries(failures).map(([error, when]) => [error, text(when)]),
        ),
      );
    return parts.join('\n\n');
  }

  return `${[
    `# Module \`${name}\``,
    lines(
      'What a guest program may import beyond WASI preview 1. In C it is `libs/guest/odonata.h`, where each name begins with `odonata_` or `ODONATA_`; in AssemblyScript `libs/guest/assembly/odonata.ts`. Made by `npm run generate` from `libs/guest/module/odonata.ts`: change that, not this page.',
    ),
    lines(
      'The header has three functions more, which are no imports: `odonata_reserve` takes memory for a mapping, `odonata_ds_map_whole` maps the whole of an opened dataspace in such memory, and `odonata_touch_for_write` brings the pages of a range here for writing, in order and without changing a byte.',
    ),
    lines(text(model)),
    rules.map((rule, i) => `${i + 1}. ${wrapped(text(rule), 117).join('\n   ')}`).join('\n'),
    '## Types',
    lines(
      '`u64` and `i64` are an i64 of WebAssembly, all others an i32. `address`, `bytes` and `word` are addresses in linear memory, `out` the address at which a result is stored. Numbers are little-endian.',
    ),
    ...Object.entries(structures).map(
      ([structure, { doc, fields }]) =>
        `**${structure}**, ${fields.length * 8} bytes. ${text(doc)}\n\n${table(
          ['offset', 'field', 'type', 'what'],
          fields.map((field, i) => [`${i * 8}`, `\`${field.name}\``, field.type, text(field.doc)]),
        )}`,
    ),
    '## Functions',
    ...Object.entries(functions).map(([call, about]) => section(call, about)),
    '## Constants',
    `\`PAGE\` is ${pageBytes.value}. ${pageBytes.doc}`,
    ...Object.values(constants).map(
      ({ doc, prefix, values }) =>
        `${text(doc)}\n\n${table(
          ['name', 'value', 'what'],
          Object.entries(values).map(([constant, about]) => [
            `\`${prefix}${constant}\``,
            `${about.value}`,
            text(about.doc ?? ''),
          ]),
        )}`,
    ),
    '## Errors',
    text(errors.doc),
    table(
      ['name', 'value', 'what'],
      Object.entries(errors.values).map(([error, about]) => [
        `\`${error}\``,
        `${about.value}`,
        'doc' in about ? text(about.doc ?? '') : '',
      ]),
    ),
  ].join('\n\n')}\n`;
}
