// Descriptors as text, comments included, as grpcurl's `describe` shows them.
import type {
  DescField,
  DescFile,
  DescMessage,
  DescMethod,
  DescService,
  FileRegistry,
} from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';

// Numbers of fields in google.protobuf's descriptors, of which a comment's path is made.
const MESSAGE_TYPE = 4;
const SERVICE = 6;
const FIELD = 2;
const METHOD = 2;

export function describeSymbol(registry: FileRegistry, symbol: string): string {
  const found = registry.get(symbol) ?? methodOf(registry, symbol);
  switch (found?.kind) {
    case 'message':
      return `${symbol} is a message:\n${describeMessage(found)}`;
    case 'service':
      return `${symbol} is a service:\n${describeService(found)}`;
    case 'rpc':
      return `${symbol} is a method:\n${describeMethod(found, '')}`;
    default:
      throw new Error(`${symbol}: only messages, services and methods are described here`);
  }
}

function methodOf(registry: FileRegistry, symbol: string): DescMethod | undefined {
  const dot = symbol.lastIndexOf('.');
  return registry
    .getService(symbol.slice(0, dot))
    ?.methods.find(({ name }) => name === symbol.slice(dot + 1));
}

function describeMessage(message: DescMessage): string {
  const path = [MESSAGE_TYPE, message.file.proto.messageType.indexOf(message.proto)];
  const fields = message.fields.map((field, at) => {
    const label = field.fieldKind === 'list' ? 'repeated ' : '';
    const line = `  ${label}${typeOf(field)} ${field.name} = ${field.number};\n`;
    return comment(message.file, [...path, FIELD, at], '  ') + line;
  });
  return `${comment(message.file, path, '')}message ${message.name} {\n${fields.join('')}}\n`;
}

function describeService(service: DescService): string {
  const methods = service.methods.map((method) => describeMethod(method, '  '));
  const path = [SERVICE, service.file.proto.service.indexOf(service.proto)];
  return `${comment(service.file, path, '')}service ${service.name} {\n${methods.join('')}}\n`;
}

function describeMethod(method: DescMethod, indent: string): string {
  const { file, proto } = method.parent;
  const path = [SERVICE, file.proto.service.indexOf(proto), METHOD, method.parent.methods.indexOf(method)];
  const input = `${method.proto.clientStreaming ? 'stream ' : ''}.${method.input.typeName}`;
  const output = `${method.proto.serverStreaming ? 'stream ' : ''}.${method.output.typeName}`;
  return `${comment(file, path, indent)}${indent}rpc ${method.name} ( ${input} ) returns ( ${output} );\n`;
}

function comment(file: DescFile, path: number[], indent: string): string {
  const wanted = path.join();
  const location = file.proto.sourceCodeInfo?.location.find((l) => l.path.join() === wanted);
  if (!location?.leadingComments) return '';
  const lines = location.leadingComments.trimEnd().split('\n');
  return lines.map((line) => `${indent}//${line}\n`).join('');
}

function typeOf(field: DescField): string {
  if (field.fieldKind === 'map') return `map<${scalar(field.mapKey)}, ${named(field)}>`;
  return named(field);
}

function named(field: DescField): string {
  if (field.message) return `.${field.message.typeName}`;
  if (field.enum) return `.${field.enum.typeName}`;
  return scalar(field.scalar!);
}

function scalar(type: ScalarType): string {
  return ScalarType[type].toLowerCase();
}
