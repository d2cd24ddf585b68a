// A page a .proto file of ours, with the comments that stand there: services and methods, messages and fields, enums.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { getComments } from '@bufbuild/protoplugin';
import { accessRule } from '@odonata/rpc/identity/access.ts';
import { nameOfRole } from '@odonata/rpc/identity/identity.ts';

export interface ProtoPage {
  readonly text: string;
  readonly page: string;
  readonly markdown: string;
}

export function protoPages(descriptors: string): ProtoPage[] {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
  const files = [...registry.files].filter(({ proto }) => proto.package.startsWith('odonata.'));
  const pageOf = (file: DescFile) => `${basename(file.name)}.md`;
  const own = new Map(files.map((file) => [file.name, pageOf(file)]));
  return files
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((file) => ({
      text: `${basename(file.name)}.proto`,
      page: `reference/${pageOf(file)}`,
      markdown: new Page(file, own).markdown(),
    }));
}

class Page {
  readonly #file: DescFile;
  /** Pages by the names of their files. */
  readonly #pages: ReadonlyMap<string, string>;

  constructor(file: DescFile, pages: ReadonlyMap<string, string>) {
    this.#file = file;
    this.#pages = pages;
  }

  markdown(): string {
    const { name, services, messages, enums, proto } = this.#file;
    const all = messages.flatMap(withNested);
    return [
      `# ${basename(name)}.proto`,
      `Package \`${proto.package}\`, file \`proto/${name}.proto\`. Made of that file and its comments.`,
      ...services.flatMap((each) => this.#service(each)),
      ...(all.length === 0 ? [] : ['## Messages', ...all.flatMap((each) => this.#message(each))]),
      ...[...enums, ...all.flatMap(({ nestedEnums }) => nestedEnums)].flatMap((each, i) => [
        ...(i === 0 ? ['## Enums'] : []),
        ...this.#enum(each),
      ]),
      '',
    ].join('\n\n');
  }

  #service(service: DescService): string[] {
    return [
      `## ${service.name}`,
      commentOf(service),
      ...service.methods.flatMap((method) => [
        `### rpc ${method.name}`,
        `\`${callOf(method)}\`: takes ${this.#type(method.input)}, answers ${this.#type(method.output)}.`,
        commentOf(method),
        whoMayCall(method),
      ]),
    ];
  }

  #message(message: DescMessage): string[] {
    const name = localName(message);
    if (message.fields.length === 0) return [`### ${name}`, commentOf(message), 'No fields.'];
    return [
      `### ${name}`,
      commentOf(message),
      table(
        ['field', 'number', 'type', 'what'],
        message.fields.map((field) => [
          `\`${field.name}\``,
          `${field.number}`,
          this.#fieldType(field) + (field.oneof ? `, one of \`${field.oneof.name}\`` : ''),
          inCell(commentOf(field)),
        ]),
      ),
    ];
  }

  #enum(each: DescEnum): string[] {
    return [
      `### ${localName(each)}`,
      commentOf(each),
      table(
        ['value', 'number', 'what'],
        each.values.map((value) => [`\`${value.name}\``, `${value.number}`, inCell(commentOf(value))]),
      ),
    ];
  }

  #fieldType(field: DescField): string {
    const of = field.message ?? field.enum;
    const scalar = of === undefined ? `\`${field.proto.type && scalarName(field)}\`` : this.#type(of);
    if (field.fieldKind === 'list') return `repeated ${scalar}`;
    if (field.fieldKind === 'map') return `map to ${scalar}`;
    return scalar;
  }

  #type(of: DescMessage | DescEnum): string {
    const page = this.#pages.get(of.file.name);
    if (page === undefined) return `\`${of.typeName}\``;
    const name = localName(of);
    const anchor = `#${name.toLowerCase().replaceAll('.', '')}`;
    return `[${name}](${of.file.name === this.#file.name ? '' : `./${page}`}${anchor})`;
  }
}

const withNested = (message: DescMessage): DescMessage[] => [
  message,
  ...message.nestedMessages.flatMap(withNested),
];

const localName = (of: DescMessage | DescEnum): string => of.typeName.slice(of.file.proto.package.length + 1);

function callOf({ methodKind, parent, name }: DescMethod): string {
  const stream = {
    unary: '',
    server_streaming: ' (a stream of answers)',
    client_streaming: ' (a stream of requests)',
    bidi_streaming: ' (streams both ways)',
  }[methodKind];
  return `${parent.typeName}/${name}${stream}`;
}

function whoMayCall(method: DescMethod): string {
  const { roles, owner } = accessRule(method);
  const all = [...roles].map(nameOfRole).join(', ');
  const own = [...owner].map(nameOfRole).join(', ');
  const said = [all && `${all} for anybody's things`, own && `${own} for their own`].filter(Boolean);
  return `Who may call it: ${said.join('; ') || 'nobody'}.`;
}

/** `TYPE_UINT64` of the descriptor, as the file has it. */
function scalarName({ proto, scalar }: DescField): string {
  const names = 'double float int64 uint64 int32 fixed64 fixed32 bool string group message bytes uint32 enum';
  return `${names} sfixed32 sfixed64 sint32 sint64`.split(' ')[(scalar ?? proto.type) - 1]!;
}

function commentOf(desc: Parameters<typeof getComments>[0]): string {
  const { leading = '', trailing = '' } = getComments(desc);
  const lines = [leading, trailing].filter(Boolean).join('\n').split('\n');
  return lines
    .map((line) => line.replace(/^ /, ''))
    .join('\n')
    .trim();
}

const inCell = (text: string): string => text.replaceAll('\n', ' ').replaceAll('|', '\\|');

function table(heads: readonly string[], rows: readonly string[][]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}
