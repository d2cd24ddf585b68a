// odonata.h: the declarations, from the description, and the functions in C on top of them (layer.h), as they are.

import type {
  ConstantGroup,
  FunctionDescription,
  ModuleDescription,
  ParameterType,
} from '../module/description.ts';
import { docComment, named, wrapped } from './text.ts';

const WIDTH = 119;
/** Between words that stay on one line. */
const TIED = '\u00a0';

const numbers: Readonly<Record<string, string>> = {
  i32: 'int32_t ',
  u32: 'uint32_t ',
  i64: 'int64_t ',
  u64: 'uint64_t ',
  address: 'void *',
  bytes: 'const char *',
  word: 'const uint32_t *',
  'out u32': 'uint32_t *',
};

const typeOf = (type: ParameterType): string =>
  numbers[type] ?? `struct${TIED}odonata_${type.slice('out '.length)} *`;

export class CHeader {
  private readonly module: ModuleDescription;

  constructor(module: ModuleDescription) {
    this.module = module;
  }

  /** @param layer what stands on top of the declarations, in C */
  write(layer: string): string {
    const { pageBytes, errors, constants, structures, functions } = this.module;
    return `${[
      `${this.opening()}\n#ifndef ODONATA_H\n#define ODONATA_H`,
      '#include <stddef.h>\n#include <stdint.h>',
      '#ifdef __cplusplus\nextern "C" {\n#endif',
      `${this.comment(pageBytes.doc)}\n#define ODONATA_PAGE ${pageBytes.value}u`,
      this.constants({ ...errors, prefix: '' }),
      ...Object.values(constants).map((group) => this.constants(group)),
      ...Object.entries(structures).map(([name, { doc, fields }]) => {
        const members = fields.map((field) => `  ${numbers[field.type]}${field.name};`);
        return [this.comment(doc), `struct odonata_${name} {`, ...members, '};'].join('\n');
      }),
      `#define ODONATA_IMPORT(name) __attribute__((import_module("${this.module.name}"), import_name(name)))`,
      ...Object.entries(functions).map(([name, about]) => this.declaration(name, about)),
      '#undef ODONATA_IMPORT',
      layer.trimEnd(),
      '#ifdef __cplusplus\n}\n#endif',
      '#endif',
    ].join('\n\n')}\n`;
  }

  private opening(): string {
    const { model, rules } = this.module;
    const paragraph = (text: string) => wrapped(this.text(text), WIDTH - 3);
    const lines = [
      'odonata.h - what a guest program asks of its virtual kernel beyond WASI preview 1.',
      '',
      ...paragraph(`The model.  ${model}`),
      '',
      'Rules for the caller',
      ...rules.flatMap((rule, i) =>
        wrapped(this.text(rule), WIDTH - 7).map((line, n) =>
          n === 0 ? ` ${i + 1}. ${line}` : `    ${line}`,
        ),
      ),
      '',
      ...paragraph(
        'Build with -matomics, so that __atomic_* become atomic instructions rather than plain ones.  Beware: clang 14 turns them into plain ones all the same, without a word, in a source file that uses a thread-local variable, and errno is one.  Keep errno and atomics in different source files; the calls below return their errno for that reason.',
      ),
      '',
      ...paragraph('Made by `npm run generate` from libs/guest/module/odonata.ts: change that, not this.'),
    ];
    return ['/*', ...lines.map((line) => ` * ${line}`.trimEnd()), ' */'].join('\n');
  }

  private constants({ doc, prefix, values }: Pick<ConstantGroup, 'doc' | 'prefix' | 'values'>): string {
    const entries = Object.entries(values).map(([name, { value, doc }]) => ({
      text: `  ODONATA_${prefix}${name} = ${value},`,
      doc: doc === undefined ? '' : `/* ${this.text(doc, '')} */`,
    }));
    const column = Math.max(...entries.map(({ text, doc }) => (doc === '' ? 0 : text.length)));
    const lines = entries.map(({ text, doc }) => (doc === '' ? text : `${text.padEnd(column)} ${doc}`));
    return [this.comment(doc, ''), 'enum {', ...lines, '};'].join('\n');
  }

  private declaration(name: string, { doc, parameters, result }: FunctionDescription): string {
    const head = `int${result === 'i64' ? 64 : 32}_t odonata_${name}(`;
    const list = parameters.map((parameter) => typeOf(parameter.type) + parameter.name).join(', ') || 'void';
    const [first, ...rest] = wrapped(`${list});`, WIDTH - 9 - head.length);
    const lines = [`${head}${first}`, ...rest.map((line) => ' '.repeat(head.length) + line)];
    const declared = lines.join('\n').replaceAll(TIED, ' ');
    return [this.comment(doc), `ODONATA_IMPORT("${name}")`, declared].join('\n');
  }

  private comment(doc: string, call = '()'): string {
    return docComment(this.text(doc, call), WIDTH);
  }

  private text(text: string, call = '()'): string {
    return named(text, (name) => {
      if (name === 'PAGE') return 'ODONATA_PAGE';
      return `odonata_${name}${call}`;
    });
  }
}
