/**
 * Somebody with a right identity who calls everything, with messages made by chance: as bytes, so that nothing of ours looks
 * at them before they are sent.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type DescMethod, type Message, toBinary } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { createClient, openChannel, openStream, type RpcChannel } from '@odonata/rpc/client.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import { type AnyService, methodPath } from '@odonata/rpc/service.ts';
import fc from 'fast-check';
import { type Heard, HostileMessage } from './hostile-message.ts';

/** How long an answer may take; who waits in earnest, as a reader of logs, is called off. */
const DEADLINE_MS = 2_000;
const AT_ONCE = 32;
const BATCH = 64;
/** Messages of one stream, if it does not end before. */
const STREAM_MESSAGES = 20;
/** One that breaks a constraint ends its stream: nothing after it is heard. */
const STREAM_BREAKS_ONE_IN = 40;
const SELDOM = new Set(['hello', 'register', 'registered', 'go_away', 'goodbye', 'nack']);

/** How calls ended, by code. */
export type Ends = Map<string, number>;

export interface Fuzzed {
  readonly service: AnyService;
  readonly address: string;
  readonly folder?: TlsFolder | undefined;
  /** Where it is not that of the folder. */
  readonly token?: string;
  readonly heard: Heard;
  readonly seed: number;
  /** On a busy machine fewer are said: none begins after this, by performance.now(). */
  readonly untilMs?: number;
}

/** Messages of a type in a row, some of them no messages at all. */
export function* bytesOf(
  method: { input: DescMethod['input'] },
  heard: Heard,
  seed: number,
  breaksOneIn = 4,
  seldom?: ReadonlySet<string>,
): Generator<Buffer> {
  const arbitrary = new HostileMessage(method.input, heard, breaksOneIn, seldom);
  for (let batch = 0; ; batch++) {
    // What was heard meanwhile goes into the next ones.
    const messages = fc.sample(arbitrary, {
      seed: (seed + batch * 7_919) % 2 ** 31,
      numRuns: BATCH,
    }) as Message[];
    for (const [at, message] of messages.entries()) {
      const bytes = Buffer.from(toBinary(method.input, message));
      // Some are spoilt, and some cut off.
      const odd = (seed + at) % (breaksOneIn * 4);
      if (odd === 0 && bytes.length > 0) bytes[(seed + batch) % bytes.length] = (seed + at) % 251;
      yield odd === 1 ? bytes.subarray(0, bytes.length >> 1) : bytes;
    }
  }
}

/** Calls all methods that are no raw streams, so many times in all. */
export async function callAll(about: Fuzzed, count: number, leaveOut: readonly string[] = []): Promise<Ends> {
  const { service, address, folder, token, heard, seed, untilMs = Number.POSITIVE_INFINITY } = about;
  const channel = openChannel(address, { folder });
  const client = createClient(service, channel) as unknown as Record<string, Call>;
  const ends: Ends = new Map();
  const methods = service.methods.filter(({ name }) => !leaveOut.includes(name));
  const rows = methods.map((method) => bytesOf(method, heard, seed));
  let left = Math.ceil(count);
  const one = async (): Promise<void> => {
    while (left > 0 && performance.now() < untilMs) {
      const at = --left % methods.length;
      const method = methods[at]!;
      const next = () => rows[at]!.next().value as Buffer;
      const options = { deadlineMs: DEADLINE_MS, ...(token && { token }) };
      count_(ends, await ended(() => call(client[method.localName]!, method, next, options, heard)));
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, one));
  } finally {
    channel.close();
  }
  if (left > 0) ends.set('not said', Math.round(left));
  return ends;
}

type Call = (request: unknown, options: object) => unknown;

async function call(
  run: Call,
  { methodKind, output }: DescMethod,
  next: () => Buffer,
  options: object,
  heard: Heard,
): Promise<void> {
  const many = methodKind === 'client_streaming' || methodKind === 'bidi_streaming';
  const answer = run(many ? someOf(next) : next(), options);
  if (methodKind === 'unary' || methodKind === 'client_streaming') {
    heard.hear(output, (await answer) as Message);
    return;
  }
  let responses = 0;
  for await (const response of answer as AsyncIterable<Message>) {
    heard.hear(output, response);
    if (++responses === 3) return;
  }
}

async function* someOf(next: () => Buffer): AsyncGenerator<Buffer> {
  for (let i = 0; i < 3; i++) yield next();
}

/** Says so many messages on streams of one method; a stream that ends is followed by another. */
export async function sayAll(
  about: Omit<Fuzzed, 'service'>,
  method: DescMethod,
  count: number,
  /** The first message of each stream. */
  first: () => Buffer | undefined,
): Promise<Ends> {
  const { address, folder, token, heard, seed, untilMs = Number.POSITIVE_INFINITY } = about;
  const channel = openChannel(address, { folder });
  const ends: Ends = new Map();
  const row = bytesOf(method, heard, seed, STREAM_BREAKS_ONE_IN, SELDOM);
  let left = count;
  const one = async (): Promise<void> => {
    while (left > 0 && performance.now() < untilMs) {
      const said = Math.min(left, STREAM_MESSAGES);
      left -= said;
      const opening = first();
      const messages = () => row.next().value as Buffer;
      const reached = await ended(() => converse(channel, method, { token, opening, messages, said, heard }));
      count_(ends, reached);
    }
  };
  try {
    await Promise.all(Array.from({ length: 4 }, one));
  } finally {
    channel.close();
  }
  if (left > 0) ends.set('not said', Math.round(left));
  return ends;
}

function converse(
  channel: RpcChannel,
  method: DescMethod,
  how: {
    token: string | undefined;
    opening: Buffer | undefined;
    messages: () => Buffer;
    said: number;
    heard: Heard;
  },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = openStream(method as DescMethod & { methodKind: 'bidi_streaming' }, channel, {
      ...(how.token && { token: how.token }),
    }) as unknown as ClientDuplexStream<Buffer, Message>;
    let over = false;
    const late = setTimeout(() => stream.cancel(), 5 * DEADLINE_MS);
    stream.on('data', (message) => how.heard.hear(method.output, message));
    stream.on('error', reject);
    stream.once('status', ({ code, details }) => {
      over = true;
      clearTimeout(late);
      if (code === Code.Ok) resolve();
      else reject(new RpcError(code as Code, details));
    });
    const say = async (): Promise<void> => {
      if (how.opening !== undefined) stream.write(how.opening);
      for (let i = 0; i < how.said && !over; i++) {
        if (!stream.write(how.messages())) await sleep(1);
        // What is answered meanwhile goes into what is said next.
        if (i % 4 === 3) await new Promise((turn) => setImmediate(turn));
      }
      if (!over) stream.end();
    };
    say().catch(reject);
  });
}

async function ended(run: () => Promise<void>): Promise<string> {
  try {
    await run();
    return 'OK';
  } catch (error) {
    return RpcError.is(error) ? error.message.split(':')[0]! : codeOf(error);
  }
}

const codeOf = (error: unknown): string => {
  const { code } = error as { code?: number };
  const name = Object.entries(Code).find(([, number]) => number === code)?.[0];
  return (name ?? String(error)).replaceAll(/([a-z])([A-Z])/g, '$1_$2').toUpperCase();
};

function count_(ends: Ends, end: string): void {
  ends.set(end, (ends.get(end) ?? 0) + 1);
}

export const pathOf = (method: DescMethod): string => methodPath(method);
