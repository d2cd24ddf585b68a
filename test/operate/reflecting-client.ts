#!/usr/bin/env node
// The part of grpcurl that docs/inspect.md uses, where grpcurl is not installed: what it knows of a server comes from
// that server's reflection, and what it prints is laid out as grpcurl's.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  type DescMethod,
  fromBinary,
  fromJsonString,
  type Registry,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { describeSymbol } from './describe-symbol.ts';
import { Reflection, type ReflectionVersion } from './reflection.ts';

const USAGE = `Usage: reflecting-client [-cacert FILE -cert FILE -key FILE] [-unix] [-v] [-d JSON] [-H 'NAME: VALUE'] ADDRESS (list [SERVICE] | describe SYMBOL | METHOD)

  reflecting-client 127.0.0.1:7411 list
  reflecting-client -d '{"name": "a"}' 127.0.0.1:7411 odonata.coherency.v1.DirectoryService/GetDataspace

REFLECTION=v1alpha asks the older reflection. Exit codes: 1 on a failure of its own, 64 + N on gRPC code N.
`;
/** grpcurl's names, which are Go's: NotFound for NOT_FOUND. */
const goName = (code: grpc.status) =>
  grpc.status[code].replace(
    /([A-Z])([A-Z]*)_?/g,
    (_, first: string, rest: string) => first + rest.toLowerCase(),
  );

interface Ended {
  reply: Buffer | undefined;
  status: grpc.StatusObject;
}

function call(
  channel: grpc.Client,
  method: DescMethod,
  request: Uint8Array,
  metadata: grpc.Metadata,
  onReply: (reply: Buffer) => void,
) {
  const path = `/${method.parent.typeName}/${method.name}`;
  const asIs = (bytes: Buffer) => bytes;
  if (method.methodKind === 'server_streaming')
    return new Promise<Ended>((resolve) => {
      channel
        .makeServerStreamRequest(path, asIs, asIs, Buffer.from(request), metadata)
        .on('data', onReply)
        .on('error', () => {})
        .once('status', (status) => setImmediate(() => resolve({ reply: undefined, status })));
    });
  return new Promise<Ended>((resolve) => {
    let reply: Buffer | undefined;
    channel
      .makeUnaryRequest(path, asIs, asIs, Buffer.from(request), metadata, (_, bytes) => {
        reply = bytes;
      })
      .once('status', (status) => setImmediate(() => resolve({ reply, status })));
  });
}

/** As Go writes an Any. */
function withTypeFirst({ '@type': type, ...rest }: { '@type': string }): object {
  return { '@type': type, ...rest };
}

async function printError(status: grpc.StatusObject, reflection: Reflection): Promise<void> {
  let text = `ERROR:\n  Code: ${goName(status.code)}\n  Message: ${status.details}\n`;
  const [packed] = status.metadata.get('grpc-status-details-bin');
  if (packed !== undefined) {
    const schema = (await reflection.registryWith('google.rpc.Status')).getMessage('google.rpc.Status')!;
    const registry = await reflection.registryWith('google.rpc.BadRequest');
    const whole = JSON.parse(toJsonString(schema, fromBinary(schema, packed as Buffer), { registry }));
    text += '  Details:\n';
    (whole.details as { '@type': string }[]).forEach((detail, at) => {
      const json = JSON.stringify(withTypeFirst(detail), null, 2).replaceAll('\n', '\n    \t');
      text += `  ${at + 1})\t${json}\n`;
    });
  }
  process.stderr.write(text);
}

async function invoke(
  reflection: Reflection,
  channel: grpc.Client,
  name: string,
  flags: Flags,
): Promise<number> {
  const [service, methodName] = name.split('/');
  const registry = await reflection.registryWith(service!);
  const method = registry.getService(service!)?.methods.find((m) => m.name === methodName);
  if (method?.methodKind !== 'unary' && method?.methodKind !== 'server_streaming')
    throw new Error(`${name} is no method that takes one message`);
  const metadata = metadataOf(flags);
  const request = toBinary(method.input, fromJsonString(method.input, flags.d ?? '{}'));
  const onReply = (bytes: Buffer) => print(method, bytes, registry);
  const { reply, status } = await call(channel, method, request, metadata, onReply);
  if (flags.v) process.stdout.write('\nResponse contents:\n');
  if (reply) print(method, reply, registry);
  if (flags.v) {
    const trailers = Object.entries(status.metadata.getMap()).map(([key, value]) => `${key}: ${value}\n`);
    process.stdout.write(`\nResponse trailers received:\n${trailers.join('') || '(empty)\n'}`);
  }
  if (status.code === grpc.status.OK) return 0;
  await printError(status, reflection);
  return 64 + status.code;
}

function print(method: DescMethod, reply: Buffer, registry: Registry): void {
  const message = fromBinary(method.output, reply);
  process.stdout.write(`${toJsonString(method.output, message, { registry, prettySpaces: 2 })}\n`);
}

interface Flags {
  cacert?: string;
  cert?: string;
  key?: string;
  v?: boolean;
  d?: string;
  H?: string[];
}

function metadataOf({ H: headers = [] }: Flags): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const header of headers) {
    const colon = header.indexOf(':');
    metadata.set(header.slice(0, colon), header.slice(colon + 1).trim());
  }
  return metadata;
}

function credentialsOf({ cacert, cert, key }: Flags): grpc.ChannelCredentials {
  if (cacert === undefined || cert === undefined || key === undefined)
    return grpc.credentials.createInsecure();
  return grpc.credentials.createSsl(readFileSync(cacert), readFileSync(key), readFileSync(cert));
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    // grpcurl writes its long flags with one dash.
    args: process.argv.slice(2).map((arg) => (/^-[a-z]{2,}$/.test(arg) ? `-${arg}` : arg)),
    allowPositionals: true,
    options: {
      plaintext: { type: 'boolean' },
      unix: { type: 'boolean' },
      cacert: { type: 'string' },
      cert: { type: 'string' },
      key: { type: 'string' },
      help: { type: 'boolean' },
      v: { type: 'boolean', short: 'v' },
      d: { type: 'string', short: 'd' },
      H: { type: 'string', short: 'H', multiple: true },
    },
  });
  const [address, verb, what] = positionals;
  if (values.help || address === undefined || verb === undefined) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 1;
  }
  const channel = new grpc.Client(values.unix ? `unix:${address}` : address, credentialsOf(values), {
    // Its address has no name that TLS could ask for.
    ...(values.cacert === undefined ? {} : { 'grpc.ssl_target_name_override': 'localhost' }),
  });
  const metadata = metadataOf(values);
  try {
    const reflection = new Reflection(
      channel,
      (process.env.REFLECTION ?? 'v1') as ReflectionVersion,
      metadata,
    );
    if (verb !== 'list' && verb !== 'describe') return await invoke(reflection, channel, verb, values);
    if (verb === 'describe') {
      const symbol = what!;
      process.stdout.write(describeSymbol(await reflection.registryWith(symbol), symbol));
    } else if (what === undefined) {
      process.stdout.write(`${(await reflection.services()).join('\n')}\n`);
    } else {
      const service = (await reflection.registryWith(what)).getService(what)!;
      const names = service.methods.map((method) => `${what}.${method.name}\n`).sort();
      process.stdout.write(names.join(''));
    }
    return 0;
  } finally {
    channel.close();
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  },
);
