import type { DescMethod } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import type { RpcChannel } from './channel.ts';
import { openChannel, REQUEST_ID_KEY, TRACEPARENT_KEY, tokenFor } from './channel.ts';
import { Code, fromServiceError, RpcError } from './error.ts';
import { AUTHORIZATION_KEY } from './identity/gate.ts';
import type { TlsFolder } from './identity/tls-folder.ts';
import { Interrupt } from './interrupt.ts';
import type { Logger } from './log.ts';
import type { Callee } from './plain-words.ts';
import { pumpRequests } from './request-pump.ts';
import type { AnyService, CallOptions, Client, In, InInit, Out } from './service.ts';
import { decoder, encoder, isRequestStream, isResponseStream, methodPath } from './service.ts';
import { traceparentOf } from './trace/context.ts';
import { rootTrace } from './trace/own.ts';

export type { RpcChannel } from './channel.ts';
export { openChannel } from './channel.ts';
export type { CallOptions, Client } from './service.ts';

const DEFAULT_DEADLINE_MS = 30_000;
/** Of an answer; a pmap manager tells the next one of a million pages. */
export const FROM_SERVICE = { fieldsMax: 4_000_000 };

export interface ClientOptions {
  readonly log?: Logger;
  /** For unary calls that name none; 30 s. */
  readonly deadlineMs?: number;
  /** Who calls, where it is not this process itself. */
  readonly folder?: TlsFolder | undefined;
}

/** A client of a service at `host:port`, `unix:/path` or on a channel of the caller's (which `close` leaves open). */
export function createClient<S extends AnyService>(
  service: S,
  address: string | RpcChannel,
  options: ClientOptions = {},
): Client<S> {
  const own = typeof address === 'string';
  const channel = own ? openChannel(address, { folder: options.folder }) : address;
  const calls: Record<string, unknown> = {
    close: () => {
      if (own) channel.close();
    },
  };
  for (const method of service.methods) calls[method.localName] = callOf(channel, method, options);
  return calls as Client<S>;
}

function callOf(channel: RpcChannel, method: DescMethod, options: ClientOptions): unknown {
  const path = methodPath(method);
  const encode = encoder(method.input);
  const decode = decoder(method.output, FROM_SERVICE);
  const deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS;
  const callee = calleeOf(channel, path);
  const settle = (resolve: (reply: unknown) => void, reject: (error: RpcError) => void) => {
    return (error: grpc.ServiceError | null, reply?: unknown) => {
      if (error === null) return resolve(reply);
      const failure = fromServiceError(error, callee);
      options.log?.debug({ method: path, err: failure.message }, 'call failed');
      reject(failure);
    };
  };
  switch (method.methodKind) {
    case 'unary':
      return (request: unknown, call: CallOptions = {}) =>
        new Promise((resolve, reject) => {
          const [metadata, grpcOptions] = callSetup(channel, inTrace(call), deadlineMs);
          const done = settle(resolve, reject);
          const running = channel.makeUnaryRequest(
            path,
            encode,
            decode,
            request,
            metadata,
            grpcOptions,
            done,
          );
          cancelOnAbort(running, call.signal);
        });
    case 'client_streaming':
      return (requests: AsyncIterable<unknown>, call: CallOptions = {}) =>
        new Promise((resolve, reject) => {
          const [metadata, grpcOptions] = callSetup(channel, inTrace(call), 0);
          const done = settle(resolve, reject);
          const running = channel.makeClientStreamRequest(path, encode, decode, metadata, grpcOptions, done);
          cancelOnAbort(running, call.signal);
          running.on('error', () => {}); // the callback tells
          send(requests, running).catch((error) => {
            running.cancel();
            reject(fromServiceError(error));
          });
        });
    case 'server_streaming':
      return (request: unknown, call: CallOptions = {}) =>
        received(() => {
          const [metadata, grpcOptions] = callSetup(channel, inTrace(call), 0);
          const running = channel.makeServerStreamRequest(
            path,
            encode,
            decode,
            request,
            metadata,
            grpcOptions,
          );
          cancelOnAbort(running, call.signal);
          return { running, callee };
        });
    case 'bidi_streaming':
      return (requests: AsyncIterable<unknown>, call: CallOptions = {}) =>
        received(() => {
          const [metadata, grpcOptions] = callSetup(channel, inTrace(call), 0);
          const running = channel.makeBidiStreamRequest(path, encode, decode, metadata, grpcOptions);
          cancelOnAbort(running, call.signal);
          return { running, callee, sending: send(requests, running) };
        });
  }
}

/** For what is said of a call that is not answered. */
export const calleeOf = (channel: RpcChannel, path: string): Callee => ({
  path,
  address: channel.getChannel().getTarget(),
});

/** What is called is part of the trace that this whole process is, if it is one. A line that lasts is not. */
const inTrace = (call: CallOptions): CallOptions => {
  const trace = call.trace ?? rootTrace();
  return trace === undefined ? call : { ...call, trace };
};

function callSetup(
  channel: RpcChannel,
  call: CallOptions,
  defaultDeadlineMs: number,
): [grpc.Metadata, grpc.CallOptions] {
  const metadata = new grpc.Metadata({ waitForReady: call.waitForReady ?? false });
  const token = call.token ?? tokenFor(channel);
  if (token !== undefined) metadata.set(AUTHORIZATION_KEY, `Bearer ${token}`);
  if (call.requestId !== undefined) metadata.set(REQUEST_ID_KEY, call.requestId);
  if (call.trace !== undefined) metadata.set(TRACEPARENT_KEY, traceparentOf(call.trace));
  const deadlineMs = call.deadlineMs ?? defaultDeadlineMs;
  return [metadata, deadlineMs > 0 ? { deadline: Date.now() + deadlineMs } : {}];
}

interface Cancellable {
  cancel(): void;
  once(event: 'status', listener: () => void): unknown;
}

function cancelOnAbort(running: Cancellable, signal: AbortSignal | undefined): void {
  if (signal === undefined) return;
  if (signal.aborted) {
    running.cancel();
    return;
  }
  const cancel = () => running.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  running.once('status', () => signal.removeEventListener('abort', cancel));
}

/** Writes all requests with back pressure, then half-closes. Ends early, and quietly, when the call has ended. */
async function send(
  requests: AsyncIterable<unknown>,
  running: grpc.ClientWritableStream<unknown>,
): Promise<void> {
  const ended = new Interrupt();
  running.once('status', () => ended.fire());
  await pumpRequests(requests, ended, (request) => {
    if (running.write(request)) return undefined;
    return new Promise<void>((resolve) => running.once('drain', resolve));
  });
  if (!ended.fired) running.end();
}

type Receiving = {
  running: grpc.ClientReadableStream<unknown>;
  callee: Callee;
  sending?: Promise<void>;
};

/** The responses. The call starts at once, not at the first `next`; leaving the loop early cancels it. */
function received(start: () => Receiving): AsyncIterable<unknown> {
  const { running, callee, sending } = start();
  let failure: RpcError | undefined;
  running.on('error', (error) => {
    failure ??= fromServiceError(error, callee);
  });
  sending?.catch((error) => {
    failure ??= fromServiceError(error);
    running.cancel();
  });
  let ended = false;
  running.once('status', () => {
    ended = true;
  });
  async function* responses() {
    try {
      for await (const response of running.iterator({ destroyOnReturn: false })) yield response;
    } catch (error) {
      throw failure ?? fromServiceError(error, callee);
    } finally {
      if (!ended) running.cancel();
    }
    if (failure !== undefined) throw failure;
  }
  return responses();
}

/**
 * grpc's own stream of a bidirectional method, for hot paths: no deadline, no retries, a connection of its own when an
 * address is given (closed with the stream). Its `error` event brings a grpc ServiceError (`fromServiceError`); a
 * listener is a must.
 */
export function openStream<M extends DescMethod & { methodKind: 'bidi_streaming' }>(
  method: M,
  address: string | RpcChannel,
  options: CallOptions = {},
): grpc.ClientDuplexStream<InInit<M>, Out<M>> {
  if (!isRequestStream(method) || !isResponseStream(method)) {
    throw new RpcError(Code.InvalidArgument, `${methodPath(method)} is no bidirectional stream`);
  }
  const channel = typeof address === 'string' ? openChannel(address) : address;
  const [metadata, grpcOptions] = callSetup(channel, options, 0);
  const stream = channel.makeBidiStreamRequest(
    methodPath(method),
    encoder(method.input) as (message: InInit<M>) => Buffer,
    decoder(method.output, FROM_SERVICE) as unknown as (bytes: Buffer) => Out<M>,
    metadata,
    grpcOptions,
  );
  cancelOnAbort(stream, options.signal);
  if (typeof address === 'string') stream.once('status', () => channel.close());
  return stream;
}

export type { In, Out };
