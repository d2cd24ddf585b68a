import type { DescMethod } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { REQUEST_ID_KEY, TRACEPARENT_KEY } from './channel.ts';
import { Code, RpcError } from './error.ts';
import { DETAILS_KEY, statusBytes } from './error-details.ts';
import { accessRule, admit } from './identity/access.ts';
import type { Gate } from './identity/gate.ts';
import { ANYONE, type Caller, type Scope, shownCaller } from './identity/identity.ts';
import type { LimitsLog } from './limits.ts';
import type { Logger } from './log.ts';
import type { OpenStreams } from './open-streams.ts';
import { RawCall } from './raw-call.ts';
import type { RefusalLog } from './refusal-log.ts';
import type { RunningCalls } from './running-calls.ts';
import type { SecurityLog } from './security-log.ts';
import type { CallMeter, Serve, ServedCall } from './served-call.ts';
import { beginCall, pumpResponses } from './served-call.ts';
import type { AnyHandler } from './service.ts';
import { decoder, encoder, methodPath, rawOf } from './service.ts';
import { contextOf } from './trace/context.ts';
import { decoded, type Undecodable } from './undecodable.ts';

type Call = grpc.ServerUnaryCall<unknown, unknown> &
  grpc.ServerReadableStream<unknown, unknown> &
  grpc.ServerWritableStream<unknown, unknown> &
  grpc.ServerDuplexStream<unknown, unknown>;
type Callback = grpc.sendUnaryData<unknown>;

/** What a server has to keep away whoever may not. */
export interface Guard {
  readonly gate: Gate;
  readonly streams: OpenStreams;
  readonly refusals: RefusalLog;
  readonly running: RunningCalls;
}

/** grpc's handler for one of ours. */
export function grpcHandler(
  method: DescMethod,
  handler: AnyHandler | undefined,
  options: {
    log: Logger;
    meter?: CallMeter;
    security?: SecurityLog | undefined;
    limits?: LimitsLog | undefined;
  } & Guard,
): grpc.UntypedHandleCall {
  const { log, gate, streams, refusals, running } = options;
  const path = methodPath(method);
  const rule = accessRule(method);
  const unaryResponse = method.methodKind === 'unary' || method.methodKind === 'client_streaming';
  const unaryRequest = method.methodKind === 'unary' || method.methodKind === 'server_streaming';
  const serveRaw = rawOf(handler);
  const codec = serveRaw && { decode: decoder(method.input), encode: encoder(method.output) };
  const grpcServe = (call: Call, callback: Callback) => {
    let scope: Scope | undefined;
    let refused: unknown;
    let caller: Caller | undefined;
    let onOver: (() => void) | undefined;
    try {
      caller = gate.callerOf(call);
      scope = admit(path, rule, caller);
      onOver = running.begin(caller);
      if (handler === undefined) refused = new RpcError(Code.Unimplemented, `${path} is not served here`);
    } catch (error) {
      refused = error;
    }
    const stream = method.methodKind !== 'unary';
    const served = begin(call, { path, stream, ...options, caller, scope, onOver });
    if (refused !== undefined) {
      const failure = served.finish(refused)!;
      refusals.add({ method: path, peer: call.getPeer(), reason: failure.details });
      if (unaryResponse) callback(statusOf(failure, served));
      else call.emit('error', statusOf(failure, served));
      return;
    }
    if (serveRaw !== undefined) {
      call.once('close', () => served.finish());
      const onFailed = (error: RpcError) => statusOf(served.finish(error)!, served);
      const onFull = (reason: string) =>
        options.limits?.count('unread', caller === ANYONE ? call.getPeer() : shownCaller(caller!), reason);
      serveRaw(new RawCall(call, { log: served.ctx.log, path, onFailed, onFull, codec }), served.ctx);
      return;
    }
    const over = unaryResponse ? undefined : streams.add({ caller: caller!, end: revoke });
    function revoke(error: RpcError): void {
      if (served.finished) return;
      served.abort(error);
      call.emit('error', statusOf(error, served));
    }
    const request = unaryRequest
      ? (call.request as unknown | Undecodable)
      : requestsOf(call, served.ctx.signal);
    // Both answer the caller themselves; they reject only on a bug of this file.
    const serving = unaryResponse
      ? answerOne(handler as Serve, request, served, callback)
      : answerStream(handler as Serve, request, served, call);
    serving
      .catch((error) => log.fatal({ err: error, method: path }, 'bug in the server'))
      .finally(() => over?.());
  };
  return grpcServe as grpc.UntypedHandleCall;
}

function begin(
  call: Call,
  about: {
    path: string;
    stream: boolean;
    log: Logger;
    meter?: CallMeter;
    security?: SecurityLog | undefined;
    caller: Caller | undefined;
    scope: Scope | undefined;
    onOver?: (() => void) | undefined;
  },
): ServedCall {
  const requestId = call.metadata.get(REQUEST_ID_KEY)[0]?.toString();
  const parent = contextOf(call.metadata.get(TRACEPARENT_KEY)[0]?.toString());
  const served = beginCall({ peer: call.getPeer(), requestId, parent, ...about });
  // grpc says 'cancelled' after every call, also after a good one.
  call.on('cancelled', () => {
    if (served.finished) return;
    if (call.writableEnded) {
      served.finish();
      return;
    }
    const late = Number(call.getDeadline()) <= Date.now();
    served.abort(
      late
        ? new RpcError(Code.DeadlineExceeded, 'the deadline passed')
        : new RpcError(Code.Cancelled, 'the caller went away'),
    );
  });
  return served;
}

function trailersOf(served: ServedCall): grpc.Metadata {
  const trailers = new grpc.Metadata();
  trailers.set(REQUEST_ID_KEY, served.ctx.requestId);
  return trailers;
}

function statusOf(failure: RpcError, served: ServedCall): grpc.ServiceError {
  return serviceError(failure, trailersOf(served));
}

/** Ends a raw stream with an error. */
export function failStream(call: Pick<RawCall<never, never>, 'fail'>, failure: RpcError): void {
  call.fail(failure);
}

function serviceError(
  { code, details, message, more }: RpcError,
  trailers: grpc.Metadata,
): grpc.ServiceError {
  if (more.length > 0) trailers.set(DETAILS_KEY, statusBytes(code, details, more));
  return Object.assign(new Error(message), { code, details, metadata: trailers });
}

async function answerOne(
  serve: Serve,
  request: unknown,
  served: ServedCall,
  callback: Callback,
): Promise<void> {
  let reply: unknown;
  try {
    reply = await serve(decoded(request), served.ctx);
  } catch (error) {
    callback(statusOf(served.finish(error)!, served));
    return;
  }
  served.finish();
  callback(null, reply, trailersOf(served));
}

async function answerStream(serve: Serve, request: unknown, served: ServedCall, call: Call): Promise<void> {
  const write = (response: unknown) => {
    if (call.write(response)) return undefined;
    return new Promise<void>((resolve) => call.once('drain', resolve));
  };
  try {
    if ((await pumpResponses(serve, decoded(request), served.ctx, write)) === 'aborted') return;
  } catch (error) {
    call.emit('error', statusOf(served.finish(error)!, served));
    return;
  }
  served.finish();
  call.end(trailersOf(served));
}

/** The requests of a stream. When the call is cancelled the reader gets the reason as an error, never a clean end. */
async function* requestsOf(call: Call, signal: AbortSignal): AsyncGenerator<unknown> {
  try {
    for await (const request of call.iterator({ destroyOnReturn: false })) yield decoded(request);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RpcError) throw error;
    throw new RpcError(Code.Cancelled, 'the request stream broke', { cause: error });
  }
  // A reset stream ends cleanly first, and says 'cancelled' a moment later.
  await new Promise((resolve) => setImmediate(resolve));
  signal.throwIfAborted();
}
